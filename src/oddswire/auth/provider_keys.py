"""The keys of one provider, kept up with in the background and asked for early where a token names an unknown one."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from oddswire.auth import jwks
from oddswire.auth.jwks import Algorithm, Key, KeySet, SecretKey, UnusableKeys
from oddswire.auth.outside_tokens import not_taken
from oddswire.auth.providers import Provider
from oddswire.clock import Clock
from oddswire.errors import Unavailable

REFRESH_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 15.0
EARLY_SECONDS: Final = 10.0
"""Whatever tokens arrive, the provider is asked at most once in so many seconds for each app that names it."""
STALE_SECONDS: Final = 24 * 3600.0
"""How long keys go on being good that cannot be read again."""
WAIT_SECONDS: Final = 6.0
_log = structlog.get_logger(__name__)

Asking = Callable[[], None]
"""Called before a token waits for its provider; what it raises ends the look at the token."""


def freely() -> None:
    """Let every token wait."""


class UnknownKey(Unavailable):
    """`provider_unavailable` for a token whose key is none of those known: it may well be made up."""


Fetch = Callable[[str], Awaitable[bytes]]
"""Return the JWK Set at a URL, or raise `UnusableKeys`; bounded in time and size."""


class ProviderKeys:
    """What is known of one provider's keys. `tend` once a second; nothing is fetched for a shared secret."""

    def __init__(self, provider: Provider, fetch: Fetch, clock: Clock) -> None:
        self.provider = provider
        self.reads = 0
        self.failures = 0
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None if provider.secret is None else SecretKey(provider.secret)
        self._body = b""
        self._read_at = clock.monotonic()
        self._asked_at: float | None = None
        self._failed = False
        self._task: asyncio.Task[None] | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the keys were read; None where they were not yet, or are a shared secret."""
        if self._keys is None or self.provider.jwks_url is None:
            return None
        return max(0.0, self._clock.monotonic() - self._read_at)

    @property
    def keys(self) -> KeySet | None:
        """The keys that are good now; None where none were read, or not for too long."""
        return None if (self.age or 0.0) >= STALE_SECONDS else self._keys

    def tend(self) -> None:
        """Ask for the keys where it is time to."""
        if self._is_due(RETRY_SECONDS if self._failed else REFRESH_SECONDS):
            self._ask()

    async def find(self, kid: str | None, algorithm: Algorithm | None, asking: Asking = freely) -> Key:
        """Return the key that a token names, waiting a few seconds where the provider has to be asked for it.

        Raises:
            Refused: `token_invalid`: the provider has no such key.
            Unavailable: `provider_unavailable`: that could not be found out; `UnknownKey` where others are known.
            Exception: what `asking` raises.
        """
        if algorithm is None or (algorithm == "HS256") != (self.provider.secret is not None):
            raise not_taken("its algorithm is not one of the provider's")
        found = self._known(kid, algorithm)
        if found is None and self._is_worth_asking(kid):
            if self._is_due(EARLY_SECONDS):
                self._ask()
            await self._wait(asking)
            found = self._known(kid, algorithm)
            if found is None and (self.keys is None or self._failed):
                fault = Unavailable if self.keys is None else UnknownKey
                raise fault("provider_unavailable", "The keys of the app's identity provider cannot be read now.")
        if found is not None:
            return found
        raise not_taken("the provider has no such key")

    async def close(self) -> None:
        """Ask for nothing any more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _known(self, kid: str | None, algorithm: Algorithm) -> Key | None:
        keys = self.keys
        return None if keys is None else keys.find(kid, algorithm)

    def _is_worth_asking(self, kid: str | None) -> bool:
        keys = self.keys
        return self.provider.jwks_url is not None and (keys is None or not keys.has(kid))

    def _is_due(self, after: float) -> bool:
        if self.provider.jwks_url is None or self._task is not None:
            return False
        return self._asked_at is None or self._clock.monotonic() - self._asked_at >= after

    def _ask(self) -> None:
        self._asked_at = self._clock.monotonic()
        self._task = asyncio.get_running_loop().create_task(self._read())

    async def _wait(self, asking: Asking) -> None:
        """Wait for an answer that is on its way; who waits no longer leaves it to the others."""
        if self._task is not None:
            asking()
            await asyncio.wait((self._task,), timeout=WAIT_SECONDS)

    async def _read(self) -> None:
        url = self.provider.jwks_url
        assert url is not None
        try:
            body = await self._fetch(url)
            if body != self._body:
                self._take(body)
            self._read_at, self._failed = self._clock.monotonic(), False
            self.reads += 1
        except UnusableKeys as fault:
            self._fail(str(fault))
        except Exception:
            # one provider's trouble must not leave the others untended
            _log.exception("provider_read_failed", app=self.provider.app_id)
            self._fail("a fault of ours, see the log")
        finally:
            self._task = None

    def _take(self, body: bytes) -> None:
        keys = jwks.parse(body)
        self._keys, self._body = keys, body
        _log.info("provider_keys_read", app=self.provider.app_id, keys=len(keys), skipped=keys.skipped)

    def _fail(self, reason: str) -> None:
        self._failed = True
        self.failures += 1
        age = self.age
        _log.warning(
            "provider_keys_not_read",
            app=self.provider.app_id,
            reason=reason,
            age=None if age is None else round(age),
            good_for=0 if age is None else max(0, round(STALE_SECONDS - age)),
        )
