"""The matrix: the same operations through Kafka's protocol, REST and the command line.

One broker, started as `make run` starts it. Each face runs the same script on topics of its own;
the transcripts must be equal, and what one face changed the others must see.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from benchmarks.broker import BrokerProcess
from tests.integration.faces import CliFace, Config, Face, KafkaFace, Refused, RestFace

pytestmark = pytest.mark.clients

FACES = ("kafka", "rest", "cli")

# Kafka's codes.
OUT_OF_RANGE, UNKNOWN_TOPIC, INVALID_TOPIC = 1, 3, 17
EXISTS, INVALID_PARTITIONS, INVALID_REPLICAS, INVALID_CONFIG, INVALID_REQUEST = 36, 37, 38, 40, 42
NO_SUCH_BROKER = 102

Step = tuple[str, Callable[[Face, str], Any]]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Face]]:
    broker = BrokerProcess(tmp_path_factory.mktemp("faces") / "data")
    broker.start()
    broker.await_api()
    yield {
        "kafka": KafkaFace(broker),
        "rest": RestFace(broker.api_address),
        "cli": CliFace(broker.api_address),
    }
    assert broker.stop() == 0, broker.log()


def configs_of(*names: str) -> Callable[[Face, str], Any]:
    return lambda face, own: face.configs("topic", f"{own}.orders.placed", list(names))


def altered(*changes: tuple[str, str, str | None]) -> Callable[[Face, str], Any]:
    return lambda face, own: face.alter("topic", f"{own}.orders.placed", list(changes))


# `own` is the face's own name, so that the topics of no two faces meet.
SCRIPT: tuple[Step, ...] = (
    (
        "create a topic",
        lambda f, own: f.create(f"{own}.orders.placed", 3, 1, {"retention.ms": "60000"}),
    ),
    ("create it again", lambda f, own: f.create(f"{own}.orders.placed", 3, 1, {})),
    ("create a name that collides", lambda f, own: f.create(f"{own}.orders_placed", 1, 1, {})),
    ("create an illegal name", lambda f, own: f.create("no spaces, please", 1, 1, {})),
    ("create without partitions", lambda f, own: f.create(f"{own}.none", 0, 1, {})),
    ("create with too many replicas", lambda f, own: f.create(f"{own}.many", 1, 3, {})),
    ("create with an unknown config", lambda f, own: f.create(f"{own}.c", 1, 1, {"colour": "red"})),
    (
        "create with a wrong value",
        lambda f, own: f.create(f"{own}.c", 1, 1, {"retention.ms": "soon"}),
    ),
    ("create a sibling", lambda f, own: f.create(f"{own}.orders.paid", 1, 1, {})),
    ("create a stranger", lambda f, own: f.create(f"{own}.other", 1, 1, {})),
    ("list by prefix", lambda f, own: f.names(f"{own}.orders.")),
    ("describe", lambda f, own: f.describe(f"{own}.orders.placed")),
    ("describe what is not there", lambda f, own: f.describe(f"{own}.missing")),
    ("configs", configs_of("retention.ms", "cleanup.policy", "max.message.bytes")),
    (
        "configs of what is not there",
        lambda f, own: f.configs("topic", f"{own}.missing", ["retention.ms"]),
    ),
    ("set", altered(("set", "retention.ms", "120000"), ("set", "segment.bytes", "2097152"))),
    ("append to a list", altered(("append", "cleanup.policy", "compact"))),
    ("configs after", configs_of("retention.ms", "segment.bytes", "cleanup.policy")),
    ("subtract from a list", altered(("subtract", "cleanup.policy", "delete"))),
    ("delete a config", altered(("delete", "retention.ms", None))),
    ("configs after that", configs_of("retention.ms", "segment.bytes", "cleanup.policy")),
    ("append to what is no list", altered(("append", "retention.ms", "1"))),
    ("set an unknown config", altered(("set", "colour", "red"))),
    ("set a wrong value", altered(("set", "min.insync.replicas", "none"))),
    ("half wrong is all refused", altered(("set", "retention.ms", "1"), ("set", "colour", "red"))),
    ("nothing of it was done", configs_of("retention.ms")),
    (
        "set on a prefix",
        lambda f, own: f.alter("topic", f"{own}.orders.*", [("set", "retention.ms", "777000")]),
    ),
    ("inherited", configs_of("retention.ms", "segment.bytes")),
    ("inherited by a new topic", lambda f, own: f.create(f"{own}.orders.lost", 1, 1, {})),
    (
        "and seen there",
        lambda f, own: f.configs("topic", f"{own}.orders.lost", ["retention.ms"]),
    ),
    (
        "not beside the prefix",
        lambda f, own: f.configs("topic", f"{own}.other", ["retention.ms"]),
    ),
    (
        "taken off the prefix",
        lambda f, own: f.alter("topic", f"{own}.orders.*", [("delete", "retention.ms", None)]),
    ),
    ("no longer inherited", configs_of("retention.ms")),
    ("add partitions", lambda f, own: f.add_partitions(f"{own}.orders.placed", 5)),
    ("the same number again", lambda f, own: f.add_partitions(f"{own}.orders.placed", 5)),
    ("fewer", lambda f, own: f.add_partitions(f"{own}.orders.placed", 2)),
    ("to what is not there", lambda f, own: f.add_partitions(f"{own}.missing", 2)),
    ("five now", lambda f, own: f.describe(f"{own}.orders.placed")),
    ("delete beyond the end", lambda f, own: f.delete_records(f"{own}.other", 0, 11)),
    ("delete records", lambda f, own: f.delete_records(f"{own}.other", 0, 4)),
    ("the log starts there", lambda f, own: f.log_ends(f"{own}.other", 0)),
    ("delete all of them", lambda f, own: f.delete_records(f"{own}.other", 0, -1)),
    ("an empty log", lambda f, own: f.log_ends(f"{own}.other", 0)),
    ("delete", lambda f, own: f.delete(f"{own}.orders.paid")),
    ("delete again", lambda f, own: f.delete(f"{own}.orders.paid")),
    ("list what is left", lambda f, own: f.names(f"{own}.")),
    (
        "a broker's read-only config",
        lambda f, own: f.alter("broker", "1", [("set", "num.partitions", "9")]),
    ),
    (
        "a config of all brokers",
        lambda f, own: f.alter("broker", "", [("set", "log.retention.ms", "86400000")]),
    ),
    ("is what topics inherit", configs_of("retention.ms")),
    (
        "and shown on the broker",
        lambda f, own: f.configs("broker", "1", ["log.retention.ms", "num.partitions"]),
    ),
    (
        "taken back",
        lambda f, own: f.alter("broker", "", [("delete", "log.retention.ms", None)]),
    ),
    ("the default again", configs_of("retention.ms")),
    ("an unknown broker", lambda f, own: f.configs("broker", "7", ["log.retention.ms"])),
    ("the cluster", lambda f, own: f.cluster()),
)


def neutral(answer: Any, own: str) -> Any:
    """The answer without the face's own name in it."""
    match answer:
        case Refused():
            return replace(answer, message=answer.message.replace(own, "<own>"))
        case Config():
            return answer
        case str():
            return answer.replace(own, "<own>")
        case list():
            return [neutral(each, own) for each in answer]
        case tuple():
            return tuple([neutral(each, own) for each in answer])
        case dict():
            return {key: neutral(each, own) for key, each in answer.items()}
    return answer


