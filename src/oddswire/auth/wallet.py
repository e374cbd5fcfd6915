"""Sign-in by wallet: messages of EIP-4361, read line by line, and whose signature stands under them.

A message is what a person reads before signing, so it is taken only exactly as the standard's grammar has it, and only
if all of it is true of this app: nothing in it is skipped, mended or guessed. Pure: the time is an argument.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, TypeVar, get_args

from coincurve import PublicKey
from Crypto.Hash import keccak

from oddswire.auth.origins import Origin, origin_allowed, parse_origin
from oddswire.errors import InvalidInput, Refused
from oddswire.wire.bodies import ChainId

T = TypeVar("T")
MAX_MESSAGE: Final = 4096
"""Bytes of a message."""
MAX_STATEMENT: Final = 1024
MAX_RESOURCES: Final = 16
CHAINS: Final[tuple[ChainId, ...]] = get_args(ChainId)
"""The chains a message may name."""
SKEW: Final = 30_000
"""How far (ms) the clock of whoever wrote a message may be off ours."""

_INTRO: Final = " wants you to sign in with your Ethereum account:"
_HALF_ORDER: Final = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# RFC 3986; one alternative at most fits each character, so that nothing is tried twice
_PCHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_NAME_CHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_AUTHORITY = rf"(?:(?:{_NAME_CHAR}|:)*@)?(?:\[[A-Za-z0-9._~!$&'()*+,;=:-]+\]|{_NAME_CHAR}*)(?::[0-9]*)?"
_PATH = rf"(?://(?P<authority>{_AUTHORITY})(?:/{_PCHAR}*)*|/?(?:{_PCHAR}+(?:/{_PCHAR}*)*)?)"
_URI = re.compile(rf"(?P<scheme>{_SCHEME}):{_PATH}(?:\?(?:{_PCHAR}|[/?])*)?(?:#(?:{_PCHAR}|[/?])*)?")

_NOTHING = re.compile("")
_TEXT = re.compile(r"[\n -~]*")
_FIRST_LINE = re.compile(rf"(?:(?P<scheme>{_SCHEME})://)?(?P<domain>(?! ){_AUTHORITY}){re.escape(_INTRO)}")
_ADDRESS = re.compile(r"0x[0-9A-Fa-f]{40}")
_STATEMENT = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;= -]*")
_VERSION = re.compile(r"1")
_CHAIN_ID = re.compile(r"0|[1-9][0-9]{0,18}")
_NONCE = re.compile(r"[A-Za-z0-9]{8,128}")
_REQUEST_ID = re.compile(rf"{_PCHAR}*")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_SIGNATURE = re.compile(r"0x[0-9A-Fa-f]{130}")


class WalletMessage(NamedTuple):
    """An EIP-4361 message by its parts; `address` with the capitals of EIP-55, times in Unix epoch milliseconds."""

    scheme: str | None
    domain: str
    address: str
    statement: str | None
    uri: str
    chain_id: int
    nonce: str
    issued_at: int
    expires_at: int | None = None
    not_before: int | None = None
    request_id: str | None = None
    resources: tuple[str, ...] | None = None


# ---- reading and writing


def read(text: str) -> WalletMessage:
    """Return the parts of a message that is exactly as the grammar of EIP-4361 has it.

    Raises:
        InvalidInput: `wallet_message_invalid`: it is not; the line is named, never repeated.
    """
    if len(text) > MAX_MESSAGE or not _TEXT.fullmatch(text):
        what = f"at most {MAX_MESSAGE} characters of printable ASCII, its lines ended by a line feed alone"
        raise InvalidInput("wallet_message_invalid", f"A message is {what}.", path="$.message")
    lines = _Lines(text.split("\n"))
    first = lines.take("", _FIRST_LINE, f"a domain and `{_INTRO.strip()}`")
    address = lines.take("", _ADDRESS, "an address of `0x` and 40 hexadecimal digits")[0]
    if address != checksummed(address):
        raise lines.wrong("an address with the capitals of EIP-55")
    lines.blank()
    statement = lines.statement()
    lines.blank()
    uri = lines.take("URI: ", _URI, "a URI")[0]
    lines.take("Version: ", _VERSION, "1")
    chain_id = int(lines.take("Chain ID: ", _CHAIN_ID, "a chain's number")[0])
    nonce = lines.take("Nonce: ", _NONCE, "8 to 128 letters and digits")[0]
    found = WalletMessage(
        scheme=first["scheme"],
        domain=first["domain"],
        address=address,
        statement=statement,
        uri=uri,
        chain_id=chain_id,
        nonce=nonce,
        issued_at=lines.time("Issued At: "),
        expires_at=lines.optional("Expiration Time: ", lines.time),
        not_before=lines.optional("Not Before: ", lines.time),
        request_id=lines.optional("Request ID: ", lines.request_id),
        resources=lines.optional("Resources:", lines.resources),
    )
    lines.end()
    return found


def write(message: WalletMessage) -> str:
    """Return a message as it is shown and signed: what `read` reads."""
    scheme = "" if message.scheme is None else f"{message.scheme}://"
    lines = [f"{scheme}{message.domain}{_INTRO}", message.address, ""]
    if message.statement is not None:
        lines.append(message.statement)
    lines += ["", f"URI: {message.uri}", "Version: 1", f"Chain ID: {message.chain_id}", f"Nonce: {message.nonce}"]
    lines.append(f"Issued At: {_timestamp(message.issued_at)}")
    if message.expires_at is not None:
        lines.append(f"Expiration Time: {_timestamp(message.expires_at)}")
    if message.not_before is not None:
        lines.append(f"Not Before: {_timestamp(message.not_before)}")
    if message.request_id is not None:
        lines.append(f"Request ID: {message.request_id}")
    if message.resources is not None:
        lines += ["Resources:", *(f"- {uri}" for uri in message.resources)]
    return "\n".join(lines)


class _Lines:
    """The lines of a message, taken one after the other."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._taken = 0

    def optional(self, label: str, take: Callable[[str], T]) -> T | None:
        """Take what begins with a label, if it is what comes next."""
        here = self._taken < len(self._lines) and self._lines[self._taken].startswith(label)
        return take(label) if here else None

    def take(self, label: str, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        """Take the next line, whose text after its label must match as a whole."""
        at = self._taken
        self._taken += 1
        if at < len(self._lines) and self._lines[at].startswith(label):
            found = pattern.fullmatch(self._lines[at], len(label))
            if found is not None:
                return found
        raise self.wrong(f"`{label.strip()}` and {expected}" if label else expected)

    def blank(self) -> None:
        """Take an empty line."""
        self.take("", _NOTHING, "an empty line")

    def statement(self) -> str | None:
        """Take the statement, if there is one: where there is none, the line after next is not empty either."""
        ahead = self._lines[self._taken : self._taken + 2]
        if len(ahead) == 2 and ahead[0] == "" != ahead[1]:
            return None
        found = self.take("", _STATEMENT, "a statement of letters, digits, spaces and `._~:/?#[]@!$&'()*+,;=-`")[0]
        if len(found) > MAX_STATEMENT:
            raise self.wrong(f"a statement of at most {MAX_STATEMENT} characters")
        return found

    def time(self, label: str) -> int:
        """Take a line that holds a time; return it in ms."""
        expected = "a time such as 2026-01-31T12:00:00.000Z"
        found = self.take(label, _TIME, expected)
        year, month, day, hour, minute, second = map(int, found.groups()[:6])
        fraction, sign, hours, minutes = found.groups()[6:]
        try:
            at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            raise self.wrong(f"`{label.strip()}` and {expected}") from None
        offset = (int(hours) * 60 + int(minutes)) * 60_000 if sign else 0
        milliseconds = int((fraction or "").ljust(3, "0")[:3])
        return (at - _EPOCH) // _MILLISECOND + milliseconds - (offset if sign == "+" else -offset)

    def request_id(self, label: str) -> str:
        """Take the request's id, which means nothing here."""
        return self.take(label, _REQUEST_ID, "what a URI's path may hold")[0]

    def resources(self, label: str) -> tuple[str, ...]:
        """Take the resources, which nobody here follows."""
        self.take(label, _NOTHING, "nothing after it")
        found = []
        while self._taken < len(self._lines):
            found.append(self.take("- ", _URI, "a URI, or nothing any more")[0])
            if len(found) > MAX_RESOURCES:
                raise self.wrong(f"the end: a message names at most {MAX_RESOURCES} resources")
        return tuple(found)

    def end(self) -> None:
        """See that nothing is left."""
        if self._taken < len(self._lines):
            self._taken += 1
            raise self.wrong("the end, or a later field of the standard's order")

    def wrong(self, expected: str) -> InvalidInput:
        """Return the error for the line taken last."""
        return InvalidInput(
            "wallet_message_invalid",
            f"Line {self._taken} of the message is not what EIP-4361 has there: {expected}.",
            path="$.message",
        )


# ---- is it for here, and who signed it


def prove(text: str, signature: str, *, origins: Iterable[str], origin: str | None, now: int) -> WalletMessage:
    """Return a message that its address has signed, for a page of one of these origins, and that holds at `now` (ms).

    `origin` is that of the request, where a page made it. Whether its nonce is one of ours is not asked here.

    Raises:
        InvalidInput: `wallet_message_invalid`.
        Refused: `wallet_message_refused`: another origin, chain or time; `signature_invalid`.
    """
    message = read(text)
    if not _is_of_page(message, origins, origin):
        what = "the domain and the URI must be of the page's origin, which is one of the app's"
        raise _refused(f"The message is not for this app: {what}.")
    if message.chain_id not in CHAINS:
        raise _refused(f"The message names another chain than {' or '.join(map(str, CHAINS))}.")
    if message.issued_at > now + SKEW:
        raise _refused("The message says that it was issued in the future; see to the clock.")
    if message.expires_at is not None and now >= message.expires_at:
        raise _refused("The message has expired.")
    if message.not_before is not None and now < message.not_before:
        raise _refused("The message does not hold yet.")
    if signer(text, signature) != message.address:
        raise Refused("signature_invalid", "The address has not signed this message.", path="$.signature")
    return message


def signer(text: str, signature: str) -> str:
    """Return the address whose key signed a text by EIP-191, as `personal_sign` does.

    Raises:
        Refused: `signature_invalid`: not 65 bytes in hexadecimal digits, r, s and v, with s in the lower half of its
            range and v one of 27, 28, 0 and 1 (some wallets count from 0); or no key can have made it.
    """
    if not _SIGNATURE.fullmatch(signature):
        raise _no_signature()
    given = bytes.fromhex(signature[2:])
    parity = given[64] - 27 if given[64] >= 27 else given[64]
    if parity not in (0, 1) or int.from_bytes(given[32:64], "big") > _HALF_ORDER:
        raise _no_signature()
    said = text.encode()
    digest = _keccak(b"\x19Ethereum Signed Message:\n%d" % len(said) + said)
    try:
        key = PublicKey.from_signature_and_message(given[:64] + bytes([parity]), digest, hasher=None)
    except ValueError:
        raise _no_signature() from None
    return checksummed("0x" + _keccak(key.format(compressed=False)[1:])[12:].hex())


def checksummed(address: str) -> str:
    """Return an address with the capitals of EIP-55."""
    digits = address[2:].lower()
    marks = _keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= 8 else digit for digit, mark in zip(digits, marks, strict=False)
    )


