"""The documentation names everything there is, and its links lead somewhere."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
import typer
from msgspec import Struct

import oddswire
from oddswire.cli.root import root
from oddswire.client import Client, Snapshot
from oddswire.client.orders import Orders
from oddswire.config import COMMAND_LINE, describe
from oddswire.errors import CODES
from oddswire.server import openapi
from oddswire.server.admin import Connections, Details, Kick, Kicked
from oddswire.server.calls import RestParts
from oddswire.server.rest import rest_app
from oddswire.streams.delivery import Phase
from oddswire.streams.roster import Presence
from oddswire.testing.gateway import running_gateway
from oddswire.wire import asyncapi, bodies
from oddswire.wire.codes import CLOSE_CODES
from oddswire.wire.session import TABLE

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]
FROM_SERVER = [kind for kind in asyncapi.FROM_SERVER if kind not in asyncapi.EVENTS]
CONTROL = [*FROM_SERVER, *asyncapi.FROM_CLIENT]
LOGGERS = ("_logger", "_log", "log", "logger", "_access")
LEVELS = ("debug", "info", "warning", "error", "critical", "exception")
SHAPES: dict[str, list[type[Struct]]] = {
    "### Tokens": [bodies.SignedIn, bodies.SignedInUser],
    "### Order": [bodies.Order],
    "### Fill": [bodies.Fill],
    "### Balance": [bodies.Balance],
    "### Holding": [bodies.Holding],
    "### Venue": [bodies.VenueInfo],
    "### Market": [bodies.Market, bodies.Outcome],
    "### Errors": [bodies.Problem],
}


def text(name: str) -> str:
    return (DOCS / name).read_text()


def section(page: str, heading: str) -> str:
    """Return what stands under a heading, down to the next one as high."""
    level = len(heading) - len(heading.lstrip("#"))
    lines = text(page).splitlines()
    assert heading in lines, f"{page} has no {heading!r}"
    after = lines[lines.index(heading) + 1 :]
    end = next((at for at, line in enumerate(after) if re.match(rf"#{{1,{level}}} ", line)), len(after))
    return "\n".join(after[:end])


def missing(names: Iterator[str] | list[str] | tuple[str, ...], said: str) -> list[str]:
    """Return the names that are not in code quotes, alone or with a comma or brace beside another."""
    quoted = set(re.findall(r"[\w./{}-]+", " ".join(re.findall(r"`([^`\n]+)`", said))))
    quoted |= {word.strip("{},") for word in quoted}
    return [name for name in names if name not in quoted]


# ---- errors


def test_every_error_code_is_documented_with_its_status() -> None:
    said = text("reference/errors.md")
    wrong = [
        code for code, meaning in CODES.items() if not re.search(rf"\| `{code}` \| {meaning.status or '—'} \|", said)
    ]
    assert wrong == []


def test_every_documented_error_code_is_one() -> None:
    assert [
        code for code in re.findall(r"^\| `(\w+)` \|", text("reference/errors.md"), re.M) if code not in CODES
    ] == []


def test_every_error_code_is_used() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py") if path.name != "errors.py")
    errors = (ROOT / "src/oddswire/errors.py").read_text().split("class OddswireError")[1]
    assert [code for code in CODES if f'"{code}"' not in source + errors] == []


# ---- the socket


@pytest.mark.parametrize("kind", asyncapi.EVENTS, ids=lambda kind: kind.__struct_config__.tag)
def test_every_event_and_field_is_documented(kind: type[Struct]) -> None:
    common = text("reference/events.md").split("\n## ")[0]
    own = section("reference/events.md", f"## `{kind.__struct_config__.tag}`")
    assert missing(kind.__struct_encode_fields__, common + own) == []


@pytest.mark.parametrize("kind", CONTROL, ids=lambda kind: kind.__struct_config__.tag)
def test_every_frame_and_field_is_documented(kind: type[Struct]) -> None:
    own = section("reference/websocket.md", f"#### `{kind.__struct_config__.tag}`")
    assert missing((str(kind.__struct_config__.tag_field), *kind.__struct_encode_fields__), own) == []


@pytest.mark.parametrize(
    "kind", [kind for kind in asyncapi.FROM_SERVER if kind in CONTROL], ids=lambda kind: kind.__name__
)
def test_every_frame_of_the_server_has_a_true_example(kind: type[Struct]) -> None:
    own = section("reference/websocket.md", f"#### `{kind.__struct_config__.tag}`")
    (example,) = re.findall(r"```json\n(.*?)```", own, re.S)
    decoded = msgspec.json.decode(example, type=kind)
    assert msgspec.to_builtins(decoded) == msgspec.json.decode(example)


def test_every_close_code_is_documented() -> None:
    said = section("reference/websocket.md", "## Close codes")
    for row in CLOSE_CODES.values():
        (line,) = re.findall(rf"^\| {row.code} \|.*$", said, re.M)
        assert f"`{row.name}`" in line
        assert f"| {row.when} |" in line
    assert {int(code) for code in re.findall(r"^\| (4\d\d\d) \|", said, re.M)} == set(CLOSE_CODES)


def test_the_picture_of_a_connection_is_its_table() -> None:
    said = section("reference/websocket.md", "## How a connection lives")
    moves = {f"| {old.value} | {what.value} | {new.value} |" for (old, what), new in TABLE.items()}
    assert set(re.findall(r"^\| .* \| .* \| .* \|$", said.split("Any other close")[0], re.M)[1:]) == moves
    ways = said.split("|---|---|---|\n")[2]
    assert re.findall(r"^\| ([a-z ]+) \|", ways, re.M) == [phase.value for phase in Phase]


# ---- REST


def operations() -> list[Any]:
    app = rest_app(cast("RestParts", None))
    described = openapi.document(app, app.openapi_schema.to_schema())
    return [
        pytest.param(f"{method.upper()} {path}", operation, described["components"]["schemas"], id=f"{method} {path}")
        for path, item in described["paths"].items()
        for method, operation in item.items()
    ]


def fields_of(schema: dict[str, Any], schemas: dict[str, Any]) -> list[str]:
    named = schemas[schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else schema
    return list(named.get("properties", ()))


@pytest.mark.parametrize(("call", "operation", "schemas"), operations())
def test_every_call_is_documented(call: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    page = "reference/rest.md"
    if f"### `{call}`" not in text(page):
        assert f"| `{call}` |" in section(page, "## Tools")
        return
    said = section(page, f"### `{call}`")
    linked = "".join(
        section(page, heading) for heading in SHAPES if f"](#{heading.removeprefix('### ').lower()})" in said
    )
    shared = section(page, "## Calling")
    parameters = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    assert missing(parameters, said) == []
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        assert missing(fields_of(body, schemas), said) == []
    for status, answer in operation["responses"].items():
        problems = answer.get("content", {}).get("application/problem+json")
        if problems is not None:
            assert missing(problems["schema"]["allOf"][1]["properties"]["code"]["enum"], said + shared) == []
            continue
        assert re.search(rf"\b{status}\b", said), status
        for content in answer.get("content", {}).values():
            assert missing(fields_of(content["schema"], schemas), said + linked) == []


def test_every_documented_call_is_one() -> None:
    there = {str(parameters.values[0]) for parameters in operations()}
    there |= {"GET /openapi.json", "GET /asyncapi.json", "GET /docs"}
    said = re.findall(r"^(?:### |\| )`((?:GET|POST|PUT|DELETE) /[^`]*)`", text("reference/rest.md"), re.M)
    assert [call for call in said if call not in there] == []


@pytest.mark.parametrize("heading", SHAPES)
def test_every_shape_s_fields_are_documented(heading: str) -> None:
    for kind in SHAPES[heading]:
        assert missing(kind.__struct_encode_fields__, section("reference/rest.md", heading)) == []


# ---- for operators


def test_every_setting_is_documented() -> None:
    rows = [
        f"| `{row.variable}` | {f'`{row.default}`' if row.default else '(empty)'} | {row.unit or '—'} "
        f"| {row.expected} | {row.description} |"
        for row in describe()
    ]
    said = text("reference/settings.md").splitlines()
    assert [row for row in rows if row not in said] == []
    variables = re.findall(r"^\| `(ODDSWIRE_\w+)` \|", text("reference/settings.md"), re.M)
    assert sorted(variables) == sorted([*(row.variable for row in describe()), *COMMAND_LINE])


def commands() -> list[Any]:
    def walk(command: Any, name: str) -> Iterator[Any]:
        below = getattr(command, "commands", {})
        if not below or name == "oddswire":
            parameters = [found for found in command.params if found.param_type_name == "option"]
            options = [option for parameter in parameters for option in parameter.opts]
            yield pytest.param(name, options, id=name)
        for word, child in below.items():
            yield from walk(child, f"{name} {word}")

    return list(walk(typer.main.get_command(root), "oddswire"))


@pytest.mark.parametrize(("command", "options"), commands())
def test_every_command_and_option_is_documented(command: str, options: list[str]) -> None:
    heading = f"{'##' if command == 'oddswire' else '###'} `{command}`"
    said = section("reference/cli.md", heading)
    shared = text("reference/cli.md").split("\n## ")[0]
    short = [option for option in options if not option.startswith("--")]
    assert missing([option for option in options if option not in short], said) == []
    assert missing(short, said + shared) == []
    assert command == "oddswire" or re.search(rf"```sh\n(?:.*\()?{command}\b", said), "no example"


def test_every_documented_command_is_one() -> None:
    there = {parameters.values[0] for parameters in commands()}
    assert [name for name in re.findall(r"^##+ `(.*)`$", text("reference/cli.md"), re.M) if name not in there] == []


async def test_every_metric_is_documented_and_no_other(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, httpx.AsyncClient(trust_env=False) as http:
        told = (await http.get(f"{gateway.admin_url}/metrics")).text
    metrics = {
        (name, kind) for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", told, re.M) if not name.endswith("_created")
    }
    said = section("operate.md", "## Metrics")
    rows = re.findall(r"^\| (`(?:oddswire|process)_.*?`) \| (\w+) \|", said, re.M)
    assert {(name, kind) for cell, kind in rows for name in re.findall(r"`(\w+)`", cell)} == metrics
    alerts = section("operate.md", "## What to alert on")
    asked = set(re.findall(r"\b((?:oddswire|process)_\w+)", alerts))
    series = {name for name, _ in metrics} | {f"{name}_bucket" for name, kind in metrics if kind == "histogram"}
    assert len(asked) > 10
    assert asked - series == set()
    assert missing(Details.__struct_encode_fields__, said) == []


def test_what_the_operator_s_listener_tells_is_documented() -> None:
    assert (
        missing(
            (*Presence.__struct_encode_fields__, *Connections.__struct_encode_fields__),
            section("operate.md", "## Who is connected"),
        )
        == []
    )
    said = section("operate.md", "## Sign somebody out")
    assert missing((*Kick.__struct_encode_fields__, *Kicked.__struct_encode_fields__), said) == []
    (example,) = re.findall(r"```json\n(.*?)```", section("operate.md", "## Who is connected"), re.S)
    decoded = msgspec.json.decode(example, type=Connections)
    assert msgspec.to_builtins(decoded) == msgspec.json.decode(example)


def logged() -> set[str]:
    """Return what the source logs; every event must be written out where it is logged."""
    events = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            of = node.func.value
            if isinstance(of, ast.Name) and of.id in LOGGERS and node.func.attr in LEVELS:
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}"
                events.add(str(node.args[0].value))
    return events


def test_events_that_are_logged_have_stable_names() -> None:
    assert len(logged()) > 20
    assert [event for event in logged() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", event)] == []


def test_every_log_event_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("operate.md", "## Logs").split("|---|\n")[1], re.M)
    assert {name for cell in rows for name in re.findall(r"`(\w+)`", cell)} == logged()
    alerts = [line for line in section("operate.md", "## What to alert on").splitlines() if line.startswith("|")]
    last = [line.rstrip(" |").rsplit("|", 1)[1] for line in alerts[2:]]
    named = re.findall(r"`(\w+_\w+)`", " ".join(cell for cell in last if "log" in cell))
    assert len(named) > 5
    assert [name for name in named if name not in logged()] == []


# ---- pages


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
        if not target.startswith(("http", "mailto:")):
            there = page.parent / target if target else page
            assert there.exists(), target
            assert not anchor or anchor in anchors(there), f"{target}#{anchor}"


def test_every_page_can_be_found() -> None:
    linked = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if not target.startswith("http")
    }
    assert [page.name for page in DOCS.rglob("*.md") if page.resolve() not in linked | {DOCS / "index.md"}] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_somebody_s_machine(page: Path) -> None:
    wrong = r"(?<![\w.])/(?:work|root|home|tmp|Users)/|site-packages|index-url|pypi|pythonhosted|registry\."
    assert re.findall(wrong, page.read_text(), re.I) == []


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    command = [f"{sys.prefix}/bin/zensical", "build", "--strict"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list(DOCS.rglob("*.md")))
    elsewhere = r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^\s>]*"
    assert [found for page in pages for found in re.findall(elsewhere, page.read_text())] == []


def test_the_python_client_is_documented() -> None:
    page = text("reference/python.md")
    assert missing(oddswire.__all__, page) == []
    for kind in (Client, Orders, Snapshot):
        public = [name for name in vars(kind) if not name.startswith("_") and name != "of"]
        called = re.sub(r"\([^)`]*\)", "", page)
        assert missing(public, called) == [], kind
    arguments = inspect.signature(Client).parameters
    assert missing(list(arguments), page) == []


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = re.findall(r"`(tests/[a-z_/]+\.py)(?:::(test_\w+))?`", (ROOT / "docs/explain/security.md").read_text())
    assert len(named) > 25
    for file, test in named:
        assert f"def {test}" in (ROOT / file).read_text(), (file, test)
