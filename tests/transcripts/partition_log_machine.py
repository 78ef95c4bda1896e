"""`PartitionLog` as a machine for transcripts. It leads at epoch 0 when a transcript begins.

produce id=7 epoch=0 sequence=0 count=3     a client's batch; without id it is not idempotent
absorb leader=1 id=7 epoch=0 sequence=0 ... a leader's batch, at the end of the log or at=OFFSET
lead 2 | truncate 10 | move_start 10 | expire after=MS | at MS | restart
ask epoch=1                                 OffsetForLeaderEpoch
show                                        everything that the log remembers
"""

from app.core.partition_log import PartitionLog
from app.errors import Corrupt, Fenced

CODES = {-45: "OUT_OF_ORDER_SEQUENCE_NUMBER", -47: "INVALID_PRODUCER_EPOCH"}


class Machine:
    def __init__(self) -> None:
        self.log = PartitionLog()
        self.log.lead(0)
        self.now_ms = 0

    def do(self, command: str) -> str:
        verb, *words = command.split()
        given = [word for word in words if "=" not in word]
        fields = {name: int(value) for name, value in (w.split("=") for w in words if "=" in w)}
        try:
            return "\n".join(getattr(self, f"do_{verb}")(*map(int, given), **fields))
        except (Corrupt, Fenced) as error:
            return f"{type(error).__name__}: {error}"

    def do_produce(
        self, id: int = -1, epoch: int = -1, sequence: int = -1, count: int = 1
    ) -> list[str]:
        end = self.log.end
        decided = self.log.admit(batch(id, epoch, sequence, count), self.now_ms)
        if decided < 0:
            return [CODES[decided]]
        if decided < end:
            return [f"offset {decided}, a repetition"]
        return [f"offset {decided}", f"end {self.log.end}"]

    def do_absorb(
        self,
        leader: int,
        id: int = -1,
        epoch: int = -1,
        sequence: int = -1,
        count: int = 1,
        at: int | None = None,
    ) -> list[str]:
        base_offset = self.log.end if at is None else at
        self.log.absorb(batch(id, epoch, sequence, count), base_offset, leader, self.now_ms)
        return [f"end {self.log.end}"]

    def do_lead(self, epoch: int) -> list[str]:
        self.log.lead(epoch)
        return [f"epoch {epoch} from {self.log.end}"]

    def do_truncate(self, end: int) -> list[str]:
        return [f"end {end}, producers lost {self.log.truncate(end)}"]

    def do_move_start(self, offset: int) -> list[str]:
        self.log.move_start(offset)
        return [f"start {self.log.start}"]

    def do_at(self, now_ms: int) -> list[str]:
        self.now_ms = now_ms
        return []

    def do_expire(self, after: int) -> list[str]:
        return [f"producers expired {self.log.expire_producers(self.now_ms, after)}"]

    def do_restart(self) -> list[str]:
        saved = self.log.save()
        loaded = PartitionLog.load(saved)
        assert loaded == self.log
        self.log = loaded
        return []

    def do_ask(self, epoch: int) -> list[str]:
        found, end = self.log.end_offset_for(epoch)
        return ["unknown" if found == -1 else f"epoch {found} ends at {end}"]

    def do_show(self) -> list[str]:
        log = self.log
        lines = [f"offsets {log.start}..{log.end}"]
        lines += [f"epoch {epoch} from {start}" for epoch, start in log.epochs.entries()]
        for producer_id in range(10):
            state = log.producers.state_of(producer_id)
            if state is not None:
                epoch, last, last_ms, _, batches = state
                held = " ".join(f"{offset}+{delta + 1}" for _, delta, offset, _ in batches)
                lines.append(
                    f"producer {producer_id} epoch={epoch} last={last} ms={last_ms} held={held}"
                )
        return lines


def batch(producer_id: int, epoch: int, sequence: int, count: int) -> tuple[int, ...]:
    return (0, 200, -1, 2, 0, 0, count - 1, 0, 0, producer_id, epoch, sequence, count)
