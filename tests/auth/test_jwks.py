"""Keys of a JWK Set: which are of use, for which algorithm, and what is no set at all."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey

from oddswire.auth.jwks import Algorithm, KeySet, SecretKey, UnusableKeys, parse
from tests.auth.identity_provider import SECRET, jwk_set, key, public

KINDS: tuple[Algorithm, ...] = ("Ed25519", "RS256", "ES256")


def changed(kind: str, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in public(kind, **changes).items() if value is not None}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("told", [True, False])
def test_a_key_is_good_for_its_one_algorithm(kind: Algorithm, told: bool) -> None:
    keys = parse(jwk_set(changed(kind, alg=kind if told else None, use="sig" if told else None)))
    found = {algorithm for algorithm in (*KINDS, "HS256") if keys.find(kind, algorithm) is not None}
    assert found == {kind}
    assert keys.find("other", kind) is None
    assert keys.find(None, kind) is keys.find(kind, kind)
    assert keys.has(kind)
    assert not keys.has("other")
    assert not keys.has(None)


def test_the_older_name_of_ed25519() -> None:
    assert parse(jwk_set(changed("Ed25519", alg="EdDSA"))).find("Ed25519", "Ed25519") is not None


SHORT_RSA = {**public("RS256"), "n": public("RS256")["n"][:336]}
LONG_RSA = {**public("RS256"), "n": "_" * (5120 // 6)}
SKIPPED: dict[str, dict[str, Any]] = {
    "symmetric": {**OctKey.generate_key(256).as_dict(private=True), "kid": "o"},
    "symmetric, said to be RS256": {**OctKey.generate_key(256).as_dict(private=True), "alg": "RS256"},
    "for encryption": changed("RS256", use="enc"),
    "for another use": changed("RS256", use="tls"),
    "not to verify with": changed("RS256", key_ops=["encrypt"]),
    "PS256": changed("RS256", alg="PS256"),
    "RS512": changed("RS256", alg="RS512"),
    "RSA-OAEP": changed("RS256", alg="RSA-OAEP"),
    "HS256 on an RSA key": changed("RS256", alg="HS256"),
    "RS256 on an EC key": changed("ES256", alg="RS256"),
    "none": changed("RS256", alg="none"),
    "with its private half": {**key("Ed25519").as_dict(private=True), "kid": "p"},
    "RSA of 2016 bits": SHORT_RSA,
    "RSA of over 4096 bits": LONG_RSA,
    "RSA with a huge exponent": changed("RS256", e=public("RS256")["n"]),
    "RSA with the exponent 1": changed("RS256", e="AQ"),
    "RSA without its modulus": changed("RS256", n=None),
    "RSA that is no base64": changed("RS256", n="\u00e9" * 400),
    "P-384": {**ECKey.generate_key("P-384", private=False).as_dict(), "kid": "e"},
    "secp256k1": {**ECKey.generate_key("secp256k1", private=False).as_dict(), "kid": "e"},
    "a point that is not on the curve": changed("ES256", y=public("ES256")["x"]),
    "Ed448": {**OKPKey.generate_key("Ed448", private=False).as_dict(), "kid": "e"},
    "X25519": {**OKPKey.generate_key("X25519", private=False).as_dict(), "kid": "e"},
    "Ed25519 that is too short": changed("Ed25519", x="AAAA"),
    "Ed25519 without its key": changed("Ed25519", x=None),
    "a type nobody knows": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "a"},
}


@pytest.mark.parametrize("jwk", SKIPPED.values(), ids=SKIPPED)
def test_keys_of_no_use_are_left_out(jwk: dict[str, Any]) -> None:
    keys = parse(jwk_set(jwk, public("ES256")))
    assert (len(keys), keys.skipped) == (1, 1)
    with pytest.raises(UnusableKeys):
        parse(jwk_set(jwk))


UNUSABLE: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"<html>",
    "not UTF-8": b'{"keys": [{"kty": "\xff"}]}',
    "a list": b"[]",
    "null": b"null",
    "no keys": b"{}",
    "an empty set": jwk_set(),
    "keys that are no list": b'{"keys": {}}',
    "a key that is no object": b'{"keys": [1]}',
    "a key without a type": b'{"keys": [{}]}',
    "a kid that is a number": b'{"keys": [{"kty": "RSA", "kid": 1}]}',
    "too many keys": jwk_set(*(public("ES256", kid=str(number)) for number in range(33))),
    "two keys of one name": jwk_set(public("ES256"), public("ES256", number=1)),
    "something after it": jwk_set(public("ES256")) + b"{}",
    "nested without end": b'{"keys": ' + b"[" * 30_000,
    "a nested member": b'{"keys": [{"kty": "RSA", "other": ' + b"[" * 30_000,
    "NaN": b'{"keys": [NaN]}',
}


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_set_of_keys(body: bytes) -> None:
    with pytest.raises(UnusableKeys):
        parse(body)


MEMBER = st.none() | st.integers() | st.text(max_size=30) | st.lists(st.text(max_size=5), max_size=3)
MEMBERS = st.sampled_from(["kty", "kid", "use", "alg", "key_ops", "crv", "x", "y", "n", "e", "d", "k"])


@given(st.sampled_from(KINDS), st.dictionaries(MEMBERS, MEMBER, min_size=1), st.binary(max_size=50))
def test_whatever_is_served_is_a_set_or_is_none(kind: str, changes: dict[str, Any], body: bytes) -> None:
    for served in (body, jwk_set({**public(kind), **changes}), jwk_set(changes), jwk_set(changes, public(kind))):
        try:
            assert 1 <= len(parse(served)) <= 2
        except UnusableKeys:
            assert served != jwk_set(public(kind))


def test_as_many_keys_as_there_may_be() -> None:
    assert len(parse(jwk_set(*(public("ES256", kid=str(number)) for number in range(32))))) == 32


def test_members_we_do_not_know_are_passed_over() -> None:
    body = msgspec.json.encode({"keys": [public("RS256", x5c=["MII"], x5t="a", exp=1)], "more": {"a": 1}})
    assert len(parse(body)) == 1


def test_keys_of_one_name_and_two_kinds_are_told_apart() -> None:
    keys = parse(jwk_set(public("ES256", kid="1"), public("RS256", kid="1")))
    for kind in ("ES256", "RS256"):
        found = keys.find("1", kind)
        assert found is not None
        assert found.algorithm == kind


def test_a_token_without_a_name_has_the_only_key_of_its_algorithm() -> None:
    keys = parse(jwk_set(public("ES256", kid="1"), public("RS256", kid="1"), public("RS256", kid="2", number=1)))
    assert keys.find(None, "ES256") is not None
    assert keys.find(None, "RS256") is None
    nameless: KeySet = parse(jwk_set(changed("ES256", kid="") | {"kid": None}))
    assert nameless.find(None, "ES256") is not None
    assert nameless.find("1", "ES256") is None


def test_a_shared_secret_is_for_hs256_alone() -> None:
    secret = SecretKey(SECRET)
    assert secret.find(None, "HS256") is secret.find("whatever", "HS256") is not None
    assert [secret.find(None, kind) for kind in KINDS] == [None, None, None]
