"""Simulated disks and databases fail as real ones do."""

import errno
import sqlite3

import pytest

from tests.sim.files import SECTOR_BYTES, write
from tests.sim.world import Machine, Simulation, SimWorld, simulate


def after_crash(seed: int, unsynced: bytes, *, durable: bytes = b"") -> bytes:
    """What is left of a file after unsynced bytes were written over durable ones."""

    async def scenario(simulation: Simulation) -> bytes:
        machine = simulation.machine("a")
        world = machine.boot()
        write(world, "/f", durable, durable=True)
        with world.on_lane("wal"):
            world.files.open("/f").sync()
            world.files.sync_directory("/")
        write(world, "/f", unsynced, durable=False)
        assert machine.disk.read("/f")[: len(unsynced)] == unsynced
        machine.crash()
        machine.boot()
        return machine.disk.read("/f")

    value: bytes = simulate(scenario, seed).value
    return value


def test_unsynced_bytes_are_lost_kept_or_torn_at_sectors() -> None:
    new, old = b"n" * 8 * SECTOR_BYTES, b"o" * 8 * SECTOR_BYTES
    seen = set()
    for seed in range(40):
        left = after_crash(seed, new, durable=old)
        assert len(left) == len(old)
        for start in range(0, len(left), SECTOR_BYTES):
            assert left[start : start + SECTOR_BYTES] in (
                new[:SECTOR_BYTES],
                old[:SECTOR_BYTES],
            )
        seen.add(left)
    assert {new, old} < seen


def test_an_unsynced_file_may_be_any_shorter_or_have_holes() -> None:
    lengths = {len(after_crash(seed, b"n" * 8 * SECTOR_BYTES)) for seed in range(40)}
    assert min(lengths) == 0
    assert max(lengths) == 8 * SECTOR_BYTES
    assert len(lengths) > 2


def test_durable_bytes_survive_every_crash() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        world = machine.boot()
        write(world, "/f", b"x" * 5_000, durable=True)
        with world.on_lane("wal"):
            world.files.sync_directory("/")
        machine.crash()
        machine.boot()
        assert machine.disk.read("/f") == b"x" * 5_000

    for seed in range(10):
        simulate(scenario, seed)


def test_names_survive_from_the_directory_sync_and_in_order_before_it() -> None:
    async def scenario(simulation: Simulation) -> tuple[str, ...]:
        machine = simulation.machine("a")
        world = machine.boot()
        write(world, "/kept", b"", durable=True)
        with world.on_lane("roll"):
            world.files.sync_directory("/")
        for name in ("1", "2", "3"):
            write(world, f"/{name}", b"x", durable=True)
        with world.on_lane("roll"):
            world.files.rename("/1", "/4")
        machine.crash()
        world = machine.boot()
        with world.on_lane("roll"):
            return tuple(world.files.list("/"))

    seen = {simulate(scenario, seed).value for seed in range(60)}
    assert seen == {
        ("kept",),
        ("1", "kept"),
        ("1", "2", "kept"),
        ("1", "2", "3", "kept"),
        ("2", "3", "4", "kept"),
    }


def test_kill_loses_nothing_that_was_written() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        world = machine.boot()
        write(world, "/f", b"x" * 5_000, durable=False)
        with world.on_lane("roll"):
            world.files.lock("/lock")
        machine.kill()
        world = machine.boot()
        assert machine.disk.read("/f") == b"x" * 5_000
        with world.on_lane("roll"):
            world.files.lock("/lock")  # the old process's lock died with it

    simulate(scenario, 3)


def test_after_a_failed_sync_the_bytes_are_seen_but_a_later_sync_does_not_save_them() -> None:
    async def scenario(simulation: Simulation) -> bytes:
        machine = simulation.machine("a")
        world = machine.boot()
        write(world, "/f", b"", durable=True)
        with world.on_lane("wal"):
            world.files.sync_directory("/")
            file = world.files.open("/f")
            machine.disk.fail("sync")
            with pytest.raises(OSError) as caught:
                file.write([b"x" * SECTOR_BYTES * 4], 0, durable=True)
            assert caught.value.errno == errno.EIO
            assert file.read(0, 9_999) == b"x" * SECTOR_BYTES * 4
            file.sync()
        machine.crash()
        machine.boot()
        return machine.disk.read("/f")

    left = {simulate(scenario, seed).value for seed in range(30)}
    assert any(len(one) < SECTOR_BYTES * 4 for one in left)


