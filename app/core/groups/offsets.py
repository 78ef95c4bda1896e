"""What a group has committed, by topic and partition.

Owns    the committed offsets of one group, each as the bytes of its record, and the numbers that
        stand for topics.
Never   decides who may commit, or what expires.
Trusts  that the bytes were made here, or passed the log's checksums: they are read when asked for.

A million offsets are to cost less than 200 MB. So there is no object for each: its key is one
number, and its value is what its record holds, 60 bytes.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from app.core.groups.values import NO_EPOCH, NO_OFFSET, FetchedOffset
from app.errors import Corrupt, Malformed
from streambus.protocol.coordinator_records import OffsetValue, decode_offset_value

TopicPartition: TypeAlias = tuple[str, int]

_PARTITION_BITS = 32
_PARTITION_MASK = (1 << _PARTITION_BITS) - 1


class Topics:
    """A number for every topic that any group has committed to, for as long as it exists."""

    __slots__ = ("_names", "_next", "_numbers")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, topic: str) -> int:
        number = self._numbers.get(topic)
        if number is None:
            number = self._numbers[topic] = self._next
            self._names[number] = topic
            self._next += 1
        return number

    def find(self, topic: str) -> int | None:
        """None where nobody has committed to it."""
        return self._numbers.get(topic)

    def name(self, number: int) -> str:
        return self._names[number]

    def forget(self, topics: Iterable[str]) -> None:
        """Topics of which no group holds an offset."""
        for topic in topics:
            number = self._numbers.pop(topic, None)
            if number is not None:
                del self._names[number]


class Offsets:
    """A key is its topic's number, then 32 bits of its partition."""

    __slots__ = ("_topics", "_values")

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._values: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[TopicPartition]:
        """As of now: the offsets may change while this is read."""
        return iter([self._named(key) for key in self._values])

    def __contains__(self, partition: TopicPartition) -> bool:
        return self._key(partition) in self._values

    def of(self, topics: Iterable[str]) -> list[TopicPartition]:
        """The partitions of these topics that have offsets."""
        numbers = {self._topics.find(topic) for topic in topics}
        return [self._named(key) for key in self._values if key >> _PARTITION_BITS in numbers]

    def put(self, partition: TopicPartition, value: bytes) -> None:
        topic, number = partition
        key = self._topics.number(topic) << _PARTITION_BITS | number & _PARTITION_MASK
        self._values[key] = value

    def remove(self, partition: TopicPartition) -> None:
        self._values.pop(self._key(partition), None)

    def stored(self, partition: TopicPartition) -> bytes | None:
        """The bytes of its record's value."""
        return self._values.get(self._key(partition))

    def _key(self, partition: TopicPartition) -> int:
        topic, number = partition
        found = self._topics.find(topic)
        return -1 if found is None else found << _PARTITION_BITS | number & _PARTITION_MASK

    def _named(self, key: int) -> TopicPartition:
        partition = key & _PARTITION_MASK
        return self._topics.name(key >> _PARTITION_BITS), partition

    def value(self, partition: TopicPartition) -> OffsetValue | None:
        stored = self.stored(partition)
        if stored is None:
            return None
        try:
            return decode_offset_value(stored)
        except Malformed as error:
            raise Corrupt(f"the offset of {partition[0]}-{partition[1]}: {error}") from error

    def fetch(self, partition: TopicPartition, topic_id: bytes | None = None) -> FetchedOffset:
        """What was committed to another topic of the same name is as if it were not there."""
        value = self.value(partition)
        if value is None or (topic_id and value.topic_id and topic_id != value.topic_id):
            return FetchedOffset(*partition, NO_OFFSET, NO_EPOCH, "")
        return FetchedOffset(*partition, value.offset, value.leader_epoch, value.metadata)
