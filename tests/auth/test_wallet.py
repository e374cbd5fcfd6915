"""Messages of EIP-4361: what is taken, and everything that is not, with its code."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oddswire.auth.wallet import WalletMessage, address_of, checksummed, prove, read, signer, write
from oddswire.errors import InvalidInput
from tests.auth.conftest import NOW
from tests.auth.wallets import ANN, BOB, ORDER, ORIGINS, PLAIN, TEXT, Wallet, told

# ---- known values

CHECKSUMMED = [
    *("0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D"),
    *("0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26"),
    *("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"),
    *("0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"),
]
"""The examples of EIP-55."""
STANDARD = """\
{scheme}{domain} wants you to sign in with your Ethereum account:
0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2

I accept the ExampleOrg Terms of Service: https://example.com/tos

URI: https://example.com/login
Version: 1
Chain ID: 1
Nonce: 32891756
Issued At: 2021-09-30T16:25:24Z
Resources:
- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/
- https://example.com/my-web2-claim.json"""
"""The example of EIP-4361."""


@pytest.mark.parametrize("address", CHECKSUMMED)
def test_addresses_have_the_capitals_of_the_standard(address: str) -> None:
    assert checksummed(address) == checksummed(address.lower()) == address
    assert address_of(address.lower()) == address
    assert address_of("0x" + address[2:].upper()) == address


