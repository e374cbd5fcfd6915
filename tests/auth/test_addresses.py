"""Where keys may be read from: a table of URLs, and one of the addresses their names may lead to."""

import pytest

from oddswire.auth.addresses import Target, may_connect, parse_url
from oddswire.errors import InvalidInput

GOOD = {
    "https://id.example/.well-known/jwks.json": Target("id.example", 443, "/.well-known/jwks.json"),
    "https://id.example": Target("id.example", 443, "/"),
    "HTTPS://ID.Example:8443/a?b=c": Target("id.example", 8443, "/a?b=c"),
    "https://[2606:4700::1]/keys": Target("2606:4700::1", 443, "/keys"),
}
BAD = [
    "",
    "id.example/keys",
    "//id.example/keys",
    "http://id.example/keys",
    "ftp://id.example/keys",
    "file:///etc/passwd",
    "https:///keys",
    "https://:443/keys",
    "https://user@id.example/keys",
    "https://user:password@id.example/keys",
    "https://@id.example/keys",
    "https://id.example@127.0.0.1/keys",
    "https://id.example/keys#part",
    "https://id.example:0/keys",
    "https://id.example:65536/keys",
    "https://id.example:x/keys",
    "https://[::1/keys",
    "https://[fe80::1%25eth0]/keys",
    "https://id.example/ke ys",
    "https://id.example/\r\nHost: other",
    "https://id.example\\@127.0.0.1/keys",
    "https://ïd.example/keys",
    "https://id.example/" + "k" * 2048,
]
PUBLIC = ["1.1.1.1", "93.184.215.14", "172.15.255.255", "172.32.0.0", "2606:4700:4700::1111", "::ffff:1.1.1.1"]
PUBLIC += ["64:ff9b::101:101", "100.63.255.255", "100.128.0.0", "11.0.0.0", "128.0.0.1", "2001:4860:4860::8888"]
PRIVATE = ["10.0.0.1", "10.255.255.255", "127.0.0.1", "127.255.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"]
PRIVATE += ["100.64.0.1", "100.127.255.255", "::1", "fc00::1", "fd12:3456::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"]
PRIVATE += ["::ffff:c0a8:1", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b::192.168.0.1"]
NEVER = ["0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1"]
NEVER += ["198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"]
NEVER += [
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2001::1",
    "2001:10::1",
    "2002:7f00:1::",
]
NEVER += [
    "64:ff9b:1::1",
    "::127.0.0.1",
    "::1.1.1.1",
    "100::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "::ffff:169.254.169.254",
]
NEVER += [
    "64:ff9b::169.254.169.254",
    "64:ff9b::224.0.0.1",
    "::ffff:0:127.0.0.1",
    "",
    "localhost",
    "127.1",
    "0x7f000001",
]
NEVER += ["100.100.100.200", "::ffff:100.100.100.200", "fd00:ec2::254"]
NEVER += ["2130706433", "127.0.0.1 ", "1.1.1.1:443", "fc00::1%1"]


@pytest.mark.parametrize("url", GOOD)
def test_where_a_url_leads(url: str) -> None:
    assert parse_url(url) == GOOD[url]


@pytest.mark.parametrize("url", BAD)
def test_urls_that_no_key_is_read_from(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_url(url)
    assert (refused.value.code, refused.value.path) == ("invalid_parameter", "jwks-url")
    assert "password" not in refused.value.detail.replace("no password", "")


@pytest.mark.parametrize(
    ("address", "by_default", "if_private"),
    [
        *((address, True, True) for address in PUBLIC),
        *((address, False, True) for address in PRIVATE),
        *((address, False, False) for address in NEVER),
    ],
)
def test_addresses(address: str, by_default: bool, if_private: bool) -> None:
    assert may_connect(address, allow_private=False) is by_default
    assert may_connect(address, allow_private=True) is if_private
