"""Group commit step by step: where a block is written, in which order that is told, who holds what.

The lane does its jobs when the test says so, and the clock stands still until the test moves it.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app import limits
from app.core.hybrid_clock import HybridClock
from app.errors import StorageFailed
from app.limits import KIB
from app.model import PartitionKey
from app.tiers.nvme.block import Block, FrameKind
from app.tiers.nvme.commit import INLINE_BYTES_MAX, INLINE_REST_NS, INLINE_SLOW_NS, GroupCommit
from app.tiers.nvme.segment import PAGE_BYTES, Segment, segment_path
from app.tiers.nvme.wal import WalSettings
from streambus.protocol import batch
from tests.unit.partitions.arrange import Timer
from tests.unit.tiers.nvme.arrange import DIRECTORY, A, B, Loan, MemoryFiles, records
from tests.unit.tiers.nvme.lab import Process, SimLab, simulated

LAX = ("os", "interval:20")
LARGE = records(40_000)


class Lane:
    """Jobs that were submitted wait for `work`; `told` says who wrote which block, in order."""

    def __init__(self, desk: "Desk") -> None:
        self.desk = desk
        self.jobs: deque[tuple[Callable[[], Any], Callable[[Any], None]]] = deque()
        self.fails: OSError | None = None
        self.took_ns = 0
        self.inlined = 0

    def submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.jobs.append((job, done))

    def inline(self, job: Callable[[], Any]) -> Any:
        self.inlined += 1
        return self._do(job)

    def work(self) -> None:
        """The oldest job that waits."""
        job, done = self.jobs.popleft()
        try:
            result = self._do(job)
        except OSError as error:
            result = error
        done(result)

    def _do(self, job: Callable[[], Any]) -> Any:
        self.desk.now_ns += self.took_ns
        if self.fails is not None:
            raise self.fails
        return job()


class Desk:
    """Group commit, its world and its owner."""

    def __init__(self, sync: str, segment_bytes: int = 1 << 20) -> None:
        self.now_ns = 1
        self.files = MemoryFiles()
        self.lane = Lane(self)
        self.timers: list[Timer] = []
        self.told: list[int] = []
        self.failures: list[StorageFailed] = []
        self.segments = 0
        self.ends: dict[PartitionKey, int] = {}
        clock = SimpleNamespace(now_ms=lambda: 1_000, monotonic_ns=lambda: self.now_ns)
        world: Any = SimpleNamespace(
            files=self.files, lane=lambda name: self.lane, clock=clock, call_later=self._call_later
        )
        self.commit = GroupCommit(world, DIRECTORY, segment_bytes, sync, HybridClock(), self)
        self.commit.recovered(0)
        self.commit.begin(self.begin_segment(1))

    def _call_later(self, ms: int, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(callback))
        return self.timers[-1]

    # The owner

    def begin_segment(self, first_block: int) -> Segment:
        self.segments += 1
        path = segment_path(DIRECTORY, self.segments)
        return Segment(self.segments, path, None, 7, first_block)

    def half_full(self, segment: Segment) -> None: ...

    def sealed(self, block: Block, unsaved: dict[PartitionKey, bool]) -> bool:
        return True

    def written(self, block: Block) -> None:
        self.told.append(block.sequence)

    def failed(self, error: StorageFailed) -> None:
        self.failures.append(error)

    def drained(self) -> None: ...

    # What tests do

    def append(
        self, content: bytes = records(), lease: Loan | None = None, key: PartitionKey = A
    ) -> int:
        base = self.ends.get(key, 0)
        self.ends[key] = base + 1
        return self.commit.stream(key).append(
            memoryview(bytearray(content)), base, base + 1, 0, 1_000, lease
        )

    async def kick(self) -> None:
        """What was asked for goes to the disk, or to the lane."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def begun(self) -> "Desk":
        """The first block of the segment, which takes the lane and is synced, is written."""
        self.append()
        await self.kick()
        self.lane.work()
        await self.kick()
        assert (self.told, self.lane.inlined) == ([1], 0)
        return self

    @property
    def disk(self) -> bytes:
        return bytes(self.files.names[segment_path(DIRECTORY, 1)])