def transcript(face: Face, own: str, write: Callable[[str], None]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for title, step in SCRIPT:
        told[title] = neutral(step(face, own), own)
        if title == "create a stranger":
            write(f"{own}.other")
    return told


@pytest.fixture(scope="module")
def transcripts(faces: dict[str, Face]) -> dict[str, dict[str, Any]]:
    kafka = faces["kafka"]
    assert isinstance(kafka, KafkaFace)
    producer = Producer({"bootstrap.servers": kafka.address})

    def write(topic: str) -> None:
        for number in range(10):
            producer.produce(topic, str(number), partition=0)
        assert producer.flush(20) == 0

    return {name: transcript(faces[name], f"own-{name}", write) for name in FACES}


@pytest.mark.parametrize("title", [title for title, _ in SCRIPT])
@pytest.mark.parametrize("name", ["rest", "cli"])
def test_every_face_gives_the_answer_that_kafka_clients_get(
    transcripts: dict[str, dict[str, Any]], name: str, title: str
) -> None:
    told, expected = transcripts[name][title], transcripts["kafka"][title]
    if isinstance(expected, Refused) and not expected.message:
        assert told.code == expected.code
    else:
        assert told == expected


def test_the_answers_are_what_kafka_would_give(transcripts: dict[str, dict[str, Any]]) -> None:
    told = transcripts["kafka"]
    codes = {title: answer.code for title, answer in told.items() if isinstance(answer, Refused)}
    assert codes == {
        "create it again": EXISTS,
        "create a name that collides": INVALID_TOPIC,
        "create an illegal name": INVALID_TOPIC,
        "create without partitions": INVALID_PARTITIONS,
        "create with too many replicas": INVALID_REPLICAS,
        "create with an unknown config": INVALID_CONFIG,
        "create with a wrong value": INVALID_CONFIG,
        "describe what is not there": UNKNOWN_TOPIC,
        "configs of what is not there": UNKNOWN_TOPIC,
        "append to what is no list": INVALID_CONFIG,
        "set an unknown config": INVALID_CONFIG,
        "set a wrong value": INVALID_CONFIG,
        "half wrong is all refused": INVALID_CONFIG,
        "the same number again": INVALID_PARTITIONS,
        "fewer": INVALID_PARTITIONS,
        "to what is not there": UNKNOWN_TOPIC,
        "delete beyond the end": OUT_OF_RANGE,
        "delete again": UNKNOWN_TOPIC,
        "a broker's read-only config": INVALID_REQUEST,
        "an unknown broker": NO_SUCH_BROKER,
    }
    assert told["list by prefix"] == ["<own>.orders.paid", "<own>.orders.placed"]
    assert told["describe"] == [(number, 1, [1], [1]) for number in range(3)]
    assert told["five now"] == [(number, 1, [1], [1]) for number in range(5)]
    assert told["configs"]["retention.ms"] == Config("60000", "topic")
    assert told["configs after"]["cleanup.policy"] == Config("delete,compact", "topic")
    assert told["configs after that"]["cleanup.policy"] == Config("compact", "topic")
    assert told["inherited"]["retention.ms"] == Config("777000", "prefix")
    assert told["and seen there"]["retention.ms"] == Config("777000", "prefix")
    assert told["not beside the prefix"]["retention.ms"] == Config("604800000", "default")
    assert told["the log starts there"] == (4, 10)
    assert told["an empty log"] == (10, 10)
    assert told["is what topics inherit"]["retention.ms"] == Config("86400000", "brokers")
    assert told["the default again"]["retention.ms"] == Config("604800000", "default")


def test_what_one_face_changed_the_others_see(faces: dict[str, Face], tmp_path: Path) -> None:
    for changer in FACES:
        topic = f"seen.{changer}"
        assert faces[changer].create(topic, 2, 1, {"retention.ms": "5000"}) == (2, 1)
        for other in FACES:
            assert faces[other].names(topic) == [topic]
            seen = faces[other].configs("topic", topic, ["retention.ms"])
            assert seen == {"retention.ms": Config("5000", "topic")}
        assert faces[changer].delete(topic) is None
        for other in FACES:
            assert faces[other].names(topic) == []
