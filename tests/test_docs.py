"""The documentation names everything there is, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

from oddswire import events
from oddswire.errors import CODES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]


def text(name: str) -> str:
    return (DOCS / name).read_text()


def missing(names: list[str], page: str) -> list[str]:
    said = text(page)
    return [name for name in names if f"`{name}`" not in said]


def test_every_error_code_is_documented_with_its_status() -> None:
    said = text("reference/errors.md")
    wrong = [
        code for code, meaning in CODES.items() if not re.search(rf"\| `{code}` \| {meaning.status or '—'} \|", said)
    ]
    assert wrong == []


def test_every_error_code_is_used() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py") if path.name != "errors.py")
    errors = (ROOT / "src/oddswire/errors.py").read_text().split("class OddswireError")[1]
    assert [code for code in CODES if f'"{code}"' not in source + errors] == []


def test_every_event_and_field_is_documented() -> None:
    kinds = (
        *(events.OrderSubmitted, events.BalanceUpdate, events.OrderEvent, events.HoldingUpdate, events.MarketSettled),
    )
    for kind in kinds:
        assert f"## `{kind.__struct_config__.tag}`" in text("reference/events.md")
        assert missing(list(kind.__struct_encode_fields__), "reference/events.md") == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith(("http", "mailto:")):
            assert (page.parent / target).exists(), target
