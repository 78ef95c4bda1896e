"""The sink of the race (benchmarks/race/sink.c) speaks to librdkafka, and malformed bytes
close their connection alone."""

import json
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message, Producer

from benchmarks.frames import produce_frame
from benchmarks.race.asking import ask, knows_its_broker
from benchmarks.race.contenders import UNKEPT
from benchmarks.race.loads import SOURCES
from benchmarks.race.sink import Sink

API_VERSIONS, METADATA, PRODUCE = 18, 3, 0
PARTITIONS, RECORDS = 12, 3_000


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (Debian: apt-get install gcc libc6-dev)")
    built = tmp_path_factory.mktemp("tools") / "sink"
    (source,) = SOURCES["sink"]
    subprocess.run(["cc", "-O2", "-Wall", "-o", built, source], check=True)
    return built


@pytest.fixture(scope="module")
def sink(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    started = Sink(tmp_path_factory.mktemp("sink") / "run", UNKEPT, program=program)
    started.start()
    yield started
    assert started.is_alive
    started.stop()


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_librdkafka_has_all_its_records_acknowledged(sink: Sink, codec: str) -> None:
    told: list[tuple[KafkaError | None, int | None, int | None]] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        told.append((error, message.partition(), message.offset()))

    producer = Producer(
        {
            "bootstrap.servers": f"127.0.0.1:{sink.port}",
            "acks": "all",
            "compression.codec": codec,
            "linger.ms": 5,
        }
    )
    for number in range(RECORDS):
        producer.produce(
            f"race-{PARTITIONS}", b"x" * 100, partition=number % PARTITIONS, on_delivery=delivered
        )
    assert producer.flush(20) == 0
    assert len(told) == RECORDS
    assert not any(error for error, _, _ in told)
    assert {partition for _, partition, _ in told} == set(range(PARTITIONS))
    assert len({offset for _, _, offset in told}) == RECORDS


def test_librdkafka_compresses_for_it(sink: Sink) -> None:
    sent: list[int] = []
    producer = Producer(
        {
            "bootstrap.servers": f"127.0.0.1:{sink.port}",
            "compression.type": "lz4",
            "linger.ms": 50,
            "statistics.interval.ms": 50,
            "stats_cb": lambda page: sent.append(json.loads(page)["tx_bytes"]),
        }
    )
    for _ in range(RECORDS):
        producer.produce("race-1", b"x" * 1_000)
    assert producer.flush(20) == 0
    seen = len(sent)
    while len(sent) == seen:
        producer.poll(1)
    assert 0 < sent[-1] < RECORDS * 1_000 / 4


@pytest.mark.parametrize(("name", "count"), [("race-100", 100), ("race", 1), ("7", 1), ("a-0", 1)])
def test_a_topic_has_as_many_partitions_as_its_name_says(sink: Sink, name: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": f"127.0.0.1:{sink.port}"})
    topic = producer.list_topics(name, timeout=10).topics[name]
    assert [each.leader for each in topic.partitions.values()] == [1] * count


def request(key: int, version: int, body: bytes = b"") -> bytes:
    head = struct.pack(">hhih4s", key, version, 7, 4, b"test")
    return struct.pack(">i", len(head) + len(body)) + head + body


def asked(sink: Sink, frame: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", sink.port), timeout=10) as connection:
        return ask(connection, frame)


def test_a_prepared_frame_finds_its_error_codes_and_offsets(sink: Sink) -> None:
    frame, (first, count, stride) = produce_frame("race-3", 3, 5, 100)
    answer = struct.pack(">i", 0) + asked(sink, frame)
    errors = [struct.unpack_from(">h", answer, first + stride * n)[0] for n in range(count)]
    offsets = [struct.unpack_from(">q", answer, first + 2 + stride * n)[0] for n in range(count)]
    assert errors == [0, 0, 0]
    assert [offset - offsets[0] for offset in offsets] == [0, 5, 10]


def test_versions_that_are_unknown_are_answered_as_kip_511_says(sink: Sink) -> None:
    known = asked(sink, request(API_VERSIONS, 0))
    unknown = asked(sink, request(API_VERSIONS, 9, b"\0"))
    assert struct.unpack_from(">ih", known) == (7, 0)
    assert struct.unpack_from(">ih", unknown) == (7, 35)
    assert known[6:] == unknown[6:]
    assert knows_its_broker(sink.port)


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">i", -1),
        struct.pack(">i", 2**31 - 1),
        struct.pack(">i", 3) + b"abc",
        request(99, 0),
        request(PRODUCE, 2),
        request(METADATA, 12, b"\0" * 8),
        request(PRODUCE, 3, struct.pack(">hhii", -1, -1, 0, 5)),
        request(PRODUCE, 3, struct.pack(">hhiih", -1, -1, 0, 1, 500) + b"topic"),
        request(PRODUCE, 3, struct.pack(">hhiihsiii", -1, -1, 0, 1, 1, b"t", 1, 0, 2**31 - 1)),
        request(METADATA, 1, struct.pack(">i", 2**31 - 1)),
        request(METADATA, 1, struct.pack(">i", 0) + b"more"),
        request(METADATA, 1, struct.pack(">i", 200) + struct.pack(">h6s", 6, b"a-1000") * 200),
    ],
    ids=lambda frame: frame[:24].hex(),
)
def test_malformed_bytes_close_their_connection_alone(sink: Sink, frame: bytes) -> None:
    with (
        socket.create_connection(("127.0.0.1", sink.port), timeout=10) as honest,
        socket.create_connection(("127.0.0.1", sink.port), timeout=10) as other,
    ):
        other.sendall(frame)
        assert other.recv(1) == b""
        assert ask(honest, request(API_VERSIONS, 0))


def test_a_request_without_acks_has_no_answer(sink: Sink) -> None:
    silent = request(PRODUCE, 3, struct.pack(">hhii", -1, 0, 0, 0))
    answer = asked(sink, silent + request(API_VERSIONS, 0))
    assert len(answer) > 30


def test_answers_that_nobody_takes_wait_for_their_client(sink: Sink) -> None:
    count, frame = 3_000, request(METADATA, 1, struct.pack(">ih6s", 1, 6, b"abc-10"))
    with socket.create_connection(("127.0.0.1", sink.port), timeout=10) as connection:
        one = 4 + len(ask(connection, frame))
        connection.settimeout(0.2)
        sent = 0
        try:
            while sent < count * len(frame):
                sent += connection.send((frame * count)[sent:])
        except TimeoutError:
            pass
        connection.settimeout(10)
        # What was sent in part is finished, so that the last answer is whole.
        connection.sendall(frame[sent % len(frame) :] if sent % len(frame) else b"")
        whole, taken = -(-sent // len(frame)) * one, 0
        while taken < whole:
            more = connection.recv(1 << 20)
            assert more
            taken += len(more)
        assert taken == whole
