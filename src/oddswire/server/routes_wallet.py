"""`/auth/start` and `/auth/verify`: signing in by wallet (EIP-4361), for apps that take it."""

from litestar import Router, post
from litestar.params import JSONBody

from oddswire.server.callers import counting_failures, may_sign_in, of_app
from oddswire.server.calls import Call
from oddswire.server.openapi import APP, errors
from oddswire.server.parameters import guarded
from oddswire.wire.bodies import SignedIn, StartWallet, VerifyWallet, WalletStarted


@post(
    "/start",
    before_request=guarded(of_app, may_sign_in),
    security=APP,
    summary="Begin to sign in by wallet",
    response_description="A nonce for one sign-in",
    opt=errors("wallet_sign_in_off", "rate_limited", "store_unavailable", body=True, app=True),
)
async def start_wallet(request: Call, data: JSONBody[StartWallet | None] = None) -> WalletStarted:
    """Gives a nonce for one sign-in within ten minutes and, for an `address`, the message for the wallet to sign."""
    with counting_failures(request):
        return await request.parts.authority.start_wallet(
            request.auth, request.headers.get("origin"), data or StartWallet()
        )


@post(
    "/verify",
    before_request=guarded(of_app, may_sign_in),
    security=APP,
    summary="Sign in by wallet",
    response_description="Signed in",
    opt=errors(
        "wallet_sign_in_off",
        "wallet_message_invalid",
        "wallet_message_refused",
        "signature_invalid",
        "nonce_invalid",
        "rate_limited",
        "store_unavailable",
        body=True,
        app=True,
    ),
)
async def verify_wallet(request: Call, data: JSONBody[VerifyWallet]) -> SignedIn:
    """Signs in whose address has signed the message. The user's id is `wallet:` and the address in small letters."""
    app, parts = request.auth, request.parts
    with counting_failures(request):
        signed = await parts.authority.sign_in_wallet(
            app, request.headers.get("origin"), data.message, data.signature, data.label
        )
    await parts.desk.open_user(app.app_id, signed.user.id)
    return signed


routes = Router("/auth", route_handlers=[start_wallet, verify_wallet], tags=["Who is asking"])
