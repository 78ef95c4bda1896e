"""A client that only speaks frames: it sends what no well-behaved client would, and counts what
the broker's process pays for it."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks.broker import BrokerProcess
from streambus.protocol import api, batch, records
from streambus.protocol.messages import control, fetch, list_offsets, produce

PRODUCE_VERSION, FETCH_VERSION = 8, 11
API_VERSIONS = bytes.fromhex("0000000e00120000000000010004") + b"wire"


def frame_of(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def a_batch(values: Sequence[bytes]) -> bytes:
    return batch.build([(at, 0, None, value, ()) for at, value in enumerate(values)])


def produced(topic: str, sent: bytes, partition: int = 0) -> bytes:
    """A produce request of one batch."""
    parts = produce.encode_request(
        1, "wire", PRODUCE_VERSION, -1, 10_000, [(topic.encode(), None, [(partition, sent)])]
    )
    return b"".join(bytes(part) for part in parts)


def fetched(
    topic: str,
    partitions: Sequence[int] = (0,),
    *,
    offset: int = 0,
    wait_ms: int = 0,
    min_bytes: int = 1,
    bytes_max: int = 50 << 20,
) -> bytes:
    request = fetch.FetchRequest(
        max_wait_ms=wait_ms,
        min_bytes=min_bytes,
        partitions=[
            (topic.encode(), None, each, -1, offset, -1, -1, bytes_max) for each in partitions
        ],
    )
    return fetch.encode_request(1, "wire", FETCH_VERSION, request)


class Wire:
    """One connection. Answers are read in the order of the requests."""

    def __init__(self, broker: BrokerProcess, timeout: float = 30) -> None:
        self.socket = socket.create_connection(("127.0.0.1", broker.port), timeout=timeout)

    def close(self) -> None:
        self.socket.close()

    def send(self, sent: bytes) -> None:
        self.socket.sendall(sent)

    def answer(self) -> bytes:
        (size,) = struct.unpack(">i", self._take(4))
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytearray()
        while len(taken) < size:
            piece = self.socket.recv(size - len(taken))
            if not piece:
                raise ConnectionError("closed by the broker")
            taken += piece
        return bytes(taken)

    def is_closed_by_broker(self) -> bool:
        """Waits until it is, for as long as the socket's timeout."""
        try:
            while self.socket.recv(65_536):
                continue
        except ConnectionResetError:
            return True
        return True

    def create(self, topic: str, partitions: int = 1, **configs: str) -> None:
        types = control.request_types(api.CREATE_TOPICS, 4)
        self.send(
            control.encode_request(
                types.CreateTopicsRequest(
                    topics=(
                        types.CreatableTopic(
                            name=topic,
                            num_partitions=partitions,
                            replication_factor=1,
                            assignments=(),
                            configs=tuple(
                                types.CreatableTopicConfig(name=name.replace("_", "."), value=value)
                                for name, value in configs.items()
                            ),
                        ),
                    ),
                    timeout=timedelta(seconds=10),
                    validate_only=False,
                ),
                1,
                "wire",
            )
        )
        self.answer()

    def produce(self, topic: str, values: Sequence[bytes]) -> tuple[int, int]:
        """(error, base offset)."""
        return self.produce_batch(topic, a_batch(values))

    def produce_batch(self, topic: str, sent: bytes) -> tuple[int, int]:
        self.send(produced(topic, sent))
        return outcome(self.answer())

    def offset_at(self, topic: str, timestamp_ms: int) -> int:
        request = list_offsets.Request([(topic.encode(), [(0, -1, timestamp_ms)])])
        self.send(list_offsets.encode_request(1, "wire", 5, request))
        frame = memoryview(self.answer())
        response = list_offsets.decode_response(frame, 4, len(frame), 5)
        return int(response.topics[0][1][0][3])

    def read(self, topic: str) -> tuple[list[bytes | None], int]:
        """All values of partition 0, and the error that ended the reading (0: its end)."""
        values: list[bytes | None] = []
        while True:
            self.send(fetched(topic, offset=len(values), bytes_max=8 << 20))
            frame = memoryview(self.answer())
            part = fetch.decode_response(frame, 4, len(frame), FETCH_VERSION).topics[0][2][0]
            if part.error or not part.records:
                return values, part.error
            for position, _ in batch.headers(part.records):
                values += [record[3] for record in records.read_records(part.records, position)]


def outcome(answer: bytes) -> tuple[int, int]:
    response = produce.decode_response(memoryview(answer), 4, len(answer), PRODUCE_VERSION)
    _, error, base_offset, *_ = response.topics[0][2][0]
    return error, base_offset


@dataclass
class Serving(BrokerProcess):
    """`streambus serve` with settings, and at most `descriptors` open files."""

    settings: str = ""
    descriptors: int = 0

    def launch(self) -> None:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        config = self.data.parent / "broker.yaml"
        config.write_text(f"data: {self.data}\nlisteners: ['{self.address}']\n{self.settings}")
        program = Path(sys.executable).with_name("streambus")
        with (self.data.parent / f"{self.data.name}.log").open("ab") as log:
            command = [str(program), "serve", "--config", str(config), "--api", ""]
            if self.descriptors:
                command = ["sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh", *command]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)


def resident_mb(broker: BrokerProcess) -> float:
    for line in Path(f"/proc/{broker.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    raise AssertionError("no VmRSS")


def open_files(broker: BrokerProcess) -> int:
    return len(os.listdir(f"/proc/{broker.pid}/fd"))


def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Until `holds()` is true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def ended(broker: BrokerProcess, times: int = 1) -> int:
    """SIGTERM, so many times; the exit status."""
    assert broker.process is not None
    for _ in range(times):
        broker.process.send_signal(signal.SIGTERM)
    return broker.process.wait(10)