def test_a_published_signature_is_its_signer_s() -> None:
    """The example of web3.js: `accounts.sign("Some data", …)`."""
    signature = (
        "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd"
        "6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c"
    )
    owner = Wallet(bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"))
    assert owner.address == "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
    assert signer("Some data", signature) == owner.address


@pytest.mark.parametrize(
    ("scheme", "domain"), [(None, "example.com"), (None, "example.com:3388"), ("https", "example.com")]
)
def test_the_standard_s_own_examples_are_read(scheme: str | None, domain: str) -> None:
    message = read(STANDARD.format(scheme=f"{scheme}://" if scheme else "", domain=domain))
    assert (message.scheme, message.domain) == (scheme, domain)
    assert message.address == "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
    assert message.statement == "I accept the ExampleOrg Terms of Service: https://example.com/tos"
    assert (message.uri, message.chain_id, message.nonce) == ("https://example.com/login", 1, "32891756")
    assert (message.issued_at, message.expires_at) == (1_633_019_124_000, None)
    assert message.resources is not None
    assert message.resources[1] == "https://example.com/my-web2-claim.json"


# ---- what is not a message

MALFORMED: list[tuple[str, str]] = [
    ("nothing", ""),
    ("one line feed", "\n"),
    ("another text", "I agree."),
    ("a line feed at the end", TEXT + "\n"),
    ("two line feeds at the end", TEXT + "\n\n"),
    ("a line feed before", "\n" + TEXT),
    ("a space at the end", TEXT + " "),
    ("a space before", " " + TEXT),
    ("CRLF", TEXT.replace("\n", "\r\n")),
    ("CR", TEXT.replace("\n", "\r")),
    ("a CR in one line", TEXT.replace("Version: 1", "Version: 1\r")),
    ("a line separator of Unicode", TEXT.replace("\nURI", "\u2028URI")),
    ("a next line of Unicode", TEXT.replace("\nURI", "\x85URI")),
    ("a form feed", TEXT.replace("\nURI", "\x0cURI")),
    ("a NUL", TEXT.replace("Nonce: ", "Nonce: \0")),
    ("a tab", TEXT.replace("Nonce: ", "Nonce:\t")),
    ("a byte order mark", "\ufeff" + TEXT),
    ("a right-to-left mark", TEXT.replace("I accept", "\u202eI accept")),
    ("a letter that looks like another", TEXT.replace("shop.example wants", "sh\u043ep.example wants")),
    ("an accent in the statement", TEXT.replace("terms", "t\u00e9rms")),
    ("a lone surrogate", TEXT.replace("terms", "\ud800")),
    ("digits of another script", TEXT.replace("Chain ID: 1", "Chain ID: \u0661")),
    ("a space that does not break", TEXT.replace("wants you", "wants\u00a0you")),
    ("over 4 KiB", TEXT + "\nResources:\n- a:" + "b" * 4000),
    ("a long statement", TEXT.replace("I accept", "I" * 1024)),
    ("no domain", TEXT.replace("shop.example wants", " wants")),
    ("an empty scheme", TEXT.replace("shop.example wants", "://shop.example wants")),
    ("a scheme of digits", TEXT.replace("shop.example wants", "1://shop.example wants")),
    ("a path in the domain", TEXT.replace("shop.example wants", "shop.example/a wants")),
    ("a space in the domain", TEXT.replace("shop.example wants", "shop example wants")),
    ("two domains", TEXT.replace("shop.example wants", "shop.example, evil.example wants")),
    ("another first sentence", TEXT.replace("wants you to sign in", "wants you to log in")),
    ("capitals in the first sentence", TEXT.replace("wants you", "Wants you")),
    ("no address", TEXT.replace(ANN.address + "\n", "")),
    ("an empty address", TEXT.replace(ANN.address, "")),
    ("a short address", TEXT.replace(ANN.address, ANN.address[:-1])),
    ("a long address", TEXT.replace(ANN.address, ANN.address + "0")),
    ("an address without 0x", TEXT.replace(ANN.address, ANN.address[2:])),
    ("an address with 0X", TEXT.replace(ANN.address, "0X" + ANN.address[2:])),
    ("an address of small letters", TEXT.replace(ANN.address, ANN.address.lower())),
    ("an address of capitals", TEXT.replace(ANN.address, "0x" + ANN.address[2:].upper())),
    ("an address with one wrong capital", TEXT.replace(ANN.address, "0x" + ANN.address[2:].swapcase())),
    ("a space after the address", TEXT.replace(ANN.address, ANN.address + " ")),
    ("an address of another kind", TEXT.replace(ANN.address, "shop.eth")),
    ("no empty line before the statement", TEXT.replace("\n\nI accept", "\nI accept")),
    ("two empty lines before the statement", TEXT.replace("\n\nI accept", "\n\n\nI accept")),
    ("no empty line after the statement", TEXT.replace("\n\nURI", "\nURI")),
    ("two empty lines after the statement", TEXT.replace("\n\nURI", "\n\n\nURI")),
    ("no statement and no line for it", re.sub("\nI accept.*\n", "", TEXT)),
    ("two lines of statement", TEXT.replace("terms: ", "terms:\n")),
    *((f"{char} in the statement", TEXT.replace("terms", char)) for char in '"%<>\\^`{|}'),
    ("no URI", re.sub("URI: .*\n", "", TEXT)),
    ("an empty URI", re.sub("URI: .*\n", "URI: \n", TEXT)),
    ("a URI without a scheme", TEXT.replace("URI: https:", "URI: ")),
    ("a URI with a space", TEXT.replace("/sign-in", "/sign in")),
    ("a URI with half an escape", TEXT.replace("/sign-in", "/%2")),
    ("a URI with a bracket", TEXT.replace("/sign-in", "/[1]")),
    ("two spaces after a label", TEXT.replace("URI: ", "URI:  ")),
    ("no space after a label", TEXT.replace("URI: ", "URI:")),
    ("a label in capitals", TEXT.replace("Nonce: ", "NONCE: ")),
    ("a label in small letters", TEXT.replace("Nonce: ", "nonce: ")),
    ("no version", TEXT.replace("Version: 1\n", "")),
    ("version 2", TEXT.replace("Version: 1", "Version: 2")),
    ("version 1.0", TEXT.replace("Version: 1", "Version: 1.0")),
    ("version 01", TEXT.replace("Version: 1", "Version: 01")),
    ("no chain", TEXT.replace("Chain ID: 1\n", "")),
    ("an empty chain", TEXT.replace("Chain ID: 1", "Chain ID: ")),
    ("a chain by its name", TEXT.replace("Chain ID: 1", "Chain ID: mainnet")),
    ("a chain in hexadecimal", TEXT.replace("Chain ID: 1", "Chain ID: 0x1")),
    ("a negative chain", TEXT.replace("Chain ID: 1", "Chain ID: -1")),
    ("a chain with a zero before", TEXT.replace("Chain ID: 1", "Chain ID: 01")),
    ("a chain of 4,000 digits", TEXT.replace("Chain ID: 1", "Chain ID: " + "1" * 3000)),
    ("no nonce", re.sub("Nonce: .*\n", "", TEXT)),
    ("an empty nonce", re.sub("Nonce: .*\n", "Nonce: \n", TEXT)),
    ("a nonce of seven", re.sub("Nonce: .*\n", "Nonce: 1234567\n", TEXT)),
    ("a nonce with a dash", re.sub("Nonce: .*\n", "Nonce: 1234-5678\n", TEXT)),
    ("a nonce of 129", re.sub("Nonce: .*\n", f"Nonce: {'a' * 129}\n", TEXT)),
    ("no issue", re.sub("Issued At: .*\n", "", TEXT)),
    ("fields in another order", re.sub("(Version: .*\n)(Chain ID: .*\n)", r"\2\1", TEXT)),
    ("the nonce before the chain", re.sub("(Chain ID: .*\n)(Nonce: .*\n)", r"\2\1", TEXT)),
    ("the expiry before the issue", re.sub("(Issued At: .*)\n(Expiration Time: .*)", r"\2\n\1", TEXT)),
    *(
        (f"{label} twice", re.sub(f"({label}: .*)", r"\1\n\1", TEXT))
        for label in (*("URI", "Version", "Chain ID", "Nonce", "Issued At", "Expiration Time"),)
    ),
    ("the first line twice", TEXT.split("\n")[0] + "\n" + TEXT),
    ("two messages", TEXT + "\n" + TEXT),
    ("an unknown field", TEXT + "\nAdmin: true"),
    ("a line after the last", TEXT + "\nand all my money"),
    ("an empty line in the middle", TEXT.replace("\nNonce", "\n\nNonce")),
    ("not before, before the expiry", re.sub("(Expiration Time: )(.*)", r"Not Before: \2\n\1\2", TEXT)),
    ("a request id with a space", TEXT + "\nRequest ID: a b"),
    ("a request id with a slash", TEXT + "\nRequest ID: a/b"),
    ("two request ids", TEXT + "\nRequest ID: a\nRequest ID: b"),
    ("resources before the request id", TEXT + "\nResources:\n- a:b\nRequest ID: c"),
    ("resources on the same line", TEXT + "\nResources: a:b"),
    ("a resource without a dash", TEXT + "\nResources:\na:b"),
    ("a resource with another dash", TEXT + "\nResources:\n* a:b"),
    ("a resource that is no URI", TEXT + "\nResources:\n- shop"),
    ("an empty resource", TEXT + "\nResources:\n- "),
    ("a resource and an empty line", TEXT + "\nResources:\n- a:b\n"),
    ("17 resources", TEXT + "\nResources:" + "\n- a:b" * 17),
    ("resources twice", TEXT + "\nResources:\n- a:b\nResources:\n- a:b"),
]
TIMES = [
    *("", "now", "0", "1710705123", "2027-01-15", "2027-01-15T08:00", "2027-01-15T08:00:00", "2027-01-15 08:00:00Z"),
    *("2027-01-15t08:00:00Z", "2027-01-15T08:00:00z", "2027-1-15T08:00:00Z", "27-01-15T08:00:00Z"),
    *("2027-13-15T08:00:00Z", "2027-02-29T08:00:00Z", "2027-01-32T08:00:00Z", "2027-00-01T08:00:00Z"),
    *("2027-01-15T24:00:00Z", "2027-01-15T08:60:00Z", "2027-01-15T08:00:60Z", "0000-01-15T08:00:00Z"),
    *("2027-01-15T08:00:00.Z", "2027-01-15T08:00:00,5Z", "2027-01-15T08:00:00.0000000000Z", "2027-01-15T08:00:00ZZ"),
    *("2027-01-15T08:00:00+24:00", "2027-01-15T08:00:00+01:60", "2027-01-15T08:00:00+0100", "2027-01-15T08:00:00+1:00"),
    *("2027-01-15T08:00:00 Z", " 2027-01-15T08:00:00Z", "+2027-01-15T08:00:00Z", "20270115T080000Z", "2027-W02-5"),
    *("Fri Jan 15 2027 08:00:00 GMT+0000", "-2027-01-15T08:00:00Z", "12027-01-15T08:00:00Z"),
]
MALFORMED += [(f"issued at {at!r}", re.sub("Issued At: .*", f"Issued At: {at}", TEXT)) for at in TIMES]
MALFORMED += [(f"expires at {at!r}", re.sub("(Expiration Time: ).*", rf"\g<1>{at}", TEXT)) for at in TIMES]
MALFORMED += [(f"not before {at!r}", f"{TEXT}\nNot Before: {at}") for at in TIMES]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in MALFORMED])
def test_what_is_not_exactly_a_message_is_refused_and_not_repeated(text: str) -> None:
    assert text != TEXT
    signature = ANN.sign(text.encode("utf-8", "replace").decode())
    fault = told(lambda: prove(text, signature, origins=ORIGINS, origin=None, now=NOW))
    assert isinstance(fault, InvalidInput)
    assert (fault.code, fault.path) == ("wallet_message_invalid", "$.message")
    assert "shop.example" not in fault.detail
    assert ANN.address[2:].lower() not in fault.detail.lower()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (TEXT.replace("wants", "want"), 1),
        (TEXT.replace(ANN.address, "0x"), 2),
        (TEXT.replace("terms", "{terms}"), 4),
        (TEXT.replace("Version: 1", "Version: 2"), 7),
        (TEXT + "\n", 12),
    ],
)
def test_the_line_at_fault_is_named(text: str, line: int) -> None:
    assert f"Line {line} of the message" in told(lambda: read(text)).detail


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-01-15T08:00:00Z", NOW),
        ("2027-01-15T08:00:00.0Z", NOW),
        ("2027-01-15T08:00:00.123456789Z", NOW + 123),
        ("2027-01-15T08:00:00.5Z", NOW + 500),
        ("2027-01-15T10:30:00+02:30", NOW),
        ("2027-01-14T23:00:00.001-09:00", NOW + 1),
        ("2027-01-15T08:00:00-00:00", NOW),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139_000),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000),
    ],
)
def test_times_are_read_with_their_offset(text: str, at: int) -> None:
    assert read(re.sub("Issued At: .*", f"Issued At: {text}", TEXT)).issued_at == at


