"""The port of consensus: one log of entries that everyone applies in the same order.

Owns    the protocol that a log of one broker and a replicated one both keep
        (tests/contract/test_consensus.py proves it of each).
Never   knows facts: an entry's payload is bytes here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.core.manifest.entries import Applied, Entry


@dataclass(frozen=True, slots=True)
class Position:
    """How far a state was folded, and from which journal."""

    journal_id: bytes  # 16 bytes, all zero for a state that is folded from nothing yet
    index: int
    term: int


class StateMachine(Protocol):
    """What consensus drives. The first three run on the `raft` lane, `publish` on the loop."""

    def open(self) -> Position:
        """Load what was applied. Called once, before anything else."""

    def bind(self, journal_id: bytes) -> None:
        """From now on the state belongs to that journal; called while nothing is applied yet."""

    def apply(self, entries: Sequence[Entry]) -> list[Applied]:
        """Apply entries that follow what was applied, all or none. May raise; the same entries
        then come again, with more behind them."""

    def publish(self, applied: Sequence[Applied]) -> None:
        """Show what was applied, in log order, before any proposer hears of it."""


class Consensus(Protocol):
    """The manifest's log, as the broker that asks sees it."""

    @property
    def term(self) -> int:
        """The controller term under which this broker last led; it never falls."""

    @property
    def is_leader(self) -> bool:
        """Whether a proposal made here may be taken."""

    @property
    def is_alone(self) -> bool:
        """Whether this is the log of one broker, which nobody else can join."""

    async def start(self, machine: StateMachine) -> None:
        """Open the log and bring the machine up to its end.

        Raises Corrupt, UpgradeNeeded or StorageFailed: the broker must not serve."""

    async def propose(self, proposal: bytes, payload: bytes, timeout_ms: int) -> Applied:
        """Append an entry; returns what it came to, once it is durable, applied and published here.

        Raises StorageFailed if it is not in the log for certain, or this log will take nothing
        more in this process. Raises any other Unavailable if that is not known: ask again with the
        same proposal, which is taken once however often it is asked."""

    async def barrier(self, timeout_ms: int) -> int:
        """Returns the newest index, once all that was taken before this call is published here."""

    async def close(self) -> None:
        """Take nothing more, finish what is under way, give the files back."""
