"""No line holds a secret: whatever it is in, wherever it stands, whoever logs, at any level."""

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
import websockets
from hypothesis import given
from hypothesis import strategies as st

from oddswire.server import logs
from oddswire.testing.gateway import RunningGateway, running_gateway
from tests.server.gateways import an_order

BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LIBRARIES = ("httpx", "httpcore", "uvicorn", "uvicorn.error", "asyncio", "websockets", "litestar", "picows", "oddswire")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "uvicorn.access", "uvicorn.error", *LIBRARIES)]
    kept = [(logger, logger.handlers[:], logger.filters[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, filters, level, propagate in kept:
        logger.handlers[:], logger.filters[:] = handlers, filters
        logger.setLevel(level)
        logger.propagate = propagate
    structlog.reset_defaults()


def base64url(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(BASE64URL, min_size=least, max_size=most)


# each is the text it comes in, and the part of it that is the secret
jwt = st.tuples(base64url(20, 80), base64url(20, 200), base64url(86, 86)).map(lambda parts: "eyJ" + ".".join(parts))
shaped = st.one_of(
    jwt,
    base64url(43, 43).map(lambda text: "ow_" + text),
    base64url(43, 43).map(lambda text: "owr_" + text),
    st.binary(min_size=65, max_size=65).map(lambda raw: "0x" + raw.hex()),
).map(lambda text: (text, text))
named = st.tuples(
    st.sampled_from(["Bearer ", "bearer  ", "token=", "&token=", "access_token%3D", "?Token=", "x-app-api-key: "]),
    base64url(24, 60),
).map(lambda pair: ("".join(pair), pair[1]))
secrets = st.one_of(shaped, named)


@st.composite
def values(draw: st.DrawFn) -> tuple[object, str]:
    """Return something that may be logged, and the secret that is somewhere in it."""
    text, secret = draw(secrets)
    value: object = draw(st.text(max_size=20)) + text + draw(st.sampled_from(["", " ", "\n", '"', "'", "&x=1", "\\"]))
    others = st.one_of(st.none(), st.integers(), st.text(max_size=10), st.binary(max_size=10), st.floats())
    for way in draw(st.lists(st.sampled_from("bdklstefj"), max_size=4)):
        other = draw(others)
        if way == "b":
            value = str(value).encode("utf-8", "surrogateescape" if isinstance(value, str) else "strict")
        elif way == "d":
            value = {draw(st.text(max_size=8)): value, "other": other}
        elif way == "k":
            value = {str(value): other}
        elif way == "l":
            value = [other, value]
        elif way == "s":
            value = {repr(value)}
        elif way == "t":
            value = (value, other, other)
        elif way == "e":
            value = ValueError(value, other)
        elif way == "f":
            value = f"{other!r} {value} {other!r}"
        else:
            value = json.dumps(str(value))
    return value, secret


@given(values(), st.booleans())
def test_whatever_a_secret_is_in_it_never_comes_out(made: tuple[object, str], as_json: bool) -> None:
    value, secret = made
    stream = io.StringIO()
    logs.set_up("debug", as_json, stream)
    ours, elsewhere = structlog.get_logger("oddswire.secrets"), logging.getLogger("elsewhere")
    ours.info("x", value=value)
    ours.info(str(value), **{"of": [value]})
    elsewhere.warning("%s and %r", value, value)
    elsewhere.warning(value)
    try:
        raise RuntimeError(value)
    except RuntimeError as fault:
        ours.exception("x", fault=fault)
        elsewhere.exception("x")
    text = stream.getvalue()
    assert text.count("RuntimeError") >= 2
    assert secret not in text
    assert len(text.splitlines()) == 6 or not as_json


async def all_that_is_done(gateway: RunningGateway) -> list[str]:
    """Do what a client does, wrongly too; return the secrets of it all."""
    signed = await gateway.sign_in("ann")
    access, refresh, wrong = signed.access_token, signed.refresh_token, "wrong-token-wrong-token-wrong-token"
    async with gateway.http(access) as http:
        assert (await http.get("/trading/balance")).status_code == 200
        assert (await http.post("/trading/orders", json=an_order())).status_code == 201
        assert (await http.post("/auth/token/refresh", json={"refreshToken": refresh})).status_code == 200
        assert (await http.post("/auth/token/refresh", json={"refreshToken": wrong})).status_code == 401
        assert (await http.get("/trading/balance", params={"token": access})).status_code == 400
    async with gateway.http(wrong) as http:
        assert (await http.get("/trading/balance")).status_code == 401
        key = {"x-app-api-key": wrong}
        assert (await http.post("/auth/token", headers=key, json={"userId": "ann"})).status_code == 401
    for token in (access, wrong):
        async with websockets.connect(gateway.ws_url(token=token)) as socket:
            await socket.recv()
    bearer = {"authorization": f"Bearer {access}"}
    async with websockets.connect(gateway.ws_url(), additional_headers=bearer) as socket:
        await socket.recv()
        await socket.send(json.dumps({"action": "authenticate", "token": access}))
        await socket.recv()
        await socket.send(f'{{"action":"authenticate","token":"{wrong}"')
        await socket.recv()
    reader, writer = await asyncio.open_connection(gateway.address.api.host, gateway.address.api.port)
    writer.write(f"GET /ws?token={access} HTTX\r\nauthorization: Bearer {access}\r\n\r\n".encode())
    assert b" 400 " in await reader.readline()
    writer.close()
    return [access, access.split(".")[2], refresh, wrong]


async def test_no_library_tells_a_secret_at_its_lowest_level(tmp_path: Path) -> None:
    stream = io.StringIO()
    async with running_gateway(tmp_path) as gateway:
        logs.set_up("debug", True, stream)
        for name in LIBRARIES:
            logging.getLogger(name).setLevel(logging.DEBUG)
            logging.getLogger(name).filters.clear()
        asyncio.get_running_loop().set_debug(True)
        found = await all_that_is_done(gateway)
    text = stream.getvalue()
    talked = {re.match(r"\w+", str(json.loads(line)["logger"]))[0] for line in text.splitlines()}  # type: ignore[index]
    assert {"httpx", "httpcore", "websockets", "oddswire"} <= talked
    assert "authenticate" in text
    assert text.count(logs.REDACTED) >= 5
    assert [secret for secret in found if secret in text] == []


async def test_the_libraries_do_tell_secrets_where_nothing_is_taken_out(tmp_path: Path) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    for name in ("httpcore", "websockets"):
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.DEBUG)
    async with running_gateway(tmp_path) as gateway, httpx.AsyncClient(trust_env=False) as http:
        access = (await gateway.sign_in("ann")).access_token
        await http.get(f"{gateway.base_url}/healthz", headers={"x-app-api-key": "the-key-that-is-sent"})
        async with websockets.connect(gateway.ws_url(token=access)) as socket:
            await socket.recv()
    assert access in stream.getvalue()
