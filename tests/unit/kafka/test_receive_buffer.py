"""The receive buffer: nothing that arrived is lost, whatever moves."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app import limits
from app.kafka.buffers import Buffer, Lease, ReceivePool
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
    if not into.arrived(count):
        assert not is_whole(into), "a frame is there, and nobody is to look at it"
    return sent[count:]


def is_whole(buffer: ReceiveBuffer) -> bool:
    """Whether the next frame has arrived."""
    here = bytes(buffer.view[buffer.start : buffer.end])
    return len(here) >= 4 and len(here) >= 4 + int.from_bytes(here[:4], "big")


def test_of_a_large_frame_only_the_last_part_is_worth_a_look() -> None:
    made = buffer()
    left = arrive(made, frame(bytes(300_000)))
    looks = 0
    while left:
        assert made.settle(is_held=False)
        room = made.room()
        count = min(len(room), len(left), 10_000)
        room[:count] = left[:count]
        looks += made.arrived(count)
        left = left[count:]
    assert is_whole(made) and looks == 1


def test_a_frame_that_moved_while_it_arrived_is_looked_at_when_it_is_whole() -> None:
    made = buffer()
    arrive(made, frame(bytes(300_000)))
    made.settle(is_held=False)
    arrive(made, bytes(300_004 - made.end))
    made.start = made.end
    made.settle(is_held=False)
    arrive(made, frame(bytes(1_000)) + frame(bytes(5_000))[:100])
    made.start = 1_004
    made.settle(is_held=False)
    made.give_back()
    left = bytes(4_904)
    while left:
        left = arrive(made, left)
        made.settle(is_held=False)
    assert is_whole(made)


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


class Ledger(ReceivePool):
    """Knows every buffer that is out, so that none comes back twice or is lent to two."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(bytes_max)
        self.out: dict[int, Buffer] = {}

    def _lend(self, size: int) -> Buffer | None:
        lent = super()._lend(size)
        if lent is not None:
            assert id(lent) not in self.out, "lent to two"
            self.out[id(lent)] = lent
            assert self.lent_bytes == sum(map(len, self.out.values())) <= self.bytes_max
        return lent

    def give_back(self, buffer: Buffer) -> None:
        assert self.out.pop(id(buffer), None) is buffer, "came back twice"
        super().give_back(buffer)


class Sender:
    """A peer and the connection that parses what it sends, as `Connection` does: `keeps` says
    whether what was parsed is kept where it lies, under a lease."""

    def __init__(self, pool: ReceivePool, name: int, sizes: list[int]) -> None:
        self.pool = pool
        self.buffer = buffer(pool)
        self.bodies = [
            (b"%d/%d " % (name, number) * size)[:size] for number, size in enumerate(sizes)
        ]
        self.left = b"".join(map(frame, self.bodies))
        self.found = 0
        self.is_held = self.is_gone = False
        self.kept: list[tuple[memoryview, bytes, Lease]] = []
        self.frozen: tuple[memoryview, bytes] | None = None

    @property
    def is_paused(self) -> bool:
        return self.buffer.channel.is_paused  # type: ignore[union-attr, no-any-return]

    def read(self, count: int, *, keeps: bool) -> None:
        if self.left and not self.is_gone and not self.is_paused:
            self.left = arrive(self.buffer, self.left[:count]) + self.left[count:]
            self.run(keeps=keeps)

    def run(self, *, keeps: bool) -> None:
        if self.is_gone:
            return
        made = self.buffer
        while not (self.is_held or self.frozen) and made.end - made.start >= 4:
            start = made.start + 4
            end = start + int.from_bytes(made.view[made.start : start], "big")
            if end > made.end:
                break
            body, made.start = made.view[start:end], end
            assert body == self.bodies[self.found], "what arrived is not what was sent"
            self.found += 1
            lease = made.lease() if keeps else None
            if lease is not None:
                lease.hold()
                self.kept.append((body, bytes(body), lease))
        if not made.settle(is_held=self.is_held or self.frozen is not None):
            self.discard()

    def hold(self) -> None:
        self.is_held = not self.is_held
        self.run(keeps=True)

    def freeze(self) -> None:
        """A lane reads what was parsed last, while more arrives."""
        made = self.buffer
        if self.frozen is None and not self.is_gone and self.found and not self.is_held:
            begun = made.view[made.start : made.end]
            made.freeze()
            self.frozen = begun, bytes(begun)
            self.run(keeps=True)

    def thaw(self) -> None:
        if self.frozen is not None:
            self.frozen = None
            self.buffer.thaw()
            self.run(keeps=True)

    def let_go(self, which: int) -> None:
        if self.kept:
            self.kept.pop(which % len(self.kept))[2].release()

    def sweep(self) -> None:
        if not self.is_gone:
            self.buffer.give_back()

    def discard(self) -> None:
        if not self.is_gone:
            self.is_gone = True
            self.buffer.discard()

    def check(self) -> None:
        for lies, sent, _ in self.kept:
            assert lies == sent, "written over while it was leased"
        if self.frozen is not None:
            assert self.frozen[0] == self.frozen[1], "written over while a lane read it"

    def finish(self, *, keeps: bool) -> None:
        """Nothing holds it back any more; `read` on until all has come, or no memory does."""
        self.is_held = False
        self.thaw()
        self.run(keeps=keeps)


