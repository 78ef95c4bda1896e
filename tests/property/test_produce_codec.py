"""The quick readings of the produce path agree with the careful ones, whatever arrives."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.admission import RECORDS_MAX, check_header
from app.core.topic_policy import LOG_APPEND_TIME, TopicPolicy
from streambus.errors import Malformed
from streambus.protocol import _produce_python as plain
from streambus.protocol import batch, wire
from tests.unit.protocol.test_produce_codec import (
    NOW,
    careful,
    compiled,
    request,
    sent,
)

FOREVER = 1 << 62
READERS = (plain.read_sent, compiled.read_sent)
FIELDS = {0: 8, 8: 4, 12: 4, 16: 1, 17: 4, 21: 2, 23: 4, 27: 8, 35: 8, 43: 8, 51: 2, 53: 4, 57: 4}
EDGES = st.sampled_from(
    [0, 1, 2, 3, 4, 5, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, (1 << 63) - 1]
) | st.builds(lambda delta: NOW + delta, st.integers(-4_000_000, 4_000_000))


@st.composite
def batches(draw: st.DrawFn) -> bytearray:
    """A batch as clients send it, with a few of its fields set to something else."""
    content = bytearray(
        sent(codec=draw(st.integers(0, 4)), producer_id=draw(st.sampled_from([-1, 7])))
    )
    for at in draw(st.lists(st.sampled_from(list(FIELDS)), max_size=3)):
        size = FIELDS[at]
        value = draw(EDGES | st.integers(-1, 1 << 62))
        content[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "big")
    (length,) = wire.INT32.unpack_from(content, 8)
    if length + 12 == len(content) and draw(st.integers(0, 3)):
        batch.seal(content)
    return content


def admitted(content: bytearray, policy: TopicPolicy) -> batch.BatchHeader | None:
    """The header of a batch that passes every check, one after another."""
    view = memoryview(content)
    try:
        header = batch.read_header(view)
        if header[1] + 12 != len(content) or check_header(header, policy, NOW):
            return None
        batch.verify(view, 0, header)
    except Malformed:
        return None
    return header


@settings(max_examples=400)
@given(
    batches(),
    st.sampled_from([TopicPolicy(), TopicPolicy(timestamp_type=LOG_APPEND_TIME)])
    | st.builds(
        TopicPolicy,
        max_message_bytes=st.integers(60, 160),
        timestamp_before_max_ms=st.integers(0, 4_000_000),
        timestamp_after_max_ms=st.integers(0, 4_000_000),
    ),
)
def test_a_batch_is_read_exactly_if_every_check_admits_it(
    content: bytearray, policy: TopicPolicy
) -> None:
    before, after = policy.timestamp_before_max_ms, policy.timestamp_after_max_ms
    if policy.timestamp_type == LOG_APPEND_TIME:
        before = after = FOREVER
    window = NOW - min(before, FOREVER), NOW + min(after, FOREVER)
    expected = admitted(content, policy)
    for reader in READERS:
        header = reader(
            memoryview(content), 0, len(content), policy.max_message_bytes, RECORDS_MAX, *window
        )
        assert header == expected


@settings(max_examples=400)
@given(st.integers(3, 13), st.lists(st.integers(0, 9), max_size=3), st.integers(0, 2), st.data())
def test_a_request_is_decoded_as_the_careful_reader_does_or_not_at_all(
    version: int, partitions: list[int], topics: int, data: st.DataObject
) -> None:
    body = bytearray(request(version, *partitions, topics=topics))
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(body)) | st.just(len(body)))
    view = memoryview(body)
    for decode in (plain.decode_usual, compiled.decode_usual):
        decoded = decode(view, 0, end, version)
        if decoded is not None:
            assert decoded == careful(view, 0, end, version)
