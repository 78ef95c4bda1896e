"""Files before and after their life as a segment."""

import errno
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from app.limits import SEGMENTS_FREE_MAX, SEGMENTS_FREE_MIN, SEGMENTS_FREE_MS
from app.tiers.nvme import spares
from app.tiers.nvme.block import FrameKind
from app.tiers.nvme.segment import FREE_PAGE, Segment, segment_path
from app.tiers.nvme.wal import WalSettings
from tests.unit.tiers.nvme.arrange import DIRECTORY, A, MemoryFiles, records
from tests.unit.tiers.nvme.lab import Process, SimLab, simulated


def test_a_prepared_file_is_full_size_and_says_that_it_is_free() -> None:
    files = MemoryFiles()
    sequence, _ = spares.prepare(files, DIRECTORY, 3, 1 << 14, None, fill=True)
    content = files.names[segment_path(DIRECTORY, 3)]
    assert sequence == 3
    assert len(content) == 1 << 14
    assert content.startswith(FREE_PAGE)
    assert not any(content[len(FREE_PAGE) :])


def test_a_retired_file_keeps_its_bytes_under_its_new_name() -> None:
    files = MemoryFiles()
    old = bytes(range(256)) * 64
    files.names["wal/free-1.segment"] = bytearray(old)
    spares.prepare(files, DIRECTORY, 4, len(old), "wal/free-1.segment", fill=True)
    assert files.list(DIRECTORY) == ["0000000000000004.segment"]
    assert files.names[segment_path(DIRECTORY, 4)] == old


async def seal_once(process: Process) -> None:
    for _ in range(50):
        await process.write(A, records(3_000))
    await process.settle()


def test_the_next_segment_is_prepared_when_this_one_is_half_full_and_not_before() -> None:
    async def scenario(lab: SimLab) -> None:
        process = await Process(lab, WalSettings(segment_bytes=1 << 17)).start()
        assert await process.names() == ["0000000000000001.segment"]
        while len(await process.names()) == 1:
            await process.write(A, records(3_000))
        assert (1 << 16) - 10_000 < process.wal._segments[-1].end < (1 << 17)
        await process.settle()
        second = lab.machine.disk.read(segment_path(lab.directory, 2))
        assert second.startswith(FREE_PAGE)
        assert len(second) == 1 << 17

    simulated(scenario)


def test_a_disk_that_is_full_while_preparing_is_no_error_until_the_file_is_needed() -> None:
    async def scenario(lab: SimLab) -> None:
        process = await Process(lab, WalSettings(segment_bytes=1 << 17)).start()
        lab.machine.disk.fail("resize", errno.ENOSPC, path="0000000000000002")
        await seal_once(process)
        assert not process.failures
        await process.check()

    simulated(scenario)


def test_a_file_that_is_ready_too_late_comes_after_those_that_were_begun() -> None:
    async def scenario(lab: SimLab) -> None:
        process = await Process(lab, WalSettings(segment_bytes=1 << 16)).start()
        lab.machine.delays.stall_chance = 0.5  # lanes so slow that segments overtake them
        blocks = [process.append(A, records(20_000)) for _ in range(60)]
        await process.wal.synced(blocks[-1])
        for _ in range(30):
            await process.write(A, records(9_000))
        await process.check()
        lab.machine.delays.stall_chance = 0.0
        await process.settle()
        await lab.kill()
        await (await Process(lab).start(process)).check()

    simulated(scenario, range(8))


def test_free_files_found_at_start_are_used_and_the_rest_removed() -> None:
    async def scenario(lab: SimLab) -> None:
        process: Any = await Process(lab, WalSettings(segment_bytes=1 << 16)).start()
        for _ in range(400):
            await process.write(A, records(5_000))
        await process.settle()
        process.control(A, FrameKind.START_MOVED, 399)
        await process.write(A, records())
        await process.wal.retire()
        free = [name for name in await process.names() if name.startswith("free-")]
        assert free
        await lab.kill()
        process = await Process(lab, WalSettings(segment_bytes=1 << 16)).start(process)
        for _ in range(100):
            await process.write(A, records(5_000))
        await process.settle()
        assert len(set(free) & set(await process.names())) < len(free)
        await process.check()

    simulated(scenario, [1])


class Shelf:
    """Spares whose jobs run at once; the clock is the test's."""

    def __init__(self, free: int) -> None:
        self.now_ms = 5 * SEGMENTS_FREE_MS  # of a machine that has been up for long
        self.files = MemoryFiles()
        world: Any = SimpleNamespace(
            clock=SimpleNamespace(monotonic_ms=lambda: self.now_ms),
            files=self.files,
            lane=lambda name: SimpleNamespace(submit=self._submit),
        )
        self.spares = spares.Spares(world, DIRECTORY, 1 << 14)
        paths = [f"{DIRECTORY}/free-{n}.segment" for n in range(free)]
        self.files.names = {path: bytearray(1 << 14) for path in paths}
        assert self.spares.begin(paths, free + 1) == []

    def _submit(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        done(job())

    def recycle(self) -> None:
        sequence = self.spares.next_sequence()
        path = segment_path(DIRECTORY, sequence)
        self.files.names[path] = bytearray(1 << 14)
        self.spares.recycle(Segment(sequence, path, self.files.open(path), 1, 1))

    @property
    def names(self) -> set[str]:
        return set(self.files.names)


def test_of_spare_files_that_nobody_needed_for_long_a_few_stay() -> None:
    shelf = Shelf(SEGMENTS_FREE_MAX)
    before = shelf.names
    shelf.now_ms += SEGMENTS_FREE_MS - 1
    shelf.spares.trim()
    assert shelf.names == before, "a start counts as need: what it found is not removed at once"
    shelf.now_ms += 1
    shelf.spares.trim()
    assert shelf.spares.free == len(shelf.names) == SEGMENTS_FREE_MIN
    assert shelf.names < before
    shelf.spares.trim()
    assert shelf.spares.free == SEGMENTS_FREE_MIN


def test_spare_files_stay_while_they_come_and_go() -> None:
    for need in ("recycle", "want"):
        shelf = Shelf(10)
        shelf.now_ms += SEGMENTS_FREE_MS - 1
        if need == "want":
            shelf.spares.want(is_fast=True)
        else:
            shelf.recycle()
        kept = shelf.spares.free
        shelf.now_ms += SEGMENTS_FREE_MS - 1
        shelf.spares.trim()
        assert shelf.spares.free == kept > SEGMENTS_FREE_MIN, need
        shelf.now_ms += 1
        shelf.spares.trim()
        assert shelf.spares.free == SEGMENTS_FREE_MIN + (need == "want"), "the prepared one stays"


def test_a_log_that_retires_nothing_any_more_lets_go_of_its_spare_files() -> None:
    async def scenario(lab: SimLab) -> None:
        process = await Process(lab, WalSettings(segment_bytes=1 << 16)).start()
        for _ in range(400):
            await process.write(A, records(5_000))
        await process.settle()
        process.control(A, FrameKind.START_MOVED, 399)
        await process.write(A, records())
        await process.wal.retire()
        await process.settle()
        assert len(await free_files(process)) > SEGMENTS_FREE_MIN
        await process.world.sleep(SEGMENTS_FREE_MS)
        await process.wal.retire()
        await process.settle()
        assert len(await free_files(process)) == SEGMENTS_FREE_MIN
        await process.check()

    simulated(scenario, [1])


async def free_files(process: Process) -> list[str]:
    return [name for name in await process.names() if name.startswith("free-")]
