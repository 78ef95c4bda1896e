"""What one partition remembers of its idempotent producers (KIP-98, KIP-360, KIP-854).

Owns    epoch, last batches and last use of each producer; Kafka's sequence rules over them.
Never   makes an object per batch: one bytearray of fixed cells, found through one dict.
Trusts  that headers passed core/admission.py: sequences and epochs are not negative, and a batch
        has far fewer records than there are sequence numbers: five never go once round.

A cell, little-endian, is also how a producer is saved:

    q  producer id
    h  producer epoch      B  next slot of the ring      B  slots in use
    i  last sequence (-1: none)
    q  append_ms of the last batch
    q  first offset of the open transaction (-1: none)
    5 x (i last sequence, i last offset delta, q base offset, q append_ms)

The rules are those of Kafka's `ProducerAppendInfo`, `ProducerStateEntry`, `ProducerStateManager`.
"""

import heapq
import struct

from app import limits
from streambus.errors import Corrupt

OUT_OF_ORDER_SEQUENCE = -45
INVALID_PRODUCER_EPOCH = -47

SEQUENCE_MASK = 0x7FFF_FFFF  # after 2147483647 comes 0; after "none" (-1) comes 0 too
BATCHES_KEPT = limits.PRODUCER_BATCHES_KEPT
NO_TRANSACTION = -1

_CELL_HEAD = struct.Struct("<qhBBiqq")
_STATE = struct.Struct("<hBBi")  # epoch, next slot, slots in use, last sequence
_USE = struct.Struct("<BBiq")  # next slot, slots in use, last sequence, append_ms
_STATE_AT = 8
_USE_AT = 10
_LAST_MS = struct.Struct("<qq")  # append_ms, open transaction
_LAST_MS_AT = 16
_BATCH = struct.Struct("<iiqq")
_BATCH_BYTES = _BATCH.size
_RING_AT = _CELL_HEAD.size
CELL_BYTES = _RING_AT + BATCHES_KEPT * _BATCH_BYTES

_read_state = _STATE.unpack_from
_write_use = _USE.pack_into
_read_batch = _BATCH.unpack_from
_write_batch = _BATCH.pack_into

Batch = tuple[int, int, int, int]
"""(last sequence, last offset delta, base offset, append_ms)"""
ProducerState = tuple[int, int, int, int, list[Batch]]
"""(epoch, last sequence, append_ms, open transaction, batches oldest first)"""


