"""A wallet as its owner has it: a key, its address, and what `personal_sign` gives."""

from collections.abc import Callable

import pytest
from coincurve import PrivateKey
from Crypto.Hash import keccak

from oddswire.auth.wallet import WalletMessage, write
from oddswire.errors import OddswireError
from tests.auth.conftest import NOW

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ORIGINS = ("https://shop.example", "http://localhost:5173", "https://*.wild.example", "http://[::1]:8000")


class Wallet:
    """One key."""

    def __init__(self, secret: bytes) -> None:
        self._key = PrivateKey(secret)
        public = self._key.public_key.format(compressed=False)[1:]
        plain = hashed(public)[12:].hex()
        marks = hashed(plain.encode()).hex()
        capitals = "".join(
            char.upper() if mark in "89abcdef" else char for char, mark in zip(plain, marks, strict=False)
        )
        self.address = "0x" + capitals
        self.user_id = f"wallet:0x{plain}"

    def sign(self, text: str) -> str:
        said = text.encode()
        made = self._key.sign_recoverable(
            hashed(b"\x19Ethereum Signed Message:\n" + str(len(said)).encode() + said), hasher=None
        )
        return "0x" + made[:64].hex() + f"{27 + made[64]:02x}"


def hashed(data: bytes) -> bytes:
    return keccak.new(data=data, digest_bits=256).digest()


def with_v(signature: str, v: int) -> str:
    return signature[:-2] + f"{v:02x}"


def high_s(signature: str) -> str:
    """The other signature of the same text and key, which anybody can make of the first."""
    s = ORDER - int(signature[66:130], 16)
    return signature[:66] + f"{s:064x}" + f"{27 + 28 - int(signature[130:], 16):02x}"


def told(call: Callable[[], object]) -> OddswireError:
    with pytest.raises(OddswireError) as caught:
        call()
    return caught.value


ANN = Wallet(b"ann".rjust(32, b"\1"))
BOB = Wallet(b"bob".rjust(32, b"\1"))
PLAIN = WalletMessage(
    scheme=None,
    domain="shop.example",
    address=ANN.address,
    statement="I accept the terms: https://shop.example/tos?v=2#all",
    uri="https://shop.example/sign-in",
    chain_id=1,
    nonce="0123456789abcdefABCDEF",
    issued_at=NOW,
    expires_at=NOW + 600_000,
)
TEXT = write(PLAIN)