@pytest.mark.parametrize("sync", LAX)
async def test_where_nobody_waits_for_the_disk_a_small_block_is_written_on_the_loop(
    sync: str,
) -> None:
    desk = await Desk(sync).begun()
    for block in (2, 3):
        desk.append()
        assert desk.told[-1] == block - 1, "told before it was asked for"
        await desk.kick()
        assert desk.told[-1] == block and desk.commit.synced_through == block
    assert desk.lane.inlined == 2 and not desk.lane.jobs
    assert desk.commit.true_through == 1, "written is not synced"
    assert bool(desk.timers) == (sync != "os")


async def test_where_a_block_is_synced_it_is_never_written_on_the_loop() -> None:
    desk = Desk("block")
    for block in range(1, 4):
        desk.append()
        await desk.kick()
        assert desk.told == list(range(1, block)) and len(desk.lane.jobs) == 1
        desk.lane.work()
    assert desk.lane.inlined == 0


@pytest.mark.parametrize("sync", LAX)
async def test_blocks_are_told_of_in_order_though_older_ones_are_on_the_lane(sync: str) -> None:
    desk = await Desk(sync).begun()
    desk.append(records(INLINE_BYTES_MAX))
    await desk.kick()
    assert len(desk.lane.jobs) == 1
    for _ in range(2):  # one closed and waiting, one open
        desk.append()
        desk.commit.close_block()
    desk.append()
    await desk.kick()
    assert desk.told == [1] and desk.lane.inlined == 0, "written before an older one"
    desk.lane.work()
    assert desk.told == [1, 2], "the next was told of within the older one"
    for _ in range(4):
        await desk.kick()
    assert desk.told == [1, 2, 3, 4, 5] and desk.lane.inlined == 3
    desk.append(records(INLINE_BYTES_MAX))
    await desk.kick()
    desk.append()
    desk.commit.close_block()  # and nothing is open behind it
    await desk.kick()
    desk.lane.work()
    await desk.kick()
    assert desk.told == [1, 2, 3, 4, 5, 6, 7] and desk.lane.inlined == 4


@pytest.mark.parametrize("sync", ("block", *LAX))
async def test_what_waits_behind_a_block_on_the_lane_goes_on_though_it_has_no_bytes(
    sync: str,
) -> None:
    desk = Desk(sync)
    desk.append()
    await desk.kick()
    desk.commit.append_control(A, FrameKind.START_MOVED, 1, 0)
    await desk.kick()
    assert desk.told == [] and len(desk.lane.jobs) == 1
    desk.lane.work()
    await desk.kick()
    if sync == "block":
        desk.lane.work()
    assert desk.told == [1, 2]


@pytest.mark.parametrize("sync", LAX)
async def test_a_big_block_and_the_last_of_a_segment_take_the_lane(sync: str) -> None:
    desk = await Desk(sync, 256 * KIB).begun()
    desk.append(records(INLINE_BYTES_MAX))
    await desk.kick()
    assert (len(desk.lane.jobs), desk.lane.inlined) == (1, 0)
    desk.lane.work()
    desk.append()
    await desk.kick()
    assert (desk.told, desk.lane.inlined) == ([1, 2, 3], 1)
    desk.append()
    assert desk.commit.seal()
    await desk.kick()
    assert (len(desk.lane.jobs), desk.lane.inlined) == (1, 1)
    desk.lane.work()
    assert desk.commit.true_through == 4, "the end of a segment is synced"
    desk.append()  # the first of the next segment
    await desk.kick()
    assert (len(desk.lane.jobs), desk.lane.inlined) == (1, 1)
    desk.lane.work()
    assert desk.told == [1, 2, 3, 4, 5] and desk.commit.true_through == 5


