"""Random admissions, decided by `PartitionLog` and by its slow oracle.

`python -m tests.property.admission N SEED` decides N of them: millions, if you have the time.

Producers here are as bad as real ones: they repeat, skip, come back with an old or a new epoch,
wrap round the sequence numbers; now and then the log is led anew, cut, trimmed, saved and loaded.
"""

import random
import sys

from app.core.partition_log import PartitionLog
from tests.property.oracle_admission import SEQUENCES, Oracle

Header = tuple[int, ...]
PRODUCERS_MAX = 12
EXPIRATION_MS = 400


def header(producer_id: int, producer_epoch: int, sequence: int, count: int) -> Header:
    """As it would be read from a client's bytes; only what needs state matters here."""
    return (0, 200, -1, 2, 0, 0, count - 1, 0, 0, producer_id, producer_epoch, sequence, count)


class Disagreement(AssertionError):
    """The two decided differently."""


class Run:
    """One partition under random treatment. `decisions` counts what was decided, by kind."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.log = PartitionLog(PRODUCERS_MAX)
        self.oracle = Oracle(PRODUCERS_MAX)
        self.now_ms = 1_000
        self.leader_epoch = 0
        self.decisions = {"new": 0, "repeat": 0, "gap": 0, "fenced": 0}
        self.lead(0)

    def lead(self, leader_epoch: int) -> None:
        self.leader_epoch = leader_epoch
        self.log.lead(leader_epoch)
        self.oracle.lead(leader_epoch)

    def step(self) -> None:
        choice = self.random.random()
        if choice < 0.985:
            self.admit()
        elif choice < 0.988:
            self.truncate()
        elif choice < 0.991:
            offset = self.random.choice(self.oracle.edges())
            self.log.move_start(offset)
            self.oracle.move_start(offset)
        elif choice < 0.994:
            self.lead(self.leader_epoch + self.random.randint(0, 2))
        elif choice < 0.997:
            self.agree(
                "expiry",
                self.log.expire_producers(self.now_ms, EXPIRATION_MS),
                self.oracle.expire(self.now_ms, EXPIRATION_MS),
            )
        else:
            loaded = PartitionLog.load(self.log.save(), PRODUCERS_MAX)
            self.agree("a saved log", loaded, self.log)
            self.log = loaded
            self.compare()

    def truncate(self) -> None:
        end = self.random.choice(self.oracle.edges()[-8:])
        self.agree("truncation", self.log.truncate(end), self.oracle.truncate(end))
        self.lead(self.leader_epoch + 1)

    def admit(self) -> None:
        draw = self.random
        self.now_ms += draw.choice((0, 0, 1, 7))
        producer_id, producer_epoch, sequence = self.draw_producer()
        count = draw.choice((1, 1, 1, 2, 3, 9))
        if producer_id >= 0 and draw.random() < 0.05:
            count = draw.randint(1, 2**24)
        repeated = self.draw_held(producer_id) if draw.random() < 0.2 else None
        if repeated is not None:
            producer_epoch, sequence, count = repeated
        decided = self.log.admit(header(producer_id, producer_epoch, sequence, count), self.now_ms)
        end = self.oracle.end
        expected = self.oracle.admit(producer_id, producer_epoch, sequence, count, self.now_ms)
        self.agree(f"{(producer_id, producer_epoch, sequence, count)}", decided, expected)
        self.agree("the end", self.log.end, self.oracle.end)
        kind = {-45: "gap", -47: "fenced", end: "new"}.get(decided, "repeat")
        self.decisions[kind] += 1

    def draw_producer(self) -> tuple[int, int, int]:
        draw = self.random
        producer_id = draw.randint(-1, PRODUCERS_MAX + 2)
        if producer_id < 0:
            return -1, -1, -1
        known = self.oracle.producers.get(producer_id)
        if known is None:
            near_the_wrap = SEQUENCES - draw.randint(1, 12)
            return producer_id, draw.randint(0, 3), draw.choice((0, 0, 5, near_the_wrap))
        sequence = (known.batches[-1][1] + 1) % SEQUENCES
        epoch = known.epoch
        wrong = draw.random()
        if wrong < 0.05:
            sequence = (sequence + draw.choice((-2, -1, 1, 40))) % SEQUENCES
        elif wrong < 0.08:
            epoch = min(epoch + 1, 32_767)
            sequence = draw.choice((0, 0, 0, 1, sequence))
        elif wrong < 0.10:
            epoch = max(epoch - 1, 0)
        return producer_id, epoch, sequence

    def draw_held(self, producer_id: int) -> tuple[int, int, int] | None:
        known = self.oracle.producers.get(producer_id)
        if known is None:
            return None
        sequence, _, _, count, _ = self.random.choice(known.batches)
        # mostly exactly the same batch, sometimes another one that starts alike
        return known.epoch, sequence, count + self.random.choice((0, 0, 0, 0, 1))

    def compare(self) -> None:
        """Everything that either remembers."""
        log, oracle = self.log, self.oracle
        self.agree("the bounds", (log.start, log.end), (oracle.start, oracle.end))
        self.agree("the epochs", log.epochs.entries(), oracle.epochs)
        for epoch in range(-1, self.leader_epoch + 2):
            self.agree(f"epoch {epoch}", log.end_offset_for(epoch), oracle.end_offset_for(epoch))
        pictures = {each: log.producers.state_of(each) for each in oracle.producers}
        self.agree("the producers", pictures, oracle.pictures())
        self.agree("how many producers", len(log.producers), len(oracle.producers))

    def agree(self, what: str, decided: object, expected: object) -> None:
        if decided != expected:
            raise Disagreement(f"{what}: decided {decided}, the oracle says {expected}")


def check(steps: int, seed: int, steps_per_run: int = 2_000) -> dict[str, int]:
    """Several partitions one after another, so that each starts empty; gives what was decided."""
    decisions: dict[str, int] = {}
    for number in range(0, steps, steps_per_run):
        run = Run(seed * 1_000_003 + number)
        try:
            for _ in range(min(steps_per_run, steps - number)):
                run.step()
            run.compare()
        except Disagreement as error:
            raise Disagreement(f"seed {seed}, run {number}: {error}") from None
        for kind, count in run.decisions.items():
            decisions[kind] = decisions.get(kind, 0) + count
    return decisions


if __name__ == "__main__":
    sys.stdout.write(f"{check(int(sys.argv[1]), int(sys.argv[2]))}\n")
