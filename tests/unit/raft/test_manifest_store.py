"""The state in SQLite: the same fold as in memory, one transaction per group, rebuilt when lost."""

import sqlite3
from pathlib import Path
from random import Random

import pytest

from app.core.manifest.entries import Entry, Verdict, split
from app.core.manifest.facts import ClusterFormed, Stamp, TopicCreated
from app.core.manifest.manifest import Manifest
from app.errors import StorageFailed, Unavailable
from app.limits import PROPOSALS_KEPT
from app.model import BrokerId, ControllerTerm, TopicId
from app.raft.consensus import Position
from app.raft.manifest_store import ManifestStore
from app.world.files import DiskFiles
from tests.property.histories import random_entries

JOURNAL = b"j" * 16


def opened(directory: Path) -> tuple[ManifestStore, Position, Manifest]:
    store = ManifestStore(DiskFiles(), str(directory))
    position, _, manifest = store.open()
    if not position.index:
        store.bind(JOURNAL)
    return store, position, manifest


@pytest.mark.parametrize("seed", range(8))
def test_sqlite_and_memory_fold_alike_and_go_on_alike_after_reopening(
    tmp_path: Path, seed: int
) -> None:
    entries, expected = random_entries(seed, 60)
    random = Random(seed)
    store, _, manifest = opened(tmp_path)
    rest = list(entries)
    while rest:
        count = random.randint(1, 10)
        for one in store.apply(rest[:count]):
            for fact in one.facts:
                manifest.apply(fact)
        rest = rest[count:]
        assert store.read() == manifest.save()
        if random.random() < 0.3:
            store.close()
            store, position, manifest = opened(tmp_path)
            assert position == Position(
                JOURNAL, len(entries) - len(rest), entries[len(entries) - len(rest) - 1].term
            )
    store.close()
    _, _, manifest = opened(tmp_path)
    assert manifest == expected


def test_a_group_that_fails_leaves_nothing_and_comes_again_whole(tmp_path: Path) -> None:
    entries, expected = random_entries(3, 40)
    store, _, _ = opened(tmp_path)
    store.apply(entries[:20])
    before = store.read()
    blocker = sqlite3.connect(tmp_path / "state.sqlite")
    blocker.execute(
        "CREATE TRIGGER no_more BEFORE UPDATE ON applied BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    blocker.commit()
    with pytest.raises(Unavailable, match="no room"):
        store.apply(entries[20:30])
    assert store.read() == before
    blocker.execute("DROP TRIGGER no_more")
    blocker.commit()
    blocker.close()
    applied = store.apply(entries[20:])
    assert [one.index for one in applied] == list(range(21, len(entries) + 1))
    assert store.read() == expected.save()
    store.close()


@pytest.mark.parametrize("damage", ["lost", "noise", "empty", "rot", "rows"])
def test_a_state_that_is_lost_or_damaged_is_begun_anew(tmp_path: Path, damage: str) -> None:
    entries, expected = random_entries(5, 40)
    store, _, _ = opened(tmp_path)
    store.apply(entries)
    store.close()
    path = tmp_path / "state.sqlite"
    if damage == "lost":
        path.unlink()
    elif damage == "noise":
        path.write_bytes(Random(1).randbytes(20_000))
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "rot":
        content = path.read_bytes()
        path.write_bytes(content[:4096] + Random(1).randbytes(len(content) - 4096))
    else:
        connection = sqlite3.connect(path)
        connection.execute("DELETE FROM applied")
        connection.commit()
        connection.close()
    store, position, manifest = opened(tmp_path)
    assert position == Position(bytes(16), 0, 0)
    assert manifest == Manifest()
    store.apply(entries)
    assert store.read() == expected.save()
    store.close()
    if damage not in ("lost", "empty"):
        assert (tmp_path / "state.sqlite.damaged").exists(), "the damaged file is evidence"


def test_the_memory_of_proposals_is_bounded_on_disk_too(tmp_path: Path) -> None:
    store, _, _ = opened(tmp_path)
    count = PROPOSALS_KEPT + 20
    entries = []
    for number in range(1, count + 1):
        fact = TopicCreated(
            TopicId(number.to_bytes(16, "big")), f"t{number}", ((BrokerId(1),),), ()
        )
        stamp = Stamp(ControllerTerm(1), number.to_bytes(12, "big") + bytes(4), number)
        ((proposal, payload),) = split([fact], stamp)
        entries.append(Entry(number, ControllerTerm(1), proposal, payload))
    store.apply(entries)
    store.close()
    with sqlite3.connect(tmp_path / "state.sqlite") as connection:
        (kept, oldest) = connection.execute("SELECT count(*), min(entry) FROM proposals").fetchone()
    assert (kept, oldest) == (PROPOSALS_KEPT, 21)
    store, _, _ = opened(tmp_path)
    again = Entry(count + 1, ControllerTerm(1), entries[-1].proposal, entries[-1].payload)
    assert store.apply([again])[0].verdict is Verdict.REPEATED
    store.close()


def test_half_a_proposal_is_still_held_after_a_restart(tmp_path: Path) -> None:
    store, _, _ = opened(tmp_path)
    rows = tuple((BrokerId(n),) for n in range(200))
    fact = TopicCreated(TopicId(b"t" * 16), "wide", rows, ())
    stamp = Stamp(ControllerTerm(1), b"p" * 12 + bytes(4), 5)
    parts = split([ClusterFormed("c"), fact], stamp, 300)
    assert len(parts) > 3
    for index, (proposal, payload) in enumerate(parts, 1):
        (applied,) = store.apply([Entry(index, ControllerTerm(1), proposal, payload)])
        store.close()
        store, _, _ = opened(tmp_path)
    assert applied.facts == (ClusterFormed("c"), fact)
    assert store.read().topics == [(b"t" * 16, "wide")]
    store.close()


def test_damage_found_while_running_is_put_aside_for_the_next_start(tmp_path: Path) -> None:
    entries, expected = random_entries(7, 40)
    store, _, _ = opened(tmp_path)
    store.apply(entries[:20])
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + Random(1).randbytes(len(content) - 100))
    for _ in range(2):
        with pytest.raises(Unavailable):
            store.apply(entries[20:])
    assert (tmp_path / "state.sqlite.damaged").exists()
    store, position, _ = opened(tmp_path)
    assert position.index == 0
    store.apply(entries)
    assert store.read() == expected.save()
    store.close()


def test_a_state_that_cannot_be_opened_says_where(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").mkdir()
    with pytest.raises(StorageFailed, match=r"state\.sqlite"):
        opened(tmp_path)
