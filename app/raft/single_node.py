"""Consensus of one: the log of a broker that is alone, kept as the replicated one keeps its own.

Owns    the queue of proposals, the group commit of those that wait together, and the order
        journal, then state, then image, then reply.
Never   retries a write or sync that failed, nor answers before both journal and state have it.
Trusts  that the `raft` lane is serial, and that publish never fails.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from app.core.manifest.entries import Applied, Entry
from app.errors import RequestTimedOut, StorageFailed, Unavailable
from app.limits import FACT_BYTES_MAX, PROPOSALS_IN_FLIGHT_MAX
from app.model import ControllerTerm
from app.raft.consensus import StateMachine
from app.raft.journal import Journal, Opened
from app.telemetry import events
from app.world.ports import World

T = TypeVar("T")

GROUP_MAX = 64  # proposals that share a sync
REPLAY_MAX = 512  # entries that share a transaction while the state catches up


@dataclass(slots=True)
class _Proposed:
    proposal: bytes
    payload: bytes
    reply: "asyncio.Future[Applied]"


class SingleNode:
    """See `Consensus`."""

    is_alone = True

    def __init__(self, world: World, directory: str) -> None:
        self._lane = world.lane("raft")
        self._journal = Journal(world.files, directory, world.randomness.bytes(16))
        self._machine: StateMachine | None = None
        self._queue: deque[_Proposed] = deque()
        self._unapplied: list[Entry] = []  # in the journal, not in the state; lane side
        self._is_busy = False
        self._is_closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._asked = self._answered = 0  # proposals so far
        self._barriers: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._index = 0
        self.term = 0
        self.is_leader = False

    # Starting

    async def start(self, machine: StateMachine) -> None:
        assert self._machine is None, "started twice"
        self._machine = machine
        try:
            opened = await self._lane.run(partial(self._open, machine))
        except OSError as error:
            raise StorageFailed(f"the manifest cannot be opened: {error}") from error
        for start in range(0, len(opened.entries), REPLAY_MAX):
            chunk = opened.entries[start : start + REPLAY_MAX]
            machine.publish(await self._lane.run(partial(machine.apply, chunk)))
        self._index, self.term = self._journal.end_index, self._journal.term
        self.is_leader = True
        events.emit(
            "journal.opened", index=self._index, term=self.term, replayed=len(opened.entries)
        )

    def _open(self, machine: StateMachine) -> Opened:
        position = machine.open()
        opened = self._journal.open(position)
        if position.index == 0:
            machine.bind(opened.journal_id)
        return opened

    # Proposing

    async def barrier(self, timeout_ms: int) -> int:
        if self._asked > self._answered:
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._barriers.append((self._asked, reached))
            await self._within(reached, timeout_ms)
        return self._index

    async def propose(self, proposal: bytes, payload: bytes, timeout_ms: int) -> Applied:
        assert len(proposal) == 16 and len(payload) <= FACT_BYTES_MAX, len(payload)
        if self._is_closed or not self.is_leader:
            raise StorageFailed("the manifest's log is not open")
        if len(self._queue) >= PROPOSALS_IN_FLIGHT_MAX:
            raise StorageFailed(f"{len(self._queue)} changes of the manifest wait already")
        reply: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()
        self._queue.append(_Proposed(proposal, payload, reply))
        self._asked += 1
        self._next_group()
        return await self._within(reply, timeout_ms)

    @staticmethod
    async def _within(reply: "asyncio.Future[T]", timeout_ms: int) -> T:
        """Giving up waiting takes nothing back."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await reply
        except TimeoutError:
            raise RequestTimedOut("the manifest's log did not get there in time") from None

    def _next_group(self) -> None:
        """While one group syncs the next gathers."""
        if self._is_busy or not self._queue:
            return
        group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_MAX))]
        self._is_busy = True
        self._idle.clear()
        wanted = [(item.proposal, item.payload) for item in group]
        try:
            self._lane.submit(partial(self._commit, wanted), partial(self._committed, group))
        except Unavailable as error:
            self._committed(group, StorageFailed(str(error)))

    def _commit(self, wanted: list[tuple[bytes, bytes]]) -> list[Applied]:
        """On the lane: durable first, then applied."""
        assert self._machine is not None
        term = ControllerTerm(self._journal.term)
        start = self._journal.end_index + 1
        entries = [Entry(start + i, term, *proposed) for i, proposed in enumerate(wanted)]
        self._journal.append(entries)
        # Entries that the state could not take before (its disk was full) go first.
        self._unapplied += entries
        applied = self._machine.apply(self._unapplied)
        self._unapplied = []
        return applied

    def _committed(self, group: list[_Proposed], result: "list[Applied] | BaseException") -> None:
        """On the loop: publish, then answer, then go on with what gathered meanwhile."""
        assert self._machine is not None
        if isinstance(result, BaseException):
            self._refuse(group, result)
        else:
            self._machine.publish(result)
            self._index = result[-1].index
            for item, applied in zip(group, result[-len(group) :], strict=True):
                if not item.reply.done():
                    item.reply.set_result(applied)
        self._answered += len(group)
        while self._barriers and self._barriers[0][0] <= self._answered:
            reached = self._barriers.popleft()[1]
            if not reached.done():
                reached.set_result(None)
        self._is_busy = False
        self._next_group()
        if not self._is_busy:
            self._idle.set()

    def _refuse(self, group: list[_Proposed], error: BaseException) -> None:
        events.emit("journal.failed", events.ERROR, error=repr(error), proposals=len(group))
        told = error
        if isinstance(error, OSError):
            told = Unavailable(f"the manifest could not be changed: {error}")
        for item in group:
            if not item.reply.done():
                item.reply.set_exception(told)

    # Closing

    async def close(self) -> None:
        self._is_closed = True
        if self._machine is not None:
            await self._idle.wait()
            await self._lane.run(self._journal.close)
