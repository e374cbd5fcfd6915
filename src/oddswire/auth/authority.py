"""The issuing authority: what the rest of the server asks about who is asking."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog

from oddswire.auth import acts, api_keys, apps, keys, nonces, providers, revocations, sessions, tokens, wallet
from oddswire.auth.apps import App, AppDirectory
from oddswire.auth.identity import Identity
from oddswire.auth.jwks_fetch import JwksFetch
from oddswire.auth.keys import KeyRing, KeyRow
from oddswire.auth.outside import Outside
from oddswire.auth.provider_keys import Asking, Fetch, freely
from oddswire.auth.providers import Provider
from oddswire.auth.revocations import Revocation, Revocations
from oddswire.auth.sessions import Session
from oddswire.clock import Clock
from oddswire.errors import Refused, Unavailable
from oddswire.store.base import Bell, Revoked, Store, Tx
from oddswire.wire.bodies import WALLET_USER_PREFIX, SignedIn, SignedInUser, StartWallet, WalletStarted

_REFRESH_SECONDS = 1.0
_SWEEP_ROWS = 500
_log = structlog.get_logger(__name__)


class Authority:
    """Apps, keys and revocations in memory, always at most a second old, and what is done to them.

    `apps` and `revocations` and `verify_token` answer without waiting. A method that revokes returns once this node
    refuses what it revoked; other nodes do so within a second.
    """

    def __init__(self, store: Store, clock: Clock, token_minutes: int = 60, fetch: Fetch | None = None) -> None:
        """Know nothing yet: `start` reads everything.

        `token_minutes` is the life of an access token, `fetch` how identity providers' keys are read.
        """
        self._store = store
        self._clock = clock
        self._life = token_minutes * 60
        self._keys = KeyRing(())
        self._news = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self.apps = AppDirectory(())
        self.revocations = Revocations()
        self.outside = Outside(fetch or JwksFetch(), clock)
        self._verifier = tokens.TokenVerifier(self._keys, self.revocations)
        self._listeners: list[Callable[[], None]] = []
        self.outside.on_changed(self._tell_changed)

    async def start(self) -> None:
        """Make a signing key where there is none, and read everything.

        Raises:
            Unavailable: `store_unavailable`.
        """
        await self._store.write(lambda tx: keys.ensure(tx, self._clock.now()))
        self._store.on_bells(self._hear)
        self._store.on_foreign_write(self._news.set)
        await self.refresh()

    async def watch(self) -> None:
        """Keep up with the store until cancelled: at a bell, when another process has written, and each second."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._news.wait()
            self._news.clear()
            try:
                await self.refresh()
            except Unavailable as error:
                _log.warning("auth_refresh_failed", detail=error.detail)
            self.outside.tend()

    async def refresh(self) -> None:
        """Take in what the store holds now.

        Raises:
            Unavailable: `store_unavailable`; what was known before still holds.
        """
        # one at a time: an older snapshot must not be taken in after a newer one
        async with self._refreshing:
            listed, rows, revoked, named = await self._store.read(self._load)
            self.apps.replace(listed)
            if tuple(rows) != self._keys.rows:
                self._keys = KeyRing(rows)
                self._verifier.use(self._keys)
                self._tell_changed()
            self.revocations.take(revoked, self._clock.now())
            self.outside.take(named)

    async def _follow(self) -> None:
        """Take in what was just committed; that it was is true even if it cannot be read back at once."""
        try:
            await self.refresh()
        except Unavailable as error:
            _log.warning("auth_refresh_failed", detail=error.detail)
            self._news.set()

    def _load(self, tx: Tx) -> tuple[list[App], list[KeyRow], list[Revocation], list[Provider]]:
        revoked = revocations.after(tx, self.revocations.number)
        return apps.list_all(tx), keys.load(tx), revoked, providers.load(tx)

    def _hear(self, bells: Sequence[Bell]) -> None:
        if any(isinstance(bell, Revoked) and bell.number > self.revocations.number for bell in bells):
            self._news.set()

    def on_changed(self, listener: Callable[[], None]) -> None:
        """Call `listener` once tokens that were taken may not be any more for what proves them: see `holds`."""
        self._listeners.append(listener)

    def _tell_changed(self) -> None:
        for listener in self._listeners:
            listener()

    # ---- is it who it says it is

    def holds(self, identity: Identity) -> bool:
        """Tell whether what proved an identity still counts: our key, or the app's identity provider."""
        if identity.key_id:
            return self._keys.takes(identity.key_id, self._clock.now())
        return self.outside.holds(identity)

    def verify_token(self, token: str, app_id: str) -> Identity:
        """Return who an access token speaks for.

        Raises:
            Refused: `token_invalid`, `token_expired`, `session_revoked`.
        """
        return self._verifier.verify(token, app_id, self._clock.now())

    async def identify(self, token: str, app_id: str, asking: Asking = freely) -> Identity:
        """Return who a token speaks for: one of ours, or of the app's identity provider.

        It waits only for a key that the provider has to be asked for; its look at revocations is the last it does.

        Raises:
            Refused: as `verify_token`.
            Unavailable: `provider_unavailable`: whether the provider's token is good cannot be found out now.
            Exception: what `asking` raises, which is called before the provider is waited for.
        """
        unproven = self.outside.reads(token, app_id)
        if unproven is None:
            return self.verify_token(token, app_id)
        identity = await self.outside.verify(token, unproven, app_id, asking)
        if self._clock.now() >= identity.expires_at:
            raise Refused("token_expired", "The access token has expired.")
        if self.revocations.is_revoked(identity):
            raise Refused("session_revoked", "The session of this token was signed out or revoked.")
        return identity

    def recall_token(self, token: str) -> Identity | None:
        """Return at no cost who a token speaks for, good or not any more; None is: not known to be anybody's yet."""
        return self._verifier.recall(token) or self.outside.recall(token)

    async def verify_api_key(self, app_id: str | None, key: str) -> App:
        """Return the app of an API key; `app_id` is the one the caller claims, if any.

        Raises:
            Refused: `api_key_invalid`.
            Unavailable: `store_unavailable`.
        """
        now = self._clock.now()

        def unit(tx: Tx) -> tuple[App, bool]:
            return apps.by_key(tx, app_id, key), api_keys.worth_noting(tx, key, now)

        app, noting = await self._store.read(unit)
        if noting:
            await self._store.write(lambda tx: api_keys.use(tx, key, now))
        return app

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the public keys as a JWK Set."""
        return self._keys.jwks(self._clock.now())

    # ---- sessions

    async def sign_in(self, app_id: str, user_id: str, label: str = "") -> SignedIn:
        """Begin a session for a user the app's backend vouches for.

        Raises:
            Refused: `unknown_app`.
            Unavailable: `store_unavailable`.
        """

        def unit(tx: Tx) -> tuple[Session, str]:
            now = self.revocations.first_sign_in(app_id, user_id, self._clock.now())
            return sessions.sign_in(tx, app_id, user_id, label, now)

        session, refresh_token = await self._store.write(unit)
        return self._issue(session, refresh_token)

    async def start_wallet(self, app: App, origin: str | None, wanted: StartWallet) -> WalletStarted:
        """Return a new nonce for a sign-in by wallet and, for an address, the message to be signed.

        It names the request's `origin`, or where no page made it the first of the app's that is one page's.

        Raises:
            InvalidInput: `invalid_body`: no address.
            Refused: `wallet_sign_in_off`; `origin_not_allowed`: the app has none that a message could name.
            Unavailable: `store_unavailable`.
        """
        _must_take_wallets(app)
        address = None if wanted.address is None else wallet.address_of(wanted.address)
        page = origin or next((allowed for allowed in app.origins if "*" not in allowed), None)
        if address is not None and page is None:
            raise Refused("origin_not_allowed", "The app has no origin that a message could name.")
        nonce = await self._store.write(lambda tx: nonces.issue(tx, app.app_id, self._clock.now()))
        started = WalletStarted(
            nonce=nonce.text, issued_at=nonce.issued_at, expires_at=nonce.expires_at, chain_ids=list(wallet.CHAINS)
        )
        if address is not None and page is not None:
            started.message = wallet.challenge(
                app.app_id,
                address,
                wanted.chain_id,
                origin=page,
                nonce=nonce.text,
                now=nonce.issued_at,
                until=nonce.expires_at,
            )
        return started

    async def sign_in_wallet(
        self, app: App, origin: str | None, message: str, signature: str, label: str = ""
    ) -> SignedIn:
        """Begin a session for whose address has signed a message with one of our nonces.

        `origin` is that of the request, where a page made it. The nonce is used up by the session's own commit, so of
        two who send the same message one signs in; a refusal changes nothing.

        Raises:
            InvalidInput: `wallet_message_invalid`.
            Refused: `wallet_sign_in_off`, `wallet_message_refused`, `signature_invalid`, `nonce_invalid`,
                `unknown_app`.
            Unavailable: `store_unavailable`.
        """
        _must_take_wallets(app)
        proved = wallet.prove(message, signature, origins=app.origins, origin=origin, now=self._clock.now())
        user_id = WALLET_USER_PREFIX + proved.address.lower()

        def unit(tx: Tx) -> tuple[Session, str]:
            now = self._clock.now()
            begun = sessions.sign_in(
                tx, app.app_id, user_id, label, self.revocations.first_sign_in(app.app_id, user_id, now)
            )
            # what is remembered of the app may be a second old
            _must_take_wallets(apps.get(tx, app.app_id))
            nonces.take(tx, app.app_id, proved.nonce, proved.issued_at, now)
            return begun

        session, refresh_token = await self._store.write(unit)
        return self._issue(session, refresh_token)

    async def renew(self, app_id: str, refresh_token: str) -> SignedIn:
        """Return a new access token with the same refresh token, whose life is extended.

        Raises:
            Refused: `refresh_token_invalid`.
            Unavailable: `store_unavailable`.
        """
        now = self._clock.now()
        session = await self._store.read(lambda tx: sessions.find(tx, app_id, refresh_token, now))
        if sessions.slides(session, now):
            session = await self._store.write(lambda tx: sessions.slide(tx, app_id, refresh_token, now))
        return self._issue(session, refresh_token)

    async def list_sessions(self, identity: Identity) -> list[Session]:
        """Return the live sessions of this user, the last used first."""
        now = self._clock.now()
        return await self._store.read(lambda tx: sessions.list_live(tx, identity.app_id, identity.user_id, now))

    async def sign_out(self, identity: Identity) -> None:
        """End the session this token belongs to; one of an identity provider for as long as ours could live.

        Raises:
            Missing: it has ended already.
            Unavailable: `store_unavailable`.
        """
        if not identity.is_outside:
            await self.revoke_session(identity, identity.session_id)
            return
        now = self._clock.now()
        await self._store.write(lambda tx: revocations.add_outside(tx, identity, now, sessions.IDLE_LIFE))
        await self._follow()

    async def revoke_session(self, identity: Identity, session_id: str) -> None:
        """End one of this user's sessions.

        Raises:
            Missing: it is not a live session of this user.
            Unavailable: `store_unavailable`.
        """
        if identity.is_outside and session_id == identity.session_id:
            await self.sign_out(identity)
            return
        app_id, user_id, now = identity.app_id, identity.user_id, self._clock.now()
        await self._store.write(lambda tx: sessions.revoke(tx, app_id, user_id, session_id, now))
        await self._follow()

    async def revoke_user(self, app_id: str, user_id: str, actor: str) -> int:
        """End every session of a user, known or not, as `actor` wants it; return how many there were.

        Raises:
            Unavailable: `store_unavailable`.
        """
        now = self._clock.now()

        def unit(tx: Tx) -> int:
            ended = sessions.revoke_all(tx, app_id, user_id, now)
            acts.record(tx, actor, "user.kick", acts.user(app_id, user_id), {"sessions": ended}, now)
            return ended

        count = await self._store.write(unit)
        await self._follow()
        return count

    async def close(self) -> None:
        """Ask no identity provider any more."""
        await self.outside.close()

    async def sweep(self) -> None:
        """Delete what has expired, a few rows a unit, so that nobody waits long behind it.

        Raises:
            Unavailable: `store_unavailable`; the rest is left to the next sweep.
        """
        now = self._clock.now()
        self.revocations.forget(now)
        await self._store.write(lambda tx: revocations.sweep(tx, now))
        await self._store.write(lambda tx: keys.sweep(tx, now))
        for swept in (sessions.sweep, nonces.sweep):
            while await self._store.write(partial(swept, now=now, limit=_SWEEP_ROWS)) == _SWEEP_ROWS:
                pass

    def _issue(self, session: Session, refresh_token: str) -> SignedIn:
        app_id, user_id = session.app_id, session.user_id
        issued_at = self._clock.now() // 1000
        issued = tokens.issue(self._keys, app_id, user_id, session.session_id, issued_at, self._life)
        self._verifier.learn(issued)
        return SignedIn(
            access_token=issued.token, refresh_token=refresh_token, expires_in=self._life, user=SignedInUser(id=user_id)
        )


def _must_take_wallets(app: App) -> None:
    if not app.wallet:
        raise Refused("wallet_sign_in_off", "This app does not let its users sign in by wallet.")
