"""Leader-side replication of one partition: who is in sync, and how far is safe.

Owns    the ISR, the leader's synced end, follower positions, the high watermark.
Never   reads a clock, awaits, or touches bytes; changes the ISR by itself: the controller does.
Trusts  that ends reported here are on stable storage (tiers/nvme/wal.py).

One object lasts one leadership: a new leader epoch begins with a new one.
"""


class Replication:
    """The high watermark is the least synced end over the ISR, the leader's included.

    It only rises. It stands still while the ISR is smaller than `min_isr` (KIP-966), or else
    records could be read that a legal election loses. `min_isr` is the topic's
    min.insync.replicas, but not more than the partition has replicas.
    """

    __slots__ = (
        "_ends",
        "_in_sync_ms",
        "_is_alone",
        "_reported_at",
        "_since_ms",
        "high_watermark",
        "isr",
        "min_isr",
        "self_id",
        "synced_end",
    )

    def __init__(
        self,
        isr: tuple[int, ...],
        self_id: int,
        high_watermark: int = 0,
        *,
        min_isr: int = 1,
        now_ms: int = 0,
    ) -> None:
        assert high_watermark >= 0 and min_isr >= 1
        self.self_id = self_id
        self.high_watermark = high_watermark
        self.synced_end = high_watermark
        self.min_isr = min_isr
        self._since_ms = now_ms
        self._ends: dict[int, int] = {}
        self._in_sync_ms: dict[int, int] = {}
        self._reported_at: dict[int, tuple[int, int]] = {}
        self.isr: tuple[int, ...] = ()
        self._is_alone = False
        self.change_isr(isr)

    @property
    def is_under_min_isr(self) -> bool:
        """Then acks=all is refused with NOT_ENOUGH_REPLICAS, and nothing more is committed."""
        return len(self.isr) < self.min_isr

    def synced(self, end: int) -> int:
        """The leader's own log is synced up to `end`. Gives the high watermark."""
        if end > self.synced_end:
            self.synced_end = end
            if self._is_alone:
                self.high_watermark = end
            else:
                self._advance()
        return self.high_watermark

    def reported(self, follower: int, end: int, now_ms: int) -> int:
        """A follower has synced up to `end`, which may be less than it once said (it lost its disk
        or truncated). Gives the high watermark."""
        assert follower != self.self_id and end >= 0, (follower, end)
        # As in Kafka: caught up now if it has all that the leader has, and as of its last report
        # if it has all that the leader had then: one that is always a batch behind is in sync.
        leader_end_then, then_ms = self._reported_at.get(follower, (-1, 0))
        if end >= self.synced_end:
            self._in_sync_ms[follower] = now_ms
        elif end >= leader_end_then >= 0:
            self._in_sync_ms[follower] = max(then_ms, self._in_sync_ms.get(follower, then_ms))
        self._reported_at[follower] = (self.synced_end, now_ms)
        self._ends[follower] = end
        self._advance()
        return self.high_watermark

    def change_isr(self, isr: tuple[int, ...]) -> int:
        """The controller admitted another ISR. Gives the high watermark."""
        assert self.self_id in isr, f"leader {self.self_id} is not in its ISR {isr}"
        assert len(set(isr)) == len(isr), f"ISR {isr} names a replica twice"
        self.isr = isr
        return self.require(self.min_isr)

    def require(self, min_isr: int) -> int:
        """min.insync.replicas was changed. Gives the high watermark."""
        assert min_isr >= 1
        self.min_isr = min_isr
        self._is_alone = self.isr == (self.self_id,) and min_isr == 1
        self._advance()
        return self.high_watermark

    def end_of(self, follower: int) -> int:
        """The last synced end that `follower` reported; 0 before the first."""
        return self._ends.get(follower, 0)

    def lagging(self, now_ms: int, lag_ms_max: int) -> tuple[int, ...]:
        """Followers in the ISR that have not been caught up for longer than `lag_ms_max`: the
        leader asks the controller to drop them. All count as caught up when leadership begins."""
        return tuple(
            each
            for each in self.isr
            if each != self.self_id
            and self.end_of(each) < self.synced_end
            and now_ms - self._in_sync_ms.get(each, self._since_ms) > lag_ms_max
        )

    def can_join(self, follower: int) -> bool:
        """Whether a follower outside the ISR has all that is committed, and so may be admitted."""
        return follower not in self.isr and self.end_of(follower) >= self.high_watermark

    def _advance(self) -> None:
        if self.is_under_min_isr:
            return
        safe = self.synced_end
        for each in self.isr:
            if each != self.self_id:
                safe = min(safe, self._ends.get(each, 0))
        self.high_watermark = max(self.high_watermark, safe)
