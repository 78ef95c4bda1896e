from streambus.protocol.columns import Buffer, RecordColumns, RecordTuple

def decode(
    section: Buffer,
    count: int,
    base_offset: int = 0,
    base_timestamp: int = 0,
    timestamp: int | None = None,
) -> list[RecordTuple]: ...
def find_timestamp(
    section: Buffer, count: int, timestamp_delta_min: int, offset_delta_min: int = 0
) -> tuple[int, int] | None: ...
def decode_columns(section: Buffer, count: int) -> RecordColumns: ...
