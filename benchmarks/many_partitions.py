"""Ten thousand partitions: what they cost to make, to describe, to restart with, to scrape.

    python -m benchmarks.many_partitions [PARTITIONS]

Starts what `make run` starts, once for each shape (as many topics of one partition, and one topic
of as many partitions), and prints seconds and megabytes as JSON.
"""

import json
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.broker import BrokerProcess
from streambus.protocol import api
from streambus.protocol.messages import control

PARTITIONS = 10_000
ASKED = 9  # times; the median counts
CREATE_VERSION, METADATA_VERSION = 7, 12


class Asking:
    """One connection, one request at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)

    def ask(self, frame: bytes) -> tuple[float, bytes]:
        """(seconds until the last byte of the answer, the answer without its length)."""
        began = time.perf_counter()
        self.socket.sendall(frame)
        head = self._take(4)
        answer = self._take(int.from_bytes(head, "big"))
        return time.perf_counter() - began, answer

    def _take(self, size: int) -> bytes:
        taken = bytearray(size)
        view = memoryview(taken)
        while view:
            count = self.socket.recv_into(view)
            if not count:
                raise ConnectionError("the broker closed the connection")
            view = view[count:]
        return bytes(taken)


def create_request(topics: int, partitions: int) -> bytes:
    types = control.request_types(api.CREATE_TOPICS, CREATE_VERSION)
    return control.encode_request(
        types.CreateTopicsRequest(
            topics=tuple(
                types.CreatableTopic(
                    name=f"many.{number}",
                    num_partitions=partitions,
                    replication_factor=1,
                    assignments=(),
                    configs=(),
                )
                for number in range(topics)
            ),
            timeout=control.span_ms(60_000),
            validate_only=False,
        ),
        1,
        "many",
    )


def metadata_request() -> bytes:
    types = control.request_types(api.METADATA, METADATA_VERSION)
    return control.encode_request(
        types.MetadataRequest(
            topics=None,
            allow_auto_topic_creation=False,
            include_topic_authorized_operations=False,
        ),
        2,
        "many",
    )


def partitions_of(broker: BrokerProcess) -> int:
    with urllib.request.urlopen(f"http://{broker.api_address}/v1/cluster", timeout=60) as answer:
        return int(json.load(answer)["partitions"])


def scrape(broker: BrokerProcess) -> tuple[float, int]:
    """(seconds, bytes) of one GET /metrics."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://{broker.api_address}/metrics", timeout=60) as answer:
        text = answer.read()
    return time.perf_counter() - began, len(text)


def shape(topics: int, partitions: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        broker = BrokerProcess(Path(folder) / "data")
        first_start = broker.start()
        broker.await_api()
        before_mb = broker.pss_mb()
        asking = Asking(broker.port)
        create_seconds, _ = asking.ask(create_request(topics, partitions))
        assert partitions_of(broker) == topics * partitions, "not every topic was made"
        first_metadata, _ = asking.ask(metadata_request())
        cached = [asking.ask(metadata_request()) for _ in range(ASKED)]
        scrapes = [scrape(broker) for _ in range(ASKED)]
        with_mb = broker.pss_mb()
        broker.stop()
        restart = broker.start()
        broker.await_api()
        asking = Asking(broker.port)
        after_metadata, _ = asking.ask(metadata_request())
        after_mb = broker.pss_mb()
        broker.stop()
    return {
        "topics": topics,
        "partitions of each": partitions,
        "create in one call, s": round(create_seconds, 3),
        "first Metadata of all, ms": round(first_metadata * 1000, 1),
        "cached Metadata of all, ms": round(
            statistics.median(seconds for seconds, _ in cached) * 1000, 1
        ),
        "Metadata answer, KB": round(len(cached[0][1]) / 1000),
        "scrape, ms": round(statistics.median(seconds for seconds, _ in scrapes) * 1000, 1),
        "scrape, KB": round(scrapes[0][1] / 1000),
        "start when empty, s": round(first_start, 3),
        "start with all of them, s": round(restart, 3),
        "first Metadata after it, ms": round(after_metadata * 1000, 1),
        "PSS when empty, MB": round(before_mb, 1),
        "PSS after creating, MB": round(with_mb, 1),
        "PSS after the restart, MB": round(after_mb, 1),
    }


def run(total: int) -> None:
    for topics, partitions in ((total, 1), (1, total)):
        print(json.dumps(shape(topics, partitions), indent=2), flush=True)


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else PARTITIONS)
