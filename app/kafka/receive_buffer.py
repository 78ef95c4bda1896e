"""What has arrived on one connection and is not parsed yet: a bytearray, its view, two ends.

Owns    where the next bytes go, when a larger buffer is borrowed or given back, when reading stops.
Never   parses: the connection moves `start` past what it has taken.
Trusts  that nobody keeps a slice of `view` beyond `settle`, but for who holds the buffer's lease,
        and for the time between `freeze` and `thaw`, in which nothing here moves.

Idle, a connection has RECEIVE_BUFFER_IDLE_BYTES of its own. A frame that does not fit borrows a
buffer for all of it; many small ones in one read borrow a spare one, if there is any.
"""

from struct import Struct

from app import limits
from app.kafka.buffers import Buffer, Lease, ReceivePool
from app.world.ports import Channel

_LENGTH = Struct(">i").unpack_from
_FIRST_READ = 64 * limits.KIB  # before a frame's length is known, so that no long tail moves
_HELD_MAX = 256 * limits.KIB  # read ahead of a request that runs
_READ_MIN = 512  # room worth reading into; with less, what is left moves to the front


class ReceiveBuffer:
    """`view[start:end]` is what has arrived; the next read may go up to `limit`."""

    __slots__ = (
        "_borrowed",
        "_idle",
        "_is_frozen",
        "_is_over",
        "_is_paused",
        "_is_waiting",
        "_lease",
        "_pool",
        "_seen",
        "_sweeps",
        "_wanted",
        "_wants_spare",
        "channel",
        "end",
        "limit",
        "start",
        "view",
    )

    def __init__(self, pool: ReceivePool) -> None:
        self._pool = pool
        self._idle = bytearray(limits.RECEIVE_BUFFER_IDLE_BYTES)
        self._borrowed: Buffer | None = None
        self._lease: Lease | None = None
        self._wants_spare = False
        self._is_paused = False
        self._is_waiting = False  # for a buffer: until it comes nothing is read or moved
        self._is_frozen = False
        self._is_over = False
        self._seen = -1  # `start` at the last sweep
        self._sweeps = 0  # since it moved
        self._wanted = 0  # where the frame that arrives ends, 0 if it is not known
        self.channel: Channel | None = None
        self.view = memoryview(self._idle)
        self.start = self.end = 0
        self.limit = len(self.view)

    def room(self) -> memoryview:
        return self.view[self.end : self.limit]

    def arrived(self, count: int) -> bool:
        """Whether it is worth a look: of a large frame many reads bring only a part."""
        self.end += count
        if self.end == limits.RECEIVE_BUFFER_IDLE_BYTES and self._borrowed is None:
            self._wants_spare = True
        return self.end >= self._wanted

    def settle(self, *, is_held: bool) -> bool:
        """After parsing: make room for what comes, at the least cost in copies and memory. Held
        means that requests may lie here whole. False: there is no memory for the next request."""
        start, end, capacity = self.start, self.end, len(self.view)
        self._wanted = 0
        if self._is_frozen:
            self.limit = capacity
            if end == capacity:
                self._pause()
        elif start == end:
            self._empty()
        elif self._is_waiting:
            pass
        elif is_held:
            # Read on while there is room, then stop.
            if end == capacity and start and not self._is_shared:
                self._to_front()
            self.limit = max(self.end, min(capacity, self.start + _HELD_MAX))
            if self.end == self.limit:
                self._pause()
            else:
                self._resume()
        else:
            need = 4 + _LENGTH(self.view, start)[0] if end - start >= 4 else _READ_MIN
            moves = start + max(need, _READ_MIN) > capacity
            if need > capacity or (moves and self._is_shared):
                return self._need(need)
            self._make_room(need)
            self._wanted = self.start + need if end - start >= 4 else 0
        return True

    def lease(self) -> Lease | None:
        """Whoever holds it may keep what was parsed where it lies: nothing is written over it until
        it is released. None where that would keep memory from those who need it."""
        if self._borrowed is None or not self._pool.may_share:
            return None
        if self._lease is None:
            self._lease = Lease(self._pool, self._borrowed)
        return self._lease

    def freeze(self) -> None:
        """A lane reads a request where it lies."""
        self._is_frozen = True

    def thaw(self) -> None:
        self._is_frozen = False
        if self._is_over:
            self._become(None)

    def give_back(self) -> None:
        """A borrowed buffer goes home if what is in it has room in the idle one."""
        left = self.end - self.start
        if (
            self._borrowed is not None
            and left <= limits.RECEIVE_BUFFER_IDLE_BYTES - _READ_MIN
            and not self._is_frozen
        ):
            self._become(None)

    def is_overdue(self, sweeps_max: int) -> bool:
        """Asked once a sweep, while nothing holds the connection back: whether a request has kept
        a borrowed buffer for so long, not arriving, while others waited for one."""
        if self._borrowed is None or not self._pool.is_wanted or self.start != self._seen:
            self._seen, self._sweeps = self.start, 0
            return False
        self._sweeps += 1
        return self._sweeps >= sweeps_max

    def discard(self) -> None:
        """The connection is gone, and what arrived with it."""
        self._is_over = True
        self._pool.cancel(self._lent)
        self.start = self.end = 0
        if not self._is_frozen:
            self._become(None)

    @property
    def _is_shared(self) -> bool:
        return self._lease is not None and self._lease.is_shared

    def _empty(self) -> None:
        if self._borrowed is not None and self._is_shared:
            self.start = self.end
            self._become(self._pool.borrow(len(self._borrowed)))
        self.start = self.end = 0
        if self._borrowed is not None and self._pool.is_wanted:
            self._become(None)
        elif self._wants_spare:
            self._take_spare()
        self.limit = min(len(self.view), _FIRST_READ)
        self._resume()

    def _make_room(self, need: int) -> None:
        if self._wants_spare:
            self._take_spare()
        if self.start + max(need, _READ_MIN) > len(self.view):  # there may have been no spare one
            self._to_front()
        # A large frame is read exactly to its end: nothing of the next one has to move. And no read
        # brings more small ones than the loop may answer at once.
        self.limit = min(len(self.view), self.start + max(need, _FIRST_READ))
        self._resume()

    def _need(self, size: int) -> bool:
        """A frame is larger than the buffer: borrow one that holds it whole, or wait for one."""
        buffer = self._pool.borrow(size)
        if buffer is not None:
            self._lent(buffer)
            return True
        self._pause()
        self._is_waiting = self._pool.wait(size, len(self._borrowed or b""), self._lent)
        return self._is_waiting

    def _lent(self, buffer: Buffer) -> None:
        self._is_waiting = False
        self._become(buffer)
        self.settle(is_held=False)

    def _take_spare(self) -> None:
        self._wants_spare = False
        if self._borrowed is None:
            spare = self._pool.borrow_spare()
            if spare is not None:
                self._become(spare)

    def _become(self, buffer: Buffer | None) -> None:
        """Go on in `buffer` (None: the idle one); what is not parsed yet moves with it."""
        old, self._borrowed = self._borrowed, buffer
        target = memoryview(self._idle if buffer is None else buffer)
        left = self.end - self.start
        if left:
            target[:left] = self.view[self.start : self.end]
        self.view = target
        self.start, self.end = 0, left
        self._seen = -1
        self._wanted = 0
        self.limit = len(target)
        self._wants_spare = False
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()
        elif old is not None:
            self._pool.give_back(old)

    def _to_front(self) -> None:
        left = self.end - self.start
        self.view[:left] = self.view[self.start : self.end]
        self.start, self.end = 0, left
        self._seen = -1
        self._wanted = 0

    def _pause(self) -> None:
        if not self._is_paused and self.channel is not None:
            self._is_paused = True
            self.channel.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and self.channel is not None:
            self._is_paused = False
            self.channel.resume_reading()
