import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey

from oddswire.auth.keys import LONGEST_TOKEN_LIFE, KeyRing, KeyRow
from oddswire.auth.revocations import Revocation, Revocations
from oddswire.auth.tokens import TokenVerifier, issue
from oddswire.errors import Refused

NOW = 1_800_000_000_000
IAT = NOW // 1000


def key_row(signs_from: int = 1, retired_at: int | None = None) -> KeyRow:
    key = OKPKey.generate_key("Ed25519", private=True)
    jwk = msgspec.json.encode(key.as_dict(private=True)).decode()
    return KeyRow(key.thumbprint(), jwk, "Ed25519", 1, signs_from, retired_at)


ROW = key_row()
RING = KeyRing([ROW])
STRANGER = KeyRing([key_row()])
KID, KEY = RING.signing(NOW)
HEADER = {"alg": "Ed25519", "kid": KID, "typ": "at+jwt"}
CLAIMS = {
    "iss": "oddswire",
    "aud": "demo",
    "sub": "ann",
    "sid": "ses_1",
    "jti": "j",
    "iat": IAT,
    "exp": IAT + 3600,
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: Any) -> str:
    return b64(value if isinstance(value, bytes) else msgspec.json.encode(value))


def private_key() -> Ed25519PrivateKey:
    key = KEY.raw_value
    assert isinstance(key, Ed25519PrivateKey)
    return key


def signed(header: Any, claims: Any) -> str:
    """A token with our own key's good signature over whatever it is."""
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{b64(private_key().sign(text.encode()))}"


def with_header(**changes: Any) -> str:
    return signed({**HEADER, **changes}, CLAIMS)


def without_header(name: str) -> str:
    return signed({key: value for key, value in HEADER.items() if key != name}, CLAIMS)


def with_claims(**changes: Any) -> str:
    return signed(HEADER, {**CLAIMS, **changes})


def without_claim(name: str) -> str:
    return signed(HEADER, {key: value for key, value in CLAIMS.items() if key != name})


def hs256_with_the_public_key() -> str:
    text = f"{part({**HEADER, 'alg': 'HS256'})}.{part(CLAIMS)}"
    secret = private_key().public_key().public_bytes_raw()
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


GOOD = signed(HEADER, CLAIMS)
HEAD, BODY, SIGNATURE = GOOD.split(".")

