"""Well-behaved clients, each in a thread of its own, who must not notice who else is there.

What they may see is one thing alone: a new connection that is closed without an answer while the
broker has as many connections as it may (`limits.connections`). Connections that they have, and
every request on them, must go well without a retry of theirs; what was acknowledged must be read
once, in order, without a gap.
"""

import http.client
import logging
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.broker import BrokerProcess
from tests.integration.wire import API_VERSIONS

PARTITIONS = 3
REFUSAL_SECONDS = 5.0  # how long after the crowd's peak a newcomer may still find no room
PATIENCE_SECONDS = 20.0


class Honest(ABC):
    """Runs `turn` until it is told to stop; `complaints` is what went wrong."""

    def __init__(self, name: str) -> None:
        self.complaints: list[str] = []
        self.slowest_ms = 0.0
        self.turns = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(2 * PATIENCE_SECONDS)
        if self._thread.is_alive():
            self.complain("did not end")

    def complain(self, complaint: str) -> None:
        self.complaints.append(f"{time.monotonic():.3f} {self._thread.name}: {complaint}")

    def took(self, began: float) -> None:
        self.slowest_ms = max(self.slowest_ms, (time.monotonic() - began) * 1000)

    @abstractmethod
    def turn(self) -> None:
        """What it does over and over until it is stopped."""

    def end(self) -> None:  # noqa: B027 (most have nothing to do)
        """The last thing that its thread does."""

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.turn()
                self.turns += 1
            self.end()
        except Exception as error:  # the root of the thread: the verdict shows it
            self.complain(repr(error))


class Disconnections(logging.Handler):
    """Complains of what librdkafka only logs: a connection that was lost and made again."""

    def __init__(self, honest: Honest) -> None:
        super().__init__()
        self._honest = honest

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line.startswith(("FAIL", "ERROR")):
            self._honest.complain(f"log: {line}")

    @classmethod
    def logger(cls, honest: Honest) -> logging.Logger:
        logger = logging.Logger("librdkafka", logging.INFO)
        logger.addHandler(cls(honest))
        return logger


class Writer(Honest):
    """An idempotent producer of numbers, round the partitions."""

    def __init__(self, broker: BrokerProcess, topic: str) -> None:
        super().__init__("writer")
        self.topic = topic
        self.sent = 0
        self.acknowledged: dict[int, dict[int, int]] = {each: {} for each in range(PARTITIONS)}
        self._producer = Producer(
            {
                "bootstrap.servers": broker.address,
                "enable.idempotence": True,
                "linger.ms": 5,
                "error_cb": self._failed,
            },
            logger=Disconnections.logger(self),
        )
        self._producer.list_topics(timeout=PATIENCE_SECONDS)

    def turn(self) -> None:
        for _ in range(10):
            number, began = self.sent, time.monotonic()
            self._producer.produce(
                self.topic,
                b"%d" % number,
                partition=number % PARTITIONS,
                on_delivery=lambda error, message, at=began: self._delivered(error, message, at),
            )
            self.sent += 1
        self._producer.poll(0.02)

    def end(self) -> None:
        left = self._producer.flush(PATIENCE_SECONDS)
        if left:
            self.complain(f"{left} records were not acknowledged")

    def close(self) -> None:
        """Its connections are gone after this."""
        self._producer.poll(0)
        del self._producer

    def _delivered(self, error: KafkaError | None, message: Message, began: float) -> None:
        if error is not None:
            self.complain(f"delivery: {error}")
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None and offset is not None
        self.acknowledged[partition][offset] = int(message.value() or b"-1")
        self.took(began)

    def _failed(self, error: KafkaError) -> None:
        self.complain(f"client: {error}")


class Reader(Honest):
    """A consumer by assignment, from the start on."""

    def __init__(self, broker: BrokerProcess, topic: str) -> None:
        super().__init__("reader")
        self.read: dict[int, dict[int, int]] = {each: {} for each in range(PARTITIONS)}
        self._consumer = Consumer(
            {
                "bootstrap.servers": broker.address,
                "group.id": "unused",
                "enable.auto.commit": False,
                "error_cb": lambda error: self.complain(f"client: {error}"),
            },
            logger=Disconnections.logger(self),
        )
        self._consumer.assign([TopicPartition(topic, each, 0) for each in range(PARTITIONS)])

    @property
    def count(self) -> int:
        return sum(len(each) for each in self.read.values())

    def turn(self) -> None:
        for message in self._consumer.consume(500, 0.1):
            if message.error() is not None:
                self.complain(f"message: {message.error()}")
                continue
            partition, offset = message.partition(), message.offset()
            assert partition is not None and offset is not None
            if offset != len(self.read[partition]):
                expected = len(self.read[partition])
                self.complain(f"partition {partition}: offset {offset} where {expected} was next")
            self.read[partition][offset] = int(message.value() or b"-1")

    def end(self) -> None:
        self._consumer.close()


class Prober(Honest):
    """Asks over HTTP whether the broker is ready, on one connection and now and then a new one."""

    def __init__(self, broker: BrokerProcess) -> None:
        super().__init__("prober")
        self.partitions_peak = 0
        self._address = broker.api_address
        self._connection = http.client.HTTPConnection(self._address, timeout=PATIENCE_SECONDS)

    def turn(self) -> None:
        if self.turns % 40 == 39:
            self._connection.close()
        self._ask("/health/ready")
        if self.turns % 20 == 0:
            for line in self._ask("/metrics").decode().splitlines():
                if line.startswith("streambus_partitions{") and 'role="leading"' in line:
                    count = int(float(line.split()[-1]))
                    self.partitions_peak = max(self.partitions_peak, count)
        self._stop.wait(0.1)

    def _ask(self, path: str) -> bytes:
        began = time.monotonic()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        self.took(began)
        if answer.status != 200:
            self.complain(f"{path}: {answer.status} {body[:300]!r}")
        return body

    def end(self) -> None:
        self._connection.close()


class Newcomer(Honest):
    """Connects, asks for ApiVersions and leaves: room must be found unless there is none."""

    def __init__(self, broker: BrokerProcess, full_at: Callable[[], float]) -> None:
        super().__init__("newcomer")
        self.refused = 0
        self._port = broker.port
        self._full_at = full_at

    def turn(self) -> None:
        began = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", self._port), PATIENCE_SECONDS) as made:
                made.sendall(API_VERSIONS)
                answered = made.recv(4)
        except ConnectionError:
            answered = b""
        if answered:
            self.took(began)
        elif time.monotonic() - self._full_at() < REFUSAL_SECONDS:
            self.refused += 1
        else:
            self.complain("closed without an answer, and not for want of room")
        self._stop.wait(0.2)


def made_topic(broker: BrokerProcess) -> str:
    """A topic whose name no mutated frame will come upon, with configs of its own: what hostile
    clients may set for the whole broker is no matter to it."""
    name = "honest-a41f7c52b9e3"
    configs = {"retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": "1000000"}
    admin = AdminClient({"bootstrap.servers": broker.address})
    topic: Any = NewTopic(name, PARTITIONS, 1, config=configs)
    admin.create_topics([topic])[name].result(PATIENCE_SECONDS)
    return name
