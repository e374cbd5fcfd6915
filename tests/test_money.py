import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddswire import money
from oddswire.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "millionths"),
    [
        (b"0", 0),
        (b"0.55", 550_000),
        (b'"0.55"', 550_000),
        (b"10", 10_000_000),
        (b"0.000001", 1),
        (b"999999999999.999999", 999_999_999_999_999_999),
        ("1.50", 1_500_000),
    ],
)
def test_an_amount_is_read_exactly(text: bytes | str, millionths: int) -> None:
    assert money.parse_amount(text, "$.price") == millionths


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b'""',
            b"-1",
            b"+1",
            b"01",
            b"1.",
            b".5",
            b"1e3000000",
            b"1E5",
            b'"NaN"',
            b'"1_0"',
            b"1e-7",
            b"0.0000001",
        ),
        *(b"1234567890123", b"null", b"true", b"[]", b'" 1"', b"1 ", b'"1\n"', b"Infinity", "１".encode(), b'"'),
        b"9" * 1_000_000,
    ],
)
def test_what_is_no_amount_is_refused_with_its_path_at_once(text: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidInput) as refused:
        money.parse_amount(text, "$.size")
    assert (refused.value.code, refused.value.path) == ("invalid_amount", "$.size")
    assert time.perf_counter() - started < 0.1


@given(st.integers(0, 10**18 - 1))
def test_text_and_millionths_are_the_same_thing(millionths: int) -> None:
    text = money.format_amount(millionths)
    assert money.parse_amount(text, "$") == millionths
    assert "e" not in text.lower()
    assert not ("." in text and text.endswith("0"))
    assert str(money.to_decimal(millionths)) == text


@given(st.integers(-(10**12), 10**12))
def test_cents_are_floored(millionths: int) -> None:
    cents = money.floor_cents(millionths)
    assert cents * 10_000 <= millionths < (cents + 1) * 10_000


@given(st.integers(1, 999_999), st.integers(1, 10**12))
def test_costs_round_up_and_proceeds_down(price: int, size: int) -> None:
    assert 0 <= money.cost(price, size) * money.ONE - price * size < money.ONE
    assert 0 <= price * size - money.proceeds(price, size) * money.ONE < money.ONE


@given(st.integers(0, 10**6), st.integers(0, 10**12), st.integers(0, 10**6), st.integers(1, 10**12))
def test_an_average_lies_between_and_is_nearest(price: int, size: int, bought_at: int, bought: int) -> None:
    average = money.average_price(price, size, bought_at, bought)
    low, high = sorted((price, bought_at)) if size else (bought_at, bought_at)
    assert low <= average <= high
    assert abs(2 * (average * (size + bought) - price * size - bought_at * bought)) <= size + bought
