"""Columns as a value."""

import pytest

from streambus.protocol import records


def test_columns_are_equal_by_what_they_hold() -> None:
    section = records.encode([(0, 0, b"k", None, (("h", b"x"),))])
    columns, same = records.decode_columns(section, 1), records.decode_columns(section, 1)
    assert columns == same
    same.key_data = b"K"
    assert columns != same
    assert columns != section


def test_columns_are_mutable_and_so_not_hashable() -> None:
    with pytest.raises(TypeError):
        hash(records.decode_columns(b"", 0))
