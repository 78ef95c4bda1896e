"""What producers send, read at speed: what the careful readers give, or None: look closer."""

import re
import sys
from importlib import reload
from pathlib import Path
from types import ModuleType

import pytest
from crc32c import crc32c

from streambus.protocol import _produce_python as plain
from streambus.protocol import batch, produce_codec, wire
from streambus.protocol.messages import produce as message

try:
    from streambus.protocol import _kernel_produce as compiled
except ImportError:
    MISSING = "the kernel is not compiled here: python setup.py build_ext --inplace"
    compiled = plain
else:
    MISSING = ""

needs_kernel = pytest.mark.skipif(bool(MISSING), reason=MISSING)
both = pytest.mark.parametrize(
    "codec",
    [pytest.param(plain, id="plain"), pytest.param(compiled, id="compiled", marks=needs_kernel)],
)

NOW = 1_700_000_000_000
RECORDS_MAX = 1_000


def sent(**fields: int) -> bytes:
    records = [(n, n, b"key", b"value", ()) for n in range(3)]
    return batch.build(records, base_timestamp=NOW, **fields)


def read(codec: ModuleType, content: bytes, *, bytes_max: int = 1 << 20) -> object:
    """Read from the middle of a larger buffer."""
    view = memoryview(bytearray(b"\xff" * 5 + content + b"\xff" * 70))
    window = (NOW - 1_000, NOW + 1_000)
    return codec.read_sent(view, 5, 5 + len(content), bytes_max, RECORDS_MAX, *window)


def changed(at: int, octets: bytes) -> bytes:
    """A batch with other bytes at `at`, and the CRC of those."""
    content = bytearray(sent(producer_id=7, producer_epoch=0, base_sequence=0))
    content[at : at + len(octets)] = octets
    (length,) = wire.INT32.unpack_from(content, 8)
    if length + 12 == len(content):
        batch.seal(content)
    return bytes(content)


@both
@pytest.mark.parametrize("codec_id", range(5))
def test_a_usual_batch_is_read_as_the_careful_reader_does(codec: ModuleType, codec_id: int) -> None:
    for content in (
        sent(codec=codec_id),
        sent(codec=codec_id, producer_id=1 << 40, producer_epoch=3, base_sequence=(1 << 31) - 1),
        sent(codec=codec_id, leader_epoch=5),
    ):
        assert read(codec, content) == batch.read_header(memoryview(content))


@both
@pytest.mark.parametrize(
    ("at", "octets"),
    [
        (0, b"\x00\x00\x00\x00\x00\x00\x00\x01"),  # base offset
        (8, b"\x00\x00\x00\x31"),  # length
        (8, b"\xff\xff\xff\xff"),
        (16, b"\x01"),  # magic
        (17, b"\x00\x00\x00\x00"),  # not the CRC: sealed again, so see below
        (21, b"\x00\x05"),  # codec
        (21, b"\x00\x08"),  # LogAppendTime
        (21, b"\x00\x10"),  # transactional
        (21, b"\x00\x20"),  # control
        (21, b"\x00\x40"),  # delete horizon
        (23, b"\x00\x00\x00\x03"),  # last offset delta
        (27, (NOW - 1_001).to_bytes(8, "big")),  # base timestamp
        (27, (NOW + 1_001).to_bytes(8, "big")),
        (35, (NOW + 1_001).to_bytes(8, "big")),  # newest timestamp
        (51, b"\xff\xff"),  # producer epoch
        (53, b"\xff\xff\xff\xff"),  # base sequence
        (57, b"\x00\x00\x00\x00"),  # count
        (57, b"\xff\xff\xff\xff"),
        (23, b"\x00\x00\x00\x63" + bytes(30) + b"\x00\x00\x00\x64"),  # 100 records in few bytes
    ],
)
def test_an_unusual_batch_is_left_to_others(codec: ModuleType, at: int, octets: bytes) -> None:
    if at == 17:
        content = bytearray(sent())
        content[17:21] = octets
        assert read(codec, bytes(content)) is None
    else:
        assert read(codec, changed(at, octets)) is None


@both
def test_a_batch_that_is_not_there_whole_is_left_to_others(codec: ModuleType) -> None:
    content = sent()
    for length in range(len(content)):
        assert read(codec, content[:length]) is None
    assert read(codec, content + b"\x00") is None
    assert read(codec, content, bytes_max=len(content) - 1) is None
    assert codec.read_sent(memoryview(content), -1, -1, 1 << 20, 9, 0, NOW * 2) is None
    assert codec.read_sent(memoryview(content), 1, len(content) + 1, 1 << 20, 9, 0, NOW * 2) is None


