import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddswire.errors import OperatorError
from oddswire.server.addresses import MOST_HOPS, Proxies, parse_networks

OURS = Proxies(parse_networks("10.0.0.0/8, 192.0.2.1,fd00::/8"))
PEER = "10.0.0.1"


def header(text: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"x-forwarded-for", text.encode("latin-1"))]


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        (" 198.51.100.7\t", "198.51.100.7"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:0DB8:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        # what a client says of itself stands to the left
        ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.9.9.9, 198.51.100.7", "198.51.100.7"),
        ("junk, 198.51.100.7", "198.51.100.7"),
        # our own proxies are passed by
        ("198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7, 10.0.0.2, 192.0.2.1, fd00::1", "198.51.100.7"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # at what is no address the last hop that can be believed is taken
        ("", PEER),
        (",", PEER),
        ("junk", PEER),
        ("198.51.100.7, junk", PEER),
        ("198.51.100.7, , 10.0.0.2", "10.0.0.2"),
        ("198.51.100.7, 010.0.0.2", PEER),
        ("198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("198.51.100.256", PEER),
        ("198.51.100.7:", PEER),
        ("198.51.100.7:x", PEER),
        ("[2001:db8::7", PEER),
        ("[2001:db8::7]x", PEER),
        ("fe80::1%eth0", PEER),
        ("127.1", PEER),
        ("2130706433", PEER),
        ("\xb2.0.0.1", PEER),
        ("198.51.100.7;10.0.0.2", PEER),
        (",".join(["10.0.0.2"] * 5000), "10.0.0.2"),
        ("198.51.100.7," + ",".join(["10.0.0.2"] * MOST_HOPS), "10.0.0.2"),
    ],
)
def test_the_right_most_hop_that_is_not_ours_is_the_client(said: str, client: str) -> None:
    assert OURS.client(PEER, header(said)) == client


def test_several_headers_are_one_list() -> None:
    lines = header("203.0.113.9") + header("198.51.100.7") + header("10.0.0.2")
    assert OURS.client(PEER, lines) == "198.51.100.7"


@pytest.mark.parametrize("peer", ["198.51.100.8", "2001:db8::8", "", "unix:"])
def test_nobody_else_is_believed(peer: str) -> None:
    assert OURS.client(peer, header("203.0.113.9")) == peer


def test_a_peer_that_is_an_ipv4_address_written_as_ipv6_is_that_address() -> None:
    assert OURS.client("::ffff:10.0.0.1", header("198.51.100.7")) == "198.51.100.7"


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert Proxies(parse_networks("")).client("127.0.0.1", header("203.0.113.9")) == "127.0.0.1"


def test_other_headers_are_not_read() -> None:
    for name in (b"forwarded", b"x-real-ip", b"cf-connecting-ip", b"true-client-ip"):
        assert OURS.client(PEER, [(name, b"for=203.0.113.9"), (name, b"203.0.113.9")]) == PEER


@given(st.binary(max_size=200))
def test_junk_is_never_more_than_an_address_and_never_breaks(junk: bytes) -> None:
    client = OURS.client(PEER, [(b"x-forwarded-for", junk)])
    assert str(ipaddress.ip_address(client)) == client


@given(st.text("0123456789abcdef:.,[] ", max_size=80), st.sampled_from(["198.51.100.7", "2001:db8::7"]))
def test_whatever_a_client_sends_its_own_address_is_what_the_proxy_saw(forged: str, real: str) -> None:
    # a proxy adds the address it saw to the right, in the same header or in another one
    assert OURS.client(PEER, header(f"{forged}, {real}")) == real
    assert OURS.client(PEER, [*header(forged), *header(real)]) == real


@pytest.mark.parametrize(
    ("text", "number"),
    [("hunter2", 1), ("10.0.0.1/8", 1), ("10.0.0.0/8,10.0.0.0/33", 2), ("10.0.0.1,,::1", 2), ("10.0.0.1 10.0.0.2", 1)],
)
def test_what_is_no_network_is_refused_and_not_repeated(text: str, number: int) -> None:
    with pytest.raises(OperatorError) as refusal:
        parse_networks(text)
    assert (refusal.value.code, refusal.value.path) == ("config_invalid", "ODDSWIRE_TRUSTED_PROXIES")
    assert f"Entry {number} " in refusal.value.detail
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0"])
def test_everybody_is_not_a_proxy(everybody: str) -> None:
    with pytest.raises(OperatorError, match="everybody"):
        parse_networks(everybody)
