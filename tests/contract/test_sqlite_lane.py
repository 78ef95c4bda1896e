"""Seam 13: SQLite is touched on the `raft` lane alone, and a created topic is always seen."""

import ast
import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

from app.core.manifest.decide import NewTopic
from app.raft.controller import CreatedTopic
from app.raft.producer_ids import ProducerIds
from app.world.files import DiskFiles
from app.world.real import RealWorld
from tests.unit.raft.brokers import ONE, controller

APP = Path(__file__).resolve().parents[2] / "app"
ALLOWED = {
    "raft/manifest_store.py",  # every method is for the lane
    "raft/migrate.py",  # called by the one above
    "offline.py",  # names its type, and opens none
    "world/files.py",  # opens the connection
    "world/ports.py",  # names its type
}


class WatchedConnection(sqlite3.Connection):
    """Notes the thread of every call."""

    threads: set[str] = set()

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self.threads.add(threading.current_thread().name)
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self.threads.add(threading.current_thread().name)
        return super().executemany(*arguments)

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        super().close()


class WatchedFiles(DiskFiles):
    __slots__ = ()

    def database(self, path: str) -> sqlite3.Connection:
        WatchedConnection.threads.add(threading.current_thread().name)
        # Calls from any thread are let through here: the test is to see them, not to crash.
        return sqlite3.connect(
            path, isolation_level=None, factory=WatchedConnection, check_same_thread=False
        )


async def test_no_sqlite_call_is_made_on_the_loops_thread(tmp_path: Path) -> None:
    WatchedConnection.threads.clear()
    for _ in range(2):
        world = RealWorld()
        world.files = WatchedFiles()
        broker = await controller(world, str(tmp_path))
        await broker.create_topics([NewTopic("a", 10), NewTopic("b")])
        await broker.ensure_topic("c")
        await broker.delete_topics(["a", "b"])
        await ProducerIds(world, broker, ONE).next()
        await broker.close()
        await world.close()
    assert WatchedConnection.threads == {"streambus-raft"}


def test_sqlite_is_imported_only_where_the_lane_owns_it() -> None:
    importing = set()
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if any(name.split(".")[0] in ("sqlite3", "apsw", "aiosqlite") for name in names):
                importing.add(path.relative_to(APP).as_posix())
    assert importing <= ALLOWED, importing - ALLOWED


async def test_create_then_look_always_sees_it(tmp_path: Path) -> None:
    world = RealWorld()
    broker = await controller(world, str(tmp_path))

    async def client(number: int) -> None:
        for turn in range(10):
            name = f"t{number}-{turn}"
            (answer,) = await broker.create_topics([NewTopic(name)])
            assert isinstance(answer, CreatedTopic)
            assert broker.image.topics_by_name[name].topic_id == answer.topic_id
            await broker.delete_topics([name])
            assert name not in broker.image.topics_by_name

    await asyncio.gather(*(client(number) for number in range(8)))
    await broker.close()
    await world.close()