def address_of(text: str) -> str:
    """Return an address with the capitals of EIP-55; wallets also write it without any.

    Raises:
        InvalidInput: `invalid_body`: no address, or mixed capitals that are not those of EIP-55, so mistyped.
    """
    found = checksummed(text)
    as_typed = (found, found.lower(), "0x" + found[2:].upper())
    if not _ADDRESS.fullmatch(text) or text not in as_typed:
        what = "`0x` and 40 hexadecimal digits; their capitals, if mixed, are those of EIP-55"
        raise InvalidInput("invalid_body", f"An address is {what}.", path="$.address")
    return found


def challenge(app_id: str, address: str, chain_id: int, *, origin: str, nonce: str, now: int, until: int) -> str:
    """Return the message that a page of `origin` may have signed as it is, from `now` `until` then (ms)."""
    page = parse_origin(origin)
    return write(
        WalletMessage(
            scheme=None,
            domain=str(page).removeprefix(f"{page.scheme}://"),
            address=address,
            statement=f"Sign in to {app_id}.",
            uri=str(page),
            chain_id=chain_id,
            nonce=nonce,
            issued_at=now,
            expires_at=until,
        )
    )


def _is_of_page(message: WalletMessage, origins: Iterable[str], origin: str | None) -> bool:
    """Tell whether domain, scheme and URI all say the same origin, that of the request, and one of the app's."""
    uri = _URI.fullmatch(message.uri)
    if uri is None or not uri["authority"]:
        return False
    page = f"{uri['scheme']}://{uri['authority']}"
    named = f"{message.scheme or uri['scheme']}://{message.domain}"
    if not origin_allowed(origins, page):
        return False
    same = _parsed(page)
    return same == _parsed(named) and (origin is None or same == _parsed(origin))


def _parsed(origin: str) -> Origin | None:
    try:
        return parse_origin(origin)
    except InvalidInput:
        return None


def _timestamp(at: int) -> str:
    moment = _EPOCH + at * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _keccak(data: bytes) -> bytes:
    return keccak.new(data=data, digest_bits=256).digest()


def _refused(why: str) -> Refused:
    return Refused("wallet_message_refused", why, path="$.message")


def _no_signature() -> Refused:
    what = "`0x` and 130 hexadecimal digits, as `personal_sign` gives it"
    return Refused("signature_invalid", f"That is not a signature: {what}.", path="$.signature")