def test_faults_strike_the_nth_matching_call_only() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        world = machine.boot()
        machine.disk.fail("write", errno.ENOSPC, nth=2, times=2, path="f")
        write(world, "/other", b"a", durable=False)
        write(world, "/f", b"a", durable=False)
        for _ in range(2):
            with pytest.raises(OSError) as caught:
                write(world, "/f", b"b", durable=False)
            assert caught.value.errno == errno.ENOSPC
        write(world, "/f", b"c", durable=False)
        assert machine.disk.read("/f")[:1] == b"c"

    simulate(scenario, 1)


def test_a_disk_is_full_at_its_bound_and_refuses_changes_when_read_only() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        world = machine.boot()
        machine.disk.bytes_max = 10_000
        write(world, "/f", bytes(8_000), durable=True)
        write(world, "/f", bytes(8_000), durable=True)  # overwriting needs no room
        with pytest.raises(OSError) as caught:
            write(world, "/g", bytes(3_000), durable=True)
        assert caught.value.errno == errno.ENOSPC
        with world.on_lane("wal"):
            with pytest.raises(OSError):
                world.files.open("/f").resize(20_000, allocate=True)
            world.files.unlink("/f")
        machine.disk.heal()
        machine.disk.is_read_only = True
        with pytest.raises(OSError) as caught:
            write(world, "/h", b"x", durable=False)
        assert caught.value.errno == errno.EROFS

    simulate(scenario, 1)


def test_power_fails_at_every_step_of_a_job() -> None:
    """create, write, sync, rename, sync the directory: a crash before each, seen from outside."""

    async def scenario(simulation: Simulation) -> str | None:
        machine = simulation.machine("a")
        world = machine.boot()
        machine.disk.crash_at(simulation.seed % 5)

        def replace() -> None:
            file = world.files.open("/f.tmp", create=True)
            file.write([b"whole"], 0, durable=True)
            world.files.rename("/f.tmp", "/f")
            world.files.sync_directory("/")

        world.lane("roll").submit(replace, lambda _: None)
        if simulation.seed % 5 < 4:
            await machine.down()
        else:
            await world.sleep(1_000)
            machine.crash()
        world = machine.boot()
        with world.on_lane("roll"):
            if "f" not in world.files.list("/"):
                return None
        assert machine.disk.read("/f") == b"whole"
        return "replaced"

    outcomes = [simulate(scenario, seed).value for seed in range(60)]
    assert all(outcomes[seed] == "replaced" for seed in range(4, 60, 5))
    assert None in outcomes


def test_memory_pressure_shows_what_really_reached_the_disk() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        world = machine.boot()
        write(world, "/f", b"old", durable=True)
        write(world, "/f", b"new", durable=False)
        machine.disk.forget_cache()
        assert machine.disk.read("/f") == b"new"  # dirty pages are never dropped
        machine.disk.overwrite("/f", 0, b"R")
        assert machine.disk.read("/f") == b"Rew"

    simulate(scenario, 1)


# Databases


def committed(machine: Machine, world: SimWorld, count: int, *, sync_after: int) -> None:
    with world.on_lane("raft"):
        database = world.files.database("/db")
        database.execute("CREATE TABLE t (a INTEGER)")
        for number in range(count):
            with database:
                database.execute("BEGIN")
                database.execute("INSERT INTO t VALUES (?)", (number,))
            if number + 1 == sync_after:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("BEGIN")
        database.execute("INSERT INTO t VALUES (-1)")


def rows(world: SimWorld) -> list[int]:
    with world.on_lane("raft"):
        database = world.files.database("/db")
        return [row[0] for row in database.execute("SELECT a FROM t ORDER BY a")]


def test_a_database_crashes_back_to_any_commit_since_its_last_checkpoint() -> None:
    async def scenario(simulation: Simulation) -> int:
        machine = simulation.machine("a")
        committed(machine, machine.boot(), 8, sync_after=5)
        machine.crash()
        found = rows(machine.boot())
        assert found == list(range(len(found)))
        return len(found)

    assert {simulate(scenario, seed).value for seed in range(40)} == {5, 6, 7, 8}


def test_a_database_loses_no_commit_when_only_the_process_dies() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        committed(machine, machine.boot(), 8, sync_after=0)
        machine.kill()
        assert rows(machine.boot()) == list(range(8))

    simulate(scenario, 1)


def test_a_commit_that_fails_leaves_the_transaction_open() -> None:
    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("a")
        world = machine.boot()
        with world.on_lane("raft"):
            database = world.files.database("/db")
            database.execute("CREATE TABLE t (a INTEGER)")
            database.execute("BEGIN")
            database.execute("INSERT INTO t VALUES (1)")
            machine.disk.fail("commit")
            with pytest.raises(sqlite3.OperationalError):
                database.execute("COMMIT")
            assert database.in_transaction
            database.execute("ROLLBACK")
            assert database.execute("SELECT count(*) FROM t").fetchone() == (0,)

    simulate(scenario, 1)
