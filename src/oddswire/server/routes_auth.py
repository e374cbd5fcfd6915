"""`/auth`: signing in, staying signed in, signing out."""

from typing import Any

from litestar import Router, delete, get, post
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath, JSONBody

from oddswire.auth.keys import KEPT_SECONDS
from oddswire.orders.users import must_be_known
from oddswire.server.callers import backend, counting_failures, may_sign_in, of_app, reads, signed_in
from oddswire.server.calls import Call
from oddswire.server.openapi import API_KEY, APP, NO_SECURITY, USER, errors
from oddswire.server.parameters import guarded
from oddswire.wire.bodies import RefreshRequest, SessionInfo, Sessions, SignedIn, SignInRequest


@post(
    "/token",
    before_request=guarded(backend),
    security=API_KEY,
    summary="Sign a user in",
    opt=errors("api_key_invalid", "not_found", "rate_limited", "store_unavailable", body=True, app=True),
)
async def sign_in(request: Call, data: JSONBody[SignInRequest]) -> SignedIn:
    """Called by the app's own backend, with its API key, for a user it vouches for. Never call it from a page."""
    app_id, parts = request.auth.app_id, request.parts
    if not data.create:
        now = parts.clock.now()
        await parts.store.read(lambda tx: must_be_known(tx, app_id, data.user_id, now))
    signed = await parts.authority.sign_in(app_id, data.user_id, data.label)
    await parts.desk.open_user(app_id, data.user_id)
    return signed


@post(
    "/token/refresh",
    status_code=200,
    before_request=guarded(of_app, may_sign_in),
    security=APP,
    summary="Get a new access token",
    opt=errors("refresh_token_invalid", "rate_limited", "store_unavailable", body=True, app=True),
)
async def refresh(request: Call, data: JSONBody[RefreshRequest]) -> SignedIn:
    """The refresh token stays the same and may be used again and again, until it expires or is revoked."""
    with counting_failures(request):
        return await request.parts.authority.renew(request.auth.app_id, data.refresh_token)


@post(
    "/sign-out",
    status_code=204,
    before_request=guarded(signed_in),
    security=USER,
    summary="Sign out",
    opt=errors("not_found", "store_unavailable", user=True),
)
async def sign_out(request: Call) -> None:
    """Ends the session of the access token: none of its tokens is taken from then on, its sockets close with 4001."""
    await request.parts.authority.sign_out(request.user)


@get(
    "/sessions",
    before_request=guarded(reads),
    security=USER,
    summary="List where the user is signed in",
    opt=errors("rate_limited", "store_unavailable", user=True),
)
async def list_sessions(request: Call) -> Sessions:
    """The user's sessions that live, the last used first; `current` marks the one this call is made in."""
    own = request.user.session_id
    found = await request.parts.authority.list_sessions(request.user)
    return Sessions(
        sessions=[
            SessionInfo(
                session_id=session.session_id,
                label=session.label,
                created_at=session.created_at,
                used_at=session.used_at,
                expires_at=session.expires_at,
                current=session.session_id == own,
            )
            for session in found
        ]
    )


@delete(
    "/sessions/{session_id:str}",
    before_request=guarded(reads),
    security=USER,
    summary="End a session",
    opt=errors("not_found", "rate_limited", "store_unavailable", user=True),
)
async def end_session(request: Call, session_id: FromPath[str]) -> None:
    """Signs the user out there: none of that session's tokens is taken from then on, its sockets close with 4001."""
    await request.parts.authority.revoke_session(request.user, session_id)


@get(
    "/jwks.json",
    sync_to_thread=False,
    security=NO_SECURITY,
    summary="Public keys",
    opt=errors(),
    cache_control=CacheControlHeader(max_age=KEPT_SECONDS, public=True),
)
def jwks(request: Call) -> dict[str, Any]:
    """The keys that access tokens are signed with, as a JWK Set; a new one is in it an hour before it signs."""
    return request.parts.authority.jwks()


routes = Router(
    "/auth", route_handlers=[sign_in, refresh, sign_out, list_sessions, end_session, jwks], tags=["Who is asking"]
)