class Producers:
    """All producers of one partition, at most `capacity` of them.

    Over it the producers that have been idle longest are forgotten (`evicted` counts them): they
    are the least likely to retry, and one that does come back may go on with any sequence, as
    after its expiry. Refusing new producers instead would let dead ones lock out the living.
    """

    __slots__ = ("_at", "_cells", "capacity", "evicted")

    def __init__(self, capacity: int = limits.PRODUCERS_PER_PARTITION_MAX) -> None:
        assert capacity > 0
        self._at: dict[int, int] = {}
        self._cells = bytearray()
        self.capacity = capacity
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._at)

    def __eq__(self, other: object) -> bool:
        """The same producers with the same state, wherever their cells lie."""
        if not isinstance(other, Producers):
            return NotImplemented
        return self._at.keys() == other._at.keys() and all(
            self.state_of(producer_id) == other.state_of(producer_id) for producer_id in self._at
        )

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Producers({ {each: self.state_of(each) for each in sorted(self._at)} })"

    def admit(
        self, producer_id: int, epoch: int, sequence: int, delta: int, base_offset: int, now_ms: int
    ) -> int:
        """Decide a client's batch and remember it if it is new.

        Gives `base_offset` (new: append it), the lower offset of the batch that this one repeats,
        or a negative error code.
        """
        at = self._at.get(producer_id)
        if at is None:
            # Nothing is known: it is new, expired, or forgotten. Kafka takes any first sequence
            # here (KIP-360), since refusing would stop a producer that did nothing wrong.
            at = self._enter(producer_id, epoch)
            self._remember(at, 0, 0, sequence, delta, base_offset, now_ms)
            return base_offset
        held_epoch, slot, used, last = _read_state(self._cells, at + _STATE_AT)
        if epoch == held_epoch:
            if sequence != (last + 1) & SEQUENCE_MASK:
                return self._repeated(at, used, (sequence + delta) & SEQUENCE_MASK, delta)
            # _remember, written out: this is the line that every idempotent batch takes.
            last = (sequence + delta) & SEQUENCE_MASK
            ring_at = at + _RING_AT + slot * _BATCH_BYTES
            _write_batch(self._cells, ring_at, last, delta, base_offset, now_ms)
            slot = slot + 1 if slot < BATCHES_KEPT - 1 else 0
            used = used + 1 if used < BATCHES_KEPT else used
            _write_use(self._cells, at + _USE_AT, slot, used, last, now_ms)
            return base_offset
        if epoch < held_epoch:
            return INVALID_PRODUCER_EPOCH
        if sequence != 0:
            return OUT_OF_ORDER_SEQUENCE
        self._begin_epoch(at, epoch)
        self._remember(at, 0, 0, sequence, delta, base_offset, now_ms)
        return base_offset

    def absorb(
        self, producer_id: int, epoch: int, sequence: int, delta: int, base_offset: int, now_ms: int
    ) -> None:
        """Remember a batch that a leader already admitted, whatever its epoch and sequence say."""
        at = self._at.get(producer_id)
        if at is None:
            at = self._enter(producer_id, epoch)
        held_epoch, slot, used, _ = _read_state(self._cells, at + _STATE_AT)
        if epoch != held_epoch:
            self._begin_epoch(at, epoch)
            slot = used = 0
        self._remember(at, slot, used, sequence, delta, base_offset, now_ms)

    def truncate(self, end: int) -> int:
        """The log was cut to `end`: forget the batches that were in what went.

        A producer continues from its newest batch below the cut. Lost is what older batches those
        above the cut had pushed out, and, where the cut took all batches held, the producer itself
        with its epoch: then any sequence would be taken as new. Gives the number of producers lost
        that way; if it is not 0, the caller (a follower that truncated, partitions/replica.py)
        rebuilds by folding the batches below the cut from its last checkpoint, as after a restart.
        """
        lost = []
        for producer_id, at in self._at.items():
            batches = self._batches(at)
            kept = [batch for batch in batches if batch[2] + batch[1] < end]
            if not kept:
                lost.append(producer_id)
            elif len(kept) < len(batches):
                for slot, batch in enumerate(kept):
                    _write_batch(self._cells, at + _RING_AT + slot * _BATCH_BYTES, *batch)
                newest = kept[-1]
                _write_use(self._cells, at + _USE_AT, len(kept), len(kept), newest[0], newest[3])
        for producer_id in lost:
            self._remove(producer_id)
        return len(lost)

    def expire(self, now_ms: int, expiration_ms: int) -> int:
        """Forget producers that appended nothing for `expiration_ms` and have no transaction open.
        Gives how many. (Kafka measures from the batch's own timestamp, which a producer may set to
        anything; append time is the broker's.)"""
        newest_ms = now_ms - expiration_ms
        idle = []
        for producer_id, at in self._at.items():
            last_ms, transaction = _LAST_MS.unpack_from(self._cells, at + _LAST_MS_AT)
            if last_ms <= newest_ms and transaction == NO_TRANSACTION:
                idle.append(producer_id)
        for producer_id in idle:
            self._remove(producer_id)
        return len(idle)

    def state_of(self, producer_id: int) -> ProducerState | None:
        """A picture of one producer, for operators and for comparing; None if unknown."""
        at = self._at.get(producer_id)
        if at is None:
            return None
        _, epoch, _, _, last, last_ms, transaction = _CELL_HEAD.unpack_from(self._cells, at)
        return epoch, last, last_ms, transaction, self._batches(at)

    def ids(self) -> list[int]:
        """The producers that are remembered, in order."""
        return sorted(self._at)

    def appended_ms(self, producer_id: int, base_offset: int) -> int:
        """When the held batch at `base_offset` was appended (what the reply to its repetition says
        on a LogAppendTime topic); -1 if it is not held."""
        at = self._at.get(producer_id)
        if at is not None:
            for _, _, held_offset, append_ms in self._batches(at):
                if held_offset == base_offset:
                    return append_ms
        return -1

    def save(self) -> bytes:
        return bytes(self._cells)

    @classmethod
    def load(
        cls, saved: bytes | memoryview, capacity: int = limits.PRODUCERS_PER_PARTITION_MAX
    ) -> "Producers":
        """Raises `Corrupt` on cells that no history leaves behind."""
        loaded = cls(capacity)
        if len(saved) % CELL_BYTES:
            raise Corrupt(f"producers: {len(saved)} bytes are not whole cells of {CELL_BYTES}")
        loaded._cells += saved
        for at in range(0, len(saved), CELL_BYTES):
            producer_id, epoch, slot, used, last, _, transaction = _CELL_HEAD.unpack_from(saved, at)
            is_ring = slot < BATCHES_KEPT and 1 <= used <= BATCHES_KEPT
            if not (is_ring and used in (BATCHES_KEPT, slot)):
                raise Corrupt(f"producers: a ring of {used} batches, the next at {slot}")
            if producer_id < 0 or epoch < 0 or transaction < NO_TRANSACTION:
                raise Corrupt(f"producers: producer {producer_id} at epoch {epoch}")
            if producer_id in loaded._at:
                raise Corrupt(f"producers: producer {producer_id} twice")
            batches = loaded._batches(at)
            if batches[-1][0] != last or any(each[1] < 0 or each[2] < 0 for each in batches):
                raise Corrupt(f"producers: producer {producer_id} holds {batches}, last is {last}")
            loaded._at[producer_id] = at
        return loaded

    def _repeated(self, at: int, used: int, last_sequence: int, delta: int) -> int:
        """The offset of the held batch with exactly this sequence range, or OUT_OF_ORDER_SEQUENCE:
        Kafka tells a gap and a repeat too old to be held alike."""
        for position in range(at + _RING_AT, at + _RING_AT + used * _BATCH_BYTES, _BATCH_BYTES):
            held_last, held_delta, base_offset, _ = _read_batch(self._cells, position)
            if held_last == last_sequence and held_delta == delta:
                return int(base_offset)
        return OUT_OF_ORDER_SEQUENCE

    def _remember(
        self,
        at: int,
        slot: int,
        used: int,
        sequence: int,
        delta: int,
        base_offset: int,
        now_ms: int,
    ) -> None:
        last = (sequence + delta) & SEQUENCE_MASK
        ring_at = at + _RING_AT + slot * _BATCH_BYTES
        _write_batch(self._cells, ring_at, last, delta, base_offset, now_ms)
        _write_use(
            self._cells,
            at + _USE_AT,
            (slot + 1) % BATCHES_KEPT,
            min(used + 1, BATCHES_KEPT),
            last,
            now_ms,
        )

    def _begin_epoch(self, at: int, epoch: int) -> None:
        _STATE.pack_into(self._cells, at + _STATE_AT, epoch, 0, 0, -1)

    def _batches(self, at: int) -> list[Batch]:
        """Oldest first."""
        _, slot, used, _ = _read_state(self._cells, at + _STATE_AT)
        ring_at = at + _RING_AT
        return [
            _read_batch(self._cells, ring_at + (slot - age) % BATCHES_KEPT * _BATCH_BYTES)
            for age in range(used, 0, -1)
        ]

    def _enter(self, producer_id: int, epoch: int) -> int:
        if len(self._at) >= self.capacity:
            self._evict()
        at = len(self._cells)
        self._cells += bytes(CELL_BYTES)
        _CELL_HEAD.pack_into(self._cells, at, producer_id, epoch, 0, 0, -1, 0, NO_TRANSACTION)
        self._at[producer_id] = at
        return at

    def _evict(self) -> None:
        # A sixteenth at once: finding the idlest means looking at all, so look rarely.
        # One with an open transaction goes last: its data would stay undecided for ever.
        count = len(self._at) - self.capacity + max(1, self.capacity // 16)
        ranks = []
        for producer_id, at in self._at.items():
            last_ms, transaction = _LAST_MS.unpack_from(self._cells, at + _LAST_MS_AT)
            ranks.append((transaction != NO_TRANSACTION, last_ms, producer_id))
        idlest = heapq.nsmallest(count, ranks)
        for _, _, producer_id in idlest:
            self._remove(producer_id)
        self.evicted += len(idlest)

    def _remove(self, producer_id: int) -> None:
        """The last cell moves into the gap, so that cells stay dense."""
        at = self._at.pop(producer_id)
        last_at = len(self._cells) - CELL_BYTES
        if at != last_at:
            self._cells[at : at + CELL_BYTES] = self._cells[last_at:]
            self._at[_CELL_HEAD.unpack_from(self._cells, at)[0]] = at
        del self._cells[last_at:]
