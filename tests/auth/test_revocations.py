import pytest

from oddswire.auth.identity import Identity
from oddswire.auth.revocations import Kind, Revocation, Revocations, erased_subject
from oddswire.ids import make_id

NOW = 1_800_000_000_000


def session_of(at: int) -> str:
    return make_id("ses", at, b"\x80" * 10)


def ann(session_id: str = session_of(NOW), app_id: str = "demo", user_id: str = "ann") -> Identity:
    return Identity(app_id, user_id, session_id, NOW, NOW + 3_600_000)


def row(number: int, kind: Kind, subject: str, at: int = NOW, app_id: str = "demo", end: int = NOW + 9) -> Revocation:
    return Revocation(number, kind, app_id, subject, at, end)


CASES = [
    ("its session", row(1, "session", session_of(NOW)), True),
    ("another session", row(1, "session", session_of(NOW + 1)), False),
    ("the same id in another app", row(1, "session", session_of(NOW), app_id="other"), False),
    ("its user, later", row(1, "user", "ann", NOW + 1), True),
    ("its user, in the same millisecond", row(1, "user", "ann", NOW), True),
    ("its user, before", row(1, "user", "ann", NOW - 1), False),
    ("another user", row(1, "user", "bob", NOW + 1), False),
    ("a user of that name in another app", row(1, "user", "ann", NOW + 1, app_id="other"), False),
    ("its app, later", row(1, "app", "", NOW + 1), True),
    ("its app, in the same millisecond", row(1, "app", "", NOW), True),
    ("its app, before it was on again", row(1, "app", "", NOW - 1), False),
    ("another app", row(1, "app", "", NOW + 1, app_id="other"), False),
    ("its user, erased later", row(1, "user", erased_subject("demo", "ann"), NOW + 1), True),
    ("its user, erased before", row(1, "user", erased_subject("demo", "ann"), NOW - 1), False),
    ("another user, erased", row(1, "user", erased_subject("demo", "bob"), NOW + 1), False),
    ("a user named as nothing", row(1, "user", "", NOW + 1), False),
]


@pytest.mark.parametrize(("revocation", "revoked"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_whom_a_row_covers(revocation: Revocation, revoked: bool) -> None:
    revocations = Revocations()
    revocations.take([revocation], NOW)
    assert revocation.covers(ann()) is revoked
    assert revocations.is_revoked(ann()) is revoked


OUTSIDE = [
    ("a provider's session", row(1, "session", "ext_1", NOW - 1), "ext_1", True),
    ("another of its sessions", row(1, "session", "ext_2"), "ext_1", False),
    ("what it had issued by then", row(1, "session", "sub_1", NOW), "sub_1", True),
    ("what it has issued since", row(1, "session", "sub_1", NOW - 1), "sub_1", False),
    ("its user, later", row(1, "user", "ann", NOW + 1), "sub_1", True),
    ("its user, by a clock that is ahead", row(1, "user", "ann", NOW - 30_000), "ext_1", True),
    ("its user, before", row(1, "user", "ann", NOW - 30_001), "ext_1", False),
    ("another user", row(1, "user", "bob", NOW + 1), "sub_1", False),
    ("its user, erased", row(1, "user", erased_subject("demo", "ann"), NOW - 30_000), "ext_1", True),
    ("its user, erased before", row(1, "user", erased_subject("demo", "ann"), NOW - 30_001), "sub_1", False),
    ("its app", row(1, "app", "", NOW - 1), "ext_1", True),
    ("its app, before it was on again", row(1, "app", "", NOW - 30_001), "ext_1", False),
]


@pytest.mark.parametrize(
    ("revocation", "session", "revoked"), [case[1:] for case in OUTSIDE], ids=[case[0] for case in OUTSIDE]
)
def test_whom_a_row_covers_of_an_identity_provider(revocation: Revocation, session: str, revoked: bool) -> None:
    revocations = Revocations()
    revocations.take([revocation], NOW)
    assert revocations.is_revoked(ann(session)) is revoked


def test_listeners_hear_each_row_once_and_after_it_is_refused() -> None:
    revocations = Revocations()
    heard: list[tuple[int, bool]] = []
    revocations.on_revoked(lambda rows: heard.extend((one.number, revocations.is_revoked(ann())) for one in rows))
    first, second = row(1, "session", session_of(NOW)), row(2, "user", "bob")
    revocations.take([first], NOW)
    revocations.take([first, second], NOW)
    revocations.take([first, second], NOW)
    assert heard == [(1, True), (2, True)]
    assert revocations.number == 2


def test_a_row_of_dead_tokens_counts_but_is_not_kept() -> None:
    revocations = Revocations()
    revocations.take([row(7, "session", session_of(NOW), end=NOW)], NOW)
    assert revocations.number == 7
    assert not revocations.is_revoked(ann())


def test_forgetting_drops_what_is_dead_and_nothing_else() -> None:
    revocations = Revocations()
    revocations.take([row(1, "session", session_of(NOW), end=NOW + 1), row(2, "user", "bob", end=NOW + 2)], NOW)
    revocations.forget(NOW + 1)
    assert not revocations.is_revoked(ann())
    assert revocations.is_revoked(ann(user_id="bob"))


def test_a_second_revocation_by_a_clock_set_back_takes_nothing_away() -> None:
    revocations = Revocations()
    revocations.take([row(1, "user", "ann", NOW + 5), row(2, "user", "ann", NOW - 5)], NOW)
    assert revocations.is_revoked(ann())
    assert revocations.first_sign_in("demo", "ann", NOW) == NOW + 6


def test_who_signs_in_after_a_revocation_is_not_covered_by_it() -> None:
    revocations = Revocations()
    revocations.take([row(1, "user", "ann", NOW)], NOW)
    begun = revocations.first_sign_in("demo", "ann", NOW)
    assert begun == NOW + 1
    assert not revocations.is_revoked(ann(session_of(begun)))
    assert revocations.first_sign_in("demo", "bob", NOW) == NOW
