"""Disk files beyond the contract: short writes, kernels and file systems that can do less."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from app.world import files
from app.world.files import DiskFile, DiskFiles, memory_devices


@pytest.fixture
def file(tmp_path: Path) -> DiskFile:
    return DiskFiles().open(str(tmp_path / "f"), create=True)


def shorten(monkeypatch: pytest.MonkeyPatch, limit: int) -> list[int]:
    """`os.pwritev` that takes at most `limit` bytes a call; returns the flags of each call."""
    flags: list[int] = []
    whole = os.pwritev

    def pwritev(descriptor: int, buffers: Any, position: int, flag: int = 0) -> int:
        flags.append(flag)
        joined = b"".join(buffers)[:limit]
        return whole(descriptor, [joined], position, flag)

    monkeypatch.setattr(os, "pwritev", pwritev)
    return flags


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 4, 7, 100])
def test_short_writes_go_on_where_they_stopped(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch, durable: bool, limit: int
) -> None:
    shorten(monkeypatch, limit)
    file.write([b"abcd", b"", memoryview(b"efg"), bytearray(b"hij")], 5, durable=durable)
    assert file.read(0, 100) == bytes(5) + b"abcdefghij"


def test_a_short_durable_write_is_followed_by_one_sync_of_all(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    monkeypatch.setattr(files, "_sync_descriptor", syncs.append)
    flags = shorten(monkeypatch, 6)
    file.write([b"x" * 20], 0, durable=True)
    assert flags[1:] == [0, 0, 0]
    assert len(syncs) == 1


def test_a_durable_write_is_one_system_call(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    monkeypatch.setattr(files, "_sync_descriptor", syncs.append)
    flags = shorten(monkeypatch, 1 << 20)
    file.write([b"head", b"body"], 0, durable=True)
    assert (flags, syncs) == ([os.RWF_DSYNC], [])


def test_where_the_kernel_has_no_durable_write_a_sync_follows(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    monkeypatch.setattr(files, "_sync_descriptor", syncs.append)
    whole = os.pwritev

    def refuse(descriptor: int, buffers: Any, position: int, flag: int = 0) -> int:
        if flag:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return whole(descriptor, buffers, position)

    monkeypatch.setattr(os, "pwritev", refuse)
    file.write([b"abc"], 0, durable=True)
    assert file.read(0, 9) == b"abc"
    assert len(syncs) == 1


def test_a_write_that_fails_is_not_tried_again(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def fail(*_: Any) -> int:
        calls.append(1)
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(os, "pwritev", fail)
    with pytest.raises(OSError):
        file.write([b"abc"], 0, durable=True)
    assert len(calls) == 1


def test_short_reads_are_completed(file: DiskFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write([b"0123456789"], 0, durable=False)
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, at: whole(fd, min(length, 3), at))
    assert file.read(1, 8) == b"12345678"
    assert file.read(7, 99) == b"789"


def answer_nowait(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[int]:
    calls: list[int] = []

    def preadv(descriptor: int, buffers: Any, position: int, flags: int = 0) -> int:
        calls.append(position)
        if isinstance(answer, BaseException):
            raise answer
        room = memoryview(buffers[0])[:answer]
        return os.readv(descriptor, [room])

    monkeypatch.setattr(os, "preadv", preadv)
    return calls


def test_a_read_that_would_block_is_none(file: DiskFile, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_nowait(monkeypatch, BlockingIOError())
    assert file.read_cached(0, 4) is None


def test_a_read_of_half_cached_bytes_is_none_but_at_the_end_it_is_short(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write([b"0123456789"], 0, durable=False)
    answer_nowait(monkeypatch, 4)
    assert file.read_cached(0, 9) is None
    os.lseek(file.fileno(), 6, os.SEEK_SET)
    assert file.read_cached(6, 9) == b"6789"


def test_a_file_system_that_cannot_tell_is_asked_once_and_never_trusted(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "memory_devices", frozenset)
    calls = answer_nowait(monkeypatch, OSError(errno.EOPNOTSUPP, "not here"))
    assert [file.read_cached(0, 1) for _ in range(3)] == [None, None, None]
    assert len(calls) == 1


def test_a_file_system_in_memory_is_always_cached(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write([b"abc"], 0, durable=False)
    device = os.fstat(file.fileno()).st_dev
    monkeypatch.setattr(files, "memory_devices", lambda: frozenset([device]))
    calls = answer_nowait(monkeypatch, OSError(errno.EOPNOTSUPP, "not here"))
    assert [file.read_cached(0, 2) for _ in range(3)] == [b"ab", b"ab", b"ab"]
    assert len(calls) == 1


def test_other_errors_of_a_cached_read_are_raised(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_nowait(monkeypatch, OSError(errno.EIO, "disk"))
    with pytest.raises(OSError) as caught:
        file.read_cached(0, 1)
    assert caught.value.errno == errno.EIO


def test_tmpfs_is_known_as_memory() -> None:
    shared = Path("/dev/shm")
    mounts = Path("/proc/self/mountinfo")
    if not mounts.exists() or " /dev/shm " not in mounts.read_text():
        pytest.skip("no tmpfs at /dev/shm on this system")
    assert shared.stat().st_dev in memory_devices()
    assert Path("/proc/self").stat().st_dev not in memory_devices()


def test_a_failed_lock_leaks_no_descriptor(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    release = DiskFiles().lock(path)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        with pytest.raises(BlockingIOError):
            DiskFiles().lock(path)
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
    release()


def test_a_database_is_in_wal_mode_and_syncs_at_checkpoints(tmp_path: Path) -> None:
    database = DiskFiles().database(str(tmp_path / "db"))
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (1,)
    database.execute("BEGIN")
    assert database.in_transaction
    database.execute("ROLLBACK")
    database.close()
