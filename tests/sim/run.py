"""`python -m tests.sim.run N SEED`: lives of a whole broker from SEED on, N of them.

With one seed the whole story of a failure is printed, else one line for each.
"""

import gc
import logging
import sys
import time
import traceback

from tests.sim.workload import live
from tests.sim.world import simulate


def main(count: int, first: int) -> int:
    logging.getLogger("streambus").propagate = False
    failed = []
    marks: dict[str, int] = {}
    began = time.perf_counter()
    for seed in range(first, first + count):
        gc.collect()  # a broker is many large buffers in cycles
        try:
            result = simulate(live, seed)
        except (Exception, BaseExceptionGroup) as error:
            failed.append(seed)
            if count == 1:
                traceback.print_exc()
            sys.stdout.write(f"seed {seed} FAILED: {innermost(error)!r:.300}\n")
            continue
        for mark, times in result.value.items():
            marks[mark] = marks.get(mark, 0) + times
    for mark in sorted(marks):
        sys.stdout.write(f"{marks[mark]:9} {mark}\n")
    seconds = time.perf_counter() - began
    sys.stdout.write(f"{count} seeds from {first} in {seconds:.1f} s; failed: {failed}\n")
    return 1 if failed else 0


def innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
