"""What producers were told, and whether a log keeps it: nothing lost, doubled or reordered."""

from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition


@dataclass
class History:
    """One idempotent producer's numbered records over some partitions, and what became of them."""

    address: str
    topic: str
    partitions: int
    sent: list[int] = field(default_factory=list)
    acknowledged: list[dict[int, int]] = field(default_factory=list)  # number -> offset
    failed: list[str] = field(default_factory=list)
    verified: list[int] = field(default_factory=list)  # the next offset to read
    expected: list[int] = field(default_factory=list)  # the number that stands there

    def __post_init__(self) -> None:
        self.sent = [0] * self.partitions
        self.verified, self.expected = [0] * self.partitions, [0] * self.partitions
        self.acknowledged = [{} for _ in range(self.partitions)]
        self.producer = Producer(
            {
                "bootstrap.servers": self.address,
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.timeout.ms": 120_000,
                "reconnect.backoff.ms": 10,
                "reconnect.backoff.max.ms": 50,
                "retry.backoff.ms": 20,
            }
        )

    def produce(self, payload: bytes = b"") -> None:
        """One record to every partition."""
        for partition in range(self.partitions):
            number = self.sent[partition]
            value = f"{number}:".encode() + payload
            self.producer.produce(
                self.topic, value, partition=partition, on_delivery=self._delivered
            )
            self.sent[partition] += 1
        self.producer.poll(0)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failed.append(str(error))
            return
        partition, offset, value = message.partition(), message.offset(), message.value()
        assert partition is not None and offset is not None and value is not None
        self.acknowledged[partition][int(value.split(b":")[0])] = offset

    def settle(self, seconds: float = 60) -> None:
        """Wait until every record sent so far was acknowledged."""
        unsent = self.producer.flush(seconds)
        assert unsent == 0, f"{unsent} records were never acknowledged"
        assert not self.failed, f"the producer gave up: {self.failed[:3]}"

    def verify(self) -> int:
        """Read on from where the last check ended; returns how many records were checked."""
        checked = 0
        for partition in range(self.partitions):
            checked += self._verify(partition)
        return checked

    def _verify(self, partition: int) -> int:
        end = self.sent[partition]
        consumer = Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": "unused",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
            }
        )
        try:
            _, high = consumer.get_watermark_offsets(TopicPartition(self.topic, partition), 20)
            assert high == end, f"{self.topic}-{partition}: {end} acknowledged, log ends at {high}"
            start = self.verified[partition]
            consumer.assign([TopicPartition(self.topic, partition, start)])
            while self.verified[partition] < end:
                message = consumer.poll(20)
                assert message is not None, f"no record at {self.verified[partition]}"
                assert message.error() is None, message.error()
                self._check(partition, message)
            return end - start
        finally:
            consumer.close()

    def _check(self, partition: int, message: Message) -> None:
        value, offset = message.value(), message.offset()
        assert value is not None and offset is not None
        number = int(value.split(b":")[0])
        where = f"{self.topic}-{partition} offset {offset}"
        assert offset == self.verified[partition], f"{where}: expected {self.verified[partition]}"
        assert number == self.expected[partition], f"{where}: {number} is lost, doubled or late"
        told = self.acknowledged[partition].pop(number)
        assert told in (offset, -1), f"{where}: acknowledged at {told}"
        self.verified[partition] += 1
        self.expected[partition] += 1
