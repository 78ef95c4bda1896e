"""Apache Kafka 4.4 as a process: one KRaft node, to be compared with and raced against.

Its jars come through Maven once and lie in .cache/kafka; before every start they are exactly
those of `kafka/jars.sha256`. `python -m benchmarks.kafka_process` fetches and checks them.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.broker import answers, free_port

VERSION = "4.4.0"
HERE = Path(__file__).parent / "kafka"
JARS = Path(__file__).parent.parent / ".cache" / "kafka" / VERSION
HASHES = HERE / "jars.sha256"
CLUSTER_ID = "c3RyZWFtYnVzLXBlZXItMQ"
START_SECONDS_MAX = 60

LOG4J = """\
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.c.ref=c
"""


class KafkaMissing(RuntimeError):
    """Kafka cannot be had here, and why."""


def expected() -> dict[str, str]:
    """Name of each jar -> its SHA-256."""
    pairs = (line.split() for line in HASHES.read_text().splitlines())
    return {name: digest for digest, name in pairs}


def digests(folder: Path) -> dict[str, str]:
    return {
        jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in sorted(folder.iterdir())
    }


def jars() -> Path:
    """The folder of the jars, fetched if it is not there, and checked. Raises `KafkaMissing`."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None and not (program == "mvn" and JARS.exists()):
            raise KafkaMissing(f"{program} is not installed (Java 17 or newer, and Maven)")
    if not JARS.exists():
        fetched = JARS.with_name(f"{VERSION}.{os.getpid()}")
        command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        ran = subprocess.run(
            [*command, "-DincludeScope=runtime", f"-DoutputDirectory={fetched}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise KafkaMissing(f"Maven could not fetch Kafka:\n{ran.stdout[-2000:]}")
        fetched.rename(JARS)
    found, wanted = digests(JARS), expected()
    wrong = sorted(
        name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
    )
    if wrong:
        raise KafkaMissing(f"not as {HASHES.name} has them: {', '.join(wrong)} (in {JARS})")
    return JARS


@dataclass
class KafkaProcess:
    """Broker 1 of a cluster of its own below `folder`, with further `properties` if any."""

    folder: Path
    properties: dict[str, str] = field(default_factory=dict)
    heap: str = "512m"
    flags: tuple[str, ...] = ("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20")
    port: int = field(default_factory=free_port)
    controller_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def settings(self) -> dict[str, str]:
        controller = f"127.0.0.1:{self.controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.data),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **self.properties,
        }

    def launch(self) -> None:
        """Format the data folder if it is new, start the process, and return at once."""
        path = jars()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(LOG4J)
        server = self.folder / "server.properties"
        server.write_text("".join(f"{k}={v}\n" for k, v in self.settings().items()))
        java = [
            "java",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            f"{path}/*",
        ]
        with (self.folder / "kafka.log").open("ab") as log:
            if not (self.data / "meta.properties").exists():
                subprocess.run(
                    [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", server],
                    stdout=log,
                    stderr=log,
                    check=True,
                )
            memory = [f"-Xmx{self.heap}", f"-Xms{self.heap}", *self.flags]
            self.process = subprocess.Popen(
                [*java, *memory, "kafka.Kafka", server], stdout=log, stderr=log
            )

    def start(self) -> float:
        """Start and wait for the first answered ApiVersions; returns seconds from process start."""
        self.launch()
        assert self.process is not None
        began = time.perf_counter()
        while time.perf_counter() < began + START_SECONDS_MAX:
            if self.process.poll() is not None:
                raise RuntimeError(f"Kafka ended:\n{self.log()[-4000:]}")
            if answers(self.port):
                return time.perf_counter() - began
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"Kafka did not answer in {START_SECONDS_MAX} s:\n{self.log()[-4000:]}")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def log(self) -> str:
        return (self.folder / "kafka.log").read_text()

    def stop(self) -> int:
        """SIGTERM, and SIGKILL if Kafka is not gone in 30 s; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode

    def kill(self) -> None:
        """SIGKILL, as a power cut is to the process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)


if __name__ == "__main__":
    print(f"Apache Kafka {VERSION}: {len(expected())} jars, as expected, in {jars()}")
