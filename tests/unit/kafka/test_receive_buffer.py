"""The receive buffer: nothing that arrived is lost, whatever moves."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app import limits
from app.kafka.buffers import ReceivePool
from app.kafka.receive_buffer import ReceiveBuffer
from tests.unit.kafka.arrange import MemoryChannel


def buffer(pool: ReceivePool | None = None) -> ReceiveBuffer:
    made = ReceiveBuffer(pool or ReceivePool(16 * limits.MIB))
    made.channel = MemoryChannel()  # type: ignore[assignment]
    return made


def arrive(into: ReceiveBuffer, sent: bytes) -> bytes:
    """What one read takes; the rest comes back."""
    room = into.room()
    assert len(room) > 0
    count = min(len(room), len(sent))
    room[:count] = sent[:count]
    into.arrived(count)
    return sent[count:]


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([10, 100, 8_000, 8_192, 70_000, 300_000]), max_size=12),
    reads=st.lists(st.integers(1, 100_000), min_size=1, max_size=30),
    takes=st.lists(st.booleans(), min_size=1, max_size=30),
)
def test_frames_come_out_as_they_went_in(
    sizes: list[int], reads: list[int], takes: list[bool]
) -> None:
    bodies = [bytes([number % 251 + 1]) * size for number, size in enumerate(sizes)]
    left = b"".join(map(frame, bodies))
    pool = ReceivePool(16 * limits.MIB)
    made = buffer(pool)
    found: list[bytes] = []
    step = 0

    def parse() -> None:
        while made.end - made.start >= 4:
            size = int.from_bytes(made.view[made.start : made.start + 4], "big")
            if made.end - made.start < 4 + size:
                break
            found.append(bytes(made.view[made.start + 4 : made.start + 4 + size]))
            made.start += 4 + size

    while left:
        count = reads[step % len(reads)]
        is_held = not takes[step % len(takes)]
        step += 1
        if not made.channel.is_paused:  # type: ignore[union-attr]
            head, tail = left[:count], left[count:]
            left = arrive(made, head) + tail
        else:
            is_held = False
        if not is_held:
            parse()
        assert made.settle(is_held=is_held)
    parse()
    assert made.settle(is_held=False)
    assert found == bodies
    made.give_back()
    assert pool.lent_bytes == 0


def test_a_frozen_buffer_keeps_still_and_goes_home_after() -> None:
    pool = ReceivePool(16 * limits.MIB)
    made = buffer(pool)
    sent = frame(bytes(100_000))
    while sent:
        sent = arrive(made, sent)
        made.settle(is_held=False)
    request = made.view[4:100_004]
    request[:] = b"q" * 100_000
    made.start = made.end
    made.freeze()
    made.settle(is_held=True)
    arrive(made, b"next")
    made.settle(is_held=True)
    made.give_back()
    assert bytes(request[:100]) == b"q" * 100
    made.discard()
    assert pool.lent_bytes > 0
    made.thaw()
    assert pool.lent_bytes == 0


def test_an_idle_buffer_takes_no_memory_of_the_pool() -> None:
    pool = ReceivePool(16 * limits.MIB)
    made = buffer(pool)
    arrive(made, frame(b"small"))
    made.start = made.end
    made.settle(is_held=False)
    assert pool.lent_bytes == 0


def test_a_full_buffer_asks_for_a_spare_one() -> None:
    pool = ReceivePool(16 * limits.MIB)
    made = buffer(pool)
    arrive(made, frame(b"x" * 60) * 200)
    made.start = made.end
    made.settle(is_held=False)
    assert len(made.view) > limits.RECEIVE_BUFFER_IDLE_BYTES


def stalled(pool: ReceivePool) -> ReceiveBuffer:
    """Borrows most of the pool for a request of which only the start arrives."""
    made = buffer(pool)
    arrive(made, (12 * limits.MIB).to_bytes(4, "big") + bytes(100))
    assert made.settle(is_held=False)
    left = bytes(20_000)
    while left:
        left = arrive(made, left)
        assert made.settle(is_held=False)
    return made


def test_a_full_buffer_has_room_for_the_rest_of_a_request_though_nothing_is_spare() -> None:
    pool = ReceivePool(16 * limits.MIB)
    stalled(pool)
    assert pool.borrow_spare() is None
    made, sent = buffer(pool), frame(b"x" * 96) * 200
    left = arrive(made, sent)
    taken = made.end // 100 * 100
    assert taken < made.end, "a request has begun to arrive"
    made.start = taken
    assert made.settle(is_held=False)
    assert len(made.view) == limits.RECEIVE_BUFFER_IDLE_BYTES
    arrive(made, left)
    assert bytes(made.view[made.start : made.end]) == sent[taken : taken + made.end - made.start]


def test_a_request_that_does_not_arrive_is_overdue_only_while_others_wait() -> None:
    pool = ReceivePool(16 * limits.MIB)
    made = stalled(pool)
    assert not any([made.is_overdue(3) for _ in range(10)])
    other = buffer(pool)
    arrive(other, (8 * limits.MIB).to_bytes(4, "big"))
    assert other.settle(is_held=False) and pool.is_wanted
    assert [made.is_overdue(3) for _ in range(3)] == [False, False, True]
    made.discard()
    assert not pool.is_wanted and len(other.view) >= 8 * limits.MIB


def test_a_request_that_arrives_is_not_overdue_however_long_others_wait() -> None:
    pool = ReceivePool(16 * limits.MIB)
    made = stalled(pool)
    other = buffer(pool)
    arrive(other, (8 * limits.MIB).to_bytes(4, "big"))
    other.settle(is_held=False)
    for _ in range(10):
        assert not made.is_overdue(2)
        assert not made.is_overdue(2)
        made.start += 10  # a request was parsed


def test_a_quiet_buffer_goes_home_with_a_little_left_in_it() -> None:
    pool = ReceivePool(16 * limits.MIB)
    made = buffer(pool)
    start = (12 * limits.MIB).to_bytes(4, "big") + b"start of a request"
    arrive(made, start)
    made.settle(is_held=False)
    assert pool.lent_bytes > 0
    made.give_back()
    assert pool.lent_bytes == 0
    assert bytes(made.view[made.start : made.end]) == start
    assert len(made.room()) > 0


def test_a_lent_buffer_takes_no_more_small_requests_at_once_than_an_own_one() -> None:
    pool = ReceivePool(16 * limits.MIB)
    made = buffer(pool)
    left = frame(bytes(4 * limits.MIB))
    while left:
        left = arrive(made, left)
        assert made.settle(is_held=False)
    made.start = made.end
    made.settle(is_held=False)
    assert len(made.view) > 4 * limits.MIB
    arrive(made, frame(b"small")[:5])
    made.settle(is_held=False)
    assert 0 < len(made.room()) <= 64 * limits.KIB
