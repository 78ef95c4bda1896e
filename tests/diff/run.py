"""`make diff-kafka`: plays every case to Apache Kafka and to StreamBus, and compares the replies.

    python -m tests.diff.run [CASE ...]             cases whose name begins so; all of them
    python -m tests.diff.run --record               … and keep Kafka's replies for `make test`
    python -m tests.diff.run --random 500 --seed 7  random scripts; a difference is shrunk

It fails on a difference that `reviewed.py` does not have, and after a run of all cases on an entry
of it that nothing matched.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.broker import BrokerProcess
from benchmarks.kafka_process import KafkaMissing, KafkaProcess
from tests.diff import schema
from tests.diff.catalogue import RECORDED, cases
from tests.diff.normal import Difference
from tests.diff.reviewed import Review, load, propose, spans
from tests.diff.script import Script, Side
from tests.diff.script import record as keep


@contextmanager
def both() -> Iterator[list[Side]]:
    """Kafka and StreamBus, each with an empty folder, on free ports."""
    with tempfile.TemporaryDirectory(prefix="diff-kafka-") as folder:
        kafka = KafkaProcess(Path(folder) / "kafka")
        ours = BrokerProcess(Path(folder) / "streambus")
        try:
            kafka.start()
            ours.start()
            sides = [Side("kafka", kafka.port), Side("streambus", ours.port)]
            for side in sides:
                warm(side)
            yield sides
            for side in sides:
                side.forget()
        finally:
            for process in (kafka, ours):
                if process.process is not None and process.process.poll() is None:
                    process.stop()


def warm(side: Side) -> None:
    """Until it has a block of producer ids: Kafka asks its controller for one at the first need."""
    end = time.monotonic() + 20
    asked = {"TransactionalId": None, "TransactionTimeoutMs": 1000}
    while side.ask("InitProducerId", 1, asked)["ErrorCode"]:
        if time.monotonic() > end:
            raise TimeoutError(f"{side.name} gives no producer ids")
        time.sleep(0.05)


def served(side: Side) -> dict[str, range]:
    reply = side.ask("ApiVersions", 0, {})
    return {
        schema.OF_KEY[row["ApiKey"]]: range(row["MinVersion"], row["MaxVersion"] + 1)
        for row in reply["ApiKeys"]
        if row["ApiKey"] in schema.OF_KEY
    }


def served_by_both(sides: Sequence[Side]) -> dict[str, range]:
    """What both serve. Kafka alone decides of an API that StreamBus lacks: its answers are recorded
    before the API is there."""
    kafka, *others = [served(side) for side in sides]
    for other in others:
        kafka = {
            name: range(max(row.start, other[name].start), min(row.stop, other[name].stop))
            if name in other
            else row
            for name, row in kafka.items()
        }
    # Produce 0 to 2 is advertised by both and served by none.
    kafka["Produce"] = range(3, kafka["Produce"].stop)
    return kafka


def is_chosen(name: str, beginnings: Sequence[str]) -> bool:
    return not beginnings or any(name.startswith(each) for each in beginnings)


def play_all(
    sides: list[Side], beginnings: Sequence[str], record: bool, traced: bool
) -> tuple[list[Difference], list[str]]:
    found: list[Difference] = []
    broken: list[str] = []
    both_serve, mine = served_by_both(sides), served(sides[-1])
    for name, case in cases():
        if not is_chosen(name, beginnings):
            continue
        script = Script(name, sides, both_serve)
        try:
            case(script)
        except Exception:
            broken.append(f"{name}: {traceback.format_exc(limit=-6)}")
        for side in sides:
            side.forget()
        missing = {schema.request_of(step.frame)[0] for step, _ in script.kept} - set(mine)
        lacking = {each for each in missing if not each.startswith("api ")}
        if lacking:
            print(f"{name}: StreamBus does not serve {', '.join(sorted(lacking))}")
        else:
            found += script.found
        if traced:
            print("\n".join(script.traces))
        if record:
            keep(script, RECORDED / f"{name}.jsonl.gz")
        print(f"{name}: {len(script.kept)} steps, {len(script.found)} differences", flush=True)
    return found, broken


def rows(found: Sequence[Difference]) -> list[str]:
    """Differences, those of several versions in one line."""
    grouped: dict[tuple[str, ...], list[Difference]] = {}
    for each in found:
        key = (each.case, each.api, each.field, json.dumps(each.kafka), json.dumps(each.ours))
        grouped.setdefault(key, []).append(each)
    return [
        f"{case} step {group[0].step} {api} {spans({each.version for each in group})} {field}: "
        f"Kafka {kafka[:400]} ours {ours[:400]}"
        for (case, api, field, kafka, ours), group in grouped.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("case", nargs="*")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--trace", action="store_true", help="show each step that differs")
    parser.add_argument("--propose", metavar="FILE", help="lines for reviewed.jsonl")
    parser.add_argument("--random", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="keep the shrunk script as a case")
    chosen = parser.parse_args()
    try:
        with both() as sides:
            if chosen.random:
                from tests.diff.random_scripts import explore

                mine = served(sides[-1])
                shared = {k: v for k, v in served_by_both(sides).items() if k in mine}
                return explore(sides, shared, chosen.random, chosen.seed, chosen.save)
            found, broken = play_all(sides, chosen.case, chosen.record, chosen.trace)
    except KafkaMissing as missing:
        print(f"diff-kafka: {missing}", file=sys.stderr)
        return 2
    review = Review(load())
    unknown = [each for each in found if not review.allows(each)]
    stale = [] if chosen.case else review.unmatched()
    print("\n".join([*rows(unknown), *broken, *stale]))
    if chosen.propose:
        Path(chosen.propose).write_text(propose(unknown))
    print(
        f"{len(found)} differences: {len(unknown)} not reviewed; "
        f"{len(broken)} cases broken; {len(stale)} reviewed entries matched nothing"
    )
    return 1 if unknown or broken or stale else 0


if __name__ == "__main__":
    sys.exit(main())
