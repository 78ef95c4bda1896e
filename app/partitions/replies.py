"""Replies that wait: a produce is answered when everything that its answer reveals is durable.

Owns    the queues of unanswered appends of a replica, and the deadlines of all of them.
Never   encodes a reply: it calls `PendingProduce.resolve` exactly once per append.
Trusts  that offsets given to `release` never go back while a queue lives.
"""

import asyncio
from collections import deque
from typing import Protocol

from app.errors import RequestTimedOut
from app.world.ports import World

SWEEP_MS = 250
"""How coarse deadlines are: a reply may come this much after its request's timeout."""

SWEEPS_MIN = 2
"""Sweeps after which a reply with no patience at all is late: the first may come at once."""


class PendingProduce(Protocol):
    """One produce request that is not answered yet, as the Kafka side keeps it (a slotted object).

    A request touches one or more partitions; the Kafka side gives each a `slot` (a number of its
    own choosing) and calls `Replica.append` once for each. `resolve` is called on the loop,
    exactly once per append, either before `append` returns (refused, or acks=0) or later. So count
    the slots before the first `append`. `resolve` must not raise and must not await; it may be
    called many times in one turn, so it should only note that its connection has something to
    write: `Registry.after_release` tells when a round is over and all that became ready can be
    written at once.
    """

    timeout_ms: int
    """The request's timeout: how long a reply may wait before it becomes REQUEST_TIMED_OUT (7)."""

    def resolve(
        self, slot: int, error: int, base_offset: int, log_append_time_ms: int = -1
    ) -> None:
        """`error` is a Kafka code (0: appended, or a duplicate whose original is committed);
        `base_offset` is -1 with an error; `log_append_time_ms` is -1 unless the topic stamps
        batches."""


class Awaited:
    """A `PendingProduce` for a coroutine: `answers[slot]` is (error, base offset, append time) once
    `wait` came back. Deadlines are those of the queue, so that every wait ends."""

    __slots__ = ("_left", "_ready", "answers", "timeout_ms")

    def __init__(self, slots: int, timeout_ms: int) -> None:
        self.timeout_ms = max(timeout_ms, 0)
        self.answers: list[tuple[int, int, int]] = [(0, -1, -1)] * slots
        self._left = slots
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not slots:
            self._ready.set_result(None)

    def resolve(
        self, slot: int, error: int, base_offset: int, log_append_time_ms: int = -1
    ) -> None:
        self.answers[slot] = (error, base_offset, log_append_time_ms)
        self._left -= 1
        if not self._left and not self._ready.done():
            self._ready.set_result(None)

    async def wait(self) -> list[tuple[int, int, int]]:
        await self._ready
        return self.answers


# (offset that must be reached, pending, slot, error, base offset, log append time, the sweep in
# which it began to wait). A tuple and not a class: one is made per append on the hot path.
Waiting = tuple[int, PendingProduce, int, int, int, int, int]


class ReplyQueue:
    """Appends of one replica that wait for one of its ends (synced, committed) to pass an offset.

    Entries are kept in order of the offset that they wait for. The hot path appends to `entries`
    itself.
    """

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: deque[Waiting] = deque()

    def insert(self, waiting: Waiting) -> None:
        """Keep order even where an older offset is waited for again: a duplicate, a rejection."""
        entries = self.entries
        position = len(entries)
        while position and entries[position - 1][0] > waiting[0]:
            position -= 1
        entries.insert(position, waiting)

    def release(self, end: int) -> None:
        """Answer everything that waited for an offset at or below `end`."""
        entries = self.entries
        if not entries or entries[0][0] > end:
            return
        if entries[-1][0] <= end:
            released, self.entries = entries, deque()
        else:
            released = deque()
            while entries[0][0] <= end:
                released.append(entries.popleft())
        for _, pending, slot, error, base_offset, append_time, _ in released:
            pending.resolve(slot, error, base_offset, append_time)

    def refuse(self, error: int) -> None:
        """Answer everything with `error`: what it waited for will not come from this replica."""
        entries, self.entries = self.entries, deque()
        for waiting in entries:
            waiting[1].resolve(waiting[2], error, -1)

    def expire(self, sweep: int) -> None:
        """Answer what has waited longer than its timeout: never early, two sweeps late at most. The
        batches stay in the log, as in Kafka."""
        entries = self.entries
        if not entries or sweep - entries[0][6] < SWEEPS_MIN:
            return  # the first began to wait a moment ago, and the others later: nobody is late
        late: list[Waiting] = []
        kept: deque[Waiting] = deque()
        for waiting in entries:
            patience = SWEEPS_MIN + waiting[1].timeout_ms // SWEEP_MS
            (late if sweep - waiting[6] >= patience else kept).append(waiting)
        self.entries = kept
        for waiting in late:
            waiting[1].resolve(waiting[2], RequestTimedOut.code, -1)


class Deadlines:
    """Counts coarse sweeps and expires the replies of the queues that have any.

    The hot path reads no clock for a deadline: `sweep` counts rounds of SWEEP_MS since something
    began to wait, and what waits notes in which round that was. An idle broker sets no timer.
    """

    __slots__ = ("_queues", "_timer", "_world", "sweep")

    def __init__(self, world: World) -> None:
        self.sweep = 0
        self._world = world
        # A dict, not a set: iteration order must not depend on addresses (simulation replays it).
        self._queues: dict[ReplyQueue, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, queue: ReplyQueue) -> None:
        """`queue` has something that waits. It is forgotten again once it is found empty."""
        self._queues[queue] = None
        if self._timer is None:
            self._timer = self._world.call_later(SWEEP_MS, self._run)

    def close(self) -> None:
        self._queues.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self.sweep += 1
        for queue in list(self._queues):
            queue.expire(self.sweep)
            if not queue.entries:
                del self._queues[queue]
        self._timer = self._world.call_later(SWEEP_MS, self._run) if self._queues else None
