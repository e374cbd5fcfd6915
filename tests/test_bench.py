"""The bench counts what it is sent, compares within a round, and names what it could not measure."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import pytest
from bench import lineup, picture, results
from bench.load.http import Caller
from bench.load.sockets import ACCEPT, Client
from bench.process import Failed
from bench.results import Group

from oddswire.server.websocket import text_header

ROOT = Path(__file__).parent.parent


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 1000, 200_000])
async def test_frames_are_found_however_they_are_cut(at_once: int) -> None:
    texts = [b"a" * length for length in (1, 125, 126, 300, 65535, 65536, 0, 9)]
    sent = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
    sent += b"".join(text_header(len(text)) + text for text in texts) + b"\x89\x02hi"
    heard: list[bytes] = []
    client = Client(b"GET", lambda _, data, begin, after: heard.append(data[begin:after]), 0, asyncio.Future[None]())
    wire = Wire()
    client.connection_made(cast("asyncio.Transport", wire))
    for start in range(0, len(sent), at_once):
        client.data_received(sent[start : start + at_once])
    assert heard == texts
    assert wire.written == b"GET" + b"\x8a\x82\0\0\0\0hi"


async def test_an_upgrade_that_is_refused_is_told() -> None:
    opened = asyncio.Future[None]()
    client = Client(b"GET", lambda *_: None, 0, opened)
    client.connection_made(cast("asyncio.Transport", Wire()))
    client.data_received(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(ConnectionError, match="403"):
        await opened


@pytest.mark.parametrize("at_once", [1, 5, 1000])
def test_answers_are_cut_by_their_length(at_once: int) -> None:
    answers: list[tuple[int, bytes]] = []
    caller = Caller("token", lambda _, status, body: answers.append((status, body)))
    for sent in (b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello", b"HTTP/1.1 204 No Content\r\n\r\n"):
        for start in range(0, len(sent), at_once):
            caller.data_received(sent[start : start + at_once])
    assert answers == [(201, b"hello"), (204, b"")]


def group() -> Group:
    made = Group("push", "CPU µs", reference="us", chart=True)
    for ours, theirs in ((2.0, 4.0), (4.0, 12.0), (3.0, 3.0)):
        made.row("us").add(ours, 0.5)
        made.row("<them>").add(theirs, 0.25)
    made.without("nobody", "there is none here")
    return made


def test_ratios_are_taken_within_a_round() -> None:
    made = group()
    assert made.ratios(made.row("<them>")) == [2.0, 3.0, 1.0]
    assert made.ratios(made.row("us")) == []


def test_what_could_not_be_measured_is_named(tmp_path: Path) -> None:
    assert "| nobody | not measured |  | there is none here |" in results.as_markdown([group()], {})
    file = tmp_path / "new" / "found.json"
    results.save([group()], {"cores": 2}, file)
    rows = {row["subject"]: row for row in json.loads(file.read_text())["groups"][0]["rows"]}
    assert (rows["us"]["median"], rows["us"]["ratio"]) == (3.0, None)
    assert (rows["<them>"]["median"], rows["<them>"]["ratio"]) == (4.0, 2.0)
    assert (rows["nobody"]["median"], rows["nobody"]["missing"]) == (None, "there is none here")


@pytest.fixture
def gopath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty GOPATH, where nothing else has a source of gorilla/websocket, and no Go."""
    monkeypatch.setenv("GOPATH", f"{tmp_path / 'other'}:{tmp_path / 'go'}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(lineup, "GO", tmp_path / "none")
    monkeypatch.setattr(lineup, "GO_SOURCES", str(tmp_path / "gocode"))
    return tmp_path / "go"


def go_that(does: str, folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/go").write_text(f"#!/bin/sh\n{does}\n")
    (folder / "bin/go").chmod(0o755)


def why_gorilla_is_missing(folder: Path) -> str:
    entry = next(entry for entry in lineup.lineup(folder) if entry.name == "gorilla (Go)")
    with pytest.raises(Failed) as why:
        entry.start(folder)
    return str(why.value)


def test_gorilla_is_named_where_there_is_no_go(tmp_path: Path, gopath: Path) -> None:
    assert not gopath.exists()
    assert "no Go here" in why_gorilla_is_missing(tmp_path)


def test_gorilla_is_named_where_its_source_is_missing(tmp_path: Path, gopath: Path) -> None:
    assert not gopath.exists()
    go_that("exit 0", tmp_path)
    assert "golang-github-gorilla-websocket-dev" in why_gorilla_is_missing(tmp_path)


def test_a_build_of_gorilla_takes_the_users_source_and_says_why_it_failed(tmp_path: Path, gopath: Path) -> None:
    (gopath / "src/github.com/gorilla/websocket").mkdir(parents=True)
    go_that('echo "no such flag in $GOPATH" >&2; exit 1', tmp_path)
    assert why_gorilla_is_missing(tmp_path) == f"go build failed: no such flag in {gopath}"


def test_the_picture_is_well_formed_and_its_bars_are_the_medians() -> None:
    drawn = ElementTree.fromstring(picture.bars(group()))
    bars = [float(bar.attrib["width"]) for bar in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(bars) == 2
    assert bars[1] / bars[0] == pytest.approx(4 / 3, rel=0.01)


def test_every_measure_is_documented() -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "bench", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = asked.stdout.split("--only {")[1].split("}")[0].replace("\n", "").replace(" ", "").split(",")
    said = (ROOT / "docs/explain/speed.md").read_text()
    assert [name for name in names if f"| `{name}` |" not in said] == []


def test_a_measure_runs_from_its_start_to_its_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--rounds", "1", "--only", "replay"]
    file = tmp_path / "found.json"
    ran = subprocess.run([*command, "--json", str(file)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "replay of 20,000 events" in ran.stdout
    assert json.loads(file.read_text())["groups"][0]["rows"][0]["median"] > 0