async def test_after_a_slow_write_on_the_loop_the_next_ones_take_the_lane_for_a_while() -> None:
    desk = await Desk("os").begun()
    desk.lane.took_ns = INLINE_SLOW_NS
    desk.append()
    await desk.kick()
    desk.lane.took_ns = INLINE_SLOW_NS + 1
    desk.append()
    began_ns = desk.now_ns
    await desk.kick()
    assert (desk.told, desk.lane.inlined) == ([1, 2, 3], 2), "as slow as is allowed is not slow"
    desk.lane.took_ns = 0
    for now_ns in (began_ns + INLINE_SLOW_NS + 1, began_ns + INLINE_REST_NS - 1):
        desk.now_ns = now_ns
        desk.append()
        await desk.kick()
        assert (len(desk.lane.jobs), desk.lane.inlined) == (1, 2)
        desk.lane.work()
    desk.now_ns = began_ns + INLINE_REST_NS
    desk.append()
    await desk.kick()
    assert desk.lane.inlined == 3 and desk.told == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("is_inline", [True, False])
async def test_a_failed_write_fails_the_log_wherever_it_was_made(is_inline: bool) -> None:
    desk = await Desk("os").begun()
    lease = Loan()
    desk.lane.fails = OSError(errno.EIO, "Input/output error")
    block = desk.append(LARGE, lease)
    if not is_inline:
        desk.append(records(INLINE_BYTES_MAX))
    waiting = asyncio.ensure_future(desk.commit.synced(block))
    await desk.kick()
    if not is_inline:
        desk.lane.work()
        await desk.kick()
    assert desk.lane.inlined == is_inline
    assert len(desk.failures) == 1 and desk.told == [1]
    assert isinstance(waiting.exception(), StorageFailed)
    assert (lease.held, lease.holders) == (1, 0)
    assert desk.commit.pending_bytes == 0
    with pytest.raises(StorageFailed):
        desk.append(LARGE, lease)
    assert lease.held == 1, "held for what was refused"


async def test_pending_bytes_count_what_is_leased_until_it_is_written() -> None:
    desk = await Desk("block").begun()
    sizes = [len(LARGE), len(records(100_000))]
    for size, content in zip(sizes, (LARGE, records(100_000)), strict=True):
        before = desk.commit.pending_bytes
        desk.append(content, Loan())
        assert desk.commit.pending_bytes == before + size
    desk.append(records(10))
    assert desk.commit.pending_bytes > sum(sizes)
    desk.commit.close_block()
    desk.append(LARGE, Loan())
    await desk.kick()
    assert desk.commit.pending_bytes > sum(sizes) + len(LARGE)
    desk.lane.work()
    assert desk.commit.pending_bytes == len(LARGE)
    desk.lane.work()
    assert desk.commit.pending_bytes == 0


async def test_a_lease_is_held_until_its_block_is_written_and_no_longer() -> None:
    desk = await Desk("block").begun()
    leases = [Loan() for _ in range(3)]
    desk.append(LARGE, leases[0])
    desk.append(LARGE, leases[0], B)
    await desk.kick()
    desk.append(LARGE, leases[1])
    desk.commit.close_block()
    desk.append(LARGE, leases[2])
    assert [lease.holders for lease in leases] == [1, 1, 1]
    for written in range(3):
        desk.lane.work()
        await desk.kick()
        assert [lease.holders for lease in leases] == [0] * (written + 1) + [1] * (2 - written)
    assert [lease.held for lease in leases] == [1, 1, 1]


async def test_a_batch_below_the_bound_is_copied_and_holds_nothing() -> None:
    desk = await Desk("os").begun()
    lease = Loan()
    memory = bytearray(records(1_000))
    desk.commit.stream(A).append(memoryview(memory), 1, 2, 0, 1_000, lease)
    assert lease.held == 0
    sent, memory[:] = bytes(memory), bytes(len(memory))
    await desk.kick()
    assert sent[16:] in desk.disk, "its memory was read after it was copied"
    assert len(sent) < limits.LEASED_BATCH_BYTES_MIN


