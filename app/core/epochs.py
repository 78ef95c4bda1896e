"""Which leader epoch wrote which offsets of one partition (KIP-101, KIP-279).

Owns    the pairs (epoch, its first offset), and where an epoch ends.
Never   holds two epochs that start at one offset, or an epoch not newer than the one before.
Trusts  that the log's end is given with each question; it is not kept here.

The rules are those of Kafka's `LeaderEpochFileCache`.
"""

from array import array
from bisect import bisect_left, bisect_right

UNDEFINED = -1


class EpochHistory:
    """Two flat columns, oldest first. `latest` is the newest epoch, UNDEFINED if there is none."""

    __slots__ = ("_epochs", "_starts", "latest")

    def __init__(self) -> None:
        self._epochs: array[int] = array("i")
        self._starts: array[int] = array("q")
        self.latest = UNDEFINED

    def __len__(self) -> int:
        return len(self._epochs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EpochHistory):
            return NotImplemented
        return self._epochs == other._epochs and self._starts == other._starts

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"EpochHistory({self.entries()})"

    def entries(self) -> list[tuple[int, int]]:
        """(epoch, start offset), oldest first."""
        return list(zip(self._epochs, self._starts, strict=True))

    def assign(self, epoch: int, start_offset: int) -> None:
        """A newer epoch starts here. Epochs in which nothing was written (they start here or later)
        go: no offset can belong to them any more."""
        assert epoch > self.latest >= UNDEFINED and start_offset >= 0, (epoch, start_offset, self)
        self.truncate_end(start_offset)
        self._epochs.append(epoch)
        self._starts.append(start_offset)
        self.latest = epoch

    def truncate_end(self, end: int) -> None:
        """The log now ends at `end`: epochs that start at or above it are gone."""
        kept = bisect_left(self._starts, end)
        if kept < len(self._starts):
            del self._starts[kept:]
            del self._epochs[kept:]
            self.latest = self._epochs[-1] if kept else UNDEFINED

    def truncate_start(self, start: int) -> None:
        """The log now starts at `start`. The epoch that covers it stays and starts there, even
        where nothing of it is left: a follower can still be told how far to trust itself."""
        covering = bisect_right(self._starts, start) - 1
        if covering >= 0:
            del self._starts[:covering]
            del self._epochs[:covering]
            self._starts[0] = start

    def epoch_at(self, offset: int) -> int:
        """The epoch that wrote `offset`, UNDEFINED below the first one known."""
        covering = bisect_right(self._starts, offset) - 1
        return self._epochs[covering] if covering >= 0 else UNDEFINED

    def end_offset_for(self, requested: int, log_end: int) -> tuple[int, int]:
        """(epoch, end offset) of the newest epoch not above `requested`, as OffsetForLeaderEpoch
        answers it; (UNDEFINED, UNDEFINED) where this log cannot say.

        The newest epoch ends at the log's end. A request below the first known epoch is answered
        with the first known start: what was before it is deleted, and a follower goes on from it.
        """
        if requested == UNDEFINED:
            return UNDEFINED, UNDEFINED
        if requested == self.latest:
            return requested, log_end
        above = bisect_right(self._epochs, requested)
        if above == len(self._epochs):
            return UNDEFINED, UNDEFINED
        if above == 0:
            return requested, self._starts[0]
        return self._epochs[above - 1], self._starts[above]
