"""Plain produce: records into one batch per partition, retried until acknowledged or out of time.

Owns    the choice of partitions and the batches in flight of one `send`.
Never   is idempotent: a batch that was retried because its answer got lost may appear twice.
Trusts  the caller's clock for the timestamps of records that have none.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from streambus.client.cluster import Attempts, Cluster, Topic
from streambus.client.connection import Connection
from streambus.client.errors import RETRIABLE_CODES, Refused
from streambus.errors import Unavailable
from streambus.protocol import api, batch
from streambus.protocol.messages import produce
from streambus.protocol.murmur2 import partition_for

BATCH_BYTES = 900_000  # of records before compression: below Kafka's max.message.bytes
RECORD_OVERHEAD_BYTES = 32

Headers = tuple[tuple[str, bytes | None], ...]


class Record(NamedTuple):
    """What is to be written; a record without a timestamp gets that of its batch."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    timestamp_ms: int | None = None


class Written(NamedTuple):
    """Where a run of records went; the offset is -1 if acks=0 tells none."""

    partition: int
    base_offset: int
    records: int


class _Batch(NamedTuple):
    partition: int
    records: int
    payload: bytes


class Producer:
    """Sends records to one topic, in order for each partition if `send` is awaited in order."""

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        *,
        now_ms: Callable[[], int],
        acks: int = -1,
        codec: int = 0,
        timeout_s: float = 30.0,
    ) -> None:
        self.cluster = cluster
        self.topic = topic
        self.acks = acks
        self.codec = codec
        self.timeout_s = timeout_s
        self._now_ms = now_ms
        self._turn = 0

    async def send(self, records: Sequence[Record], partition: int | None = None) -> list[Written]:
        """Writes the records and waits for what acks asks for. Raises what stands in the way."""
        topic = await self.cluster.topic(self.topic, allow_create=True)
        waves = self._batches(topic, records, partition)
        written: list[Written] = []
        for wave in waves:
            written += await self._deliver(wave)
        return written

    def _batches(
        self, topic: Topic, records: Sequence[Record], partition: int | None
    ) -> list[list[_Batch]]:
        """Waves of batches with at most one for each partition, so that order holds."""
        count = len(topic.partitions)
        if partition is not None and partition not in topic.partitions:
            raise Refused(f"{topic.name}-{partition}", 3, f"the topic has {count} partitions")
        # Records without a key stay together, and the next send goes one further: full batches.
        keyless = sorted(topic.partitions)[self._turn % count] if partition is None else partition
        self._turn += 1
        runs: dict[int, list[list[Record]]] = {}
        room: dict[int, int] = {}
        for record in records:
            target = keyless
            if partition is None and record.key is not None:
                target = partition_for(record.key, count)
            size = _size_of(record)
            if room.get(target, 0) < size:
                runs.setdefault(target, []).append([])
                room[target] = BATCH_BYTES
            runs[target][-1].append(record)
            room[target] -= size
        waves: list[list[_Batch]] = []
        for target, pieces in runs.items():
            for at, piece in enumerate(pieces):
                if at == len(waves):
                    waves.append([])
                waves[at].append(_Batch(target, len(piece), self._encode(piece)))
        return waves

    def _encode(self, records: Sequence[Record]) -> bytes:
        now_ms = self._now_ms()
        stamps = [now_ms if row.timestamp_ms is None else row.timestamp_ms for row in records]
        rows = [
            (delta, stamp - stamps[0], row.key, row.value, row.headers)
            for delta, (row, stamp) in enumerate(zip(records, stamps, strict=True))
        ]
        return batch.build(rows, codec=self.codec, base_timestamp=stamps[0])

    async def _deliver(self, wave: list[_Batch]) -> list[Written]:
        written: list[Written] = []
        attempts = Attempts(self.timeout_s)
        async for left_s in attempts:
            topic = await self.cluster.topic(self.topic, allow_create=True)
            failed: list[_Batch] = []
            for connection, batches in (await self._by_leader(topic, wave, attempts)).items():
                try:
                    offsets = await self._produce(connection, topic, batches, left_s)
                except Unavailable as error:
                    attempts.failed(error)
                    failed += batches
                    continue
                for sent in batches:
                    offset = offsets[sent.partition]
                    if isinstance(offset, Refused):
                        if offset.error_code not in RETRIABLE_CODES:
                            raise offset
                        attempts.failed(offset)
                        failed.append(sent)
                    else:
                        written.append(Written(sent.partition, offset, sent.records))
            done = {row.partition for row in written}
            wave = [sent for sent in wave if sent.partition not in done]
            if not wave:
                return written
            self.cluster.forget(self.topic)
        raise AssertionError("attempts end by raising")

    async def _by_leader(
        self, topic: Topic, wave: list[_Batch], attempts: Attempts
    ) -> dict[Connection, list[_Batch]]:
        grouped: dict[Connection, list[_Batch]] = {}
        for sent in wave:
            try:
                connection, _ = await self.cluster.leader_of(
                    topic, sent.partition, max(attempts.left_s, 0.001)
                )
            except (Refused, Unavailable) as error:
                attempts.failed(error)
            else:
                grouped.setdefault(connection, []).append(sent)
        return grouped

    async def _produce(
        self, connection: Connection, topic: Topic, batches: list[_Batch], timeout_s: float
    ) -> dict[int, int | Refused]:
        """Base offset, or why not, of each partition."""
        version = connection.version(
            api.PRODUCE, None if topic.topic_id is not None else produce.TOPIC_IDS_FROM - 1
        )
        name = topic.name.encode()
        topics = [
            (name, topic.topic_id, [(sent.partition, sent.payload) for sent in batches]),
        ]

        def encode(correlation_id: int) -> list[bytes | memoryview]:
            return produce.encode_request(
                correlation_id,
                connection.client_id,
                version,
                self.acks,
                int(timeout_s * 1000),
                topics,
            )

        if self.acks == 0:
            await connection.send(encode, timeout_s)
            return {sent.partition: -1 for sent in batches}
        view, body = await connection.request(api.PRODUCE, version, encode, timeout_s)
        response = produce.decode_response(view, body, len(view), version)
        answers: dict[int, int | Refused] = {
            sent.partition: Refused(f"{topic.name}-{sent.partition}", 3) for sent in batches
        }
        for _, _, partitions in response.topics:
            for index, error, base_offset, _, _, message, _, _ in partitions:
                refused = Refused(f"{topic.name}-{index}", error, message) if error else None
                answers[index] = base_offset if refused is None else refused
        return answers


def _size_of(record: Record) -> int:
    size = RECORD_OVERHEAD_BYTES + len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"") + 8
    return size
