"""The paper venue's own invariants, on a live database."""

from oddswire.store.base import Store, Tx


async def check(store: Store) -> list[str]:
    """Return what is wrong with the venue's books, in a sentence each; an empty list where all is well.

    Money is conserved (accounts and collateral are what was deposited), YES outstanding is NO outstanding is the
    collateral, nothing is negative, accounts hold what their orders hold, orders are filled by what their fills say.
    """
    return await store.read(_findings)


def _findings(tx: Tx) -> list[str]:
    found = [
        f"paper: app {app}: accounts and collateral differ from all deposits by {difference} millionths"
        for app, difference in tx.all(_pair, "paper.check_money")
        if difference
    ]
    for app, market, pairs, outcome, size in tx.all(_row, "paper.check_outstanding"):
        found.append(f"paper: app {app}: {market} has {size} {outcome} outstanding on {pairs} of collateral")
    for app, account, what in tx.all(_row, "paper.check_negative"):
        found.append(f"paper: app {app}: {account} is below zero in {what}")
    for app, account, held, orders in tx.all(_row, "paper.check_holds"):
        found.append(f"paper: app {app}: {account} holds {held}, its orders {orders}")
    for order_id, filled, fills in tx.all(_row, "paper.check_fills"):
        found.append(f"paper: order {order_id} is filled by {filled}, its fills by {fills}")
    return found


def _pair(app: str, difference: int) -> tuple[str, int]:
    return app, difference


def _row(*columns: str | int) -> tuple[str | int, ...]:
    return columns
