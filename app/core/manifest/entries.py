"""Entries of the manifest's log: one proposal each, and what of them is taken.

Owns    the form of an entry (whole, or a part of a proposal too large for one), deduplication,
        and the fence against facts that were decided under another term.
Never   interprets a fact; manifest.py does that with what is taken here.
Trusts  that entries come in log order, with indexes that follow and terms that never fall.

The same entries give the same verdicts on every broker, so this is part of the machine's state:
raft/manifest_store.py keeps it in SQLite beside the rest.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from app.core.manifest.facts import Fact, Stamp, decode, encode
from app.errors import Corrupt, PolicyViolation, UpgradeNeeded
from app.limits import FACT_BYTES_MAX, PROPOSAL_PARTS_MAX, PROPOSALS_KEPT
from app.model import ControllerTerm

WHOLE, PART = 0, 1
_FORM = struct.Struct("<B")
_PART = struct.Struct("<BHH")
"""form, number, count; then bytes. Parts joined in order are the facts of the proposal."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in the manifest's log. `proposal` is 12 random bytes and the part's number + 1;
    zero where the entry is whole, so that all parts share the first 12."""

    index: int
    term: ControllerTerm
    proposal: bytes
    payload: bytes


class Verdict(Enum):
    TAKEN = "taken"  # its facts were applied
    HELD = "held"  # a part; the last one to come takes effect for all
    REPEATED = "repeated"  # the same proposal was taken before
    STALE = "stale"  # decided under an older term, or before something that was taken since


@dataclass(frozen=True, slots=True)
class Applied:
    """What an entry came to."""

    index: int
    term: ControllerTerm
    at_ms: int  # of the newest fact taken so far
    verdict: Verdict
    facts: tuple[Fact, ...] = ()


def split(
    facts: Iterable[Fact], stamp: Stamp, entry_bytes_max: int = FACT_BYTES_MAX
) -> list[tuple[bytes, bytes]]:
    """(proposal, payload) of each entry that the facts need: one, unless they are too large."""
    assert stamp.proposal[12:] == bytes(4), stamp
    encoded = encode(facts, stamp)
    if _FORM.size + len(encoded) <= entry_bytes_max:
        return [(stamp.proposal, _FORM.pack(WHOLE) + encoded)]
    room = entry_bytes_max - _PART.size
    count = -(-len(encoded) // room)
    if count > PROPOSAL_PARTS_MAX:
        raise PolicyViolation(
            f"the change takes {len(encoded)} bytes, more than {PROPOSAL_PARTS_MAX * room}"
        )
    return [
        (
            stamp.proposal[:12] + (number + 1).to_bytes(4, "little"),
            _PART.pack(PART, number, count) + encoded[number * room : (number + 1) * room],
        )
        for number in range(count)
    ]


def part_number(entry: Entry) -> int:
    """Which part of its proposal the entry is; -1 if it is the whole."""
    return int.from_bytes(entry.proposal[12:], "little") - 1


@dataclass(slots=True)
class Parts:
    """Parts of the one proposal that is under way."""

    proposal: bytes
    count: int
    pieces: dict[int, bytes] = field(default_factory=dict)

    def joined(self) -> bytes:
        return b"".join(self.pieces[number] for number in range(self.count))


class Gate:
    """Takes each entry once, in order, and says what it came to."""

    __slots__ = ("at_ms", "index", "parts", "recent", "term")

    def __init__(
        self,
        index: int = 0,
        term: ControllerTerm = ControllerTerm(0),  # noqa: B008 (a number)
        at_ms: int = 0,
        recent: Sequence[tuple[int, bytes]] = (),
        parts: Parts | None = None,
    ) -> None:
        self.index = index
        self.term = term
        self.at_ms = at_ms
        self.recent = {proposal: taken_at for taken_at, proposal in recent}  # oldest first
        self.parts = parts

    def take(self, entry: Entry) -> Applied:
        """Mutates: the entry's index is applied now, whatever the verdict."""
        assert entry.index == self.index + 1, (entry.index, self.index)
        assert entry.term >= self.term, (entry.term, self.term)
        self.index = entry.index
        if entry.term > self.term:
            self.term = entry.term
            self.parts = None  # the term fences them all
        verdict, facts = self._judge(entry)
        return Applied(entry.index, entry.term, self.at_ms, verdict, facts)

    def _judge(self, entry: Entry) -> tuple[Verdict, tuple[Fact, ...]]:
        proposal = entry.proposal[:12] + bytes(4)
        if proposal in self.recent:
            return Verdict.REPEATED, ()
        form = entry.payload[0] if entry.payload else None
        if form == WHOLE:
            encoded = entry.payload[_FORM.size :]
        elif form == PART:
            if not self._hold(proposal, entry):
                return Verdict.HELD, ()
            assert self.parts is not None
            encoded = self.parts.joined()
            self.parts = None
        else:
            raise UpgradeNeeded(
                f"entry {entry.index} of the manifest has the form {form}, which this version of "
                "StreamBus does not know: upgrade StreamBus"
            )
        stamped = list(decode(encoded))
        if not stamped or any(stamp.proposal != proposal for _, stamp in stamped):
            raise Corrupt(f"entry {entry.index} of the manifest names another proposal inside")
        stamp = stamped[0][1]
        # at_ms grows with every proposal of a controller, so a smaller one is a copy that was
        # long under way: it was decided on a state that is no more.
        if stamp.term != entry.term or stamp.at_ms <= self.at_ms:
            return Verdict.STALE, ()
        self.at_ms = stamp.at_ms
        self.recent[proposal] = entry.index
        if len(self.recent) > PROPOSALS_KEPT:
            del self.recent[next(iter(self.recent))]
        return Verdict.TAKEN, tuple(fact for fact, _ in stamped)

    def _hold(self, proposal: bytes, entry: Entry) -> bool:
        """Keep a part; True if it was the last that was missing."""
        number: int
        count: int
        _, number, count = _PART.unpack_from(entry.payload)
        if self.parts is None or self.parts.proposal != proposal:
            self.parts = Parts(proposal, count)
        if not number < count == self.parts.count or number != part_number(entry):
            raise Corrupt(f"entry {entry.index} of the manifest is part {number} of {count}")
        self.parts.pieces[number] = entry.payload[_PART.size :]
        return len(self.parts.pieces) == count

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Gate):
            return NotImplemented
        return (self.index, self.term, self.at_ms, self.parts, list(self.recent.items())) == (
            (other.index, other.term, other.at_ms, other.parts, list(other.recent.items()))
        )

    __hash__ = None  # type: ignore[assignment]
