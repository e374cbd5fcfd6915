"""Rows and the shapes they are read into: by position, so that both must name the same columns in the same order."""

import re

import pytest

from oddswire.orders.order import Order
from oddswire.orders.telling import Fill
from oddswire.store.queries import CORE, all_statements

READ = re.compile(r"(?:SELECT|RETURNING)\s+([a-z_,\s]+?)\s*(?:FROM|;|$)")
WRITTEN = re.compile(r"INSERT INTO \w+ \(([a-z_,\s]+)\)")
WHOLE_ORDERS = (
    *("by_id", "by_client_id", "by_venue_id", "want_cancel_of_session", "live", "live_of_market", "page", "unsettled"),
    *("cancel_wanted", "insert"),
)
WHOLE_FILLS = ("fills_page", "fills_of_order", "insert_fill")


@pytest.mark.parametrize(
    ("name", "shape"), [*((name, Order) for name in WHOLE_ORDERS), *((name, Fill) for name in WHOLE_FILLS)]
)
def test_a_row_has_the_columns_of_its_shape(name: str, shape: type[Order] | type[Fill]) -> None:
    sql = all_statements([CORE])[f"orders.{name}"]
    found = (WRITTEN if "INSERT" in sql else READ).findall(sql)
    assert [column.strip() for column in found[-1].split(",")] == list(shape.__struct_fields__)
