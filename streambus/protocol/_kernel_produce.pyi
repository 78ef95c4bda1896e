from streambus.protocol._produce_python import BatchHeader, Request

def read_sent(
    view: memoryview,
    start: int,
    end: int,
    bytes_max: int,
    records_max: int,
    oldest_ms: int,
    newest_ms: int,
) -> BatchHeader | None: ...
def decode_usual(view: memoryview, position: int, end: int, version: int) -> Request | None: ...
def extended_crc(crc: int, view: memoryview, start: int, end: int) -> int: ...
