import pytest

from oddswire.auth.origins import origin_allowed, parse_origin
from oddswire.errors import InvalidInput

CANONICAL = [
    ("https://app.example.com", "https://app.example.com"),
    ("HTTPS://App.Example.COM", "https://app.example.com"),
    ("https://app.example.com:443", "https://app.example.com"),
    ("http://app.example.com:80", "http://app.example.com"),
    ("http://localhost:5173", "http://localhost:5173"),
    ("https://*.example.com", "https://*.example.com"),
    ("http://*.localhost:3000", "http://*.localhost:3000"),
    ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ("http://[0:0:0:0:0:0:0:1]:8000", "http://[::1]:8000"),
    ("capacitor://localhost", "capacitor://localhost"),
    ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
    ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
]

NOT_ORIGINS = [
    "",
    "null",
    "*",
    "https://*",
    "https://*.com",
    "https://*.*.example.com",
    "https://a.*.example.com",
    "https://ex*mple.com",
    "https://*example.com",
    "https://*.0.0.1",
    "https://*.[::1]",
    "app.example.com",
    "//app.example.com",
    "https:app.example.com",
    "https://",
    "https://app.example.com/",
    "https://app.example.com/path",
    "https://app.example.com?x=1",
    "https://app.example.com#x",
    "https://user@app.example.com",
    "https://app.example.com:",
    "https://app.example.com:0",
    "https://app.example.com:0443",
    "https://app.example.com:65536",
    "https://app.example.com:-1",
    "https://app..example.com",
    "https://.example.com",
    "https://app.example.com.",
    "https://app.example.com\n",
    " https://app.example.com",
    "https://app.example.com https://b.example.com",
    "https://bücher.example",
    "https://256.1.1.1",
    "https://1.2.3",
    "https://[::g]",
    "https://[1.2.3.4]",
    "https://" + "a" * 64 + ".example",
    "https://" + "a." * 200 + "example",
]

RULES = ["https://app.example.com", "https://*.shop.example", "http://localhost:5173", "http://[::1]:8000"]

ALLOWED = [
    "https://app.example.com",
    "https://APP.example.com",
    "https://app.example.com:443",
    "https://a.shop.example",
    "https://b-2.shop.example",
    "http://localhost:5173",
    "http://[::1]:8000",
]

NOT_ALLOWED = [
    "null",
    "",
    "*",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://evilapp.example.com",
    "https://example.com",
    "https://x.app.example.com",
    "https://shop.example",
    "https://a.b.shop.example",
    "https://evilshop.example",
    "https://*.shop.example",
    "http://a.shop.example",
    "http://localhost",
    "http://localhost:5174",
    "https://localhost:5173",
    "http://127.0.0.1:5173",
    "https://app.example.com/",
    "https://app.example.com, https://evil.example",
    "https://app.example.com\x00",
    "https://app%2eexample.com",
]


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_an_origin_is_kept_as_a_browser_sends_it(text: str, canonical: str) -> None:
    assert str(parse_origin(text)) == canonical


@pytest.mark.parametrize("text", NOT_ORIGINS)
def test_what_is_no_origin_is_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_origin(text)
    assert (refusal.value.code, refusal.value.path) == ("invalid_parameter", "origins")


@pytest.mark.parametrize("origin", ALLOWED)
def test_allowed(origin: str) -> None:
    assert origin_allowed(RULES, origin)


@pytest.mark.parametrize("origin", NOT_ALLOWED)
def test_not_allowed(origin: str) -> None:
    assert not origin_allowed(RULES, origin)


def test_without_a_rule_no_page_is_allowed() -> None:
    assert not origin_allowed([], "https://app.example.com")
