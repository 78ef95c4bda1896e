"""Checkpoints: a chain of deltas over a full one, whole or passed over."""

from random import Random

import pytest

from app.errors import Corrupt
from app.tiers.nvme import checkpoint
from app.tiers.nvme.checkpoint import DELTA, FULL, Checkpoint, Entry
from tests.unit.tiers.nvme.arrange import DIRECTORY, MemoryFiles, Stopped, key

DELTAS_MAX = 4


class Chain:
    """Adds checkpoints as sealing does, and remembers what each should say."""

    def __init__(self, files: MemoryFiles, random: Random) -> None:
        self.files, self.random = files, random
        self.sequence = self.previous = self.deltas = 0
        self.entries: dict[object, Entry] = {}
        self.history: dict[int, dict[object, Entry]] = {}

    def add(self) -> None:
        self.sequence += 1
        changed = {}
        for _ in range(self.random.randrange(4)):
            one = key(self.random.randrange(1, 6))
            saved = None if self.random.random() < 0.2 else self.random.randbytes(9)
            reason = "why" if saved is not None and self.random.random() < 0.1 else ""
            changed[one] = Entry(
                saved, self.random.randrange(9) if saved is not None else 0, reason
            )
        taken = Checkpoint(self.sequence, self.sequence * 10, self.sequence * 100, dict(changed))
        taken.previous, taken.deltas = self.previous, self.deltas + 1
        self.deltas = checkpoint.add(self.files, DIRECTORY, taken, DELTAS_MAX)
        self.previous = self.sequence
        for one, entry in changed.items():
            if entry.saved is None:
                self.entries.pop(one, None)
            else:
                self.entries[one] = entry
        self.history[self.sequence] = dict(self.entries)


def test_the_newest_says_what_all_of_them_together_say() -> None:
    files = MemoryFiles()
    chain = Chain(files, Random(1))
    for _ in range(30):
        chain.add()
        found, passed = checkpoint.newest(files, DIRECTORY)
        assert found is not None
        assert not passed
        assert found.entries == chain.entries
        assert (found.sequence, found.block) == (chain.sequence, chain.sequence * 10)
        assert found.append_ms == chain.sequence * 100
        assert found.deltas == chain.deltas
    kinds = [parsed[1] for name in files.list(DIRECTORY) if (parsed := checkpoint.parse_name(name))]
    assert kinds.count(FULL) == 2, "the newest, and the one before it in case that is damaged"
    assert len(kinds) <= 2 * DELTAS_MAX


@pytest.mark.parametrize("seed", range(5))
def test_a_crash_at_any_step_leaves_the_last_one_or_this_one(seed: int) -> None:
    for steps in range(12):
        files = MemoryFiles()
        chain = Chain(files, Random(seed))
        for _ in range(seed + 3):
            chain.add()
        files.steps_left = steps
        try:
            chain.add()
        except Stopped:
            found, _ = checkpoint.newest(files, DIRECTORY)
            assert found is not None
            if found.sequence in chain.history:
                assert found.entries == chain.history[found.sequence]
            assert found.sequence in (chain.sequence - 1, chain.sequence)


def test_damage_to_any_byte_makes_an_older_one_the_newest() -> None:
    files = MemoryFiles()
    chain = Chain(files, Random(2))
    for _ in range(6):
        chain.add()
    name = f"{DIRECTORY}/{checkpoint.name_of(chain.sequence, DELTA)}"
    content = files.names[name]
    for position in range(len(content)):
        content[position] ^= 4
        found, passed = checkpoint.newest(files, DIRECTORY)
        assert found is not None
        assert found.sequence == chain.sequence - 1
        assert found.entries == chain.history[found.sequence]
        assert len(passed) == 1
        content[position] ^= 4


def test_nothing_is_added_to_what_cannot_be_read() -> None:
    files = MemoryFiles()
    chain = Chain(files, Random(3))
    for _ in range(DELTAS_MAX):
        chain.add()
    files.names[f"{DIRECTORY}/{checkpoint.name_of(1, FULL)}"][80:] = b""
    with pytest.raises(Corrupt, match="no longer readable"):
        chain.add()


def test_only_names_of_checkpoints_are_read_as_such() -> None:
    assert checkpoint.parse_name("checkpoint-00000000000000ff-full") == (255, FULL)
    assert checkpoint.parse_name("checkpoint-00000000000000ff-delta") == (255, DELTA)
    for name in ("checkpoint-ff-full", "checkpoint-00000000000000fg-full", "x", "checkpoint-"):
        assert checkpoint.parse_name(name) is None
