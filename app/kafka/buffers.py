"""Receive buffers: small ones that connections own, larger ones lent from one bounded pool.

Owns    how much memory all receive buffers above the idle size may take together, and who waits.
Never   reads or keeps what is in a buffer: it may hand one out again with old bytes in it; and
        never touches one before bytes arrive in it, so that a length alone costs no memory.

Progress is certain: a buffer for a whole frame is all its borrower ever waits for, so borrowers of
whole frames always finish; what waiters hold meanwhile is bounded by half of the pool.
"""

import mmap
from collections import OrderedDict
from collections.abc import Callable

from app import limits
from app.limits import KIB, MIB

SPARE_BYTES_MAX = 64 * KIB  # lent for speed, not need: several small requests in one read
_CLASSES_UP_TO = 1 * MIB  # powers of two to here, whole MiB above

Buffer = bytearray | mmap.mmap
Ready = Callable[[Buffer], None]


def class_bytes(size: int) -> int:
    """The size of the buffer that serves `size`: few sizes, so that buffers are used again."""
    if size > _CLASSES_UP_TO:
        return (size + MIB - 1) // MIB * MIB
    return max(SPARE_BYTES_MAX, 1 << (size - 1).bit_length())


class Lease:
    """A borrowed buffer with several holders: it goes home when the last one lets go of it."""

    __slots__ = ("_buffer", "_holders", "_pool")

    def __init__(self, pool: "ReceivePool", buffer: Buffer) -> None:
        self._pool = pool
        self._buffer = buffer
        self._holders = 1

    @property
    def is_shared(self) -> bool:
        return self._holders > 1

    def hold(self) -> None:
        assert self._holders, "held after it went home"
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        assert self._holders >= 0, "released more often than held"
        if not self._holders:
            self._pool.give_back(self._buffer)


class ReceivePool:
    """Lends buffers up to `bytes_max` in all (lent and kept for reuse alike)."""

    def __init__(self, bytes_max: int = limits.RECEIVE_POOL_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self.lent_bytes = 0
        self.kept_bytes = 0
        self.waiting_bytes = 0  # held by those who wait
        self._kept: dict[int, list[Buffer]] = {}
        self._waiters: OrderedDict[Ready, tuple[int, int]] = OrderedDict()
        self._is_waking = False

    @property
    def is_wanted(self) -> bool:
        """Somebody waits: give back what you do not need now."""
        return bool(self._waiters)

    @property
    def may_share(self) -> bool:
        """Whether a buffer may stay lent for longer than its request takes to arrive: not where
        newcomers might have to wait for it."""
        return not self._waiters and self.lent_bytes <= self.bytes_max // 2

    def borrow(self, size: int) -> Buffer | None:
        """A buffer of at least `size` bytes, or None: then `wait`. Newcomers do not overtake."""
        return None if self._waiters else self._lend(class_bytes(size))

    def borrow_spare(self) -> Buffer | None:
        """A buffer for speed alone: only from the half that nobody needs for a whole frame."""
        if self._waiters or self.lent_bytes + SPARE_BYTES_MAX > self.bytes_max // 2:
            return None
        return self._lend(SPARE_BYTES_MAX)

    def give_back(self, buffer: Buffer) -> None:
        size = len(buffer)
        self.lent_bytes -= size
        assert self.lent_bytes >= 0, "a buffer came back twice"
        if self.kept_bytes + size <= self.bytes_max // 8:
            self._kept.setdefault(size, []).append(buffer)
            self.kept_bytes += size
        self._wake()

    def wait(self, size: int, held: int, ready: Ready) -> bool:
        """Call `ready` with a buffer of `size` bytes once it can be lent, first come first served.
        False if those who wait already hold too much: the caller must give up its connection."""
        if ready in self._waiters:
            return True
        if self.waiting_bytes + held > self.bytes_max // 2 or class_bytes(size) > self.bytes_max:
            return False
        self._waiters[ready] = (class_bytes(size), held)
        self.waiting_bytes += held
        return True

    def cancel(self, ready: Ready) -> None:
        """Nothing happens if it does not wait."""
        waiting = self._waiters.pop(ready, None)
        if waiting is not None:
            self.waiting_bytes -= waiting[1]
            self._wake()

    def trim(self) -> None:
        """Let go of buffers kept for reuse; a coarse timer calls it, so bursts keep theirs."""
        self._kept.clear()
        self.kept_bytes = 0

    def _lend(self, size: int) -> Buffer | None:
        kept = self._kept.get(size)
        if kept:
            self.kept_bytes -= size
            self.lent_bytes += size
            return kept.pop()
        if self.lent_bytes + self.kept_bytes + size > self.bytes_max:
            if self.lent_bytes + size > self.bytes_max:
                return None
            self.trim()
        self.lent_bytes += size
        # Clearing 100 MiB would stop the loop for 30 ms; fresh pages are cleared as bytes arrive.
        return bytearray(size) if size <= SPARE_BYTES_MAX else mmap.mmap(-1, size)

    def _wake(self) -> None:
        if self._is_waking:  # a borrower gave its old buffer back: the loop below goes on
            return
        self._is_waking = True
        try:
            while self._waiters:
                ready, (size, held) = next(iter(self._waiters.items()))
                buffer = self._lend(size)
                if buffer is None:
                    return
                del self._waiters[ready]
                self.waiting_bytes -= held
                ready(buffer)
        finally:
            self._is_waking = False
