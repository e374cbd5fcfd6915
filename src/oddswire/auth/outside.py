"""Whom apps' identity providers vouch for: the providers as last read from the store, and their tokens."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from oddswire.auth.identity import Identity
from oddswire.auth.jwks import KeySet
from oddswire.auth.outside_tokens import Unproven, not_taken, prove, read
from oddswire.auth.provider_keys import Asking, Fetch, ProviderKeys, freely
from oddswire.auth.providers import Provider
from oddswire.auth.tokens import ISSUER, MAX_TOKEN_BYTES
from oddswire.clock import Clock

_CACHED: Final = 20_000


class _Proved(NamedTuple):
    """A token whose signature was good by these very keys; others ask anew."""

    keys: KeySet
    identity: Identity

    def counts(self, app_id: str, keys: KeySet | None) -> bool:
        """Tell whether it speaks for that app, by those keys."""
        return self.identity.app_id == app_id and self.keys is keys


class Outside:
    """The providers of all apps. `take` what the store holds, `tend` once a second, `close` at the end."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._known: dict[str, ProviderKeys] = {}
        self._proved: OrderedDict[bytes, _Proved] = OrderedDict()
        self._listeners: list[Callable[[], None]] = []
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._known)

    def on_changed(self, listener: Callable[[], None]) -> None:
        """Call `listener` once tokens of a former setting are not taken any more."""
        self._listeners.append(listener)

    def take(self, providers: Sequence[Provider]) -> None:
        """Take what has been read anew, and begin to ask new ones for their keys."""
        if list(providers) == [known.provider for known in self._known.values()]:
            return
        before = self._known
        self._known = {}
        for provider in providers:
            known = before.get(provider.app_id)
            if known is None or known.provider != provider:
                known = ProviderKeys(provider, self._fetch, self._clock)
            self._known[provider.app_id] = known
        for gone in before.values():
            if self._known.get(gone.provider.app_id) is not gone:
                self._retire(gone)
        self.tend()
        for listener in self._listeners:
            listener()

    def tend(self) -> None:
        """Ask for the keys that it is time to ask for."""
        for known in self._known.values():
            known.tend()

    async def close(self) -> None:
        """Ask for nothing any more."""
        for known in self._known.values():
            self._retire(known)
        await asyncio.gather(*self._closing)

    def _retire(self, known: ProviderKeys) -> None:
        task = asyncio.get_running_loop().create_task(known.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # ---- tokens

    def reads(self, token: str, app_id: str) -> Unproven | None:
        """Return a token as its app's provider's, to be verified; None where it is for us to look at."""
        if app_id not in self._known:
            return None
        found = read(token)
        return None if found is None or found.issuer == ISSUER else found

    async def verify(self, token: str, unproven: Unproven, app_id: str, asking: Asking = freely) -> Identity:
        """Return whom a token of an app's provider proves; expiry and revocation are asked by the caller afterwards.

        Raises:
            Refused: `token_invalid`.
            Unavailable: `provider_unavailable`.
            Exception: what `asking` raises, which is called before the provider is waited for.
        """
        known = self._known[app_id]
        if unproven.issuer != known.provider.issuer:
            raise not_taken("it is of another issuer")
        name = _digest(token)
        proved = self._proved.get(name)
        if proved is not None and proved.counts(app_id, known.keys) and self.holds(proved.identity):
            self._proved.move_to_end(name)
            return proved.identity
        key = await known.find(unproven.kid, unproven.algorithm, asking)
        identity = prove(unproven, key, known.provider, self._clock.now())
        if not self.holds(identity):
            # it was changed while this token waited for its key
            raise not_taken("the app's provider is another one now")
        if known.keys is not None:
            self._remember(name, _Proved(known.keys, identity))
        return identity

    def holds(self, identity: Identity) -> bool:
        """Tell whether what proved an identity is still the app's setting; always so for our own tokens."""
        if not identity.provider_id:
            return True
        known = self._known.get(identity.app_id)
        return known is not None and known.provider.provider_id == identity.provider_id

    def recall(self, token: str) -> Identity | None:
        """Return, without reading it, who a token speaks for that was found good before."""
        proved = self._proved.get(_digest(token)) if len(token) <= MAX_TOKEN_BYTES and token.isascii() else None
        return None if proved is None else proved.identity

    def _remember(self, name: bytes, proved: _Proved) -> None:
        self._proved[name] = proved
        if len(self._proved) > _CACHED:
            self._proved.popitem(last=False)

    # ---- for the operator

    def ages(self) -> dict[str, float]:
        """Return how old each app's keys are, in seconds; those that were never read are left out."""
        return {app_id: known.age for app_id, known in self._known.items() if known.age is not None}

    def failures(self) -> dict[str, int]:
        """Return how often keys could not be read since each setting was taken in, by app."""
        return {app_id: known.failures for app_id, known in self._known.items() if known.provider.jwks_url}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
