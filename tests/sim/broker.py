"""A whole broker on a simulated machine, and a Kafka client that talks to it.

`SimBroker` is `app.main.started` as a process: started, stopped, killed, started again on the same
disk. `KafkaClient` is one connection of one client machine; every answer is decoded with
streambus.protocol, and what does not come (a dead broker, a cut network) raises `NoAnswer`.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from app.config import BrokerConfig
from app.main import Started, started
from app.security.ports import Authorizer, Quotas
from app.world.ports import Network, World
from streambus.protocol import api, frames
from streambus.protocol.messages import control
from streambus.protocol.messages import fetch as fetching
from streambus.protocol.messages import list_offsets as listing
from streambus.protocol.messages import produce as producing
from tests.sim.peer import Peer
from tests.sim.world import Machine, SimWorld

PORT = 9092
ANSWER_S = 60.0


class SimBroker:
    """One machine with a broker's data directory, and the process that runs on it, if any."""

    def __init__(self, machine: Machine, config: BrokerConfig) -> None:
        self.machine = machine
        self.config = config
        self.broker: Started | None = None
        self.boots = 0
        self._stop: asyncio.Event | None = None
        self._ready: asyncio.Future[None] | None = None
        self._process: asyncio.Task[None] | None = None

    async def start(
        self, *, authorizer: Authorizer | None = None, quotas: Quotas | None = None
    ) -> Started:
        """A new process; back when its doors are open. Raises what ended its start, and `Down` if
        the machine crashed meanwhile."""
        process = self.launch(authorizer=authorizer, quotas=quotas)
        assert self._ready is not None
        down = asyncio.get_running_loop().create_task(self.machine.down())
        await asyncio.wait({self._ready, down, process}, return_when=asyncio.FIRST_COMPLETED)
        if down.done():
            raise Down(self.machine.name)
        down.cancel()
        if not self._ready.done():
            self.machine.kill()
            process.result()
        assert self.broker is not None
        return self.broker

    def launch(
        self, *, authorizer: Authorizer | None = None, quotas: Quotas | None = None
    ) -> asyncio.Task[None]:
        """A new process that nobody waits for."""
        world = self.machine.boot()
        self.boots += 1
        self.broker = None
        self._ready = asyncio.get_running_loop().create_future()
        self._stop = asyncio.Event()
        self._process = world.spawn(self._run(world, self._stop, authorizer, quotas), "broker")
        return self._process

    async def _run(
        self,
        world: SimWorld,
        stop: asyncio.Event,
        authorizer: Authorizer | None,
        quotas: Quotas | None,
    ) -> None:
        async with started(
            self.config, cast(World, world), authorizer=authorizer, quotas=quotas
        ) as broker:
            self.broker = broker
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)
            await stop.wait()
        self.broker = None
        await world.close()

    async def stop(self) -> None:
        """SIGTERM, to the end of the process."""
        assert self._stop is not None and self._process is not None
        self._stop.set()
        await self._process
        self.machine.kill()

    def kill(self) -> None:
        """kill -9: the page cache stays."""
        self.broker = None
        if self.machine.world is not None:
            self.machine.kill()

    def crash(self) -> None:
        """Power fails."""
        self.broker = None
        if self.machine.world is not None:
            self.machine.crash()

    def check(self) -> None:
        """Raise what ended the process, if anything did that a test did not do."""
        if self._process is not None and self._process.done():
            self._process.result()

    @property
    def is_up(self) -> bool:
        return self.broker is not None and self.machine.world is not None


class Down(Exception):
    """The machine lost power."""


class NoAnswer(Exception):
    """The connection ended, or nothing came in time: what became of the request is not known."""


