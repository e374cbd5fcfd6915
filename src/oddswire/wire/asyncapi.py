"""The AsyncAPI 3.0 description of the WebSocket, made from the very structs that are sent."""

from typing import Any

import msgspec
from msgspec import Struct

from oddswire import events
from oddswire.wire import frames
from oddswire.wire.codes import CLOSE_CODES

EVENTS: tuple[type[Struct], ...] = (
    events.OrderSubmitted,
    events.BalanceUpdate,
    events.OrderEvent,
    events.HoldingUpdate,
    events.MarketSettled,
)
FROM_SERVER: tuple[type[Struct], ...] = (
    frames.Connected,
    frames.Authenticated,
    *EVENTS,
    frames.VenueStatus,
    frames.Heartbeat,
    frames.TokenExpiring,
    frames.Error,
    frames.Pong,
)
FROM_CLIENT: tuple[type[Struct], ...] = (frames.Authenticate, frames.Ping)

_QUERY: dict[str, dict[str, Any]] = {
    "appId": {"type": "string", "description": "The app's id"},
    "token": {"type": "string", "description": "Access token; better sent as `Authorization` or `authenticate`"},
    "since": {"type": "integer", "minimum": 0, "description": "Resume after this event"},
    "epoch": {"type": "string", "description": "The epoch `since` is of"},
    "cancelOnDisconnect": {
        "type": "integer",
        "minimum": 0,
        "maximum": frames.LONGEST_ABSENCE,
        "description": "Seconds without a connection after which the session's orders are canceled; 0: not any more",
    },
}


def asyncapi(version: str) -> dict[str, Any]:
    """Return the document; `version` is the software's."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Oddswire",
            "version": version,
            "description": "Each user's orders and balances, told in order over one WebSocket.\n\n" + _closes(),
        },
        "defaultContentType": "application/json",
        "channels": {
            "ws": {
                "address": "/ws",
                "messages": {_name(kind): _ref("messages", kind) for kind in (*FROM_SERVER, *FROM_CLIENT)},
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "query": {"type": "object", "required": ["appId"], "properties": _QUERY},
                        "bindingVersion": "0.1.0",
                    }
                },
            }
        },
        "operations": {
            "tell": _operation("send", "What the server tells", FROM_SERVER),
            "ask": _operation("receive", "What a client may say", FROM_CLIENT),
        },
        "components": {
            "messages": {_name(kind): _message(kind) for kind in (*FROM_SERVER, *FROM_CLIENT)},
            "schemas": schemas_of((*FROM_SERVER, *FROM_CLIENT)),
        },
    }


def schemas_of(kinds: tuple[type[Struct], ...]) -> dict[str, Any]:
    """Return the JSON schemas of structs by name, with exact decimals as the JSON numbers they are sent as."""
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return {name: _with_numbers(schema) for name, schema in schemas.items()}


def _with_numbers(node: Any) -> Any:
    """msgspec describes every Decimal as a string, whatever the encoder makes of it."""
    if isinstance(node, dict):
        if node.get("format") == "decimal":
            node = {**node, "type": "number"}
        return {key: _with_numbers(value) for key, value in node.items()}
    return [_with_numbers(value) for value in node] if isinstance(node, list) else node


def _name(kind: type[Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _ref(section: str, kind: type[Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/{section}/{_name(kind)}"}


def _message(kind: type[Struct]) -> dict[str, Any]:
    summary = (kind.__doc__ or "").strip().splitlines()[0]
    payload = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return {"name": _name(kind), "title": _name(kind), "summary": summary, "payload": payload}


def _operation(action: str, summary: str, kinds: tuple[type[Struct], ...]) -> dict[str, Any]:
    messages = [{"$ref": f"#/channels/ws/messages/{_name(kind)}"} for kind in kinds]
    return {"action": action, "channel": {"$ref": "#/channels/ws"}, "summary": summary, "messages": messages}


def _closes() -> str:
    rows = [f"| {row.code} | {row.when} | {row.action.value} |" for row in CLOSE_CODES.values()]
    return "\n".join(["| close code | when | the client should |", "|---|---|---|", *rows])
