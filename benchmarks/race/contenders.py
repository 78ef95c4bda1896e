"""The two brokers of the race as their users start them, one interface over both.

Each is started with its defaults; whatever differs from them is in `differences`, is printed before
the race and stands in docs/performance.md. Two columns: "fsync", where both acknowledge what is on
stable storage, and "neither", where both acknowledge from memory. A third, "unkept", is the sink's
(sink.py), which keeps nothing.
"""

import json
import re
import subprocess
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.request import urlopen

from benchmarks.broker import BrokerProcess, free_port
from benchmarks.kafka_process import KafkaProcess
from benchmarks.race import usage
from benchmarks.race.asking import knows_its_broker, seconds_until

FSYNC, NEITHER, UNKEPT = "fsync", "neither", "unkept"
STREAMBUS, KAFKA, SINK = "StreamBus", "Kafka", "sink"

KAFKA_HEAP = "1g"
# What Kafka's own start script gives to Java, besides the heap.
KAFKA_FLAGS = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)
GC_PAUSE = re.compile(r"Pause .* ([\d.]+)ms$", re.M)
GC_BUCKET = re.compile(
    r'^streambus_gc_pause_seconds_bucket\{generation="\d",le="([^"]+)"\} (\d+)$', re.M
)


@dataclass(frozen=True)
class Certificate:
    """PEM files of a certificate for 127.0.0.1 that signed itself."""

    certificate: Path
    key: Path

    @classmethod
    def made(cls, folder: Path) -> "Certificate":
        files = cls(folder / "certificate.pem", folder / "key.pem")
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
        command += ["-subj", "/CN=localhost"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        command += ["-out", str(files.certificate), "-keyout", str(files.key)]
        subprocess.run(command, check=True, capture_output=True)
        return files


@dataclass(frozen=True)
class Pauses:
    """Garbage collection: how often, and the longest and the 99th percentile in ms. StreamBus
    counts in buckets: its figures are their upper bounds."""

    count: int
    p99_ms: float
    max_ms: float


class Started(Protocol):
    """A process that `launch` starts."""

    port: int
    process: subprocess.Popen[bytes] | None

    @property
    def pid(self) -> int: ...

    def launch(self) -> None: ...

    def stop(self) -> int: ...

    def kill(self) -> None: ...

    def log(self) -> str: ...


class Contender(ABC):
    """A broker in `folder`, in one column of the race."""

    name: str
    process: Started
    tls_port: int | None = None
    keeps_records = True
    """Whether its topics are made and deleted, and have what was written to them."""

    def __init__(self, folder: Path, column: str) -> None:
        self.folder = folder
        self.column = column
        self.topics: set[str] = set()
        """Topics that stay for the whole race, by name."""

    @property
    def port(self) -> int:
        return self.process.port

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        process = self.process.process
        return process is not None and process.poll() is None

    def start(self) -> float:
        """Start, and wait until Metadata is answered; returns the seconds from process start."""
        self.process.launch()
        began = time.perf_counter()

        def ready() -> bool:
            if not self.is_alive:
                raise OSError(f"{self.name} ended:\n{self.process.log()[-4000:]}")
            return knows_its_broker(self.port)

        try:
            return seconds_until(ready, began)
        except TimeoutError:
            self.kill()
            raise

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL to the process, as a crash of it is."""
        self.process.kill()

    def memory(self) -> usage.Memory:
        return usage.memory(self.pid)

    @property
    @abstractmethod
    def differences(self) -> list[str]:
        """What is not as it starts by default."""

    @abstractmethod
    def gc_pauses(self) -> Pauses:
        """Those since the last call."""


class StreamBus(Contender):
    """`streambus dev`."""

    name = STREAMBUS

    def __init__(self, folder: Path, column: str, certificate: Certificate | None = None) -> None:
        super().__init__(folder, column)
        folder.mkdir(parents=True)
        port, flags = free_port(), []
        if column == NEITHER:
            flags += ["--sync", "os"]
        if certificate is not None:
            self.tls_port = free_port()
            door = {
                "address": f"127.0.0.1:{self.tls_port}",
                "tls": {"certificate": str(certificate.certificate), "key": str(certificate.key)},
            }
            flags += ["--set", f"listeners={json.dumps([f'127.0.0.1:{port}', door])}"]
        self.process: BrokerProcess = BrokerProcess(folder / "data", tuple(flags), port)
        self._counted: dict[float, int] = {}

    @property
    def differences(self) -> list[str]:
        listed = ["ports (`--listen`, `--api`) and directory (`--data`)"]
        if self.column == NEITHER:
            listed.append("`--sync os`: acknowledged when written to the log, before its sync")
        if self.tls_port:
            listed.append("a second listener, with TLS")
        return listed

    @property
    def api(self) -> str:
        return f"http://{self.process.api_address}"

    def gc_pauses(self) -> Pauses:
        with urlopen(f"{self.api}/metrics", timeout=30) as page:
            text = page.read().decode()
        counted: dict[float, int] = {}
        for bound, count in GC_BUCKET.findall(text):
            counted[float(bound)] = counted.get(float(bound), 0) + int(count)
        new = {bound: count - self._counted.get(bound, 0) for bound, count in counted.items()}
        self._counted = counted
        total = new.get(float("inf"), 0)
        if not total:
            return Pauses(0, 0.0, 0.0)

        def bound_of(count: float) -> float:
            return min(bound for bound, seen in new.items() if seen >= count) * 1000

        return Pauses(total, bound_of(total * 0.99), bound_of(total))


class Kafka(Contender):
    """One KRaft node."""

    name = KAFKA

    def __init__(self, folder: Path, column: str, certificate: Certificate | None = None) -> None:
        super().__init__(folder, column)
        folder.mkdir(parents=True)
        self.gc_log = folder / "gc.log"
        process = KafkaProcess(
            folder / "kafka",
            heap=KAFKA_HEAP,
            flags=(*KAFKA_FLAGS, f"-Xlog:gc:file={self.gc_log}:uptime:filecount=0"),
        )
        if column == FSYNC:
            process.properties["log.flush.interval.messages"] = "1"
        if certificate is not None:
            self.tls_port = free_port()
            process.properties |= self._with_tls(process, self.tls_port, certificate)
        self.process: KafkaProcess = process
        self._logged = 0

    def _with_tls(self, process: KafkaProcess, port: int, files: Certificate) -> dict[str, str]:
        store = self.folder / "server.pem"
        store.write_text(files.key.read_text() + files.certificate.read_text())
        doors = f"PLAINTEXT://{process.address},SSL://127.0.0.1:{port}"
        return {
            "listeners": f"{doors},CONTROLLER://127.0.0.1:{process.controller_port}",
            "advertised.listeners": doors,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
        }

    @property
    def differences(self) -> list[str]:
        listed = [
            "ports and directory; one KRaft node that is broker and controller, its internal "
            "topics with one replica",
            f"`-Xmx{KAFKA_HEAP} -Xms{KAFKA_HEAP}` and the G1 flags of Kafka's own start script, "
            "log level WARN, a log of garbage collection (`-Xlog:gc`)",
        ]
        if self.column == FSYNC:
            listed.append("`log.flush.interval.messages=1`: acknowledged after the fsync")
        if self.tls_port:
            listed.append("a second listener, with TLS")
        return listed

    def gc_pauses(self) -> Pauses:
        text = self.gc_log.read_text()
        new = sorted(float(ms) for ms in GC_PAUSE.findall(text[self._logged :]))
        self._logged = len(text)
        if not new:
            return Pauses(0, 0.0, 0.0)
        return Pauses(len(new), new[min(len(new) - 1, int(len(new) * 0.99))], new[-1])