class _Receiver(Peer):
    """Frames out of what arrives, each to whoever waits for its correlation id."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[int, asyncio.Future[memoryview]] = {}

    def buffer_updated(self, count: int) -> None:
        super().buffer_updated(count)
        received = self.received
        while len(received) >= 4:
            size = int.from_bytes(received[:4], "big")
            if len(received) < 4 + size:
                return
            frame = bytes(received[4 : 4 + size])
            del received[: 4 + size]
            answer = self.waiting.pop(int.from_bytes(frame[:4], "big"), None)
            assert answer is not None, "an answer to a request that was never made"
            if not answer.done():
                answer.set_result(memoryview(frame))

    def disconnected(self, error: BaseException | None) -> None:
        super().disconnected(error)
        waiting, self.waiting = self.waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(NoAnswer(f"disconnected: {error!r}"))
                answer.exception()  # whoever sent it may have stopped waiting


class TopicSeen(NamedTuple):
    """One topic as Metadata shows it."""

    error: int
    name: str
    topic_id: bytes
    leader_epochs: list[int]


class KafkaClient:
    """One connection, on any world. Requests may be sent before earlier ones are answered."""

    def __init__(self, network: Network, host: str, port: int = PORT, name: str = "sim") -> None:
        self._network = network
        self._address = (host, port)
        self.name = name
        self._receiver = _Receiver()
        self._correlation_id = 0

    async def open(self) -> "KafkaClient":
        try:
            await self._network.connect(*self._address, self._receiver)
        except OSError as error:
            raise NoAnswer(str(error)) from error
        return self

    @property
    def channel(self) -> Any:
        return self._receiver.channel

    @property
    def is_open(self) -> bool:
        return self._receiver.channel is not None and not self._receiver.ends

    def close(self) -> None:
        if self.is_open:
            self.channel.close()

    def abort(self) -> None:
        if self.is_open:
            self.channel.abort()

    def send(self, api_key: int, parts: Sequence[Any], correlation_id: int) -> Any:
        """Send a frame; gives the future of its answer (the frame without its length)."""
        answer = asyncio.get_running_loop().create_future()
        if not self.is_open:
            answer.set_exception(NoAnswer("not connected"))
            answer.exception()
            return answer
        self._receiver.waiting[correlation_id] = answer
        self.channel.send([b"".join(parts)])
        return answer

    def next_id(self) -> int:
        self._correlation_id += 1
        return self._correlation_id

    async def _ask(self, api_key: int, version: int, parts: Sequence[Any], id_: int) -> Any:
        answer = self.send(api_key, parts, id_)
        try:
            async with asyncio.timeout(ANSWER_S):
                view = await answer
        except TimeoutError:
            raise NoAnswer(f"no {api.name_of(api_key)} in {ANSWER_S:g} s") from None
        flexible = frames.has_flexible_response_header(api_key, version)
        _, body = frames.read_response_header(view, 0, len(view), flexible=flexible)
        return view, body

    async def control(self, key: int, version: int, name: str, **values: Any) -> Any:
        """A control request by its fields, and its answer as kio's entity."""
        types = control.request_types(key, version)
        entity = control.fill(getattr(types, name), **values)
        id_ = self.next_id()
        view, body = await self._ask(
            key, version, [control.encode_request(entity, id_, self.name)], id_
        )
        return control.decode_response(key, version, view, body)

    # Topics

    async def metadata(
        self, names: Iterable[str] | None = None, version: int = 12, *, create: bool = False
    ) -> dict[str, TopicSeen]:
        types = control.request_types(api.METADATA, version)
        topics = None
        if names is not None:
            topics = tuple(
                control.fill(types.MetadataRequestTopic, topic_id=None, name=name) for name in names
            )
        response = await self.control(
            api.METADATA,
            version,
            "MetadataRequest",
            topics=topics,
            allow_auto_topic_creation=create,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
        )
        return {
            row.name: TopicSeen(
                int(row.error_code),
                row.name,
                row.topic_id.bytes if row.topic_id is not None else b"",
                [
                    int(part.leader_epoch)
                    for part in sorted(row.partitions, key=lambda part: part.partition_index)
                ],
            )
            for row in response.topics
        }

    async def create_topic(
        self, name: str, partitions: int, configs: Mapping[str, str], version: int = 7
    ) -> tuple[int, bytes]:
        """(error, topic id)."""
        types = control.request_types(api.CREATE_TOPICS, version)
        topic = control.fill(
            types.CreatableTopic,
            name=name,
            num_partitions=partitions,
            replication_factor=1,
            assignments=(),
            configs=tuple(
                control.fill(types.CreatableTopicConfig, name=key, value=value)
                for key, value in configs.items()
            ),
        )
        response = await self.control(
            api.CREATE_TOPICS,
            version,
            "CreateTopicsRequest",
            topics=(topic,),
            timeout=control.span_ms(30_000),
            validate_only=False,
        )
        (row,) = response.topics
        topic_id = row.topic_id
        return int(row.error_code), topic_id.bytes if topic_id is not None else b""

    async def delete_topic(self, name: str, version: int = 5) -> int:
        response = await self.control(
            api.DELETE_TOPICS,
            version,
            "DeleteTopicsRequest",
            topic_names=(name,),
            timeout=control.span_ms(30_000),
        )
        (row,) = response.responses
        return int(row.error_code)

    async def init_producer_id(self, version: int = 4) -> tuple[int, int, int]:
        """(error, producer id, epoch)."""
        response = await self.control(
            api.INIT_PRODUCER_ID,
            version,
            "InitProducerIdRequest",
            transactional_id=None,
            transaction_timeout=control.span_ms(60_000),
            producer_id=-1,
            producer_epoch=-1,
        )
        return int(response.error_code), int(response.producer_id), int(response.producer_epoch)

    # Records. `topic` is (name, topic id); a version uses the one or the other.

    def send_produce(
        self,
        topic: tuple[bytes, bytes],
        partition: int,
        records: bytes,
        *,
        acks: int,
        version: int,
        timeout_ms: int = 30_000,
    ) -> Any:
        """Send one batch; `produced` waits for the answer. Requests stay in the order of calls."""
        id_ = self.next_id()
        parts = producing.encode_request(
            id_, self.name, version, acks, timeout_ms, [(*topic, [(partition, records)])]
        )
        if acks == 0:
            if self.is_open:
                self.channel.send([b"".join(parts)])
            return None
        return self.send(api.PRODUCE, parts, id_)

    async def produced(self, answer: Any, version: int) -> producing.PartitionAnswer:
        try:
            async with asyncio.timeout(ANSWER_S):
                view = await answer
        except TimeoutError:
            raise NoAnswer("no Produce in time") from None
        flexible = frames.has_flexible_response_header(api.PRODUCE, version)
        _, body = frames.read_response_header(view, 0, len(view), flexible=flexible)
        response = producing.decode_response(view, body, len(view), version)
        ((_, _, (told,)),) = response.topics
        return told

    async def produce(
        self,
        topic: tuple[bytes, bytes],
        partition: int,
        records: bytes,
        *,
        acks: int = -1,
        version: int = 13,
    ) -> producing.PartitionAnswer:
        answer = self.send_produce(topic, partition, records, acks=acks, version=version)
        return await self.produced(answer, version)

    async def fetch(self, request: fetching.FetchRequest, version: int) -> fetching.Response:
        id_ = self.next_id()
        frame = fetching.encode_request(id_, self.name, version, request)
        view, body = await self._ask(api.FETCH, version, [frame], id_)
        return fetching.decode_response(view, body, len(view), version)

    async def read(
        self, topic: tuple[bytes, bytes], partition: int, offset: int, *, version: int = 16
    ) -> fetching.PartitionRead:
        """One partition from `offset`, without a session and without waiting."""
        wanted = (*topic, partition, -1, offset, -1, -1, 1 << 20)
        request = fetching.FetchRequest(max_wait_ms=0, min_bytes=1, partitions=[wanted])
        response = await self.fetch(request, version)
        assert response.error == 0, response
        ((_, _, (found,)),) = response.topics
        return found

    async def list_offset(
        self, name: bytes, partition: int, timestamp: int, version: int = 8
    ) -> listing.PartitionAnswer:
        id_ = self.next_id()
        request = listing.Request([(name, [(partition, -1, timestamp)])])
        frame = listing.encode_request(id_, self.name, version, request)
        view, body = await self._ask(api.LIST_OFFSETS, version, [frame], id_)
        response = listing.decode_response(view, body, len(view), version)
        ((_, (told,)),) = response.topics
        return told

    async def end_of_epoch(
        self, name: str, partition: int, epoch: int, version: int = 4
    ) -> tuple[int, int, int]:
        """(error, epoch, end offset)."""
        types = control.request_types(api.OFFSET_FOR_LEADER_EPOCH, version)
        asked = control.fill(
            types.OffsetForLeaderPartition,
            partition=partition,
            current_leader_epoch=-1,
            leader_epoch=epoch,
        )
        response = await self.control(
            api.OFFSET_FOR_LEADER_EPOCH,
            version,
            "OffsetForLeaderEpochRequest",
            replica_id=-1,
            topics=(control.fill(types.OffsetForLeaderTopic, topic=name, partitions=(asked,)),),
        )
        ((part,),) = (row.partitions for row in response.topics)
        return int(part.error_code), int(part.leader_epoch), int(part.end_offset)
