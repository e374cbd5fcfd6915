"""An identity provider: keys, tokens, and its JWKS over real TLS on 127.0.0.1 with a certificate of its own making."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode

ISSUER = "https://id.example/"
AUDIENCE = "shop-api"
SECRET = "a secret that nobody else has, 40 bytes.."

AnyKey = OKPKey | RSAKey | ECKey | OctKey


@cache
def key(kind: str, number: int = 0) -> AnyKey:
    """Return a key of a kind, the same one each time; `number` tells several apart."""
    match kind:
        case "Ed25519" | "EdDSA":
            return OKPKey.generate_key("Ed25519", private=True)
        case "ES256":
            return ECKey.generate_key("P-256", private=True)
        case "RS256":
            return RSAKey.generate_key(2048, private=True)
        case "HS256":
            return OctKey.import_key(SECRET)
        case _:
            raise ValueError(kind)


def public(kind: str, kid: str | None = None, number: int = 0, **more: Any) -> dict[str, Any]:
    """Return the public JWK of a key, named after its kind unless told otherwise."""
    jwk = dict(key(kind, number).as_dict(private=False))
    jwk["kid"] = kind if kid is None else kid
    return {**jwk, **more}


def jwk_set(*keys: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"keys": keys})


def signed(
    header: dict[str, Any] | bytes, claims: dict[str, Any] | bytes, kind: str = "Ed25519", number: int = 0
) -> str:
    """Return a token with a good signature by that key over whatever it is."""
    parts = (part if isinstance(part, bytes) else msgspec.json.encode(part) for part in (header, claims))
    text = ".".join(urlsafe_b64encode(part).decode() for part in parts)
    algorithm = JWSRegistry.algorithms["Ed25519" if kind == "EdDSA" else kind]
    return f"{text}.{urlsafe_b64encode(algorithm.sign(text.encode(), key(kind, number))).decode()}"


def claims(now: int, **changes: Any) -> dict[str, Any]:
    """Return good claims of `ann` at `now` (ms); a change to None leaves the claim out."""
    whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now // 1000, "exp": now // 1000 + 3600, **changes}
    return {name: value for name, value in whole.items() if value is not None}


def token(now: int, kind: str = "Ed25519", kid: str | None = None, number: int = 0, **changes: Any) -> str:
    """Return a good token of `ann`, but for the changes."""
    header = {"alg": kind, "typ": "JWT", "kid": kind if kid is None else kid}
    return signed(header, claims(now, **changes), kind, number)


# ---- its keys, served


@dataclass
class JwksServer:
    """Serves `answer` to every request, byte for byte; `asked` are the heads of the requests."""

    port: int
    answer: bytes
    authority: Path
    asked: list[str] = field(default_factory=list)
    pause: asyncio.Event | None = None
    """Where there is one, answers wait for it."""

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/keys?of=shop"

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority)

    def serve(self, body: bytes, status: str = "200 OK", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.answer = "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@cache
def _certificate(names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Return a certificate for these names, signed by itself, and its key, both in PEM."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@asynccontextmanager
async def jwks_server(
    folder: Path, *keys: dict[str, Any], names: tuple[str, ...] = ("localhost",)
) -> AsyncIterator[JwksServer]:
    """Serve a JWK Set on a free port until the block ends."""
    certificate, private = _certificate(names)
    chain, authority = folder / "provider.pem", folder / "authority.pem"
    chain.write_bytes(certificate + private)
    authority.write_bytes(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    open_writers: set[asyncio.StreamWriter] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        try:
            while True:
                serving.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
                if serving.pause is not None:
                    await serving.pause.wait()
                writer.write(serving.answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            open_writers.discard(writer)
            writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    serving = JwksServer(server.sockets[0].getsockname()[1], b"", authority)
    serving.serve(jwk_set(*keys))
    try:
        yield serving
    finally:
        server.close()
        for writer in tuple(open_writers):
            writer.transport.abort()
        if serving.pause is not None:
            serving.pause.set()


async def until(seen: Callable[[], object]) -> None:
    """Wait until something has come about, at most 5 s."""
    async with asyncio.timeout(5):
        while not seen():
            await asyncio.sleep(0.005)
