"""A real broker killed with -9 at random instants, under idempotent producers.

Nothing acknowledged may be lost, doubled or reordered. `make crash` runs 300 rounds over all
profiles; `make test` as many as its budget allows (CRASH_ROUNDS, 30).
"""

import os
import random
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.broker import BrokerProcess
from tests.crash.history import History

pytestmark = pytest.mark.crash

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "30"))

# Differences from what `make run` starts, each for what it makes likely.
PROFILES = {
    "defaults": (),
    "small segments: many seals, checkpoints and recycled files": ("--segment-bytes", "1048576"),
    "interval sync: acknowledged before the disk has it": ("--sync", "interval:20"),
}


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_acknowledged_is_lost_by_kill_9(profile: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", str(time.time_ns())))
    print(f"CRASH_SEED={seed} flags={PROFILES[profile]}")
    instants = random.Random(seed)
    broker = BrokerProcess(tmp_path / "data", PROFILES[profile])
    broker.start()
    try:
        admin = AdminClient({"bootstrap.servers": broker.address})
        admin.create_topics([NewTopic("kept", 4, 1)])["kept"].result(10)
        history = History(broker.address, "kept", 4)
        for _ in range(max(1, ROUNDS // len(PROFILES))):
            kill_under_load(broker, history, instants)
            if instants.random() < 0.2:
                kill_while_starting(broker, instants)
            broker.start()
            history.produce()
            history.settle()
            assert history.verify() > 0
    finally:
        if broker.process is not None and broker.process.poll() is None:
            broker.kill()


def kill_under_load(broker: BrokerProcess, history: History, instants: random.Random) -> None:
    end = time.monotonic() + instants.uniform(0.02, 0.5)
    payload = bytes(instants.choice((10, 1_000, 20_000)))
    while time.monotonic() < end:
        history.produce(payload)
        if len(history.producer) > 5_000:
            history.producer.poll(0.01)
    broker.kill()


def kill_while_starting(broker: BrokerProcess, instants: random.Random) -> None:
    broker.launch()
    time.sleep(instants.uniform(0.0, 0.4))
    broker.kill()
