"""Tokens as an attacker makes them: with the gateway's own key, with others', and with none."""

import base64
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from joserfc.jwk import OctKey, OKPKey
from joserfc.jws import JWSRegistry

Maker = Callable[["Forger"], str]


def b64(data: bytes | dict[str, Any] | list[Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Forger:
    """Knows the gateway's key, which no attacker does: so what is refused is refused for what it says."""

    def __init__(self, database: Path, app: str, user: str, session: str) -> None:
        with closing(sqlite3.connect(database)) as connection:
            kid, jwk = connection.execute(
                "SELECT kid, private_jwk FROM signing_keys WHERE retired_at IS NULL"
            ).fetchone()
        self.kid = str(kid)
        self.key = OKPKey.import_key(json.loads(jwk))
        self.now = int(time.time())
        self.header: dict[str, Any] = {"alg": "Ed25519", "kid": self.kid, "typ": "at+jwt"}
        self.claims: dict[str, Any] = {
            **{"iss": "oddswire", "aud": app, "sub": user, "sid": session, "jti": "forged"},
            **{"iat": self.now, "exp": self.now + 3000},
        }

    def token(
        self,
        header: dict[str, Any] | bytes | None = None,
        claims: dict[str, Any] | bytes | list[Any] | None = None,
        key: OKPKey | OctKey | None = None,
        alg: str = "Ed25519",
    ) -> str:
        """Return a token with a good signature of `key`, over whatever it is."""
        signed = f"{b64(self.header if header is None else header)}.{b64(self.claims if claims is None else claims)}"
        signature = JWSRegistry.algorithms[alg].sign(signed.encode(), key or self.key)
        return f"{signed}.{b64(signature)}"

    def headed(self, **header: Any) -> str:
        return self.token(
            header={name: value for name, value in {**self.header, **header}.items() if value is not None}
        )

    def claiming(self, **claims: Any) -> str:
        return self.token(
            claims={name: value for name, value in {**self.claims, **claims}.items() if value is not None}
        )


def _public_as_secret(forger: Forger) -> str:
    secret = OctKey.import_key(json.dumps(forger.key.as_dict(private=False)))
    return forger.token(header={**forger.header, "alg": "HS256"}, key=secret, alg="HS256")


def _swapped(forger: Forger) -> str:
    header, _, signature = forger.token().split(".")
    return f"{header}.{b64({**forger.claims, 'sub': 'bob'})}.{signature}"


def _strange_key(forger: Forger) -> str:
    return forger.token(key=OKPKey.generate_key("Ed25519", private=True))


INVALID: dict[str, Maker] = {
    "one letter": lambda f: "x",
    "two parts": lambda f: f.token().rpartition(".")[0],
    "four parts": lambda f: f.token() + ".e30",
    "three letters": lambda f: "a.b.c",
    "no signature": lambda f: f.token().rpartition(".")[0] + ".",
    "5 KB": lambda f: f.token() + "A" * 5000,
    "a letter more": lambda f: f.token() + "A",
    "its end cut": lambda f: f.token()[:-8],
    "padding": lambda f: f.token() + "==",
    "a space inside": lambda f: f.token().replace(".", ". ", 1),
    "the other alphabet": lambda f: f.token()[:-1] + "+",
    "another's claims": _swapped,
    "signed by a strange key": _strange_key,
    "alg none": lambda f: f"{b64({**f.header, 'alg': 'none'})}.{b64(f.claims)}.e30",
    "alg None": lambda f: f"{b64({**f.header, 'alg': 'None'})}.{b64(f.claims)}.AAAA",
    "HS256 by the public key": _public_as_secret,
    "alg RS256": lambda f: f.headed(alg="RS256"),
    "alg ES256": lambda f: f.headed(alg="ES256"),
    "no alg": lambda f: f.headed(alg=None),
    "alg twice": lambda f: f.token(
        header=f'{{"alg":"none","alg":"Ed25519","kid":"{f.kid}","typ":"at+jwt","x":1}}'.encode()
    ),
    "an unknown kid": lambda f: f.headed(kid="nobody"),
    "no kid": lambda f: f.headed(kid=None),
    "a kid that is a path": lambda f: f.headed(kid="../../dev/null"),
    "a kid that is SQL": lambda f: f.headed(kid="' OR 1=1 --"),
    "typ JWT": lambda f: f.headed(typ="JWT"),
    "no typ": lambda f: f.headed(typ=None),
    "crit": lambda f: f.headed(crit=["exp"]),
    "b64": lambda f: f.headed(b64=False, crit=["b64"]),
    "a key of its own": lambda f: f.headed(jwk=f.key.as_dict(private=False)),
    "a key elsewhere": lambda f: f.headed(jku="https://evil.example/jwks.json"),
    "a certificate elsewhere": lambda f: f.headed(x5u="https://evil.example/cert"),
    "cty": lambda f: f.headed(cty="JWT"),
    "zip": lambda f: f.headed(zip="DEF"),
    "another app's": lambda f: f.claiming(aud="other"),
    "a list of apps": lambda f: f.claiming(aud=["shop", "other"]),
    "no app": lambda f: f.claiming(aud=None),
    "another issuer": lambda f: f.claiming(iss="https://id.example"),
    "no issuer": lambda f: f.claiming(iss=None),
    "no user": lambda f: f.claiming(sub=None),
    "an empty user": lambda f: f.claiming(sub=""),
    "a user that is a number": lambda f: f.claiming(sub=7),
    "a long user": lambda f: f.claiming(sub="u" * 129),
    "no session": lambda f: f.claiming(sid=None),
    "no end": lambda f: f.claiming(exp=None),
    "an end in text": lambda f: f.claiming(exp=str(f.now + 60)),
    "an end with a fraction": lambda f: f.claiming(exp=f.now + 60.5),
    "an end below zero": lambda f: f.claiming(exp=-1),
    "an endless one": lambda f: f.claiming(exp=2**60),
    "a life of 25 hours": lambda f: f.claiming(exp=f.now + 25 * 3600),
    "its end before its beginning": lambda f: f.claiming(iat=f.now, exp=f.now - 5),
    "from the future": lambda f: f.claiming(iat=f.now + 90),
    "good only later": lambda f: f.claiming(nbf=f.now + 90),
    "claims that are a list": lambda f: f.token(claims=[1]),
    "claims that are no JSON": lambda f: f.token(claims=b"{"),
    "claims with NaN": lambda f: f.token(claims=b'{"exp":NaN}'),
    "a header that is no JSON": lambda f: f.token(header=b"{"),
    "a header that is a list": lambda f: f.token(header=b"[]"),
    "a deep header": lambda f: f.token(header=b'{"alg":' + b"[" * 500 + b"]" * 500 + b"}"),
}
"""Each is `token_invalid`, wherever it is brought."""
EXPIRED: dict[str, Maker] = {
    "a second ago": lambda f: f.claiming(iat=f.now - 61, exp=f.now - 1),
    "an hour ago": lambda f: f.claiming(iat=f.now - 7200, exp=f.now - 3600),
}
