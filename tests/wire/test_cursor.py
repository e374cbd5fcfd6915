import pytest

from oddswire.errors import InvalidInput
from oddswire.wire.cursor import Cursor


@pytest.mark.parametrize("cursor", [Cursor(0, "E"), Cursor(7, "a:b"), Cursor(2**53 - 1, "x" * 64)])
def test_a_cursor_survives_its_text(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text", ["", "7", ":7", "E:", "E:-1", "E:1.0", "E:٧", f"E:{2**53}", "E:" + "9" * 400, "x" * 65 + ":1", "E:1_0"]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="<epoch>:<seq>"):
        Cursor.parse(text)
