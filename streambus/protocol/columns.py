"""The shapes that records take outside their wire form: tuples for Python, columns for Arrow.

Owns    `RecordTuple` and `RecordColumns`, shared by the compiled kernel and its plain twin.
Never   needs pyarrow: a column is plain buffers in Arrow's memory layout.
"""

from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes in place. A slice of a memoryview copies nothing, so that is what the hot path passes."""

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]

RecordTuple: TypeAlias = tuple[int, int, bytes | None, bytes | None, Headers]
"""(offset delta, timestamp delta, key, value, headers).

Header names that are not UTF-8 carry their bytes as lone surrogates (`surrogateescape`): a consumer
must not be stuck for ever on one odd name, and what is read can be written again unchanged.
"""


class RecordColumns:
    """Records of one batch as columns: native-endian buffers, ready for `pyarrow.py_buffer`.

    `*_offsets` are int32, one more than there are rows. `*_validity` is Arrow's bitmap (least
    significant bit first), or None where nothing is null. Headers are a list column:
    `header_offsets` cuts the header rows by record; names and values are columns of header rows.
    """

    __slots__ = (
        "count",
        "header_offsets",
        "header_value_data",
        "header_value_offsets",
        "header_value_validity",
        "key_data",
        "key_offsets",
        "key_validity",
        "name_data",
        "name_offsets",
        "offset_deltas",
        "timestamp_deltas",
        "value_data",
        "value_offsets",
        "value_validity",
    )

    def __init__(
        self,
        count: int,
        *,
        offset_deltas: Buffer,
        timestamp_deltas: Buffer,
        key_offsets: Buffer,
        key_data: Buffer,
        key_validity: Buffer | None,
        value_offsets: Buffer,
        value_data: Buffer,
        value_validity: Buffer | None,
        header_offsets: Buffer,
        name_offsets: Buffer,
        name_data: Buffer,
        header_value_offsets: Buffer,
        header_value_data: Buffer,
        header_value_validity: Buffer | None,
    ) -> None:
        self.count = count
        self.offset_deltas = offset_deltas
        self.timestamp_deltas = timestamp_deltas
        self.key_offsets = key_offsets
        self.key_data = key_data
        self.key_validity = key_validity
        self.value_offsets = value_offsets
        self.value_data = value_data
        self.value_validity = value_validity
        self.header_offsets = header_offsets
        self.name_offsets = name_offsets
        self.name_data = name_data
        self.header_value_offsets = header_value_offsets
        self.header_value_data = header_value_data
        self.header_value_validity = header_value_validity

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecordColumns):
            return NotImplemented
        return all(
            getattr(self, column) == getattr(other, column) for column in RecordColumns.__slots__
        )

    __hash__ = None  # type: ignore[assignment]  # mutable buffers
