"""Users whom nobody has signed in here: an identity provider's token is their sign-in."""

from collections import OrderedDict
from typing import Final

from oddswire.auth.authority import Authority
from oddswire.auth.identity import Identity
from oddswire.auth.provider_keys import Asking
from oddswire.orders.desk import Desk

_REMEMBERED: Final = 20_000


class Newcomers:
    """Who asks, by whatever token; and an account at every venue for those who come with a provider's."""

    def __init__(self, authority: Authority, desk: Desk) -> None:
        self._authority = authority
        self._desk = desk
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def identify(self, token: str, app_id: str, asking: Asking) -> Identity:
        """Return who a token speaks for; its look at revocations is the last it does.

        A provider's user is opened as by `POST /auth/token`, at the first token and at each newer one: a venue that
        did not answer then is asked again.

        Raises:
            Refused: `token_invalid`, `token_expired`, `session_revoked`.
            Unavailable: `provider_unavailable`, `store_unavailable`.
            Exception: what `asking` raises, which is called before the provider is waited for.
        """
        identity = await self._authority.identify(token, app_id, asking)
        user = app_id, identity.user_id
        if not identity.is_outside or identity.issued_at <= self._seen.get(user, -1):
            return identity
        await self._desk.open_user(*user)
        self._seen[user] = max(identity.issued_at, self._seen.get(user, -1))
        self._seen.move_to_end(user)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        # much may have happened while the accounts were opened
        return await self._authority.identify(token, app_id, asking)
