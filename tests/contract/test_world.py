"""What the broker may rely on of clock, timers, files and lanes, in every world.

Each scenario gets a world and an empty directory; the simulated world plays it under several seeds.
"""

import asyncio
import errno
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from app.errors import Unavailable
from app.limits import LANE_QUEUE_MAX
from app.world import World
from app.world.real import RealWorld
from tests.contract.wares import make_file, pattern

# Clock, randomness, timers


def test_monotonic_time_follows_sleep(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        before = world.clock.monotonic_ms()
        await world.sleep(20)
        assert world.clock.monotonic_ms() - before >= 19
        assert world.clock.now_ms() > 1_600_000_000_000

    play(scenario)


def test_a_timer_fires_once_and_a_cancelled_one_never(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        fired: list[str] = []
        world.call_later(1, lambda: fired.append("kept"))
        world.call_later(1, lambda: fired.append("cancelled")).cancel()
        await world.sleep(30)
        assert fired == ["kept"]

    play(scenario)


def test_random_numbers_stay_below_their_bound(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        for bound in (1, 2, 3, 255, 256, 257, 1 << 40):
            assert all(0 <= world.randomness.below(bound) < bound for _ in range(50))
        assert {world.randomness.below(3) for _ in range(200)} == {0, 1, 2}
        assert len(world.randomness.bytes(16)) == 16
        assert world.randomness.bytes(16) != world.randomness.bytes(16)

    play(scenario)


# Files


def test_written_buffers_are_read_back_in_order(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        def job() -> None:
            file = world.files.open(f"{root}/f", create=True)
            file.write([b"one", bytearray(b""), memoryview(b"-two")[1:], b"!"], 2, durable=True)
            file.write([], 0, durable=True)
            assert file.read(0, 100) == b"\0\0onetwo!"
            assert file.read(5, 3) == b"two"
            assert file.read(9, 5) == b""
            assert file.size() == 9
            file.close()

        await world.lane("wal").run(job)

    play(scenario)


@pytest.mark.parametrize("durable", [False, True])
def test_more_buffers_than_one_system_call_takes_are_all_written(play: Any, durable: bool) -> None:
    async def scenario(world: World, root: str) -> None:
        buffers = [number.to_bytes(3, "big") for number in range(2_500)]

        def job() -> None:
            file = world.files.open(f"{root}/f", create=True)
            file.write(buffers, 7, durable=durable)
            assert file.read(7, 1 << 20) == b"".join(buffers)

        await world.lane("wal").run(job)

    play(scenario)


def test_a_cached_read_gives_the_same_bytes_or_none(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        content = pattern(10_000)
        file = await make_file(world, f"{root}/f", content)
        for position, length in ((0, 10_000), (17, 4_000), (9_990, 100), (10_000, 1), (0, 1)):
            answers = {file.read_cached(position, length) for _ in range(50)}
            assert answers <= {None, content[position : position + length]}

    play(scenario)


def test_resize_cuts_extends_with_zeros_and_allocates(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        def job() -> None:
            file = world.files.open(f"{root}/f", create=True)
            file.write([b"abcdef"], 0, durable=False)
            file.resize(3)
            assert file.read(0, 10) == b"abc"
            file.resize(5)
            assert file.read(0, 10) == b"abc\0\0"
            file.resize(4_096, allocate=True)
            assert file.size() == 4_096
            assert file.read(0, 6) == b"abc\0\0\0"
            file.resize(2, allocate=True)
            assert file.read(0, 10) == b"ab"
            file.sync()

        await world.lane("wal").run(job)

    play(scenario)


def test_names_come_and_go(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        def job() -> None:
            files = world.files
            assert files.list(f"{root}/none") == []
            files.make_directory(f"{root}/d/e")
            files.make_directory(f"{root}/d/e")
            with pytest.raises(FileNotFoundError):
                files.open(f"{root}/d/x")
            with pytest.raises(FileNotFoundError):
                files.open(f"{root}/missing/x", create=True)
            files.open(f"{root}/d/x", create=True).write([b"x"], 0, durable=True)
            files.open(f"{root}/d/b", create=True).write([b"b"], 0, durable=True)
            assert files.list(f"{root}/d") == ["b", "e", "x"]
            files.rename(f"{root}/d/x", f"{root}/d/b")
            assert files.list(f"{root}/d") == ["b", "e"]
            assert files.open(f"{root}/d/b").read(0, 9) == b"x"
            files.unlink(f"{root}/d/b")
            files.sync_directory(f"{root}/d")
            assert files.list(f"{root}/d") == ["e"]
            with pytest.raises(FileNotFoundError):
                files.unlink(f"{root}/d/b")

        await world.lane("roll").run(job)

    play(scenario)


def test_a_file_system_says_how_much_it_holds_and_has_left(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        def job() -> tuple[int, int]:
            world.files.make_directory(f"{root}/d")
            return world.files.space(f"{root}/d")

        total, usable = await world.lane("reader").run(job)
        assert 0 < usable <= total

    play(scenario)


def test_an_unlinked_file_is_readable_while_open(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        file = await make_file(world, f"{root}/f", b"still here")

        def job() -> None:
            world.files.unlink(f"{root}/f")
            assert file.read(0, 99) == b"still here"

        await world.lane("roll").run(job)

    play(scenario)


def test_a_file_opened_for_reading_refuses_writes(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        await make_file(world, f"{root}/f", b"a")

        def job() -> None:
            file = world.files.open(f"{root}/f", writable=False)
            with pytest.raises(OSError) as caught:
                file.write([b"b"], 0, durable=False)
            assert caught.value.errno == errno.EBADF
            file.close()
            with pytest.raises(OSError):
                file.read(0, 1)
            file.close()

        await world.lane("wal").run(job)

    play(scenario)


def test_a_lock_is_exclusive_until_released(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        def job() -> None:
            release = world.files.lock(f"{root}/lock")
            with pytest.raises(BlockingIOError):
                world.files.lock(f"{root}/lock")
            release()
            release()
            world.files.lock(f"{root}/lock")()

        await world.lane("roll").run(job)

    play(scenario)


def test_a_database_keeps_what_was_committed(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        def first() -> None:
            database = world.files.database(f"{root}/db")
            database.execute("CREATE TABLE t (a INTEGER)")
            database.execute("BEGIN")
            database.execute("INSERT INTO t VALUES (1)")
            database.executemany("INSERT INTO t VALUES (?)", [(2,), (3,)])
            database.execute("COMMIT")
            database.execute("BEGIN")
            database.execute("INSERT INTO t VALUES (99)")
            database.execute("ROLLBACK")
            database.execute("PRAGMA user_version = 7")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.close()

        def second() -> None:
            database = world.files.database(f"{root}/db")
            assert database.execute("SELECT a FROM t ORDER BY a").fetchall() == [(1,), (2,), (3,)]
            assert database.execute("PRAGMA user_version").fetchone() == (7,)
            database.close()
            assert "db" in world.files.list(root)

        await world.lane("raft").run(first)
        await world.lane("raft").run(second)

    play(scenario)


def test_a_database_refuses_every_lane_but_its_own(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        def job() -> Any:
            return world.files.database(f"{root}/db")

        database = await world.lane("raft").run(job)
        with pytest.raises((AssertionError, sqlite3.ProgrammingError)):
            database.execute("SELECT 1")
        with pytest.raises((AssertionError, sqlite3.ProgrammingError)):
            await world.lane("wal").run(lambda: database.execute("SELECT 1"))
        await world.lane("raft").run(database.close)

    play(scenario)


# Lanes


@pytest.mark.parametrize("name", ["wal", "roll", "raft"])
def test_a_serial_lane_runs_and_answers_in_order(play: Any, name: str) -> None:
    async def scenario(world: World, root: str) -> None:
        ran: list[int] = []
        answered: list[int] = []
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def job(number: int) -> Callable[[], int]:
            def run() -> int:
                ran.append(number)
                return number

            return run

        def done(result: Any) -> None:
            answered.append(result)
            if result == 99:
                ended.set_result(None)

        for number in range(100):
            world.lane(name).submit(job(number), done)
        assert not answered, "submit must never answer inside"
        await ended
        assert ran == answered == list(range(100))

    play(scenario)


def test_exceptions_of_jobs_are_delivered(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        def fail() -> None:
            raise OSError(errno.EIO, "disk")

        def stop() -> None:
            raise StopIteration

        with pytest.raises(OSError, match="disk"):
            await world.lane("wal").run(fail)
        with pytest.raises(RuntimeError):
            await world.lane("wal").run(stop)
        results: list[Any] = []
        world.lane("wal").submit(fail, results.append)
        assert await world.lane("wal").run(lambda: 5) == 5
        assert isinstance(results[0], OSError)

    play(scenario)


def test_cancelling_the_waiter_does_not_cancel_the_job(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        ran: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            waiter = tasks.create_task(world.lane("wal").run(lambda: ran.append("job")))
            await asyncio.sleep(0)
            waiter.cancel()
        await world.lane("wal").run(lambda: None)
        assert ran == ["job"]

    play(scenario)


def test_the_readers_run_beside_each_other_and_lose_nothing(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(world.lane("reader").run(partial(pow, number, 2)))
                for number in range(200)
            ]
        assert [task.result() for task in waiting] == [number**2 for number in range(200)]

    play(scenario)


def test_a_lane_takes_no_more_than_its_bound(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        results: list[Any] = []
        for _ in range(LANE_QUEUE_MAX):
            world.lane("wal").submit(lambda: None, results.append)
        with pytest.raises(Unavailable):
            world.lane("wal").submit(lambda: None, results.append)
        world.lane("roll").submit(lambda: None, lambda _: None)

    play(scenario)


def test_closing_runs_what_is_queued_and_takes_nothing_more(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        results: list[Any] = []
        for number in range(20):
            world.lane("roll").submit(partial(abs, number), results.append)
        await world.close()
        assert results == list(range(20))
        with pytest.raises(Unavailable):
            world.lane("roll").submit(lambda: None, results.append)
        await world.close()

    play(scenario)


def test_two_worlds_in_one_loop_share_nothing(play: Any) -> None:
    async def scenario(world: World, root: str) -> None:
        if not isinstance(world, RealWorld):
            return  # tests/sim has clusters of its own
        other = RealWorld()
        assert other.lane("wal") is not world.lane("wal")
        assert await other.lane("wal").run(lambda: 1) == 1
        assert await world.lane("wal").run(lambda: 2) == 2
        await other.close()
        assert await world.lane("wal").run(lambda: 3) == 3

    play(scenario)
