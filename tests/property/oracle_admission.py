"""The slow twin of `PartitionLog`: the same decisions in lists and dicts, obviously right.

It shares no line with what it checks: it imports nothing, and takes plain integers. Rules are
stated as Kafka's documents and sources state them, one sentence per branch.
"""

SEQUENCES = 2**31  # 0 .. 2147483647, then 0 again
HELD = 5

Batch = tuple[int, int, int, int, int]  # first and last sequence, offset, count, append ms


class Known:
    """What is remembered of one producer; its batches oldest first."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.batches: list[Batch] = []
        self.used_ms = 0


def following(sequence: int) -> int:
    return (sequence + 1) % SEQUENCES


class Oracle:
    """One partition. `batches` is the log itself; `producers` what idempotence remembers."""

    def __init__(self, producers_max: int) -> None:
        self.producers_max = producers_max
        self.start = 0
        self.end = 0
        self.batches: list[dict[str, int]] = []
        self.epochs: list[tuple[int, int]] = []  # (epoch, first offset)
        self.producers: dict[int, Known] = {}

    # what a leader does

    def lead(self, epoch: int) -> None:
        if not self.epochs or epoch > self.epochs[-1][0]:
            # an epoch that starts at or above the end of the log has written nothing
            self.epochs = [each for each in self.epochs if each[1] < self.end]
            self.epochs.append((epoch, self.end))

    def admit(
        self, producer_id: int, producer_epoch: int, sequence: int, count: int, now_ms: int
    ) -> int:
        if producer_id >= 0:
            verdict = self._judge(producer_id, producer_epoch, sequence, count)
            if verdict is not None:
                return verdict
            self._remember(producer_id, producer_epoch, sequence, count, now_ms)
        return self._append(count)

    def _judge(
        self, producer_id: int, producer_epoch: int, sequence: int, count: int
    ) -> int | None:
        """An offset that was given before, an error code, or None: it is new and in order."""
        known = self.producers.get(producer_id)
        if known is None:
            return None  # no state: any sequence
        last = (sequence + count - 1) % SEQUENCES
        for first_held, last_held, offset, _, _ in known.batches:
            if producer_epoch == known.epoch and (first_held, last_held) == (sequence, last):
                return offset
        if producer_epoch < known.epoch:
            return -47
        if producer_epoch > known.epoch:
            return None if sequence == 0 else -45
        newest_sequence = known.batches[-1][1]
        return None if sequence == following(newest_sequence) else -45

    def _remember(
        self, producer_id: int, producer_epoch: int, sequence: int, count: int, now_ms: int
    ) -> None:
        if producer_id not in self.producers:
            if len(self.producers) >= self.producers_max:
                idlest_first = sorted((p.used_ms, i) for i, p in self.producers.items())
                too_many = len(self.producers) - self.producers_max
                for _, each in idlest_first[: too_many + max(1, self.producers_max // 16)]:
                    del self.producers[each]
            self.producers[producer_id] = Known(producer_epoch)
        known = self.producers[producer_id]
        if known.epoch != producer_epoch:
            known.epoch = producer_epoch
            known.batches = []
        last = (sequence + count - 1) % SEQUENCES
        known.batches.append((sequence, last, self.end, count, now_ms))
        known.batches = known.batches[-HELD:]
        known.used_ms = now_ms

    def _append(self, count: int) -> int:
        offset = self.end
        self.batches.append({"offset": offset, "count": count, "epoch": self.epochs[-1][0]})
        self.end += count
        return offset

    # what happens to a log

    def truncate(self, end: int) -> int:
        self.batches = [each for each in self.batches if each["offset"] + each["count"] <= end]
        self.epochs = [each for each in self.epochs if each[1] < end]
        self.end = end
        lost = 0
        for producer_id, known in list(self.producers.items()):
            left = [batch for batch in known.batches if batch[2] + batch[3] <= end]
            if not left:
                del self.producers[producer_id]
                lost += 1
            elif left != known.batches:
                known.batches = left
                known.used_ms = left[-1][4]
        return lost

    def move_start(self, offset: int) -> None:
        if offset <= self.start:
            return
        self.start = offset
        covering = [each for each in self.epochs if each[1] <= offset]
        if covering:
            later = [each for each in self.epochs if each[1] > offset]
            self.epochs = [(covering[-1][0], offset), *later]

    def expire(self, now_ms: int, expiration_ms: int) -> int:
        idle = [
            producer_id
            for producer_id, known in self.producers.items()
            if now_ms - known.used_ms >= expiration_ms
        ]
        for each in idle:
            del self.producers[each]
        return len(idle)

    # what it answers

    def end_offset_for(self, epoch: int) -> tuple[int, int]:
        if epoch == -1 or not self.epochs:
            return (-1, -1)
        if epoch == self.epochs[-1][0]:
            return (epoch, self.end)
        higher = [each for each in self.epochs if each[0] > epoch]
        if not higher:
            return (-1, -1)
        lower = [each for each in self.epochs if each[0] <= epoch]
        return (lower[-1][0] if lower else epoch, higher[0][1])

    def edges(self) -> list[int]:
        """Offsets at which the log can be cut: batch edges that are still in it."""
        ends = [each["offset"] + each["count"] for each in self.batches]
        return sorted({self.start, *(each for each in ends if each >= self.start)})

    def pictures(self) -> dict[int, object]:
        """Producers as `Producers.state_of` gives them."""
        return {
            producer_id: (
                known.epoch,
                known.batches[-1][1],
                known.used_ms,
                -1,
                [(last, count - 1, offset, ms) for _, last, offset, count, ms in known.batches],
            )
            for producer_id, known in self.producers.items()
        }
