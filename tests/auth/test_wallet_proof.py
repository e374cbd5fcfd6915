"""Messages of EIP-4361 from here and from elsewhere, and the signatures under them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddswire.auth import wallet
from oddswire.auth.wallet import WalletMessage, address_of, challenge, prove, read, write
from oddswire.errors import Refused
from tests.auth.conftest import NOW
from tests.auth.wallets import ANN, BOB, ORDER, ORIGINS, PLAIN, TEXT, high_s, told, with_v


def ask(text: str, signature: str, origin: str | None = None, now: int = NOW) -> WalletMessage:
    return prove(text, signature, origins=ORIGINS, origin=origin, now=now)


# ---- what is a message

GOOD: dict[str, tuple[WalletMessage, str | None]] = {
    "as it comes": (PLAIN, None),
    "from its page": (PLAIN, "https://shop.example"),
    "without an end": (PLAIN._replace(expires_at=None), None),
    "with its scheme": (PLAIN._replace(scheme="https"), None),
    "with its port": (PLAIN._replace(domain="shop.example:443"), "https://shop.example"),
    "a domain in capitals": (PLAIN._replace(domain="Shop.Example"), "https://shop.example"),
    "the origin as URI": (PLAIN._replace(uri="https://shop.example"), None),
    "a URI with all its parts": (PLAIN._replace(uri="https://shop.example:443/a/b%20c;d=1?e=/f#g?h"), None),
    "without a statement": (PLAIN._replace(statement=None), None),
    "with an empty statement": (PLAIN._replace(statement=""), None),
    "a statement that looks like a field": (PLAIN._replace(statement="URI: https://evil.example/"), None),
    "the longest statement": (PLAIN._replace(statement="s" * 1024), None),
    "the other chain": (PLAIN._replace(chain_id=137), None),
    "another page": (PLAIN._replace(domain="localhost:5173", uri="http://localhost:5173/"), "http://localhost:5173"),
    "a page by its address": (PLAIN._replace(domain="[::1]:8000", uri="http://[::1]:8000/"), "http://[::1]:8000"),
    "a page of many": (PLAIN._replace(domain="a.wild.example", uri="https://a.wild.example"), "https://a.wild.example"),
    "a slow clock": (PLAIN._replace(issued_at=NOW - 3_600_000), None),
    "a fast clock": (PLAIN._replace(issued_at=NOW + 30_000), None),
    "from this moment": (PLAIN._replace(not_before=NOW), None),
    "to the next moment": (PLAIN._replace(expires_at=NOW + 1), None),
    "an empty request id": (PLAIN._replace(request_id=""), None),
    "a request id": (PLAIN._replace(request_id="a:b@c%20-_~!$&'()*+,;="), None),
    "no resources": (PLAIN._replace(resources=()), None),
    "resources": (
        PLAIN._replace(resources=("ipfs://b/", "urn:a:b", "mailto:a@b.example", "x:", "https://[::1]/")),
        None,
    ),
    "16 resources": (PLAIN._replace(resources=("a:b",) * 16), None),
    "everything": (PLAIN._replace(scheme="https", not_before=NOW, request_id="r", resources=("a:b",)), None),
}


@pytest.mark.parametrize(("message", "origin"), GOOD.values(), ids=GOOD)
def test_what_its_address_has_signed_for_here_and_now_is_taken(message: WalletMessage, origin: str | None) -> None:
    text = write(message)
    assert ask(text, ANN.sign(text), origin) == message


# ---- a message that is not for here, or not for now

OTHER_PAGES: dict[str, tuple[WalletMessage, str | None]] = {
    "another domain": (PLAIN._replace(domain="evil.example", uri="https://evil.example/"), None),
    "another domain, our URI": (PLAIN._replace(domain="evil.example"), None),
    "our domain, another URI": (PLAIN._replace(uri="https://evil.example/sign-in"), None),
    "our domain, another page's URI": (PLAIN._replace(uri="http://localhost:5173/"), None),
    "another page of the app": (PLAIN, "http://localhost:5173"),
    "another page of many": (
        PLAIN._replace(domain="a.wild.example", uri="https://a.wild.example"),
        "https://b.wild.example",
    ),
    "an origin of nobody": (PLAIN, "null"),
    "a longer domain": (PLAIN._replace(domain="shop.example.evil.example"), None),
    "a subdomain": (PLAIN._replace(domain="a.shop.example", uri="https://a.shop.example/"), None),
    "two labels for one": (PLAIN._replace(domain="a.b.wild.example", uri="https://a.b.wild.example"), None),
    "no label": (PLAIN._replace(domain="wild.example", uri="https://wild.example"), None),
    "the star itself": (PLAIN._replace(domain="*.wild.example", uri="https://*.wild.example"), None),
    "a dot at the end": (PLAIN._replace(domain="shop.example."), None),
    "somebody before the domain": (PLAIN._replace(domain="shop.example@evil.example"), None),
    "somebody before our domain": (PLAIN._replace(domain="ann@shop.example"), None),
    "somebody before the URI's": (PLAIN._replace(uri="https://shop.example@evil.example/"), None),
    "an escape in the domain": (PLAIN._replace(domain="shop%2eexample"), None),
    "another port": (PLAIN._replace(domain="shop.example:8443"), None),
    "an empty port": (PLAIN._replace(domain="shop.example:"), None),
    "a port with a zero": (PLAIN._replace(domain="shop.example:0443"), None),
    "another port of the URI": (PLAIN._replace(uri="https://shop.example:8443/"), None),
    "plain http": (PLAIN._replace(uri="http://shop.example/"), None),
    "another scheme": (PLAIN._replace(scheme="http"), None),
    "a strange scheme": (PLAIN._replace(scheme="javascript"), None),
    "a URI of another kind": (PLAIN._replace(uri="did:key:z6Mk"), None),
    "a URI with no host": (PLAIN._replace(uri="https:///sign-in"), None),
    "a URI of a path alone": (PLAIN._replace(uri="https:/shop.example/"), None),
}
OTHER_CHAINS = {f"chain {number}": PLAIN._replace(chain_id=number) for number in (0, 5, 10, 1370, 11155111, 10**18)}
OTHER_TIMES = {
    "issued in the future": PLAIN._replace(issued_at=NOW + 30_001),
    "issued next year": PLAIN._replace(issued_at=NOW + 365 * 86_400_000, expires_at=None),
    "expired this moment": PLAIN._replace(expires_at=NOW),
    "expired long ago": PLAIN._replace(expires_at=0),
    "expired before it was issued": PLAIN._replace(issued_at=NOW - 1000, expires_at=NOW - 2000),
    "not yet": PLAIN._replace(not_before=NOW + 1),
}
ELSEWHERE = OTHER_PAGES | {name: (message, None) for name, message in (OTHER_CHAINS | OTHER_TIMES).items()}


@pytest.mark.parametrize(("message", "origin"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_good_message_for_elsewhere_or_another_time_is_refused(message: WalletMessage, origin: str | None) -> None:
    text = write(message)
    assert read(text) == message
    fault = told(lambda: ask(text, ANN.sign(text), origin))
    assert isinstance(fault, Refused)
    assert (fault.code, fault.path) == ("wallet_message_refused", "$.message")
    assert "evil" not in fault.detail


# ---- signatures

GOOD_SIGNATURE = ANN.sign(TEXT)
SIGNATURES: dict[str, str] = {
    "nothing": "",
    "0x": "0x",
    "no 0x": GOOD_SIGNATURE[2:],
    "0X": "0X" + GOOD_SIGNATURE[2:],
    "64 bytes": GOOD_SIGNATURE[:-2],
    "66 bytes": GOOD_SIGNATURE + "00",
    "half a byte less": GOOD_SIGNATURE[:-1],
    "a space before": " " + GOOD_SIGNATURE,
    "a line feed at the end": GOOD_SIGNATURE + "\n",
    "another letter": "0xg" + GOOD_SIGNATURE[3:],
    "digits of another script": "0x" + "\u0661" * 130,
    "an underscore": GOOD_SIGNATURE[:64] + "_" + GOOD_SIGNATURE[65:],
    **{f"v {v}": with_v(GOOD_SIGNATURE, v) for v in (2, 3, 26, 29, 30, 31, 35, 37, 38, 128, 255)},
    "the other v": with_v(GOOD_SIGNATURE, 27 + 28 - int(GOOD_SIGNATURE[-2:], 16)),
    "high s": high_s(GOOD_SIGNATURE),
    "high s with the same v": with_v(high_s(GOOD_SIGNATURE), int(GOOD_SIGNATURE[-2:], 16)),
    "r is 0": "0x" + "00" * 32 + GOOD_SIGNATURE[66:],
    "s is 0": GOOD_SIGNATURE[:66] + "00" * 32 + GOOD_SIGNATURE[130:],
    "r is the order": "0x" + f"{ORDER:064x}" + GOOD_SIGNATURE[66:],
    "s is the order": GOOD_SIGNATURE[:66] + f"{ORDER:064x}" + GOOD_SIGNATURE[130:],
    "all zero": "0x" + "00" * 65,
    "all one": "0x" + "ff" * 65,
    "r is no point": "0x" + f"{5:064x}" + GOOD_SIGNATURE[66:],
    "one bit off": GOOD_SIGNATURE[:20] + f"{int(GOOD_SIGNATURE[20], 16) ^ 1:x}" + GOOD_SIGNATURE[21:],
    "somebody else's": BOB.sign(TEXT),
    "of another text": ANN.sign(TEXT + " "),
    "of the text without its prefix": ANN.sign(""),
    "of a contract": "0x" + "00" * 96 + "6492" * 16,
}


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_that_is_not_its_address_s_is_refused_and_not_repeated(signature: str) -> None:
    fault = told(lambda: ask(TEXT, signature))
    assert isinstance(fault, Refused)
    assert (fault.code, fault.path) == ("signature_invalid", "$.signature")
    assert GOOD_SIGNATURE[2:20] not in fault.detail


def test_some_wallets_count_v_from_zero_and_write_capitals() -> None:
    v = int(GOOD_SIGNATURE[-2:], 16)
    assert ask(TEXT, with_v(GOOD_SIGNATURE, v - 27)) == PLAIN
    assert ask(TEXT, "0x" + GOOD_SIGNATURE[2:].upper()) == PLAIN


def test_a_message_of_another_address_is_refused_with_our_signature() -> None:
    text = write(PLAIN._replace(address=BOB.address))
    assert told(lambda: ask(text, ANN.sign(text))).code == "signature_invalid"


# ---- the message we make

WRONG_ADDRESSES = ["", "0x", ANN.address[:-1], ANN.address + "0", ANN.address[2:], "0X" + ANN.address[2:], "shop.eth"]
WRONG_ADDRESSES += ["0x" + ANN.address[2:].swapcase(), ANN.address + "\n", "0x" + "g" * 40]


@pytest.mark.parametrize("text", WRONG_ADDRESSES)
def test_no_message_is_made_for_what_is_no_address(text: str) -> None:
    fault = told(lambda: address_of(text))
    assert (fault.code, fault.path) == ("invalid_body", "$.address")


@pytest.mark.parametrize("origin", ["https://shop.example", "http://localhost:5173", "https://a.wild.example"])
@pytest.mark.parametrize("chain_id", wallet.CHAINS)
def test_the_message_we_make_is_taken_from_its_page_once_signed(origin: str, chain_id: int) -> None:
    text = challenge("shop", ANN.address, chain_id, origin=origin, nonce="a" * 32, now=NOW, until=NOW + 600_000)
    assert ask(text, ANN.sign(text), origin).chain_id == chain_id
    assert told(lambda: ask(text, ANN.sign(text), origin, NOW + 600_000)).code == "wallet_message_refused"


@given(st.data())
def test_a_message_with_one_character_changed_is_never_ours(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT)))
    width = data.draw(st.integers(0, 1))
    other = TEXT[:at] + data.draw(st.text(max_size=2)) + TEXT[at + width :]
    if other != TEXT:
        assert told(lambda: ask(other, GOOD_SIGNATURE)).code in {
            *("wallet_message_invalid", "wallet_message_refused", "signature_invalid"),
        }


@given(st.text() | st.binary(max_size=70).map(lambda data: "0x" + data.hex()))
def test_whatever_comes_as_a_signature_has_one_answer(signature: str) -> None:
    assert told(lambda: ask(TEXT, signature)).code == "signature_invalid"
