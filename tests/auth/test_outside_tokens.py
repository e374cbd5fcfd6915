"""Tokens of an identity provider: a table of bad ones, and what is read of good ones."""

import base64
import hashlib
import hmac
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddswire.auth.identity import Identity
from oddswire.auth.jwks import KeySet, SecretKey, parse
from oddswire.auth.outside_tokens import prove, read
from oddswire.auth.providers import Provider
from oddswire.errors import Refused
from tests.auth.conftest import NOW
from tests.auth.identity_provider import AUDIENCE, ISSUER, SECRET, claims, jwk_set, public, signed, token

IAT = NOW // 1000
KEYS = parse(jwk_set(public("Ed25519"), public("RS256"), public("ES256")))
HEADER = {"alg": "Ed25519", "kid": "Ed25519", "typ": "JWT"}
CLAIMS = claims(NOW)


def provider(claim: str = "sub", *, secret: str | None = None, issuer: str = ISSUER, app_id: str = "shop") -> Provider:
    url = None if secret else "https://id.example/keys"
    return Provider(app_id, "idp_1", issuer, AUDIENCE, claim, url, secret, NOW)


def proved(text: str, by: Provider | None = None, keys: KeySet = KEYS) -> Identity:
    """Return whom a token proves, by the same steps as where it is asked."""
    unproven = read(text)
    if unproven is None or unproven.algorithm is None:
        raise Refused("token_invalid", "unreadable")
    key = keys.find(unproven.kid, unproven.algorithm)
    if key is None:
        raise Refused("token_invalid", "no key")
    return prove(unproven, key, by or provider(), NOW)


def headed(**changes: Any) -> str:
    return signed({name: value for name, value in {**HEADER, **changes}.items() if value is not None}, CLAIMS)


def hs256(secret: bytes, header: dict[str, Any]) -> str:
    text = ".".join(
        base64.urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=").decode() for part in (header, CLAIMS)
    )
    signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


GOOD = signed(HEADER, CLAIMS)
HEAD, BODY, SIGNATURE = GOOD.split(".")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
UNSIGNED = base64.urlsafe_b64encode(msgspec.json.encode({"alg": "none", "typ": "JWT"})).rstrip(b"=").decode()
X = public("Ed25519")["x"]
DEEP = b'{"iss": "https://id.example/", "more": ' + b"[" * 2500
LONG = token(NOW, more="x" * 4096)

