"""Who is stopped before anything of a call is looked at, so that a flood costs others next to nothing.

Only what is in memory is asked: what an address or a user has had, how often an address has failed, whether a token is
ours. Whoever gets through may still be refused: the guards count, this only looks.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, NamedTuple

import structlog

from oddswire.auth.authority import Authority
from oddswire.auth.identity import Identity
from oddswire.auth.provider_keys import Asking, UnknownKey, freely
from oddswire.clock import Clock
from oddswire.errors import Limited, Refused, Unavailable
from oddswire.server.addresses import Proxies
from oddswire.server.limits import Allowance, Limits
from oddswire.server.websocket import PATH, Refusal, parsed_query
from oddswire.streams.roster import network_of

SIGN_IN_PATHS: Final = frozenset({"/auth/token", "/auth/token/refresh", "/auth/start", "/auth/verify"})
PROBES: Final = frozenset({"/healthz", "/readyz"})
"""What balancers and supervisors ask: never stopped."""
OPEN_PATHS: Final = frozenset({"/venues", "/markets"})
"""Reads that need no user, so that the address is counted."""
REASONS: Final = ("address", "app", "refused", "sign_in", "token", "user")
TELL_SECONDS: Final = 60.0
"""How often an address that is being stopped is named in the log."""
_TOLD: Final = 1000
_COUNTED: Final = "/trading/"
_BAD_TOKENS: Final = "Too many bad access tokens from this address."
_SIGNATURE: Final = 86
"""Characters of an Ed25519 signature in base64: what no two tokens share."""
_logger = structlog.get_logger("oddswire.access")
Headers = Iterable[tuple[bytes, bytes]]


class _Stop(NamedTuple):
    why: str
    detail: str
    allowance: Allowance
    key: str


class _Look:
    """A look at one token: what it has taken of the failures of `key` while nobody knows whether it is good."""

    def __init__(self, failed: Allowance, key: str, clock: Clock) -> None:
        self._failed = failed
        self._key = key
        self._clock = clock
        self._taken = False

    def begin(self) -> None:
        """Take one, once however often it has to wait.

        Raises:
            Limited: as many as may fail have failed or wait already.
        """
        if self._taken:
            return
        if seconds := self._failed.take(self._key, self._clock.monotonic()):
            raise Limited("rate_limited", _BAD_TOKENS, retry_after=seconds)
        self._taken = True

    def end(self) -> None:
        """Give back what was taken."""
        if self._taken:
            self._failed.give_back(self._key, self._clock.monotonic())
            self._taken = False

    def fail(self, key: str) -> None:
        """Take one for good, of `key`."""
        if not self._taken or key != self._key:
            self.end()
            self._failed.take(key, self._clock.monotonic())


class Gate:
    """What every call and every upgrade passes first.

    `identify` tells who a token speaks for, and calls what it is given before it waits for a provider; `pages` returns
    the CORS headers of an answer to a page.
    """

    def __init__(
        self,
        limits: Limits,
        proxies: Proxies,
        authority: Authority,
        identify: Callable[[str, str, Asking], Awaitable[Identity]],
        clock: Clock,
        pages: Callable[[str, Mapping[str, str]], dict[str, str]],
    ) -> None:
        self.client = proxies.client
        self.stopped: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        """How many were stopped, by why."""
        self._limits = limits
        self._authority = authority
        self._identify = identify
        self._clock = clock
        self._pages = pages
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def stop(self, address: str, method: bytes, path: str, query: bytes, headers: Headers) -> Refusal | None:
        """Return why a call with these headers may not even begin, or None; `path` is decoded and without empty parts.

        Only who is stopped for nothing else takes of what the address may call in all.
        """
        if path in PROBES:
            return None
        network, now = network_of(address), self._clock.monotonic()
        if path in SIGN_IN_PATHS:
            found = self._found_signing_in(network, now)
        else:
            found = self._found_calling(network, method, path, _token(path, query, headers), now)
        most = self._limits.address
        if found is None and most is not None and most.take(network, now):
            found = _Stop("address", "Too many calls from this address.", most, network)
        return None if found is None else self._refusal(found, address, path, headers)

    async def verify(self, token: str, app_id: str, address: str, asking: Asking = freely) -> Identity:
        """Return who an access token speaks for; one that is not good counts against its address, or against itself.

        A token that is ours, but has expired or was revoked, is what many clients of one address may have at once, and
        nobody can make more of them: it counts for itself alone.

        A token that has to wait for its provider counts as bad until it is shown to be good, so that no more of them
        wait at once than may fail; `asking` is called before it waits. One whose key the provider cannot be asked for
        is as bad as others, unless no key is known at all: then it is no more than a refused call.

        Raises:
            Refused: `token_invalid`, `token_expired`, `session_revoked`.
            Unavailable: `provider_unavailable`, `store_unavailable`.
            Limited: too many bad ones.
            Exception: what `asking` raises.
        """
        network, now, failed = network_of(address), self._clock.monotonic(), self._limits.failed_tokens
        if key := self._key_of_failures(token, network, now):
            raise Limited("rate_limited", _BAD_TOKENS, retry_after=failed.wait(key, now))
        look = _Look(failed, network if self._authority.recall_token(token) is None else _mark(token), self._clock)

        def wait() -> None:
            asking()
            look.begin()

        try:
            identity = await self._identify(token, app_id, wait)
        except (Refused, UnknownKey):
            look.fail(_mark(token) if self._authority.recall_token(token) else network)
            raise
        except Unavailable as fault:
            look.end()
            if fault.code == "provider_unavailable":
                self.refused(address)
            raise
        look.end()
        return identity

    def refused(self, address: str) -> None:
        """Count a call of nobody, or a connect, that was refused."""
        self._limits.refused.charge(network_of(address), self._clock.monotonic())

    def _found_signing_in(self, network: str, now: float) -> _Stop | None:
        limits = self._limits
        for allowance, what in ((limits.failed_sign_ins, "failed sign-ins"), (limits.sign_ins, "sign-ins")):
            if allowance.wait(network, now):
                return _Stop("sign_in", f"Too many {what} from this address.", allowance, network)
        return None

    def _found_calling(self, network: str, method: bytes, path: str, token: str | None, now: float) -> _Stop | None:
        if method == b"OPTIONS":
            # a browser asks without a token for a page whose user has one
            return None
        limits = self._limits
        what, allowance = ("orders", limits.orders) if method == b"POST" else ("reads", limits.reads)
        who = None if token is None else self._authority.recall_token(token)
        if who is None and limits.refused.wait(network, now):
            return _Stop("refused", "Too many refused calls from this address.", limits.refused, network)
        if token is None:
            found = path in OPEN_PATHS and allowance.wait(network, now)
            return _Stop("address", f"Too many {what} from this address.", allowance, network) if found else None
        key = self._key_of_failures(token, network, now)
        if key is not None:
            return _Stop("token", _BAD_TOKENS, limits.failed_tokens, key)
        if who is None or not path.startswith(_COUNTED):
            return None
        if allowance.wait(key_of(who), now):
            return _Stop("user", f"Too many {what}.", allowance, key_of(who))
        if limits.app is not None and limits.app.wait(who.app_id, now):
            return _Stop("app", "Too many calls of this app.", limits.app, who.app_id)
        return None

    def _key_of_failures(self, token: str, network: str, now: float) -> str | None:
        """Return for what a token may not be looked at now: its address, unless it is one of ours, or itself."""
        failed = self._limits.failed_tokens
        if failed.wait(network, now) and self._authority.recall_token(token) is None:
            return network
        mark = _mark(token)
        return mark if failed.wait(mark, now) else None

    def _refusal(self, found: _Stop, address: str, path: str, headers: Headers) -> Refusal:
        self.stopped[found.why] += 1
        now = self._clock.monotonic()
        self._tell(address, now)
        standing = found.allowance.standing(found.key, now)
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        told = {
            "Retry-After": str(max(1, math.ceil(found.allowance.wait(found.key, now)))),
            **standing.headers(),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            **self._pages(path, named),
        }
        return Refusal(429, "rate_limited", found.detail, tuple(told.items()))

    def _tell(self, address: str, now: float) -> None:
        """Log the first call of an address that is stopped, and at most once a minute how many more there were."""
        at, calls = self._told.pop(address, (now - TELL_SECONDS, 0))
        calls += 1
        if now - at >= TELL_SECONDS:
            _logger.warning("calls_stopped", client=address, calls=calls)
            at, calls = now, 0
        self._told[address] = at, calls
        if len(self._told) > _TOLD:
            self._told.popitem(last=False)


def key_of(who: Identity) -> str:
    """Return what a user is counted under."""
    return f"{who.app_id} {who.user_id}"


def _token(path: str, query: bytes, headers: Headers) -> str | None:
    """Return the access token that comes with a call; only a socket's may be in its query."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else None
    if path != PATH or b"token=" not in query:
        return None
    try:
        return parsed_query(query.decode("ascii")).get("token")
    except ValueError:
        return None


def _mark(token: str) -> str:
    return f"token {token[-_SIGNATURE:]}"
