"""What it costs the server that somebody connects, and that somebody signs in."""

from bench.lineup import lineup
from bench.measures.push import OURS
from bench.process import Failed
from bench.results import Group
from bench.run import Run, Used

SIGNING_IN = 8
"""Connections of the backend that signs users in."""
AT_FIRST, AGAIN = "oddswire, token at first sight", "oddswire, token seen before"


def measure(run: Run) -> list[Group]:
    """Connect fresh users, then the same again; sign users in for the first time, then again."""
    return [_connect(run), _sign_in(run)]


def _connect(run: Run) -> Group:
    count = int(run.either(200, 1_000))
    group = Group("connect", "CPU µs a connection", reference=AGAIN)
    with run.load() as load:
        for entry in lineup(run.folder):
            if not (entry.large or entry.name == "Starlette on uvicorn"):
                continue
            try:
                server, port = entry.start(run.folder)
            except Failed as why:
                group.without(entry.name, str(why))
                continue
            try:
                for number in range(run.rounds):
                    ours = entry.name == OURS
                    tokens = server.ask("users", prefix=f"connect-{number}", count=count) if ours else None
                    for subject in (AT_FIRST, AGAIN) if ours else (entry.name,):
                        with Used(server, load) as used:
                            load.ask("gather", port=port, kind=entry.kind, path=entry.path, count=count, tokens=tokens)
                        load.ask("leave")
                        group.row(subject).add(used.server / count * 1e6, used.load_share)
            finally:
                server.stop()
    return group


def _sign_in(run: Run) -> Group:
    count = int(run.either(100, 500))
    group = Group("sign in: POST /auth/token", "CPU µs each", reference="a user seen before")
    with run.gateway("sign-in.db") as (server, port), run.load() as load:
        for number in range(run.rounds):
            for subject in ("a new user, with an account at the venue", "a user seen before"):
                with Used(server, load) as used:
                    found = load.ask("sign_in", port=port, prefix=f"new-{number}", count=count, callers=SIGNING_IN)
                if found["other"]:
                    raise Failed(f"sign-ins were refused: {found['other']}")
                group.row(subject).add(used.server / count * 1e6, used.load_share)
    return group