@both
def test_a_compressed_batch_may_claim_more_records_than_it_has_bytes(codec: ModuleType) -> None:
    for count, is_usual in ((RECORDS_MAX, True), (RECORDS_MAX + 1, False)):
        content = bytearray(sent(codec=3))
        wire.INT32.pack_into(content, 23, count - 1)
        wire.INT32.pack_into(content, 57, count)
        batch.seal(content)
        assert (read(codec, bytes(content)) is not None) is is_usual


@both
@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000])
def test_a_batch_s_own_crc_extends_that_of_what_stands_before_it(
    codec: ModuleType, size: int
) -> None:
    content = batch.build([(0, 0, None, bytes(n % 251 for n in range(size)), ())])
    view = memoryview(b"before" + content + b"behind")
    crc = 0
    for before in (b"", b"what stands before", bytes(100)):
        crc = crc32c(before, crc)
        extended = codec.extended_crc(crc, view, 6, 6 + len(content))
        assert extended == crc32c(content, crc)
        crc = extended


@needs_kernel
def test_the_kernel_reads_no_crc_beyond_the_view() -> None:
    for start, end in ((0, 62), (-62, 0), (61, 122)):
        with pytest.raises(IndexError):
            compiled.extended_crc(0, memoryview(bytes(61)), start, end)


def request(version: int, *partitions: int, topics: int = 1, **fields: str) -> bytes:
    """The body of a Produce request with three bytes of records for each partition."""
    wanted = [
        (f"topic-{n}".encode(), bytes([n]) * 16, [(p, b"abc") for p in partitions])
        for n in range(topics)
    ]
    parts = message.encode_request(1, "me", version, -1, 30_000, wanted, **fields)
    whole = b"".join(bytes(part) for part in parts)
    return whole[4 + 12 + (1 if version >= 9 else 0) :]


def careful(view: memoryview, position: int, end: int, version: int) -> message.Request:
    view = view[:end]
    if version >= message.FLEXIBLE_FROM:
        by_id = version >= message.TOPIC_IDS_FROM
        return message._decode_flexible(view, position, end, by_id=by_id)
    return message._decode_plain(view, position, end)


@both
@pytest.mark.parametrize("version", range(3, 14))
def test_a_usual_request_is_decoded_as_the_careful_reader_does(
    codec: ModuleType, version: int
) -> None:
    for body in (request(version, 4), request(version, *range(200)), request(version, 1, topics=3)):
        view = memoryview(b"\xff" * 9 + body + b"\xff" * 9)
        decoded = codec.decode_usual(view, 9, 9 + len(body), version)
        if codec is plain and (version >= 9 or body != request(version, 4)):
            assert decoded is None
        else:
            assert decoded == careful(view, 9, 9 + len(body), version)


@both
@pytest.mark.parametrize("version", range(3, 14))
def test_a_request_cut_anywhere_is_left_to_others(codec: ModuleType, version: int) -> None:
    body = request(version, 4, 5)
    view = memoryview(body + b"\x00" * 40)
    for end in range(len(body)):
        assert codec.decode_usual(view, 0, end, version) is None


@both
def test_what_only_some_producers_send_is_left_to_others(codec: ModuleType) -> None:
    for version in (3, 9, 13):
        body = request(version, 4, transactional_id="mine")
        assert codec.decode_usual(memoryview(body), 0, len(body), version) is None
        assert codec.decode_usual(memoryview(body), 0, len(body) + 1, version) is None


def test_the_kernel_has_the_numbers_of_its_twin() -> None:
    source = Path(produce_codec.__file__).with_name("_kernel_produce.pyx").read_text()
    numbers = dict(re.findall(r"^    ([A-Z_]+) = (\w+)$", source, re.M))
    for name, number in numbers.items():
        home = next(
            each
            for each in (plain, wire, message)
            if hasattr(each, name) or hasattr(each, f"_{name}")
        )
        known = getattr(home, name, None) or getattr(home, f"_{name}")
        assert known == int(number, 0), name
    assert len(numbers) >= 9


def test_the_kernel_is_chosen_if_it_is_there() -> None:
    assert ("python" if MISSING else "compiled") == produce_codec.KERNEL


def test_without_the_kernel_the_plain_twin_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "streambus.protocol._kernel_produce", None)
        reload(produce_codec)
        assert produce_codec.KERNEL == "python"
        assert produce_codec.read_sent is plain.read_sent
    reload(produce_codec)
