"""A broker of a few lines for tests of the client: in memory, and as unkind as a test asks.

Logs are lists of batches as they came, their base offsets set. `errors` holds codes that an API
answers first, once each; `hang` and `drop` hold APIs that are not answered or end the connection.
"""

import asyncio
import ssl
from typing import Any

from streambus.protocol import api, batch, frames
from streambus.protocol.messages import control, fetch, list_offsets, produce
from streambus.protocol.records import read_records

HEADER = batch.HEADER_BYTES
TOPIC_ID = bytes(range(16))


class ScriptedBroker:
    def __init__(self, partitions: int = 2, *, newest: dict[int, int] | None = None) -> None:
        self.topic = b"orders"
        self.logs: list[list[bytes]] = [[] for _ in range(partitions)]
        self.starts = [0] * partitions
        self.newest = newest or {}
        self.errors: dict[int, list[int]] = {}
        self.hang: set[int] = set()
        self.drop: dict[int, int] = {}
        self.seen: list[tuple[int, int]] = []
        self.connections = 0
        self.host, self.port = "127.0.0.1", 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, tls: ssl.SSLContext | None = None) -> "ScriptedBroker":
        self._server = await asyncio.start_server(self._serve, self.host, 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.close()

    async def __aenter__(self) -> "ScriptedBroker":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    def end(self, partition: int) -> int:
        log = self.logs[partition]
        if not log:
            return self.starts[partition]
        header = batch.read_header(memoryview(log[-1]))
        return header[batch.BASE_OFFSET] + header[batch.LAST_OFFSET_DELTA] + 1

    def append(self, partition: int, records: bytes) -> int:
        offset = self.end(partition)
        stored = bytearray(records)
        batch.patch(stored, 0, offset, 3)
        self.logs[partition].append(bytes(stored))
        return offset

    def records(self, partition: int) -> list[Any]:
        return [record for stored in self.logs[partition] for record in read_records(stored)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(4))
                view = memoryview(await reader.readexactly(size))
                header = frames.read_request_header(view, 0, size)
                self.seen.append((header.api_key, header.api_version))
                if self.drop.get(header.api_key, 0):
                    self.drop[header.api_key] -= 1
                    return
                if header.api_key in self.hang:
                    continue
                answer = self._answer(header, view, size)
                if answer is not None:
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    def _error(self, key: int) -> int:
        queued = self.errors.get(key)
        return queued.pop(0) if queued else 0

    def _newest(self, key: int) -> int:
        return self.newest.get(key, api.BY_KEY[key].newest)

    def _answer(self, header: frames.RequestHeader, view: memoryview, end: int) -> bytes | None:
        key, version, body = header.api_key, header.api_version, header.body
        correlation_id = header.correlation_id
        if key == api.API_VERSIONS:
            return self._api_versions(correlation_id, version)
        if key == api.METADATA:
            return self._metadata(correlation_id, version)
        if key == api.PRODUCE:
            _, acks, _, topics = produce.decode_request(view, body, end, version)
            answers: list[Any] = []
            for name, topic_id, partitions in topics:
                rows = [self._produced(view, *sent) for sent in partitions]
                answers.append((name, topic_id, rows))
            return produce.encode_response(correlation_id, version, answers) if acks else None
        if key == api.FETCH:
            request = fetch.decode_request(view, body, end, version)
            topics_read: list[Any] = [
                (wanted[0], wanted[1], [self._fetched(wanted)]) for wanted in request.partitions
            ]
            pieces = fetch.encode_response(
                correlation_id, version, 0, self._error(key), 0, topics_read
            )
            return b"".join(pieces)
        asked = list_offsets.decode_request(view, body, end, version)
        found = [
            (name, [self._found(*partition) for partition in partitions])
            for name, partitions in asked.topics
        ]
        return list_offsets.encode_response(correlation_id, version, found)

    def _api_versions(self, correlation_id: int, version: int) -> bytes:
        error = 0
        if version > self._newest(api.API_VERSIONS):
            version, error = 0, 35
        types = control.response_types(api.API_VERSIONS, version)
        rows = tuple(
            types.ApiVersion(api_key=row.key, min_version=row.oldest, max_version=newest)
            for row in api.TABLE
            if (newest := self._newest(row.key)) >= row.oldest
        )
        entity = control.fill(
            types.ApiVersionsResponse,
            error_code=_code(error),
            api_keys=rows,
            throttle_time=control.span_ms(0),
        )
        return control.encode(entity, correlation_id, version)

    def _metadata(self, correlation_id: int, version: int) -> bytes:
        types = control.response_types(api.METADATA, version)
        error = self._error(api.METADATA)
        partitions = tuple(
            control.fill(
                types.MetadataResponsePartition,
                error_code=_code(0),
                partition_index=index,
                leader_id=1,
                leader_epoch=3,
                replica_nodes=(1,),
                isr_nodes=(1,),
                offline_replicas=(),
            )
            for index in range(len(self.logs))
        )
        topic = control.fill(
            types.MetadataResponseTopic,
            error_code=_code(error),
            name=self.topic.decode(),
            topic_id=_uuid(TOPIC_ID),
            partitions=() if error else partitions,
        )
        entity = control.fill(
            types.MetadataResponse,
            throttle_time=control.span_ms(0),
            brokers=(
                control.fill(
                    types.MetadataResponseBroker, node_id=1, host=self.host, port=self.port
                ),
            ),
            controller_id=1,
            topics=(topic,),
            error_code=_code(0),
        )
        return control.encode(entity, correlation_id, version)

    def _produced(self, view: memoryview, partition: int, start: int, end: int) -> Any:
        error = self._error(api.PRODUCE)
        offset = -1 if error else self.append(partition, bytes(view[start:end]))
        return partition, error, offset, -1, 0, None, None, []

    def _fetched(self, wanted: Any) -> Any:
        partition, offset = wanted[2], wanted[4]
        end, start = self.end(partition), self.starts[partition]
        error = 0 if start <= offset <= end else 1
        pieces = []
        for stored in self.logs[partition]:
            header = batch.read_header(memoryview(stored))
            last = header[batch.BASE_OFFSET] + header[batch.LAST_OFFSET_DELTA]
            if not error and last >= offset:
                pieces.append(stored)
        size = sum(map(len, pieces))
        return partition, error, end, end, start, None, -1, None, None, size, pieces

    def _found(self, partition: int, _epoch: int, timestamp: int) -> Any:
        error = self._error(api.LIST_OFFSETS)
        if error:
            return partition, error, -1, -1, -1
        if timestamp == list_offsets.LATEST:
            return partition, 0, -1, self.end(partition), 3
        if timestamp == list_offsets.EARLIEST:
            return partition, 0, -1, self.starts[partition], 3
        for record in self.records(partition):
            if record[1] >= timestamp:
                return partition, 0, record[1], record[0], 3
        return partition, 0, -1, -1, -1


def _code(error: int) -> Any:
    from kio.schema.errors import ErrorCode

    return ErrorCode(error)


def _uuid(value: bytes) -> Any:
    from uuid import UUID

    return UUID(bytes=value)