# ---- whatever there is

PCHARS = "".join(map(chr, range(33, 127)))
STATEMENTS = st.text(st.sampled_from(re.sub(r"[\"%<>\\^`{|}]", "", PCHARS) + " "), max_size=80)
MOMENTS = st.integers(-62_135_596_800_000, 253_402_300_799_999)
NAMES = st.sampled_from(["shop.example", "a", "1.2.3.4:80", "[::1]", "[::1]:1", "ann:secret@shop.example:", "a%20b"])
URIS = st.builds(
    "{}:{}{}{}{}".format,
    st.sampled_from(["https", "x", "a+b.c-1"]),
    st.sampled_from(["", "//", "//shop.example", "//ann@[::1]:80", "//:"]),
    st.sampled_from(["", "/", "/a", "/a//b%2F@:/"]),
    st.sampled_from(["", "?", "?a=/?:@"]),
    st.sampled_from(["", "#", "#a/?%41"]),
)
MESSAGES = st.builds(
    WalletMessage,
    scheme=st.none() | st.sampled_from(["https", "http", "a+b.c-1"]),
    domain=NAMES,
    address=st.sampled_from([ANN.address, BOB.address]),
    statement=st.none() | STATEMENTS,
    uri=URIS,
    chain_id=st.integers(0, 10**19 - 1),
    nonce=st.text(st.sampled_from("abcxyzABCXYZ0189"), min_size=8, max_size=128),
    issued_at=MOMENTS,
    expires_at=st.none() | MOMENTS,
    not_before=st.none() | MOMENTS,
    request_id=st.none() | st.sampled_from(["", "a", "a:b@c%2F!$&'()*+,;=-._~"]),
    resources=st.none() | st.lists(URIS, max_size=16).map(tuple),
)


@given(MESSAGES, st.binary(min_size=32, max_size=32).filter(lambda secret: 0 < int.from_bytes(secret, "big") < ORDER))
@example(PLAIN._replace(statement=""), b"\1" * 32)
@example(PLAIN._replace(statement=None, resources=()), b"\1" * 32)
def test_what_is_written_and_signed_is_read_as_it_was_meant(message: WalletMessage, secret: bytes) -> None:
    owner = Wallet(secret)
    text = write(message._replace(address=owner.address))
    assert read(text) == message._replace(address=owner.address)
    assert write(read(text)) == text
    assert signer(text, owner.sign(text)) == owner.address
