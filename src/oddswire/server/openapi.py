"""The OpenAPI 3.1 description: Litestar's paths and parameters, our structs' own schemas, and every error there is.

Litestar's schemas of structs are replaced by msgspec's, which are what is really taken and sent; which errors a route
can answer with is said beside it, with `errors`.
"""

import re
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Litestar, Request
from litestar.enums import MediaType
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import OpenAPIType, Schema, SecurityRequirement
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import Struct

from oddswire.errors import CODES
from oddswire.wire.asyncapi import EVENTS, schemas_of
from oddswire.wire.bodies import Problem

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator

APP: Final[list[SecurityRequirement]] = [{"appId": []}]
API_KEY: Final[list[SecurityRequirement]] = [{"appId": [], "apiKey": []}]
USER: Final[list[SecurityRequirement]] = [{"appId": [], "accessToken": []}]
NO_SECURITY: Final[list[SecurityRequirement]] = [{}]
PATH: Final = "/openapi.json"
_ERRORS: Final = "errors"
_REPLAYS: Final = "replays"
_UNREADY: Final = "unready"
_COUNTED: Final = "counted"
_OF_APP: Final = ("app_id_missing", "api_key_in_browser", "unknown_app", "origin_not_allowed")
_OF_TOKEN: Final = ("token_missing", "token_invalid", "token_expired", "session_revoked", "provider_unavailable")
_OF_HTTP: Final = ("invalid_http", "head_too_large")
_OF_BODY: Final = ("invalid_json", "invalid_body", "body_too_slow", "body_too_large")
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_SCHEMES: Final = {
    "appId": {"type": "apiKey", "in": "header", "name": "x-app-id", "description": "The app's id"},
    "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The user's token"},
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-app-api-key",
        "description": "The app's key, for its own backend: never from a page",
    },
}
_REPLAY: Final = {
    "description": "The order had been placed before",
    "required": True,
    "schema": {"type": "string", "const": "true"},
}
_RETRY_AFTER: Final = {
    "description": "Seconds to wait before trying again",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}
_RATE: Final = {
    name: {"description": what, "required": True, "schema": {"type": "integer", "minimum": least}}
    for name, what, least in (
        ("RateLimit-Limit", "The most calls at once", 1),
        ("RateLimit-Remaining", "How many of them are left", 0),
        ("RateLimit-Reset", "Seconds until all of them are left again", 0),
    )
}


def errors(
    *codes: str,
    app: bool = False,
    user: bool = False,
    body: bool = False,
    replays: bool = False,
    unready: bool = False,
    stoppable: bool = True,
) -> dict[str, Any]:
    """Return a route's `opt`: the codes it can answer with beside those of every call.

    Every call can meet `internal`, be no HTTP or have too large a head; one that is `stoppable` can be `rate_limited`.

    Those of calls that name an app, that name a user, that have a body are added too. `replays`: its 200
    is of a repeat; `unready`: its 503 is no problem document. A route that names `rate_limited` itself is counted.
    """
    found = (
        *(("invalid_parameter",) if app or user else ()),
        *(_OF_BODY if body else ()),
        *(_OF_APP if app or user else ()),
        *(_OF_TOKEN if user else ()),
        *codes,
        *(("rate_limited",) if stoppable and "rate_limited" not in codes else ()),
        *_OF_HTTP,
        "internal",
    )
    return {_ERRORS: found, _REPLAYS: replays, _UNREADY: unready, _COUNTED: "rate_limited" in codes}


class StructNames(OpenAPISchemaPlugin):
    """Has Litestar name our structs instead of describing them; `document` turns the names into references."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Tell whether it is a struct."""
        return isinstance(value, type) and issubclass(value, Struct)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: "SchemaCreator") -> Schema:  # noqa: ARG002
        """Return a placeholder, and remember the struct."""
        kind = field_definition.annotation
        _named[kind.__name__] = kind
        return Schema(type=OpenAPIType.OBJECT, title=kind.__name__)


_named: Final[dict[str, type[Struct]]] = {"Problem": Problem}


