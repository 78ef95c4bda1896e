"""Segments lent to one connection by `sendfile`, until it is known to have read them.

Owns    the pins of one connection and the rule that ends each.
Never   unpins on a finished `sendfile`: the kernel sends page-cache pages until the peer has read
        them, so an overwritten segment would arrive as its new bytes (ADR 12).
Trusts  that a client which fetches a partition from `end` on has received all before `end`.

A range whose reading nobody proved (its connection died, or was lent too much) taints its segment:
that file is unlinked when it is retired, never written over. It stays open until the connection is
gone, because parts of it may still be queued there.
"""

from collections import deque
from collections.abc import Iterable

from app import limits
from app.kafka.sessions import Key
from app.tiers.nvme.segment import Segment

Pin = tuple[Segment, int]
"""A pinned segment and the offset from which on a later fetch proves that it was read."""


class Pins:
    """By partition, in the order in which they were lent."""

    __slots__ = ("_by_partition", "_count", "_count_max", "_kept")

    def __init__(self, count_max: int = limits.CONNECTION_PINS_MAX) -> None:
        self._by_partition: dict[Key, deque[Pin]] = {}
        self._count = 0
        self._count_max = count_max
        self._kept: dict[Segment, None] = {}
        """Tainted, and pinned once until the connection ends: parts may still be queued there."""

    def __len__(self) -> int:
        return self._count

    def lend(self, key: Key, pins: Iterable[Pin]) -> None:
        for pin in pins:
            lent = self._by_partition.get(key)
            if lent is None:
                lent = self._by_partition[key] = deque()
            lent.append(pin)
            self._count += 1
        while self._count > self._count_max:
            self._taint_oldest()

    def read_up_to(self, key: Key, offset: int) -> None:
        """The client asks for `offset`: whatever ended at or below it has arrived."""
        lent = self._by_partition.get(key)
        if lent is None:
            return
        while lent and lent[0][1] <= offset:
            segment, _ = lent.popleft()
            self._count -= 1
            segment.unpin()
        if not lent:
            del self._by_partition[key]

    def taint(self) -> None:
        """The connection is gone: what it had lent may still be on its way."""
        for lent in self._by_partition.values():
            for segment, _ in lent:
                segment.taint()
                segment.unpin()
        for segment in self._kept:
            segment.unpin()
        self._by_partition.clear()
        self._kept.clear()
        self._count = 0

    def _taint_oldest(self) -> None:
        key, lent = next(iter(self._by_partition.items()))
        segment, _ = lent.popleft()
        self._count -= 1
        segment.taint()
        if segment in self._kept:
            segment.unpin()
        else:
            self._kept[segment] = None
        if not lent:
            del self._by_partition[key]
