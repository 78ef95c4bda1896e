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