WHATS = ["read", "hold", "freeze", "thaw", "run", "sweep", "discard"]
WHATS += ["keep"] * 3 + ["let_go"] * 2
STEPS = st.tuples(
    st.integers(0, 2),
    st.sampled_from(WHATS),
    st.sampled_from([3, 5_000, 8_192, 30_000, 1 << 20, 1 << 20]),
)
SIZES = st.sampled_from([10, 100, 8_000, 8_192, 40_000, 65_000, 70_000, 130_000, 300_000])


# The largest frame takes half of the smallest pool, about as with the limits of a broker.
@settings(max_examples=150, deadline=None)
@given(
    pool_kib=st.sampled_from([1_024, 1_280, 16_384]),
    sizes=st.lists(st.lists(SIZES, min_size=1, max_size=8), min_size=3, max_size=3),
    steps=st.lists(STEPS, max_size=80),
)
def test_no_leased_byte_changes_and_nothing_is_lost_whatever_happens(
    pool_kib: int, sizes: list[list[int]], steps: list[tuple[int, str, int]]
) -> None:
    pool = Ledger(pool_kib * limits.KIB)
    senders = [Sender(pool, number, each) for number, each in enumerate(sizes)]
    for number, what, count in steps:
        sender = senders[number]
        if what in ("keep", "read"):
            sender.read(count, keeps=what == "keep")
        elif what == "run":
            sender.run(keeps=True)
        elif what == "let_go":
            sender.let_go(count)
        else:
            getattr(sender, what)()
        for each in senders:
            each.check()
    for each in senders:
        each.finish(keeps=True)
    for turn in range(30):
        for each in senders:
            each.read(1 << 20, keeps=turn % 3 != 2)
            each.check()
    while any(each.kept for each in senders):
        for each in senders:
            each.let_go(0)
            each.check()
    for _ in range(200):  # more than enough turns for all that was sent
        for each in senders:
            each.read(1 << 20, keeps=False)
            each.sweep()
    for each in senders:
        assert each.is_gone or each.found == len(each.bodies), "a request never came"
        each.discard()
    assert not pool.out and pool.lent_bytes == pool.waiting_bytes == 0 and not pool.is_wanted


def leased(pool: ReceivePool, size: int = 40_000) -> tuple[ReceiveBuffer, memoryview, Lease]:
    """A connection whose newest request is kept where it lies."""
    made = buffer(pool)
    sent = frame(b"k" * size)
    while sent:
        sent = arrive(made, sent)
        assert made.settle(is_held=False)
    kept, made.start = made.view[4 : 4 + size], made.end
    lease = made.lease()
    assert lease is not None
    lease.hold()
    return made, kept, lease


def test_what_comes_behind_a_leased_request_goes_elsewhere_and_its_buffer_home_once() -> None:
    pool = Ledger(16 * limits.MIB)
    made, kept, lease = leased(pool)
    assert made.settle(is_held=False)
    arrive(made, frame(b"n" * 60_000))
    assert kept == b"k" * 40_000
    assert len(pool.out) == 2
    lease.release()
    assert len(pool.out) == 1
    made.discard()
    assert not pool.out


def test_a_buffer_whose_lease_nobody_holds_any_more_is_used_again_where_it_is() -> None:
    pool = Ledger(16 * limits.MIB)
    made, _, lease = leased(pool)
    view = made.view
    lease.release()
    assert made.settle(is_held=False)
    assert made.view is view and len(pool.out) == 1
    made.give_back()
    assert not pool.out


def test_a_leased_buffer_outlives_its_connection() -> None:
    pool = Ledger(16 * limits.MIB)
    made, kept, lease = leased(pool)
    made.discard()
    assert len(pool.out) == 1 and kept == b"k" * 40_000
    lease.release()
    assert not pool.out


def test_an_idle_buffer_is_not_leased_nor_one_that_others_may_need() -> None:
    pool = ReceivePool(limits.MIB)
    small = buffer(pool)
    arrive(small, frame(b"small"))
    assert small.lease() is None
    made, _, lease = leased(pool)
    assert made.lease() is lease
    assert pool.borrow(limits.MIB // 2) is not None
    assert made.lease() is None


def test_a_held_connection_moves_nothing_in_a_leased_buffer_but_stops_reading() -> None:
    pool = Ledger(16 * limits.MIB)
    made, kept, lease = leased(pool)
    while not made.channel.is_paused:  # type: ignore[union-attr]
        arrive(made, b"held" * 20_000)
        assert made.settle(is_held=True)
    assert made.end == len(made.view) and kept == b"k" * 40_000
    lease.release()
    assert made.settle(is_held=True)
    assert made.start == 0 and not made.channel.is_paused  # type: ignore[union-attr]


def test_who_waits_for_a_buffer_waits_on_though_the_lease_of_its_own_has_ended() -> None:
    """Else what it waits for comes when it has gone on without it, maybe with a lane reading."""
    pool = Ledger(limits.MIB)
    made, _, lease = leased(pool, 60_000)
    arrive(made, (50_000).to_bytes(4, "big"))
    rest = pool.borrow(limits.MIB // 2), pool.borrow(limits.MIB // 4)
    while pool.lent_bytes < pool.bytes_max:
        pool.borrow(64 * limits.KIB)
    assert made.settle(is_held=False)
    assert pool.is_wanted and made.channel.is_paused  # type: ignore[union-attr]
    lease.release()
    for is_held in (False, True):
        assert made.settle(is_held=is_held)
        assert made.channel.is_paused  # type: ignore[union-attr]
    assert rest[1] is not None
    pool.give_back(rest[1])
    assert not pool.is_wanted and not made.channel.is_paused  # type: ignore[union-attr]
    assert bytes(made.view[made.start : made.end]) == (50_000).to_bytes(4, "big")


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
