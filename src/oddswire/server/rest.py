"""The REST API as one ASGI application."""

from litestar import Litestar
from litestar.datastructures import State

from oddswire.server import openapi, routes_auth, routes_orders, routes_public, routes_state, routes_wallet
from oddswire.server.calls import MAX_BODY, Call, Json, RestParts
from oddswire.server.problems import answer_fault


def rest_app(parts: RestParts) -> Litestar:
    """Return the application; every error of it is a problem document."""
    return Litestar(
        route_handlers=[
            routes_auth.routes,
            routes_wallet.routes,
            routes_orders.routes,
            routes_state.routes,
            routes_public.routes,
        ],
        request_class=Call,
        response_class=Json,
        exception_handlers={Exception: answer_fault},
        request_max_body_size=MAX_BODY,
        openapi_config=openapi.config(),
        plugins=[openapi.StructNames()],
        state=State({"parts": parts}),
        logging_config=None,
    )