BAD: dict[str, str] = {
    "empty": "",
    "a word": "token",
    "two parts": f"{HEAD}.{BODY}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "five parts, encrypted": f"{HEAD}.{BODY}.{BODY}.{BODY}.{SIGNATURE}",
    "padded": f"{HEAD}.{BODY}.{SIGNATURE}==",
    "a space": f" {GOOD}",
    "a line end": f"{GOOD}\n",
    "plain base64": GOOD.replace("-", "+").replace("_", "/") + "/",
    "no signature": f"{HEAD}.{BODY}.",
    "another spelling of the signature": GOOD[:-1] + LETTERS[LETTERS.index(GOOD[-1]) + 1],
    "another signature": f"{HEAD}.{BODY}.{'A' * 86}",
    "a short signature": f"{HEAD}.{BODY}.{SIGNATURE[:-4]}",
    "another body": f"{HEAD}.{token(NOW, sub='bob').split('.')[1]}.{SIGNATURE}",
    "another header": f"{token(NOW, 'ES256').split('.')[0]}.{BODY}.{SIGNATURE}",
    "over 4 KiB": LONG,
    "a header that is no JSON": signed(b"{", CLAIMS),
    "a header that is a list": signed(b"[]", CLAIMS),
    "a header that is no UTF-8": signed(b'{"alg":"Ed25519","kid":"\xff"}', CLAIMS),
    "a body that is no JSON": signed(HEADER, b"ann"),
    "a body that is a list": signed(HEADER, b"[]"),
    "a body that is nested without end": signed(HEADER, DEEP),
    "a header that is nested without end": signed(b'{"alg":"Ed25519","more":' + b"[" * 2500, CLAIMS),
    "alg none": f"{UNSIGNED}.{BODY}.{SIGNATURE}",
    "alg none, unsigned": f"{UNSIGNED}.{BODY}.",
    "alg None": headed(alg="None"),
    "alg in another case": headed(alg="ed25519"),
    "no alg": signed({"kid": "Ed25519"}, CLAIMS),
    "alg that is a list": headed(alg=["Ed25519"]),
    "alg RS256 with an Ed25519 key": headed(alg="RS256"),
    "alg HS256 with the public key": hs256(X.encode(), {"alg": "HS256", "kid": "Ed25519"}),
    "alg HS256 with its bytes": hs256(base64.urlsafe_b64decode(X + "="), {"alg": "HS256", "kid": "Ed25519"}),
    "alg HS512": headed(alg="HS512"),
    "alg PS256": headed(alg="PS256", kid="RS256"),
    "alg ES256K": headed(alg="ES256K", kid="ES256"),
    "another key's name": headed(kid="ES256"),
    "a name nobody has": headed(kid="other"),
    "a path as a name": headed(kid="../../etc/passwd"),
    "an empty name": headed(kid=""),
    "a name that is a number": headed(kid=1),
    "a name that is too long": headed(kid="k" * 257),
    "another's key of that name": signed(HEADER, CLAIMS, number=1),
    "its own key in the header": signed({"alg": "Ed25519", "jwk": public("Ed25519", number=1)}, CLAIMS, number=1),
    "crit": headed(crit=["exp"]),
    "crit that is empty": headed(crit=[]),
    "crit that is null": signed(b'{"alg":"Ed25519","kid":"Ed25519","crit":null}', CLAIMS),
    "b64": headed(b64=False),
    "b64 that is true": headed(b64=True),
    "typ of another kind": headed(typ="dpop+jwt"),
    "typ of a refresh token": headed(typ="rt+jwt"),
    "typ of a logout token": headed(typ="logout+jwt"),
    "typ that is empty": headed(typ=""),
    "typ that is a number": headed(typ=1),
    "no issuer": token(NOW, iss=None),
    "another issuer": token(NOW, iss="https://other.example/"),
    "the issuer without its slash": token(NOW, iss=ISSUER[:-1]),
    "the issuer in another case": token(NOW, iss=ISSUER.upper()),
    "ours": token(NOW, iss="oddswire"),
    "an issuer that is a list": token(NOW, iss=[ISSUER]),
    "no audience": token(NOW, aud=None),
    "another audience": token(NOW, aud="other-api"),
    "an audience that holds ours": token(NOW, aud=AUDIENCE + "-2"),
    "an empty list of audiences": token(NOW, aud=[]),
    "other audiences": token(NOW, aud=["a", "b"]),
    "an audience in a list in a list": token(NOW, aud=[[AUDIENCE]]),
    "an audience that is an object": token(NOW, aud={AUDIENCE: 1}),
    "no exp": token(NOW, exp=None),
    "exp that is text": token(NOW, exp=str(IAT + 60)),
    "exp that is true": token(NOW, exp=True),
    "exp that is negative": token(NOW, exp=-1),
    "exp that is huge": token(NOW, exp=1 << 64),
    "exp that is out of range": signed(HEADER, msgspec.json.encode(CLAIMS).replace(str(IAT + 3600).encode(), b"1e999")),
    "exp before iat": token(NOW, exp=IAT - 1),
    "exp as iat": token(NOW, exp=IAT),
    "a life of over 24 hours": token(NOW, exp=IAT + 24 * 3600 + 1),
    "no iat": token(NOW, iat=None),
    "iat that is text": token(NOW, iat=str(IAT)),
    "iat 31 s ahead": token(NOW, iat=IAT + 31),
    "iat in milliseconds": token(NOW, iat=NOW, exp=NOW + 60),
    "nbf 31 s ahead": token(NOW, nbf=IAT + 31),
    "nbf that is text": token(NOW, nbf="now"),
    "no user": token(NOW, sub=None),
    "an empty user": token(NOW, sub=""),
    "a user of 129 characters": token(NOW, sub="u" * 129),
    "a user with a line end": token(NOW, sub="ann\n"),
    "a user with a NUL": token(NOW, sub="a\0nn"),
    "a user with a DEL": token(NOW, sub="ann\x7f"),
    "a user with half a character": signed(HEADER, msgspec.json.encode(CLAIMS).replace(b'"ann"', b'"\\ud800"')),
    "a user that is a number": token(NOW, sub=7),
    "a user that is a list": token(NOW, sub=["ann"]),
    "a user that is null": signed(HEADER, msgspec.json.encode({**CLAIMS, "sub": None})),
    "an empty sid": token(NOW, sid=""),
    "a sid that is a number": token(NOW, sid=1),
    "a sid that is too long": token(NOW, sid="s" * 257),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_bad_tokens(text: str) -> None:
    with pytest.raises(Refused) as refused:
        proved(text)
    assert refused.value.code == "token_invalid"
    assert "ann" not in refused.value.detail
    assert "example" not in refused.value.detail


TAKEN: dict[str, str] = {
    "Ed25519": token(NOW),
    "EdDSA": headed(alg="EdDSA"),
    "RS256": token(NOW, "RS256"),
    "ES256": token(NOW, "ES256"),
    "no kid": headed(kid=None),
    "no typ": headed(typ=None),
    "typ at+jwt": headed(typ="at+jwt"),
    "typ in another case": headed(typ="AT+JWT"),
    "headers of its own": headed(cat="c", x5t="a" * 600, jku="https://evil.example/keys"),
    "audiences": token(NOW, aud=["account", AUDIENCE]),
    "iat 30 s ahead": token(NOW, iat=IAT + 30),
    "nbf 30 s ahead": token(NOW, nbf=IAT + 30),
    "nbf before iat": token(NOW, nbf=0),
    "a life of 24 hours": token(NOW, exp=IAT + 24 * 3600),
    "parts of a second": token(NOW, iat=IAT + 0.25, exp=IAT + 60.5),
    "expired, which is asked later": token(NOW, iat=IAT - 7200, exp=IAT - 3600),
}


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN)
def test_good_tokens(text: str) -> None:
    identity = proved(text)
    assert (identity.app_id, identity.user_id, identity.provider_id) == ("shop", "ann", "idp_1")
    assert identity.is_outside


