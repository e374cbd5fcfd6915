import pytest

from oddswire.server.echoes import without_secrets


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("There is no venue 'kalshi' here.", "There is no venue 'kalshi' here."),
        ("There is no order 'ord_01JQ5C0W3V8Z4N6T2R7Y9X1K3M'.", "There is no order 'ord_01JQ5C0W3V8Z4N6T2R7Y9X1K3M'."),
        ("no 'eyJhbGciOiJFZDI1NTE5In0.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl' here", "no '[secret]' here"),
        ("cut short: eyJhbGciOiJFZDI1NTE5In0.eyJz.", "cut short: [secret]"),
        ("$.owr_mQ_7pXZzZ8ZmYtBR0NueOIFY", "$.[secret]"),
        ("`ow_u6LC7nrV31Swu1DVZSkIe`", "`[secret]`"),
        ("/trading/orders/0x" + "6f" * 65, "/trading/orders/[secret]"),
        ("slow_reader grow_with_the_number_of_users", "slow_reader grow_with_the_number_of_users"),
    ],
)
def test_what_looks_like_a_secret_is_left_out(said: str, told: str) -> None:
    assert without_secrets(said) == told
