"""The whole WAL: append, read, seal, retire, restart; on threads and on simulated lanes."""

import errno
from collections.abc import Callable

import pytest

from app import limits
from app.errors import InvalidConfig, StorageFailed
from app.tiers.nvme.block import FrameKind
from app.tiers.nvme.failures import DiskFailed, DiskFull
from app.tiers.nvme.wal import Wal, WalSettings
from tests.unit.tiers.nvme.arrange import A, B, C, Loan, key, records
from tests.unit.tiers.nvme.lab import SMALL, Lab, Process, Scenario, SimLab, simulated

Run = Callable[[Scenario], None]


async def fill(process: Process, count: int = 300, *, keys: int = 3) -> None:
    """Enough for a few small segments: batches of random sizes, some waits."""
    random = process.lab.random
    for n in range(count):
        block = process.append(
            key(1 + random.randrange(keys)),
            records(random.randrange(3_000), count=random.randrange(1, 4), timestamp=n),
        )
        if random.random() < 0.2:
            await process.wal.synced(block)
    await process.wal.synced(block)


def test_what_was_synced_is_read_and_is_there_after_a_kill(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        await fill(process)
        await process.check()
        await lab.kill()
        after = await Process(lab).start(process)
        assert not after.recovered.corrupt
        assert {k: after.end(k) for k in process.contents} == process.synced
        await after.check()
        await fill(after, 50)
        await after.check()
        await after.stop()

    run(scenario)


def test_a_partitions_bytes_are_those_of_its_extents(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        assert process.wal.bytes_of(A) == 0
        await fill(process, 60)
        for each in (A, B, C):
            held = process.wal.bytes_of(each)
            assert held == sum([extent[2] for extent in process.wal.extents(each)]) > 0
        process.wal.drop(A)
        assert process.wal.bytes_of(A) == 0
        await process.stop()

    run(scenario)


def test_a_clean_close_leaves_nothing_to_fold(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        await fill(process, 40)
        await process.stop()
        after = await Process(lab).start(process)
        assert after.recovered.blocks_folded == 0
        await after.check()
        await after.stop()

    run(scenario)


def test_everything_of_one_turn_of_the_loop_shares_a_block(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        blocks = {process.append(k, records()) for k in (A, B, C, A, B)}
        assert len(blocks) == 1
        await process.wal.synced(blocks.pop())
        assert process.wal.synced_through == 1
        assert process.wal.pending_bytes == 0
        await process.check()
        await process.stop()

    run(scenario)


def test_a_batch_larger_than_a_block_and_a_segment_is_stored(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        process.append(A, records())
        process.append(A, records(limits.BLOCK_BYTES_MAX + limits.BATCH_BYTES_MAX))
        await process.write(A, records())
        await process.check()
        await lab.kill()
        await (await Process(lab).start(process)).check()

    run(scenario)


def test_more_runs_than_one_call_takes_are_stored_in_order(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        for n in range(3_000):
            block = process.append(key(1 + n % 7), records(n % 50))
        await process.wal.synced(block)
        await process.check()
        await process.stop()

    run(scenario)


def test_truncated_moved_and_dropped_stay_so_after_a_kill(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        await fill(process, 150)
        cut = process.contents[A][len(process.contents[A]) // 2][1]
        moved = process.contents[B][5][0]
        process.control(A, FrameKind.TRUNCATED, cut, 1)
        process.control(B, FrameKind.START_MOVED, moved)
        process.wal.drop(C)
        process.control(C, FrameKind.REPLICA_DROPPED, 0)
        await process.write(A, records(77), 1)
        await process.write(C, records(33))
        await process.check()
        assert process.wal.extents(C)[0][:2] == (0, 1)
        for _ in range(2):
            await lab.kill()
            process = await Process(lab).start(process)
            await process.check()
            assert process.states.logs[B].start == moved
            assert process.end(C) == 1

    run(scenario)


def test_segments_in_which_nothing_is_live_are_given_back_and_used_again(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        await fill(process, 400)
        await process.settle()
        for k in (A, B, C):
            process.control(k, FrameKind.START_MOVED, process.contents[k][-2][0])
        await process.wal.synced(process.append(A, records()))
        before = await process.names()
        retired = await process.wal.retire()
        assert len(retired) > 3
        names = await process.names()
        free = [name for name in names if name.startswith("free-")]
        assert 0 < len(free) <= limits.SEGMENTS_FREE_MAX
        assert len(names) < len(before)
        await process.check()
        await fill(process, 400)
        await process.settle()
        assert set(free) - set(await process.names()), "a retired file lives again"
        await process.check()
        await lab.kill()
        after = await Process(lab).start(process)
        await after.check()

    run(scenario)


def test_a_pinned_segment_is_not_written_over_and_a_tainted_one_never(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        await fill(process, 400, keys=1)
        await process.settle()
        log = process.contents[A]
        slices = await process.wal.slices(A, 0, 1 << 40, 1 << 40, True)
        segments = list(dict.fromkeys(piece.segment for piece in slices))
        pinned, tainted = segments[0], segments[1]
        pinned.pin()
        tainted.taint()
        before = [await process.content(p) for p in slices if p.segment in (pinned, tainted)]
        process.control(A, FrameKind.START_MOVED, log[-1][0])
        await process.write(A, records())
        retired = await process.wal.retire()
        assert pinned.sequence in retired
        names = await process.names()
        for segment in (pinned, tainted):
            assert f"{segment.sequence:016x}.segment" not in names
            assert f"free-{segment.sequence:016x}.segment" not in names
        await fill(process, 400, keys=1)
        lent = [p for p in slices if p.segment is pinned]
        assert [await process.content(p) for p in lent] == before[: len(lent)]
        pinned.unpin()
        await process.settle()
        await process.check()

    run(scenario)


def test_offsets_that_come_in_any_order_are_read_in_order(run: Run) -> None:
    """What a replica fetches to repair itself does not arrive in offset order (seam 17)."""

    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        sizes = [lab.random.randrange(2_000) for _ in range(120)]
        whole = {}
        order = list(range(len(sizes)))
        lab.random.shuffle(order)
        for n in order:
            content = records(sizes[n], fill=n + 1)
            block = process.wal.stream(A).append(memoryview(content), n, n + 1, 0, 0)
            whole[n] = process_stored(content, n)
            if lab.random.random() < 0.3:
                await process.wal.synced(block)
        await process.wal.synced(block)
        assert await process.read(A) == b"".join(whole[n] for n in range(len(sizes)))
        start = lab.random.randrange(len(sizes))
        assert await process.read(A, start, start + 10) == b"".join(
            whole[n] for n in range(start, min(start + 10, len(sizes)))
        )
        await process.stop()

    run(scenario)


def process_stored(content: bytes, base: int) -> bytes:
    from streambus.protocol import batch

    stored = bytearray(content)
    batch.patch(stored, 0, base, 0)
    return bytes(stored)


def test_append_times_never_go_back_though_the_wall_clock_does() -> None:
    async def scenario(lab: SimLab) -> None:
        process = await Process(lab).start()
        for n in range(30):
            lab.machine.clock.jump(lab.random.randrange(-100_000, 50_000))
            await process.write(key(1 + n % 3), records())
        assert process.stamps == sorted(process.stamps)
        newest = process.stamps[-1]
        lab.machine.clock.jump(-10_000_000)
        await lab.kill()
        after = await Process(lab).start(process)
        await after.write(A, records())
        assert after.stamps[0] >= newest

    simulated(scenario)


@pytest.mark.parametrize("sync", ["block", "interval:20", "os"])
def test_power_may_fail_at_any_write(sync: str) -> None:
    """Whatever survives is a prefix, and with `block` it holds everything acknowledged (seam 3)."""

    async def scenario(lab: SimLab) -> None:
        settings = WalSettings(segment_bytes=SMALL.segment_bytes, sync=sync)
        process: Process | None = None
        for _ in range(6):
            before, process = process, Process(lab, settings)
            await process.start(before)
            assert not process.recovered.corrupt
            await process.check()
            if sync == "block" and before is not None:
                for k, end in before.synced.items():
                    assert process.end(k) >= end, "an acknowledged batch is lost"
            lab.machine.disk.crash_at(lab.random.randrange(1, 60))
            process.world.spawn(fill_until_dead(process))  # type: ignore[attr-defined]
            await lab.machine.down()

    simulated(scenario, range(12))


async def fill_until_dead(process: Process) -> None:
    while True:
        await fill(process, 60)
        for k in (A, B, A):
            process.append(k, records(33_000), lease=Loan())
        keys = [k for k in (A, B, C) if process.contents.get(k)]
        for k in keys:
            log = process.contents[k]
            process.control(k, FrameKind.START_MOVED, log[len(log) // 2][0])
        await process.wal.synced(process.append(A, records()))
        await process.wal.retire()


def test_a_failed_sync_is_never_acknowledged_and_the_refold_stops_before_it() -> None:
    """Though the page cache shows more (seam 9), and after a restart it is on the disk or gone."""

    async def scenario(lab: SimLab) -> None:
        process = await Process(lab).start()
        await fill(process, 40)
        acknowledged = dict(process.synced)
        await process.settle()
        lab.machine.disk.fail("sync", errno.EIO, path=".segment")
        block = process.append(A, records(123))
        with pytest.raises(DiskFailed, match="check the disk"):
            await process.wal.synced(block)
        assert len(process.failures) == 1
        assert process.synced == acknowledged
        with pytest.raises(DiskFailed):
            process.append(A, records())
        recovered = await process.wal.refold(process.states)
        assert {k: process.end(k) for k in acknowledged} == acknowledged
        assert not recovered.corrupt
        process.contents[A] = [o for o in process.contents[A] if o[1] <= acknowledged[A]]
        await process.check()
        with pytest.raises(StorageFailed):
            await process.wal.reopen()
        await lab.kill()
        after = await Process(lab).start(process)
        assert after.end(A) >= acknowledged[A]
        shown = after.end(A)
        await after.write(B, records())
        lab.crash()
        last = await Process(lab).start(after)
        assert last.end(A) == shown, "recovery showed what it had not synced"

    simulated(scenario, range(12))


def test_with_sync_by_interval_a_failed_sync_takes_back_what_was_not_truly_synced() -> None:
    async def scenario(lab: SimLab) -> None:
        settings = WalSettings(segment_bytes=1 << 20, sync="interval:50")
        process = await Process(lab, settings).start()
        await process.write(A, records())
        await process.world.sleep(500)
        lab.machine.disk.fail("sync", errno.EIO, path=".segment")
        await process.write(A, records())
        assert process.synced[A] == 2
        await process.world.sleep(1_000)
        assert process.failures
        await process.wal.refold(process.states)
        assert process.end(A) == 1

    simulated(scenario)


def test_a_full_disk_refuses_reads_on_and_goes_on_once_there_is_room() -> None:
    async def scenario(lab: SimLab) -> None:
        process = await Process(lab).start()
        await fill(process, 30)
        lab.machine.disk.bytes_max = used(lab) + 1_000
        with pytest.raises(DiskFull, match="free space"):
            for _ in range(500):
                await process.write(A, records(3_000))
        await process.settle()
        recovered = await process.wal.refold(process.states)
        assert not recovered.corrupt
        ends = {k: process.end(k) for k in process.synced}
        assert ends == process.synced
        process.contents = {
            k: [o for o in log if o[1] <= ends.get(k, 0)] for k, log in process.contents.items()
        }
        await process.check()
        with pytest.raises(DiskFull):
            await process.wal.reopen()
        lab.machine.disk.heal()
        await process.wal.reopen()
        await fill(process, 60)
        await process.check()
        lab.crash()
        await (await Process(lab).start(process)).check()

    simulated(scenario)


def used(lab: SimLab) -> int:
    return sum(inode.allocated for inode in lab.machine.disk.inodes())


def test_a_disk_that_is_full_at_start_is_read_and_used_when_there_is_room() -> None:
    async def scenario(lab: SimLab) -> None:
        process = await Process(lab).start()
        await fill(process, 30)
        await lab.kill()
        lab.machine.disk.bytes_max = 1
        after = await Process(lab).start(process)
        assert after.failures
        assert after.wal.state == "failed"
        await after.check()
        await after.wal.refold(after.states)
        await after.check()
        lab.machine.disk.heal()
        await after.wal.reopen()
        await fill(after, 10)
        await after.check()

    simulated(scenario)


def test_a_directory_that_cannot_be_written_is_named() -> None:
    async def scenario(lab: SimLab) -> None:
        await (await Process(lab).start()).stop()
        lab.machine.disk.is_read_only = True
        with pytest.raises(StorageFailed, match=f"{lab.directory}.*cannot be written"):
            await Process(lab).start()

    simulated(scenario)


def test_back_pressure_ends_with_a_word() -> None:
    async def scenario(lab: SimLab) -> None:
        process = await Process(lab, WalSettings()).start()
        content = records(1 << 20)
        while process.wal.pending_bytes <= limits.WAL_PENDING_BYTES_MAX:
            block = process.append(A, content)
        assert not process.drained
        await process.wal.synced(block)
        assert process.drained == 1

    simulated(scenario, [1])


def test_timestamps_are_found_where_they_are(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        process = await Process(lab).start()
        stamps = [lab.random.randrange(1, 5_000) for _ in range(200)]
        for stamp in stamps:
            await process.write(A, records(lab.random.randrange(2_000), timestamp=stamp))
        for wanted in (0, 10, 2_500, 4_900, max(stamps), max(stamps) + 1):
            expected = next((n for n, stamp in enumerate(stamps) if stamp >= wanted), None)
            piece = await process.wal.locate_timestamp(A, wanted, 0, len(stamps))
            if expected is None:
                assert piece is None
            else:
                assert piece is not None
                assert piece.base_offset <= expected < piece.end_offset
        newest = await process.wal.max_timestamp(A, 0, len(stamps))
        assert newest is not None
        assert newest[0] == max(stamps)
        assert newest[1].base_offset == stamps.index(max(stamps))
        await process.stop()

    run(scenario)


def test_log_append_time_is_stamped_into_the_batch(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        from streambus.protocol import batch

        process = await Process(lab).start()
        stream = process.wal.stream(A)
        block = stream.append_stamped(memoryview(records()), 0, 1, 3, 77_000)
        await process.wal.synced(block)
        content = await process.read(A)
        header = batch.read_header(content)
        batch.verify(memoryview(content), 0, header)
        assert header[batch.MAX_TIMESTAMP] == 77_000
        assert header[batch.ATTRIBUTES] & batch.Attributes.LOG_APPEND_TIME
        assert header[batch.LEADER_EPOCH] == 3
        assert process.wal.extents(A)[0][3] == 77_000
        await process.stop()

    run(scenario)


def test_a_checkpoint_may_be_cut_short_at_any_step() -> None:
    """Sidecar, checkpoint, pruning: power fails between any two changes, and that costs nothing."""

    async def scenario(lab: SimLab) -> None:
        process: Process | None = None
        for step in range(1, 24):
            before, process = process, Process(lab)
            await process.start(before)
            await process.check()
            if before is not None:
                assert {k: process.end(k) for k in before.synced} == before.synced
            await fill(process, 20)
            await process.settle()
            process.wal.seal("a test asks")
            await process.wal.synced(process.append(A, records()))
            lab.machine.disk.crash_at(step)
            process.world.spawn(power_off(lab, process))  # type: ignore[attr-defined]
            await lab.machine.down()

    simulated(scenario, range(6))


async def power_off(lab: SimLab, process: Process) -> None:
    await process.world.sleep(2_000)
    lab.crash()


def test_two_logs_of_one_world_share_nothing(run: Run) -> None:
    async def scenario(lab: Lab) -> None:
        first = await Process(lab).start()
        other = Wal(first.world, lab.directory + "-2", SMALL, first.clock, first)
        await other.open(type(first.states)())
        block = other.stream(A).append(memoryview(records(5)), 0, 1, 0, 0)
        await first.write(A, records(9))
        await other.synced(block)
        assert len(await first.read(A)) == len(first.contents[A][0][2])
        await other.close()
        await first.stop()

    run(scenario)


@pytest.mark.parametrize("text", ["", "never", "interval:", "interval:0", "interval:-5", "os:3"])
def test_a_sync_that_does_not_exist_is_refused(text: str) -> None:
    async def scenario(lab: SimLab) -> None:
        with pytest.raises(InvalidConfig):
            Process(lab, WalSettings(sync=text))

    simulated(scenario, [1])


def test_any_call_of_the_disk_may_fail() -> None:
    """Whatever fails wherever: acknowledged stays, and what was not is never shown as if it
    were."""

    async def scenario(lab: SimLab) -> None:
        process: Process | None = None
        for _ in range(8):
            before, process = process, Process(lab)
            await process.start(before)
            assert not process.recovered.corrupt
            await process.check()
            if before is not None:
                for k, end in before.synced.items():
                    assert process.end(k) >= end
            operation = lab.random.choice(("write", "sync", "resize", "rename", "sync_directory"))
            number = lab.random.choice((errno.EIO, errno.ENOSPC))
            lab.machine.disk.fail(operation, number, nth=lab.random.randrange(1, 40))
            for _ in range(3):
                try:
                    await write_and_retire(process)
                except StorageFailed:
                    if not await mend(lab, process):
                        break
            lab.machine.disk.heal()
            lab.random.choice((lab.crash, lab.machine.kill))()

    simulated(scenario, range(8))


async def write_and_retire(process: Process) -> None:
    await fill(process, 60)
    for k in (A, B, C):
        if process.contents.get(k):
            log = process.contents[k]
            process.control(k, FrameKind.START_MOVED, log[len(log) // 2][0])
    await process.write(A, records())
    await process.wal.retire()
    await process.check()


async def mend(lab: SimLab, process: Process) -> bool:
    """What the broker does after a failure. True if the log goes on."""
    acknowledged = dict(process.synced)
    recovered = await process.wal.refold(process.states)
    assert not recovered.corrupt
    for k, end in acknowledged.items():
        assert process.end(k) == end, "the refold is not what was acknowledged"
    for k, log in process.contents.items():
        process.contents[k] = [one for one in log if one[1] <= process.end(k)]
    await process.check()
    lab.machine.disk.heal()
    if not isinstance(process.wal.error, DiskFull):
        return False
    await process.wal.reopen()
    return True
