"""Whatever an error says to people is a sentence."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"
TOLD_BY = {"InvalidInput", "Refused", "Denied", "Missing", "Conflict", "CursorRefused", "Unavailable", "Limited"}
TOLD_BY |= {"OperatorError", "Refusal", "error_frame", "refused", "_refused"}


def details() -> list[tuple[str, str]]:
    """Return where each detail is, and its text; what is filled in is `…`."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            texts = [said for said in map(text, node.args) if " " in said] if name in TOLD_BY else []
            found += [(f"{path.name}:{node.lineno}", said) for said in texts]
    return found


def text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_every_detail_is_a_sentence() -> None:
    found = details()
    assert len(found) > 60
    assert [row for row in found if row[1][0].islower() or not row[1].endswith((".", "…"))] == []