async def three_leased(desk: Desk) -> list[Loan]:
    """One block in flight, one closed, one open; a lease each."""
    leases = [Loan() for _ in range(3)]
    desk.append(LARGE, leases[0])
    await desk.kick()
    desk.append(LARGE, leases[1])
    desk.commit.close_block()
    desk.append(LARGE, leases[2])
    assert len(desk.lane.jobs) == 1
    return leases


async def test_after_a_failure_what_is_in_flight_keeps_its_lease_until_the_lane_is_done() -> None:
    desk = await Desk("block").begun()
    leases = await three_leased(desk)
    desk.commit.fail(OSError(errno.EIO, "a sync failed meanwhile"))
    assert [lease.holders for lease in leases] == [1, 0, 0], "the lane still reads the first"
    desk.lane.work()
    assert [lease.holders for lease in leases] == [0, 0, 0]
    assert desk.told == [1] and len(desk.failures) == 1
    await desk.kick()
    assert not desk.lane.jobs


async def test_a_failed_write_lets_go_of_what_is_queued_and_open_too() -> None:
    desk = await Desk("block").begun()
    leases = await three_leased(desk)
    desk.lane.fails = OSError(errno.EIO, "Input/output error")
    desk.lane.work()
    assert [lease.holders for lease in leases] == [0, 0, 0]
    assert len(desk.failures) == 1 and desk.told == [1]


async def test_after_a_close_nothing_is_held() -> None:
    desk = await Desk("block").begun()
    leases = await three_leased(desk)
    desk.commit.close()
    assert [lease.holders for lease in leases] == [1, 0, 0]
    told = list(desk.told)
    desk.lane.work()
    assert [lease.holders for lease in leases] == [0, 0, 0]
    assert (desk.told, desk.commit.pending_bytes) == (told, 0), "nobody is there to be told"


async def test_leased_and_copied_batches_lie_on_the_disk_in_the_order_of_their_appends() -> None:
    desk = await Desk("os").begun()
    sent = [records(10)]
    for n in range(12):
        sent.append(records((33_000, 500, 70_000)[n % 3], fill=1 + n))
        desk.append(sent[-1], Loan() if n % 2 else None)
        if n % 5 == 4:
            desk.commit.close_block()
    await desk.kick()
    while desk.lane.jobs:
        desk.lane.work()
        await desk.kick()
    at = PAGE_BYTES
    for n, content in enumerate(sent):
        stored = bytearray(content)
        batch.patch(stored, 0, n, 0)
        at = desk.disk.index(stored, at) + len(stored)


# On a machine that loses power


@pytest.mark.parametrize("sync", LAX)
def test_power_that_fails_in_a_write_on_the_loop_leaves_a_prefix(sync: str) -> None:
    struck = 0

    async def scenario(lab: SimLab) -> None:
        nonlocal struck
        settings = WalSettings(segment_bytes=1 << 18, sync=sync)
        process = await Process(lab, settings).start()
        inlined: list[bool] = []
        lane = process.world.lane("wal")
        inline = lane.inline

        def watched(job: Callable[[], Any]) -> Any:
            inlined.append(True)
            result = inline(job)
            inlined.pop()
            return result

        lane.inline = watched  # type: ignore[method-assign]
        for n in range(lab.random.randrange(1, 5)):
            await process.write(A, records(n))
        await process.settle()
        told = process.end(A)
        lab.machine.disk.crash_at(lab.random.randrange(4))
        process.world.spawn(write_on(process))  # type: ignore[attr-defined]
        await lab.machine.down()
        struck += len(inlined)
        assert process.synced[A] >= told
        after = await Process(lab, settings).start(process)
        assert not after.recovered.corrupt and after.end(A) <= process.end(A)
        await after.check()
        await after.write(A, records(40_000))
        await after.check()

    simulated(scenario, range(12))
    assert struck > 3, "power never failed in a write on the loop"


async def write_on(process: Process) -> None:
    while True:
        await process.write(A, records(300))
        await process.write(A, LARGE, lease=Loan())
