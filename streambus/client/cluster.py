"""The cluster as one client sees it: its brokers, who leads what, and one connection to each.

Owns    the metadata cache, the connections, and the rhythm of trying again.
Never   hides an error behind an endless retry: every call has a deadline.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from streambus.client.connection import Connection
from streambus.client.errors import RETRIABLE_CODES, ConnectionLost, NotInTime, Refused
from streambus.errors import Unavailable
from streambus.protocol import api
from streambus.protocol.messages import control, list_offsets

RETRY_FIRST_S = 0.05
RETRY_MAX_S = 1.0
EXPLAINED = {3: "there is no such topic", 17: "no topic may have this name"}


class PartitionLeader(NamedTuple):
    leader: int
    leader_epoch: int


class Topic(NamedTuple):
    """A topic as the metadata tells it; the id is None where brokers know none."""

    name: str
    topic_id: bytes | None
    partitions: dict[int, PartitionLeader]


class Attempts:
    """Tries until a deadline, with growing pauses: `async for left_s in attempts: ...`."""

    def __init__(self, timeout_s: float) -> None:
        self.deadline = asyncio.get_running_loop().time() + timeout_s
        self.last: Exception | None = None

    @property
    def left_s(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()

    def failed(self, error: Exception) -> None:
        """Remembers why this try failed: what the caller is told if there is no time for more."""
        self.last = error

    async def __aiter__(self) -> AsyncIterator[float]:
        pause_s = RETRY_FIRST_S
        while True:
            yield max(self.left_s, 0.001)
            if self.left_s <= pause_s:
                raise self.last or NotInTime("no time left")
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)


class Cluster:
    """Use as `async with Cluster([("127.0.0.1", 9092)]) as cluster:`."""

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        *,
        client_id: str = "streambus",
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 30.0,
        reach_s: float = 5.0,
    ) -> None:
        assert servers, "a cluster is found through at least one server"
        self.servers = list(servers)
        self.client_id = client_id
        self.timeout_s = timeout_s
        # A broker that restarts is waited for; one that was never there is a wrong address.
        self.reach_s = min(reach_s, timeout_s)
        self._tls = tls
        self._brokers: dict[int, tuple[str, int]] = {}
        self._topics: dict[str, Topic] = {}
        self._connections: dict[tuple[str, int], Connection] = {}
        self._opening: dict[tuple[str, int], asyncio.Lock] = {}

    async def __aenter__(self) -> "Cluster":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    async def _connection_to(self, address: tuple[str, int], timeout_s: float) -> Connection:
        lock = self._opening.setdefault(address, asyncio.Lock())
        async with lock:
            connection = self._connections.get(address)
            if connection is None or not connection.is_open:
                connection = await Connection.open(
                    *address, client_id=self.client_id, tls=self._tls, timeout_s=timeout_s
                )
                self._connections[address] = connection
            return connection

    async def any_connection(self, timeout_s: float) -> Connection:
        """A connection to whichever broker answers, open ones first."""
        for connection in self._connections.values():
            if connection.is_open:
                return connection
        addresses = [*self.servers, *self._brokers.values()]
        failure: Exception | None = None
        for address in dict.fromkeys(addresses):
            try:
                return await self._connection_to(address, timeout_s)
            except ConnectionLost as error:
                failure = error
        assert failure is not None
        raise failure

    async def leader_of(
        self, topic: Topic, partition: int, timeout_s: float
    ) -> tuple[Connection, PartitionLeader]:
        """The connection to a partition's leader; Refused if there is none now."""
        led = topic.partitions.get(partition)
        if led is None:
            raise Refused(f"{topic.name}-{partition}", 3, "the topic has no such partition")
        address = self._brokers.get(led.leader)
        if address is None:
            raise Refused(f"{topic.name}-{partition}", 5, "the partition has no leader now")
        return await self._connection_to(address, timeout_s), led

    def forget(self, topic: str) -> None:
        """The next `topic` asks again: what is cached has proved wrong."""
        self._topics.pop(topic, None)

    async def topic(self, name: str, *, allow_create: bool = False) -> Topic:
        """The topic, from the cache or from a broker, waiting until it has leaders."""
        known = self._topics.get(name)
        if known is not None:
            return known
        attempts = Attempts(self.timeout_s if self._brokers else self.reach_s)
        async for left_s in attempts:
            try:
                known = await self._ask_for(name, allow_create=allow_create, timeout_s=left_s)
            except Unavailable as error:
                attempts.failed(error)
            except Refused as error:
                # Unless it is being created, a topic that does not exist now will not come.
                if error.error_code not in RETRIABLE_CODES or (
                    error.error_code == 3 and not allow_create
                ):
                    raise
                attempts.failed(error)
            else:
                self._topics[name] = known
                return known
        raise AssertionError("attempts end by raising")

    async def _ask_for(self, name: str, *, allow_create: bool, timeout_s: float) -> Topic:
        connection = await self.any_connection(timeout_s)
        version = connection.version(api.METADATA)
        types = control.request_types(api.METADATA, version)
        wanted = control.fill(types.MetadataRequestTopic, topic_id=None, name=name)
        entity = control.fill(
            types.MetadataRequest,
            topics=(wanted,),
            allow_auto_topic_creation=allow_create,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
        )
        response: Any = await connection.ask(entity, timeout_s)
        self._brokers = {
            int(broker.node_id): (broker.host, int(broker.port)) for broker in response.brokers
        }
        for row in response.topics:
            if row.name == name:
                return _topic_of(row)
        raise Refused(name, 3, EXPLAINED[3])

    async def offsets(
        self, topic: Topic, partitions: Sequence[int], timestamp: int
    ) -> dict[int, int]:
        """Offset of each partition at a timestamp in ms or at LATEST or EARLIEST; -1 for none."""
        offsets: dict[int, int] = {}
        attempts = Attempts(self.timeout_s)
        async for left_s in attempts:
            topic = await self.topic(topic.name)
            for partition in [index for index in partitions if index not in offsets]:
                try:
                    offsets[partition] = await self._offset(topic, partition, timestamp, left_s)
                except Unavailable as error:
                    attempts.failed(error)
                except Refused as error:
                    if error.error_code not in RETRIABLE_CODES:
                        raise
                    attempts.failed(error)
            if len(offsets) == len(partitions):
                return offsets
            self.forget(topic.name)
        raise AssertionError("attempts end by raising")

    async def _offset(self, topic: Topic, partition: int, timestamp: int, timeout_s: float) -> int:
        connection, led = await self.leader_of(topic, partition, timeout_s)
        version = connection.version(api.LIST_OFFSETS)
        asked = list_offsets.Request(
            [(topic.name.encode(), [(partition, led.leader_epoch, timestamp)])],
            timeout_ms=int(timeout_s * 1000),
        )
        view, body = await connection.request(
            api.LIST_OFFSETS,
            version,
            lambda correlation_id: [
                list_offsets.encode_request(correlation_id, self.client_id, version, asked)
            ],
            timeout_s,
        )
        response = list_offsets.decode_response(view, body, len(view), version)
        for _, answers in response.topics:
            for index, error, _, offset, _ in answers:
                if index == partition:
                    if error:
                        raise Refused(f"{topic.name}-{partition}", error)
                    return offset
        raise Refused(f"{topic.name}-{partition}", 3, "the broker left the partition out")


def _topic_of(row: Any) -> Topic:
    if row.error_code:
        error_code = int(row.error_code)
        raise Refused(row.name, error_code, EXPLAINED.get(error_code))
    topic_id = getattr(row, "topic_id", None)
    partitions = {
        int(part.partition_index): PartitionLeader(
            int(part.leader_id), int(getattr(part, "leader_epoch", -1))
        )
        for part in row.partitions
    }
    return Topic(row.name, None if topic_id is None else topic_id.bytes, partitions)
