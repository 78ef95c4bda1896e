"""What is waited for, and until when: sessions, phases of a rebalance, the expiry of offsets.

Owns    one deadline for each timer, and their order: of equal deadlines, that of the timers.
Never   reads a clock, or knows what follows when a deadline has passed.
Trusts  that time, as it is told, does not go back.

A heartbeat moves a deadline later, thousands of times a second, and costs one store: its place in
the heap stays, and is looked at again when it comes up. Only a move to earlier adds a place.
"""

from collections.abc import Iterator
from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import TypeAlias

_STALE_PLACES_MIN = 1_024


class Wait(IntEnum):
    SESSION = 0
    JOIN = 1
    SYNC = 2
    EXPIRY = 3


Timer: TypeAlias = tuple[Wait, str, str]
"""(what for, group id, member id): ids are empty where a wait is not of one."""


class Timers:
    __slots__ = ("_deadlines", "_heap", "_places")

    def __init__(self) -> None:
        self._deadlines: dict[Timer, int] = {}
        self._places: dict[Timer, int] = {}  # the earliest place of a timer in the heap
        self._heap: list[tuple[int, Timer]] = []

    def __len__(self) -> int:
        return len(self._deadlines)

    def start(self, timer: Timer, deadline_ms: int) -> None:
        """Anew, if it runs already."""
        self._deadlines[timer] = deadline_ms
        place_ms = self._places.get(timer)
        if place_ms is None or deadline_ms < place_ms:
            self._place(timer, deadline_ms)

    def stop(self, timer: Timer) -> None:
        self._deadlines.pop(timer, None)

    def due_ms(self) -> int | None:
        """The earliest deadline."""
        heap = self._heap
        while heap:
            place_ms, timer = heap[0]
            deadline_ms = self._deadlines.get(timer)
            if self._places.get(timer) == place_ms and deadline_ms == place_ms:
                return place_ms
            self._pass_over()
        return None

    def expire(self, now_ms: int) -> Iterator[Timer]:
        """Timers whose deadline has come, each once, in order.

        One that is stopped, or moved, before its turn is not given. One that is started meanwhile
        is for the next call, even if its deadline is now: so this ends.
        """
        due = []
        heap = self._heap
        while heap and heap[0][0] <= now_ms:
            place_ms, timer = heap[0]
            if self._places.get(timer) == place_ms and self._deadlines.get(timer) == place_ms:
                due.append((place_ms, timer))
                heappop(heap)
                del self._places[timer]
            else:
                self._pass_over()
        for deadline_ms, timer in due:
            if self._deadlines.get(timer) == deadline_ms and timer not in self._places:
                del self._deadlines[timer]
                yield timer

    def _pass_over(self) -> None:
        """The first place is not where its timer is due: it moved later, or is no more."""
        place_ms, timer = heappop(self._heap)
        if self._places.get(timer) != place_ms:
            return  # an earlier place of it has been here
        del self._places[timer]
        deadline_ms = self._deadlines.get(timer)
        if deadline_ms is not None:
            self._place(timer, deadline_ms)

    def _place(self, timer: Timer, deadline_ms: int) -> None:
        self._places[timer] = deadline_ms
        heappush(self._heap, (deadline_ms, timer))
        if len(self._heap) > 2 * len(self._deadlines) + _STALE_PLACES_MIN:
            self._tidy()

    def _tidy(self) -> None:
        """Drop the places that say nothing any more."""
        self._heap[:] = [
            (ms, timer)
            for ms, timer in self._heap
            if timer in self._deadlines and self._places.get(timer) == ms
        ]
        heapify(self._heap)
        self._places = {timer: ms for ms, timer in self._heap}