@given(st.binary(max_size=200), st.binary(max_size=200), st.text(max_size=20))
def test_whatever_is_sent_is_read_or_is_no_token(header: bytes, payload: bytes, signature: str) -> None:
    for text in (signature, f"{header!r}.{payload!r}.{signature}", signed(header, payload), f"{HEAD}.{signature}.x"):
        found = read(text)
        assert found is None or found.issuer is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
MEMBERS = st.sampled_from(["iss", "aud", "sub", "iat", "exp", "nbf", "sid", "alg", "kid", "typ", "crit"])


@given(st.dictionaries(MEMBERS, JSON), st.dictionaries(MEMBERS, JSON))
def test_whatever_its_members_are_it_is_refused_or_proves_ann(header: dict[str, Any], changes: dict[str, Any]) -> None:
    text = signed({**HEADER, **header}, {**CLAIMS, **changes})
    with suppress(Refused):
        identity = proved(text)
        assert identity.user_id == changes.get("sub", "ann")
        assert 0 < identity.expires_at - identity.issued_at <= 24 * 3600 * 1000


def test_times_are_in_milliseconds() -> None:
    identity = proved(TAKEN["parts of a second"])
    assert (identity.issued_at, identity.expires_at) == (NOW + 250, NOW + 60_500)


def test_the_claim_that_is_the_user() -> None:
    named: dict[str, Any] = {"email": "ann@shop.example", "https://shop.example/id": "ann-7"}
    text = signed(HEADER, {**claims(NOW, sub="subject-1"), **named})
    users = [proved(text, provider(claim)).user_id for claim in ("sub", "email", "https://shop.example/id")]
    assert users == ["subject-1", "ann@shop.example", "ann-7"]
    with pytest.raises(Refused, match="claim"):
        proved(text, provider("name"))


def test_a_shared_secret() -> None:
    by = provider(secret=SECRET)
    for header in ({"alg": "HS256"}, {"alg": "HS256", "kid": "any", "typ": "JWT"}):
        assert proved(signed(header, CLAIMS, "HS256"), by, SecretKey(SECRET)).user_id == "ann"
        with pytest.raises(Refused):
            proved(signed(header, CLAIMS, "HS256"), by, SecretKey(SECRET[:-1] + "!"))
    with pytest.raises(Refused):
        proved(token(NOW), by, SecretKey(SECRET))


def test_sessions_of_a_provider_are_none_of_ours_and_of_one_user() -> None:
    def session(by: Provider, **changes: Any) -> str:
        return proved(token(NOW, **changes), by).session_id

    by = provider()
    elsewhere = provider(issuer="https://id.example/2")
    sessions = [
        session(by, sid="1"),
        session(by, sid="2"),
        session(by, sid="1", sub="bob"),
        session(provider(app_id="other"), sid="1"),
        session(elsewhere, sid="1", iss=elsewhere.issuer),
        session(by),
        session(by, sub="bob"),
        session(provider(app_id="other")),
        session(elsewhere, iss=elsewhere.issuer),
        session(by, sid=session(by)),
        session(by, sid="ses_01k3zq5v7w8x9y0a1b2c3d4e5f"),
    ]
    assert len(set(sessions)) == len(sessions)
    assert [one[:4] for one in sessions] == ["ext_"] * 5 + ["sub_"] * 4 + ["ext_"] * 2
    assert session(by, sid="1", exp=IAT + 60) == sessions[0]
    assert session(by, iat=IAT - 60) == sessions[5]
