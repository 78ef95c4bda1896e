"""Twin of app/offline.py: a log that a real broker wrote, read and judged without one."""

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from app import offline
from app.config import ApiConfig, BrokerConfig, WalConfig
from app.errors import StorageFailed
from app.limits import KIB
from app.main import started
from app.offline import FrameSeen, Verdict
from app.world.files import DiskFiles
from app.world.real import RealWorld
from streambus.client.cluster import Cluster
from streambus.client.producer import Producer, Record
from tests.tidy.source import ROOT

FILES = DiskFiles()
SEGMENT_BYTES = 256 * KIB
BATCHES = 68  # some of them in a segment that is still open


def settings(directory: Path) -> BrokerConfig:
    return BrokerConfig(
        data=str(directory),
        listeners=("127.0.0.1:0",),
        wal=WalConfig(segment_bytes=SEGMENT_BYTES),
        api=ApiConfig(address=""),
    )


async def write(directory: Path, during: Callable[[], object]) -> None:
    """A broker's whole life, with records for several segments."""
    world = RealWorld()
    try:
        async with started(settings(directory), world) as broker:
            async with Cluster([broker.addresses[0]], client_id="test") as cluster:
                producer = Producer(cluster, "orders", now_ms=lambda: 1_750_000_000_000)
                for number in range(BATCHES):
                    await producer.send([Record(bytes([number]) * 16_000, None, ())], 0)
            # Sidecars, checkpoints and spares are made on one serial lane: what it had is done.
            await world.lane("roll").run(partial(int))
            during()
    finally:
        await world.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What kill -9 leaves: copied while the broker ran, with nothing on its way."""
    made = tmp_path_factory.mktemp("offline")
    asyncio.run(write(made / "live", lambda: shutil.copytree(made / "live", made / "data")))
    return made / "data"


@pytest.fixture
def wal(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "data") / "wal")


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def verify(wal: Path) -> Verdict:
    before = contents(wal.parent)
    verdict = offline.verify(FILES, str(wal))
    assert contents(wal.parent) == before, "verify wrote"
    return verdict


def sealed(wal: Path) -> list[Path]:
    return [
        wal / one.name
        for one in offline.inspect_segments(FILES, str(wal))
        if one.state == "sealed" and one.sidecar
    ]


def frames(wal: Path, segment: Path | None = None) -> list[FrameSeen]:
    sequence = None if segment is None else int(segment.stem, 16)
    return [
        frame
        for _, block in offline.inspect_blocks(FILES, str(wal), sequence)
        for frame in block.frames
    ]


def damage(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def test_a_whole_log_is_whole_and_everything_in_it_is_counted(wal: Path) -> None:
    verdict = verify(wal)
    assert (verdict.damaged, verdict.torn, verdict.mendable) == ([], [], [])
    assert verdict.segments >= 4 and verdict.checkpoints >= 1 and verdict.partitions == 1
    assert verdict.bytes >= BATCHES * 16_000
    assert verdict.frames == len(frames(wal))
    assert not verdict.is_in_use


def test_the_frames_of_a_partition_are_its_offsets_without_a_gap(wal: Path) -> None:
    (key,) = {frame.key for frame in frames(wal) if frame.kind == "batches"}
    own = [
        frame
        for _, block in offline.inspect_blocks(FILES, str(wal), key=key)
        for frame in block.frames
        if frame.kind == "batches"
    ]
    assert [frame.base_offset for frame in own] == [0, *(frame.end_offset for frame in own[:-1])]
    assert own[-1].end_offset == BATCHES
    assert all(frame.is_whole for frame in own)


def test_a_frame_that_rots_in_a_sealed_segment_is_named(wal: Path) -> None:
    segment = sealed(wal)[0]
    frame = next(each for each in frames(wal, segment) if each.bytes)
    damage(segment, frame.position + frame.bytes // 2)
    (line,) = verify(wal).damaged
    assert line == (
        f"{segment} at {frame.position}, block {frame.block}: the bytes of {frame.key} from offset "
        f"{frame.base_offset} to {frame.end_offset} are damaged"
    )
    assert [each.is_whole for each in frames(wal, segment)].count(False) == 1


def test_a_block_header_that_rots_in_a_sealed_segment_is_named(wal: Path) -> None:
    segment = sealed(wal)[1]
    _, block = list(offline.inspect_blocks(FILES, str(wal), int(segment.stem, 16)))[2]
    damage(segment, block.position + 20)
    (line,) = verify(wal).damaged
    assert line == f"{segment}: block {block.block} had been synced and cannot be read"


def test_a_synced_block_of_the_open_segment_that_rots_is_damage(wal: Path) -> None:
    *_, (_, first), (sequence, _) = offline.inspect_blocks(FILES, str(wal))
    assert first.frames
    damage(wal / f"{sequence:016x}.segment", first.frames[0].position)
    assert any(f"block {first.block}" in line for line in verify(wal).damaged)


def test_a_torn_end_is_no_damage(wal: Path) -> None:
    *_, (sequence, last) = offline.inspect_blocks(FILES, str(wal))
    path = wal / f"{sequence:016x}.segment"
    with path.open("r+b") as file:
        file.truncate(last.position + last.bytes - 1)
    verdict = verify(wal)
    assert verdict.damaged == [] and len(verdict.torn) == 1
    assert f"block {last.block} was being written" in verdict.torn[0]


def test_what_a_start_rebuilds_is_mendable(wal: Path) -> None:
    segments = sealed(wal)
    beside = [segment.with_suffix(".sidecar") for segment in segments]
    damage(beside[0], 70)  # its directory
    damage(beside[1], beside[1].stat().st_size - 4)  # its rows
    checkpoint = sorted(wal.glob("checkpoint-*"))[-1]
    damage(checkpoint, 64)
    verdict = verify(wal)
    assert verdict.damaged == []
    for path in (beside[0], beside[1], checkpoint):
        assert any(str(path) in line for line in verdict.mendable), path


def test_without_any_checkpoint_what_was_given_back_is_unknown(wal: Path) -> None:
    for checkpoint in wal.glob("checkpoint-*"):
        damage(checkpoint, 64)
    assert any("no checkpoint can be read" in line for line in verify(wal).damaged)


def test_a_segment_that_is_gone_is_damage(wal: Path) -> None:
    gone = sealed(wal)[1]
    gone.unlink()
    assert any("stand in no segment" in line for line in verify(wal).damaged)


def test_segments_say_what_they_are(wal: Path) -> None:
    seen = offline.inspect_segments(FILES, str(wal))
    begun = [one for one in seen if one.blocks]
    assert [one.state for one in begun][:-1] == ["sealed"] * (len(begun) - 1)
    assert [one.first_block for one in begun[1:]] == [one.last_block + 1 for one in begun[:-1]]
    assert all(one.sidecar == "right" for one in begun[:-2])
    damage(wal / begun[0].name.replace("segment", "sidecar"), 70)
    damage(wal / begun[0].name, 10)
    again = offline.inspect_segments(FILES, str(wal))[seen.index(begun[0])]
    assert (again.sidecar, again.damage) == ("unreadable", "the first page")


async def test_a_running_broker_is_seen_and_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    verdicts: list[Verdict] = []

    def look() -> None:
        wal = offline.wal_directory(FILES, str(directory))
        assert offline.inspect_segments(FILES, wal)
        verdicts.append(offline.verify(FILES, wal))

    await write(directory, look)
    (verdict,) = verdicts
    assert verdict.is_in_use and verdict.damaged == [] and verdict.bytes >= BATCHES * 16_000
    assert not offline.is_in_use(FILES, str(directory / "wal"))


def test_the_log_is_found_from_either_directory(wal: Path, tmp_path: Path) -> None:
    assert offline.wal_directory(FILES, f"{wal.parent}/") == str(wal)
    assert offline.wal_directory(FILES, str(wal)) == str(wal)
    for other in (tmp_path / "none", ROOT):
        with pytest.raises(StorageFailed, match="there is no log in"):
            offline.wal_directory(FILES, str(other))
