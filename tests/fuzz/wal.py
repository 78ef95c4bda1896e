"""Damaged segments: recovery never serves a wrong record, never raises, never loses in silence.

    python -m tests.fuzz.wal N SEED

Takes random logs and hurts each in some hundred ways. An input that breaks a rule is printed with
its numbers: put them into `test_wal.py` as a case of its own before mending the code.
"""

import sys
from random import Random

from tests.property.test_wal_recovery import check, damage, history

INPUTS_PER_LOG = 200


def run(inputs: int, seed: int) -> int:
    """Gives how many inputs cost something that had been synced."""
    lost = done = 0
    while done < inputs:
        random = Random(f"{seed}/{done // INPUTS_PER_LOG}")
        scribe = history(random.randrange(1 << 32), blocks=random.randrange(1, 12))
        for _ in range(min(INPUTS_PER_LOG, inputs - done)):
            hurt(scribe, f"{seed}/{done}") and (lost := lost + 1)
            done += 1
    return lost


def hurt(scribe, seed: str) -> bool:  # type: ignore[no-untyped-def]
    random = Random(seed)
    damaged = scribe.files.copy()
    in_place = random.random() < 0.8
    for _ in range(random.choice((1, 1, 2, 3, 5))):
        damage(random, damaged, scribe, in_place=in_place)
    if random.random() < 0.2:
        content = damaged.names[scribe.path]
        del content[random.randrange(len(content)) :]
    try:
        outcome = check(scribe, damaged, in_place=in_place)
    except Exception as error:
        error.add_note(f"input {seed!r} of the log with {len(scribe.blocks)} blocks")
        raise
    return bool(outcome.recovered.corrupt)


if __name__ == "__main__":
    count, first_seed = int(sys.argv[1]), int(sys.argv[2])
    found = run(count, first_seed)
    print(f"{count} damaged logs recovered, {found} of them with losses, each named")
