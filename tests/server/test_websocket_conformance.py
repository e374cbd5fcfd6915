"""RFC 6455 by Autobahn's cases, and the private parts of picows and uvicorn that the transport stands on."""

import asyncio
import inspect
import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import picows
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tests.server.sockets import TEXT, House, frame, on_uvloop, serving, until

EXCLUDED = {
    "1.2.*": "binary messages are refused with 1003",
    "7.1.2": "two close frames in one segment: picows parses one frame ahead and answers 1002 instead of 1000",
    "9.*": "limits and performance: messages of up to 16 MiB",
    "12.*": "permessage-deflate is never negotiated",
    "13.*": "permessage-deflate is never negotiated",
}
LONGEST = 64 * 1024
"""Cases 1.1.6 to 1.1.8 and 10.1.1 send 64 KiB; the parser is the same at any limit."""


def verdicts_of(folder: Path) -> dict[str, str]:
    (report,) = folder.rglob("index.json")
    (results,) = json.loads(report.read_text()).values()
    return {case: result["behavior"] for case, result in results.items()}


@on_uvloop
async def test_autobahns_cases_that_apply(tmp_path: Path) -> None:
    async with serving(House(echo=True), max_message=LONGEST) as house:
        # a process of its own: kosoku puts stand-ins for other packages on the import path
        process = await asyncio.create_subprocess_exec(
            *(
                str(Path(sys.executable).with_name("kosoku")),
                f"ws://127.0.0.1:{house.port}/ws",
                "-p",
                "4",
                "-o",
                str(tmp_path),
            ),
            *(word for case in EXCLUDED for word in ("-x", case)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-3000:]
    verdicts = verdicts_of(tmp_path)
    assert len(verdicts) > 200
    assert [case for case, verdict in verdicts.items() if verdict == "FAILED"] == []


@on_uvloop
async def test_the_read_buffer_stays_bounded_under_a_flood() -> None:
    async with serving() as house:
        client = await house.client()
        await client.write(frame(TEXT, b"x") * 100_000 + frame(TEXT, b"x" * 16_384))
        await until(lambda: house.conversations and house.conversations[0].texts[-1:] == [b"x" * 16_384])
        assert len(house.conversations[0].texts) == 100_001
        (wire,) = house.connections
        assert len(private.WSProtocol.get_buffer(wire, 0)) < 64 * 1024


# what is relied on

private: Any = import_module("picows.picows")
PICOWS = {
    private.WSProtocol: (
        "connection_made connection_lost eof_received pause_writing resume_writing get_buffer buffer_updated transport"
    ),
    private.WSTransport: ("send send_ping send_pong send_close send_reuse_external_bytearray"),
    private.WSListener: "on_ws_connected on_ws_frame on_ws_disconnected pause_writing resume_writing",
    private.WSUpgradeRequest: "headers",
    private.WSUpgradeResponse: "headers",
    private.WSFrame: "msg_type fin rsv1 rsv2 rsv3 get_payload_as_bytes",
}
UVICORN = {
    HttpToolsProtocol: (
        "connection_made connection_lost data_received on_message_begin on_headers_complete send_400_response"
        " _should_upgrade _unsupported_upgrade_warning _unset_keepalive_if_required eof_received on_response_complete"
    ),
    uvicorn.Server: "startup capture_signals serve shutdown _wait_tasks_to_complete",
}
SOURCE = Path(picows.__file__).with_name("picows.pyx").read_text()
ARGUMENTS = [
    "host_port",
    "ws_path",
    "is_client_side",
    "ws_listener_factory",
    "logger",
    "disconnect_on_exception",
    "websocket_handshake_timeout",
    "enable_auto_ping",
    "auto_ping_idle_timeout",
    "auto_ping_reply_timeout",
    "auto_ping_strategy",
    "enable_auto_pong",
    "max_frame_size",
    "extra_headers",
    "read_buffer_init_size",
]


def test_picows_is_the_version_we_know() -> None:
    assert version("picows") == "2.3.1", "picows moved: read its parser and transport again, then pin the new version"


@pytest.mark.parametrize(("owner", "names"), [*PICOWS.items(), *UVICORN.items()])
def test_what_we_rely_on_is_there(owner: type, names: str) -> None:
    missing = [name for name in names.split() if not hasattr(owner, name)]
    assert not missing, f"{owner.__module__}.{owner.__name__} lost {missing}; known are picows 2.3.1 and uvicorn 0.54"


def test_picows_protocol_takes_the_arguments_we_give() -> None:
    """Cython shows no signature, so the arguments are read from the shipped source."""
    head = SOURCE.split("cdef class WSProtocol(WSProtocolBase")[1].split("def __init__(self,")[1].split("):")[0]
    assert [part.split()[-1] for part in head.replace("\n", " ").split(",")] == ARGUMENTS, "written for picows 2.3.1"


def test_picows_logs_before_it_closes() -> None:
    """Our own close frame goes out from that log call; see `_Ear`."""
    lines = [line.strip() for line in SOURCE.splitlines()]
    said = next(number for number, line in enumerate(lines) if line.startswith('self._logger.error("WS parser error'))
    assert "self.transport.send_close(ex.args[0], ex.args[1])" in lines[said + 1 : said + 3], "written for picows 2.3.1"


def test_uvicorn_keeps_what_we_read() -> None:
    source = inspect.getsource(HttpToolsProtocol)
    for name in (
        "self.cycle",
        "self.url",
        "self.scope",
        "self.headers",
        "self.connections",
        "self.pipeline",
        "self.ws_protocol_class",
    ):
        assert f"{name}" in source, f"written for uvicorn 0.54: {name} is gone"
    for name in ("self.keep_alive", "self.more_body", "self.response_started"):
        assert name in inspect.getsource(RequestResponseCycle), f"written for uvicorn 0.54: {name} is gone"
