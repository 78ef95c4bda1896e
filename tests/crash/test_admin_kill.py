"""A real broker killed with -9 during admin operations: each is done or not done, never half.

What was acknowledged is done. Topics of one CreateTopics are each by itself, as they are answered.
"""

import os
import random
import time
from pathlib import Path

import pytest

from benchmarks.broker import BrokerProcess
from streambus.protocol import batch
from tests.crash.administration import Sent, State, any_request, seen, with_done
from tests.integration.admin_wire import TOPIC, read
from tests.integration.wire import Wire

pytestmark = pytest.mark.crash

# Short beside the 30 rounds under load; `make crash` gives 300 to both.
ROUNDS = max(16, int(os.environ.get("CRASH_ROUNDS", "0")))
RECORDS = 400


@pytest.mark.timeout(3_600)
def test_an_admin_operation_is_done_or_not_done_after_kill_9(tmp_path: Path) -> None:
    seed = int(os.environ.get("CRASH_SEED", str(time.time_ns())))
    print(f"CRASH_SEED={seed}")
    instants = random.Random(seed)
    broker = BrokerProcess(tmp_path / "data")
    broker.start()
    try:
        wire = Wire(broker)
        wire.create("kept", 2)
        now_ms = time.time_ns() // 1_000_000
        for number in range(RECORDS):
            one = batch.build([(0, now_ms, None, str(number).encode(), ())])
            assert wire.produce_batch("kept", one)[0] == 0
        wire.close()
        state = seen(broker, State())
        told: list[str] = []
        for number in range(ROUNDS):
            state = kill_during_a_request(broker, state, instants, number, told)
    finally:
        if broker.process is not None and broker.process.poll() is None:
            broker.kill()
    print("\n".join(told))


def kill_during_a_request(
    broker: BrokerProcess, before: State, instants: random.Random, number: int, told: list[str]
) -> State:
    sent = any_request(instants, before, number, RECORDS)
    after = with_done(before, sent)
    wire = Wire(broker)
    wire.send(sent.frame)
    time.sleep(instants.uniform(0, instants.choice((0.005, 0.02, 0.1))))
    broker.kill()
    is_acknowledged = _is_acknowledged(wire, sent)
    broker.start()
    now = seen(broker, after)
    if is_acknowledged:
        assert now == after, f"{sent.api} was acknowledged and is not done"
    elif sent.api == "CreateTopics":
        _check_each_topic(before, now, after)
    else:
        assert now in (before, after), f"{sent.api} is half done: {now}"
    told.append(
        f"{sent.api}: {'acknowledged' if is_acknowledged else 'unanswered'}, "
        f"{'done' if now == after else 'not done' if now == before else 'some done'}"
    )
    return now


def _is_acknowledged(wire: Wire, sent: Sent) -> bool:
    try:
        answer = wire.answer()
    except OSError:
        return False
    finally:
        wire.close()
    errors = sent.errors(read(sent.api, answer))
    assert not any(errors), f"{sent.api} was refused: {errors}"
    return True


def _check_each_topic(before: State, now: State, after: State) -> None:
    for topic in set(now.partitions) | set(before.partitions):
        assert topic in after.partitions, f"{topic} came from nowhere"
        assert now.partitions.get(topic) in (None, after.partitions[topic]), f"{topic} is half made"
        assert topic in now.partitions or topic not in before.partitions, f"{topic} is gone"
        if topic in now.partitions:
            key = (TOPIC, topic)
            assert now.configs.get(key) == after.configs.get(key), f"{topic} is half made"