BAD_TOKENS = {
    "empty": "",
    "a word": "token",
    "two dots only": "..",
    "two parts": f"{HEAD}.{BODY}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "five parts, as JWE": f"{GOOD}.{SIGNATURE}.{SIGNATURE}",
    "no signature": f"{HEAD}.{BODY}.",
    "no payload": f"{HEAD}..{SIGNATURE}",
    "space before": " " + GOOD,
    "line feed after": GOOD + "\n",
    "padding": f"{HEAD}.{BODY}.{SIGNATURE}==",
    "plain base64 alphabet": f"{HEAD}.{BODY}.{'+/' + SIGNATURE[2:]}",
    "not ASCII": GOOD[:-1] + "é",
    "bearer word": "Bearer " + GOOD,
    "oversize": GOOD + "A" * 4096,
    "signature of other bytes": f"{HEAD}.{part({**CLAIMS, 'sub': 'bob'})}.{SIGNATURE}",
    "short signature": f"{HEAD}.{BODY}.{SIGNATURE[:-4]}",
    "header no base64": f"A.{BODY}.{SIGNATURE}",
    "header no JSON": signed(b"{", CLAIMS),
    "header a list": signed([HEADER], CLAIMS),
    "header nested deep": signed(b"[" * 2000, CLAIMS),
    "alg none, unsigned": f"{part({**HEADER, 'alg': 'none'})}.{BODY}.",
    "alg none, signed": with_header(alg="none"),
    "alg None": with_header(alg=None),
    "alg EdDSA": with_header(alg="EdDSA"),
    "alg lower case": with_header(alg="ed25519"),
    "alg HS256, public key as secret": hs256_with_the_public_key(),
    "no alg": without_header("alg"),
    "kid foreign": issue(STRANGER, "demo", "ann", "ses_1", IAT, 3600).token,
    "kid ours, key foreign": jwt.encode(HEADER, dict(CLAIMS), STRANGER.signing(NOW)[1], algorithms=["Ed25519"]),
    "kid a number": with_header(kid=1),
    "kid empty": with_header(kid=""),
    "no kid": without_header("kid"),
    "typ JWT": with_header(typ="JWT"),
    "typ missing": without_header("typ"),
    "key of the sender's": with_header(jwk=KEY.as_dict(private=False)),
    "key by address": with_header(jku="http://127.0.0.1/jwks.json"),
    "crit": with_header(crit=["exp"]),
    "payload not encoded": with_header(b64=False, crit=["b64"]),
    "payload no JSON": signed(HEADER, b"{"),
    "payload a list": signed(HEADER, [1]),
    "payload nested deep": signed(HEADER, b'{"x":' * 400),
    "iss foreign": with_claims(iss="elsewhere"),
    "aud another app": with_claims(aud="other"),
    "aud a list": with_claims(aud=["demo"]),
    "aud empty": with_claims(aud=""),
    "sub empty": with_claims(sub=""),
    "sub a number": with_claims(sub=1),
    "sub too long": with_claims(sub="x" * 129),
    "exp a float": with_claims(exp=IAT + 3600.5),
    "exp text": with_claims(exp=str(IAT + 3600)),
    "exp true": with_claims(exp=True),
    "exp null": with_claims(exp=None),
    "exp negative": with_claims(exp=-1),
    "exp huge": with_claims(exp=10**30),
    "exp before iat": with_claims(exp=IAT - 1),
    "life too long": with_claims(exp=IAT + LONGEST_TOKEN_LIFE // 1000 + 1),
    "iat text": with_claims(iat=str(IAT)),
    **{f"no {name}": without_claim(name) for name in CLAIMS},
}


@pytest.fixture
def revocations() -> Revocations:
    return Revocations()


@pytest.fixture
def verifier(revocations: Revocations) -> TokenVerifier:
    return TokenVerifier(RING, revocations)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.code


def test_what_is_issued_verifies_and_has_the_header_of_an_access_token(verifier: TokenVerifier) -> None:
    token = issue(RING, "demo", "ann", "ses_1", IAT, 3600).token
    identity = verifier.verify(token, "demo", NOW)
    assert (identity.app_id, identity.user_id, identity.session_id) == ("demo", "ann", "ses_1")
    assert (identity.issued_at, identity.expires_at) == (IAT * 1000, (IAT + 3600) * 1000)
    head, body, _ = token.split(".")
    assert msgspec.json.decode(base64.urlsafe_b64decode(head + "==")) == HEADER
    assert set(msgspec.json.decode(base64.urlsafe_b64decode(body + "=="))) == set(CLAIMS)


def test_the_hand_made_token_the_table_is_built_on_is_good(verifier: TokenVerifier) -> None:
    assert verifier.verify(GOOD, "demo", NOW).user_id == "ann"


@pytest.mark.parametrize("token", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_token_invalid(verifier: TokenVerifier, token: str) -> None:
    assert refusal(lambda: verifier.verify(token, "demo", NOW)) == "token_invalid"


def test_a_token_is_of_one_app_even_when_it_is_remembered(verifier: TokenVerifier) -> None:
    verifier.verify(GOOD, "demo", NOW)
    assert refusal(lambda: verifier.verify(GOOD, "other", NOW)) == "token_invalid"


def test_expiry_is_asked_every_time_and_has_no_leeway(verifier: TokenVerifier) -> None:
    end = (IAT + 3600) * 1000
    assert verifier.verify(GOOD, "demo", end - 1).expires_at == end
    assert refusal(lambda: verifier.verify(GOOD, "demo", end)) == "token_expired"


def test_revocation_is_asked_every_time(verifier: TokenVerifier, revocations: Revocations) -> None:
    verifier.verify(GOOD, "demo", NOW)
    revocations.take([Revocation(1, "session", "demo", "ses_1", NOW, NOW + LONGEST_TOKEN_LIFE)], NOW)
    assert refusal(lambda: verifier.verify(GOOD, "demo", NOW)) == "session_revoked"


def test_a_token_of_ours_is_recalled_even_once_it_is_not_good_any_more(verifier: TokenVerifier) -> None:
    assert verifier.recall(GOOD) is None
    verifier.verify(GOOD, "demo", NOW)
    assert refusal(lambda: verifier.verify(GOOD, "demo", 1 << 50)) == "token_expired"
    found = verifier.recall(GOOD)
    assert found is not None
    assert found.user_id == "ann"
    for other in (GOOD + "A", "é", "", "A" * 5000):
        assert verifier.recall(other) is None
    assert refusal(lambda: verifier.verify(GOOD[:-4] + "AAAA", "demo", NOW)) == "token_invalid"
    assert verifier.recall(GOOD[:-4] + "AAAA") is None


def test_a_token_that_was_just_made_is_learned(verifier: TokenVerifier) -> None:
    made = issue(RING, "demo", "ann", "ses_1", IAT, 3600)
    assert verifier.recall(made.token) is None
    verifier.learn(made)
    assert verifier.recall(made.token) == made.identity == verifier.verify(made.token, "demo", NOW)


def test_a_refusal_never_repeats_the_token(verifier: TokenVerifier) -> None:
    with pytest.raises(Refused) as caught:
        verifier.verify(with_claims(aud="other"), "demo", NOW)
    assert "eyJ" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_remembered_token_dies_with_its_key_by_the_clock_alone(verifier: TokenVerifier) -> None:
    verifier.use(KeyRing([ROW, key_row(NOW - LONGEST_TOKEN_LIFE)]))
    token = with_claims(exp=IAT + LONGEST_TOKEN_LIFE // 1000)
    assert verifier.verify(token, "demo", NOW).user_id == "ann"
    assert refusal(lambda: verifier.verify(token, "demo", NOW + 60_000)) == "token_invalid"


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_of_a_clock_that_is_ahead_is_taken_within_30_seconds(verifier: TokenVerifier, claim: str) -> None:
    token = with_claims(**{claim: IAT + 31})
    for _ in range(2):
        assert refusal(lambda: verifier.verify(token, "demo", NOW)) == "token_invalid"
    assert verifier.verify(token, "demo", NOW + 1_000).user_id == "ann"
    # remembered by now, and asked all the same
    assert refusal(lambda: verifier.verify(token, "demo", NOW)) == "token_invalid"


def test_a_key_that_is_gone_takes_the_remembered_tokens_with_it(verifier: TokenVerifier) -> None:
    verifier.verify(GOOD, "demo", NOW)
    verifier.use(STRANGER)
    assert refusal(lambda: verifier.verify(GOOD, "demo", NOW)) == "token_invalid"


def test_the_kid_is_the_thumbprint_of_rfc_7638() -> None:
    members = msgspec.json.encode({"crv": "Ed25519", "kty": "OKP", "x": KEY.as_dict(private=False)["x"]})
    assert b64(hashlib.sha256(members).digest()) == KID


def test_without_a_key_nothing_is_signed() -> None:
    with pytest.raises(LookupError):
        KeyRing([key_row(retired_at=1)]).signing(NOW)
