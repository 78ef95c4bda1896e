"""The command line against a real broker: what the matrix of faces does not show."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.broker import BrokerProcess

STREAMBUS = Path(sys.executable).with_name("streambus")


@pytest.fixture(scope="module")
def served(broker: BrokerProcess) -> Iterator[BrokerProcess]:
    broker.await_api()
    yield broker


def streambus(
    broker: BrokerProcess, *words: str, status: int = 0, text: str = "", **variables: str
) -> str:
    """Run the command as somebody who has the broker's addresses in the environment."""
    addresses = {"STREAMBUS_API": broker.api_address, "STREAMBUS_SERVER": broker.address}
    done = subprocess.run(
        [STREAMBUS, *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | addresses | variables,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def test_a_life_of_topics_under_a_prefix(served: BrokerProcess) -> None:
    for name in ("shop.orders.paid", "shop.orders.lost", "shop.carts"):
        streambus(served, "topics", "create", name, "--partitions", "2")
    streambus(served, "produce", "shop.carts", "--partition", "1", text="a\nb\nc\n")
    streambus(served, "topics", "alter", "shop.orders.*", "--set", "retention.ms=777000")
    shown = streambus(served, "topics", "describe", "shop.orders.paid")
    assert re.search(r"^ *retention\.ms +777000 +prefix shop\.orders\.\*$", shown, re.M)
    shown = streambus(served, "topics", "describe", "shop.carts")
    assert re.search(r"^ *1 +1 +\d+ +1 +1 +0 +3 .*leading$", shown, re.M)
    assert "every config is at its default" in shown
    shown = streambus(served, "topics", "delete-records", "shop.carts", "--before", "end", "--yes")
    assert "shop.carts 1 begins at 3" in shown
    assert "--yes" in streambus(served, "topics", "delete", "shop.orders.*", status=2)
    shown = streambus(served, "topics", "delete", "shop.orders.*", "--dry-run")
    assert shown.splitlines() == [
        "would delete shop.orders.lost (2 partitions)",
        "would delete shop.orders.paid (2 partitions)",
    ]
    assert "shop.orders.paid" in streambus(served, "topics", "list", "--prefix", "shop.*")
    streambus(served, "topics", "delete", "shop.orders.*", "--yes")
    found = json.loads(streambus(served, "topics", "list", "--prefix", "shop.*", "--json"))
    assert [each["name"] for each in found["topics"]] == ["shop.carts"]


def test_a_watch_sees_a_topic_come(served: BrokerProcess) -> None:
    words = ["topics", "list", "--watch", "--prefix", "seen.", "--json"]
    watching = subprocess.Popen(
        [STREAMBUS, *words, "--api", served.api_address], stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    try:
        assert json.loads(watching.stdout.readline())["topics"] == []
        streambus(served, "topics", "create", "seen.one")
        (topic,) = json.loads(watching.stdout.readline())["topics"]
        assert topic["name"] == "seen.one"
    finally:
        watching.kill()
        watching.wait()
        watching.stdout.close()


def test_the_cluster_is_told_and_a_broker_obeys_at_once(served: BrokerProcess) -> None:
    assert "broker 1 controls" in streambus(served, "cluster", "describe")
    streambus(served, "brokers", "alter", "default", "--set", "log.retention.ms=66000")
    shown = streambus(served, "brokers", "describe", "1")
    assert re.search(r"^ *log\.retention\.ms +66000 +brokers$", shown, re.M)
    streambus(served, "brokers", "alter", "default", "--delete", "log.retention.ms")
    assert "log.retention.ms" not in streambus(served, "brokers", "describe", "default")


def test_a_shell_is_offered_the_topics_there_are(served: BrokerProcess) -> None:
    streambus(served, "topics", "create", "offered.to.shells")
    shown = streambus(
        served,
        _STREAMBUS_COMPLETE="complete_bash",
        COMP_WORDS="streambus topics describe offer",
        COMP_CWORD="3",
    )
    assert shown.split() == ["offered.to.shells"]


def test_the_log_is_read_beside_its_broker_and_after_it(fresh_broker: BrokerProcess) -> None:
    fresh_broker.await_api()
    streambus(fresh_broker, "produce", "kept", text="one\ntwo\n")
    topic = json.loads(streambus(fresh_broker, "topics", "describe", "kept", "--json"))
    directory = str(fresh_broker.data)
    key = f"{topic['topic_id']}/0"
    shown = streambus(fresh_broker, "wal", "inspect", directory, "--partition", key)
    assert re.search(r" batches +0 +2 ", shown)
    assert "nothing is damaged" in streambus(fresh_broker, "wal", "verify", directory)
    fresh_broker.kill()
    verdict = json.loads(streambus(fresh_broker, "wal", "verify", directory, "--json"))
    assert (verdict["is_in_use"], verdict["damaged"]) == (False, [])
    assert "cannot be reached" in streambus(fresh_broker, "topics", "list", status=4)