class Description(OpenAPIRenderPlugin):
    """Serves the description."""

    def __init__(self) -> None:
        super().__init__(path=["/", "/openapi.json"], media_type=MediaType.JSON)
        self._made: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return its JSON, made once."""
        if self._made is None:
            self._made = msgspec.json.encode(document(request.app, openapi_schema))
        return self._made


def config() -> OpenAPIConfig:
    """Return what Litestar is told about the description; of pages it serves none but ours."""
    return OpenAPIConfig(
        title="Oddswire",
        version=version("oddswire"),
        description=(
            "One kind of order to every prediction market, each user's events on every screen of that user. "
            "Events arrive over the WebSocket at `/ws`, described by `/asyncapi.json`."
        ),
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, _method, _path: _camel(handler.handler_name),
        path=PATH,
        render_plugins=[Description()],
    )


def document(app: Litestar, litestars: dict[str, Any]) -> dict[str, Any]:
    """Return the description of an app's routes, made of Litestar's own."""
    made: dict[str, Any] = _linked(litestars)
    opts = {
        (_camel_path(route.path_format), method.lower()): handler.opt
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
    }
    made["paths"] = {_camel_path(path): item for path, item in made["paths"].items()}
    for path, item in made["paths"].items():
        for method in _METHODS:
            if method in item:
                _complete(item[method], opts[path, method])
    made["components"] = {"schemas": schemas_of((*_named.values(), *EVENTS)), "securitySchemes": _SCHEMES}
    _describe_event_page(made["components"]["schemas"])
    return made


def _complete(operation: dict[str, Any], opt: dict[str, Any]) -> None:
    """Name parameters as they are written, and put every error a route has beside its answers."""
    for parameter in operation.get("parameters", ()):
        parameter["name"] = _camel(parameter["name"])
        parameter["schema"] = _without_null(parameter["schema"])
    if (body := operation.get("requestBody")) is not None:
        media = body["content"]["application/json"]
        schema = _without_null(media["schema"])
        body["required"] = schema == media["schema"]
        media["schema"] = schema
    responses = operation["responses"]
    responses.pop("400", None)
    for status, answer in responses.items():
        if answer["description"] == HTTPStatus(int(status)).description:
            answer["description"] = HTTPStatus(int(status)).phrase
    by_status: dict[int, list[str]] = {}
    for code in opt[_ERRORS]:
        by_status.setdefault(CODES[code].status, []).append(code)
    for status, codes in sorted(by_status.items()):
        responses[str(status)] = _problems(status, codes)
    if opt[_UNREADY]:
        responses["503"] = {**responses["200"], "description": "Not now"}
    for status, answer in responses.items():
        if status == "429" or (opt[_COUNTED] and status[0] == "2"):
            answer["headers"] = {**answer.get("headers", {}), **_RATE}
    if opt[_REPLAYS]:
        responses["200"]["headers"]["Idempotent-Replay"] = _REPLAY


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what may be left out: where there is no JSON there is no null."""
    kinds = [kind for kind in schema.get("oneOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1 or len(kinds) == len(schema["oneOf"]):
        return schema
    return {**kinds[0], **{key: value for key, value in schema.items() if key != "oneOf"}}


def _problems(status: int, codes: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": "; ".join(f"`{code}`: {CODES[code].title}" for code in codes),
        "content": {
            "application/problem+json": {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"code": {"enum": codes}, "status": {"const": status}}},
                    ]
                }
            }
        },
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": _RETRY_AFTER}
    return answer


def _describe_event_page(schemas: dict[str, Any]) -> None:
    """Say what the ready-made JSON in a page of the stream is."""
    kinds = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in EVENTS]
    schemas["EventPage"]["properties"]["events"]["items"] = {
        "oneOf": kinds,
        "discriminator": {
            "propertyName": "type",
            "mapping": {str(kind.__struct_config__.tag): ref["$ref"] for kind, ref in zip(EVENTS, kinds, strict=True)},
        },
    }


def _linked(node: Any) -> Any:
    """Return the document with every placeholder of a struct turned into a reference."""
    if isinstance(node, dict):
        if node.get("title") in _named and node.get("type") == "object":
            return {"$ref": f"#/components/schemas/{node['title']}"}
        return {key: _linked(value) for key, value in node.items()}
    return [_linked(value) for value in node] if isinstance(node, list) else node


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


def _camel_path(path: str) -> str:
    return re.sub(r"\{([a-z_]+)\}", lambda found: "{" + _camel(found[1]) + "}", path)
