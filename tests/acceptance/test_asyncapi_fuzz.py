"""Whatever JSON is sent over a socket: only frames that the description knows come back, and it never ends by 4200."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from websockets.sync.client import connect

from tests.acceptance.fuzzing import MINUTES, SEED, watched_gateway
from tests.acceptance.server import Server

EXAMPLES = 300
A_MINUTE = 3000
"""About so many examples a minute are made where a longer run is asked for."""
MOST_FRAMES = 8
"""Ten refused frames a minute, or twenty frames a second, end a connection."""
ANSWERS = {"authenticated", "error", "pong"}
SHAPE = {"invalid_json", "invalid_frame", "unknown_action"}
TOKEN = "<the user's own token>"
Frame = Any

# whole numbers are written without a point: to JSON Schema 1.0 is one as well
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


def fields(**likely: st.SearchStrategy[Frame]) -> st.SearchStrategy[Frame]:
    return st.fixed_dictionaries({}, optional={name: some | json_values for name, some in likely.items()})


places = st.integers(-1, 2**53) | st.integers(0, 5)
frames = st.one_of(
    json_values,
    st.builds(
        lambda action, known, others: {**others, "action": action, **known},
        st.sampled_from(["authenticate", "ping"]) | json_values,
        fields(
            token=st.just(TOKEN) | st.text(max_size=40),
            since=places,
            epoch=st.text(max_size=70),
            cancelOnDisconnect=st.integers(-1, 301),
            id=st.text(max_size=130) | st.integers(-(2**53), 2**53),
        ),
        st.dictionaries(st.text(max_size=10), json_values, max_size=2),
    ),
)


class Described:
    """What `/asyncapi.json` says of frames."""

    def __init__(self, gateway: Server) -> None:
        self._document = httpx.get(f"{gateway.url}/asyncapi.json").json()
        self._told = self._kinds("tell")
        self._asked = self._kinds("ask")

    def is_told(self, frame: Frame) -> bool:
        """Whether the server may say it."""
        return frame["type"] in self._told and self._told[frame["type"]].is_valid(frame)

    def may_be_asked(self, frame: Frame) -> bool:
        """Whether a client may say it."""
        action = frame.get("action") if isinstance(frame, dict) else None
        return isinstance(action, str) and action in self._asked and self._asked[action].is_valid(frame)

    def _kinds(self, operation: str) -> dict[str, jsonschema_rs.Draft202012Validator]:
        kinds = [message["$ref"].rsplit("/", 1)[1] for message in self._document["operations"][operation]["messages"]]
        return {
            kind: jsonschema_rs.Draft202012Validator(
                {
                    "$ref": self._document["components"]["messages"][kind]["payload"]["$ref"],
                    "components": self._document["components"],
                }
            )
            for kind in kinds
        }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with watched_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def answers(gateway: Server, token: str, sent: list[Frame], described: Described, known: bool) -> list[Frame]:
    """Return what is answered to each frame of a new connection, once all has been found to be described."""
    headers = {"Authorization": f"Bearer {token}"} if known else {}
    found: list[Frame] = []
    with connect(gateway.ws_url(), additional_headers=headers, compression=None) as socket:
        for frame in [*sent, {"action": "ping", "id": "last"}]:
            socket.send(json.dumps(frame).replace(TOKEN, token))
        while not found or found[-1].get("id") != "last":
            told = json.loads(socket.recv(timeout=10))
            assert described.is_told(told), told
            if told["type"] in ANSWERS:
                found.append(told)
    assert socket.close_code == 1000
    return found[:-1]


@pytest.mark.timeout(120 + MINUTES * 60 * 4)
def test_only_what_is_described_comes_back(gateway: Server) -> None:
    described, token = Described(gateway), gateway.sign_in("ann")["accessToken"]

    @seed(SEED)
    @settings(
        max_examples=int(MINUTES * A_MINUTE) or EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(frames, min_size=1, max_size=MOST_FRAMES), st.booleans())
    def converse(sent: list[Frame], known: bool) -> None:
        found = answers(gateway, token, sent, described, known)
        assert len(found) == len(sent)
        for frame, answer in zip(sent, found, strict=True):
            is_refused = answer["type"] == "error" and answer["code"] in SHAPE
            assert is_refused != described.may_be_asked(frame), (frame, answer)

    converse()
