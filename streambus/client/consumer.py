"""A plain fetch loop over assigned partitions: no group, no committed offsets.

Owns    the position in each partition.
Never   skips a record silently: what cannot be read is an error with the offset in it.
Trusts  no batch: sizes and CRC are checked, and unpacked sizes are bounded.
"""

from collections.abc import Mapping
from typing import NamedTuple

from streambus.client.cluster import Attempts, Cluster, Topic
from streambus.client.connection import Connection
from streambus.client.errors import RETRIABLE_CODES, Refused
from streambus.errors import Malformed, Unavailable
from streambus.protocol import api, batch
from streambus.protocol.messages import fetch
from streambus.protocol.records import read_records

MAX_BYTES = 16 * 1024 * 1024
PARTITION_BYTES = 4 * 1024 * 1024
OFFSET_OUT_OF_RANGE = 1


class ConsumedRecord(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Consumer:
    """Reads partitions of one topic from given offsets on. `positions` is what comes next."""

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        positions: Mapping[int, int],
        *,
        timeout_s: float = 30.0,
    ) -> None:
        self.cluster = cluster
        self.topic = topic
        self.positions = dict(positions)
        self.timeout_s = timeout_s
        self._turn = 0

    async def poll(self, max_wait_ms: int = 500) -> list[ConsumedRecord]:
        """Records that have come, in order within each partition; empty if none came in time."""
        attempts = Attempts(self.timeout_s)
        async for left_s in attempts:
            try:
                return await self._poll_once(max_wait_ms, left_s)
            except Unavailable as error:
                attempts.failed(error)
            except Refused as error:
                if error.error_code not in RETRIABLE_CODES:
                    raise
                attempts.failed(error)
            self.cluster.forget(self.topic)
        raise AssertionError("attempts end by raising")

    async def _poll_once(self, max_wait_ms: int, timeout_s: float) -> list[ConsumedRecord]:
        topic = await self.cluster.topic(self.topic)
        grouped: dict[Connection, list[int]] = {}
        for partition in self.positions:
            connection, _ = await self.cluster.leader_of(topic, partition, timeout_s)
            grouped.setdefault(connection, []).append(partition)
        records: list[ConsumedRecord] = []
        if len(grouped) == 1:
            ((connection, partitions),) = grouped.items()
            return await self._fetch(connection, topic, partitions, max_wait_ms, timeout_s)
        # With several leaders each waits its part, or one idle leader would hold up the rest.
        wait_ms = max_wait_ms // max(len(grouped), 1)
        for connection, partitions in grouped.items():
            records += await self._fetch(connection, topic, partitions, wait_ms, timeout_s)
        return records

    async def _fetch(
        self,
        connection: Connection,
        topic: Topic,
        partitions: list[int],
        max_wait_ms: int,
        timeout_s: float,
    ) -> list[ConsumedRecord]:
        version = connection.version(
            api.FETCH, None if topic.topic_id is not None else fetch.TOPIC_IDS_FROM - 1
        )
        # The broker fills its answer in this order: everyone gets to be first.
        self._turn += 1
        at = self._turn % len(partitions)
        request = fetch.FetchRequest(
            max_wait_ms=max_wait_ms,
            min_bytes=1,
            max_bytes=MAX_BYTES,
            partitions=[
                (
                    topic.name.encode(),
                    topic.topic_id,
                    partition,
                    topic.partitions[partition].leader_epoch,
                    self.positions[partition],
                    -1,
                    -1,
                    PARTITION_BYTES,
                )
                for partition in partitions[at:] + partitions[:at]
            ],
        )
        wait_s = max_wait_ms / 1000 + timeout_s
        view, body = await connection.request(
            api.FETCH,
            version,
            lambda correlation_id: [
                fetch.encode_request(correlation_id, connection.client_id, version, request)
            ],
            wait_s,
        )
        response = fetch.decode_response(view, body, len(view), version)
        if response.error:
            raise Refused(topic.name, response.error)
        records: list[ConsumedRecord] = []
        failure: Refused | None = None
        reached: dict[int, int] = {}
        for _, _, read in response.topics:
            for part in read:
                if part.error:
                    failure = self._refused(topic, part)
                elif part.records:
                    found, reached[part.partition] = self._read(
                        topic.name, part.partition, part.records
                    )
                    records += found
        if failure is not None and not records:
            raise failure
        # Only now, all at once: an error above must not lose the records of other partitions.
        self.positions.update(reached)
        return records

    def _refused(self, topic: Topic, part: fetch.PartitionRead) -> Refused:
        message = None
        if part.error == OFFSET_OUT_OF_RANGE:
            position = self.positions[part.partition]
            message = (
                f"offset {position} is not there: the partition holds "
                f"{part.log_start_offset} to {part.high_watermark}"
            )
        return Refused(f"{topic.name}-{part.partition}", part.error, message)

    def _read(
        self, topic: str, partition: int, view: memoryview
    ) -> tuple[list[ConsumedRecord], int]:
        """The records from the position on, and the position after them."""
        records: list[ConsumedRecord] = []
        wanted = self.positions.get(partition)
        if wanted is None:
            raise Malformed(f"records of {topic}-{partition}, which were not asked for")
        at = 0
        while len(view) - at >= batch.HEADER_BYTES:
            length = int.from_bytes(view[at + 8 : at + 12], "big", signed=True)
            if at + batch.LENGTH_PREFIX + length > len(view):
                break  # a batch cut at the limit of the answer: the next fetch begins with it
            header = batch.read_header(view, at)
            if not header[batch.ATTRIBUTES] & batch.Attributes.CONTROL:
                for offset, timestamp_ms, key, value, headers in read_records(view, at):
                    if offset >= wanted:
                        records.append(
                            ConsumedRecord(
                                topic, partition, offset, timestamp_ms, key, value, headers
                            )
                        )
            wanted = header[batch.BASE_OFFSET] + header[batch.LAST_OFFSET_DELTA] + 1
            at += batch.batch_bytes(header)
        if at == 0:
            raise Malformed(f"{topic}-{partition} at {wanted}: an answer with no whole batch")
        return records, max(wanted, self.positions[partition])
