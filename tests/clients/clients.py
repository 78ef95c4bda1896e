"""The clients of the scenario: how each starts, what it cannot say, what its users must know."""

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
BUILT = ROOT / ".cache" / "clients"


@dataclass(frozen=True)
class Client:
    name: str
    title: str
    language: str
    command: tuple[str, ...]
    needs: tuple[Path, ...] = ()  # what its build leaves
    target: str = ""  # of the Makefile, that builds it
    lacks: frozenset[str] = frozenset()
    cannot_write: frozenset[str] = frozenset()  # names of records
    cannot_read: frozenset[str] = frozenset()
    mute: frozenset[str] = frozenset()  # verbs whose refusals it does not pass on
    reads: bool = True
    timestamps: bool = True  # whether it can set them
    notes: str = ""  # what its users must know, beside what it lacks
    environment: dict[str, str] = field(default_factory=dict, hash=False)

    def missing(self) -> str | None:
        """Why it cannot run here, and how it could."""
        program = self.command[0]
        if self.name == "kcat" and shutil.which("kcat") is None:
            return "kcat is not installed: `apt-get install kcat`"
        if self.needs and not all(each.exists() for each in self.needs):
            return f"{self.title} is not built: `make {self.target}`"
        if shutil.which(program) is None:
            return f"{self.title} needs {program}, which is not installed"
        return None


def python(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"tests.clients.python.speak_{name}")


NO_MAX_TIMESTAMP = "no look-up of the largest timestamp"
NO_NULL_HEADER = "no null header values"
KEYS_BY_CRC = "`partitioner=murmur2_random` puts a key where Java does, its own does not"
REPLACES = "changes configs by AlterConfigs alone, which replaces them all"

CLIENTS = (
    Client(
        "confluent",
        "confluent-kafka",
        "Python",
        python("confluent"),
        notes=KEYS_BY_CRC,
    ),
    Client(
        "aiokafka",
        "aiokafka",
        "Python",
        python("aiokafka"),
        lacks=frozenset(["no alter", NO_MAX_TIMESTAMP]),
        notes=REPLACES,
    ),
    Client(
        "kafka_python",
        "kafka-python",
        "Python",
        python("kafka_python"),
        lacks=frozenset(["no replace", NO_NULL_HEADER]),
        cannot_write=frozenset(["null header"]),
        mute=frozenset(["configs"]),
        notes="snappy needs the package `python-snappy`; describing configs of an unknown topic "
        "gives an empty answer, no error; refused changes of configs are texts in the answer",
    ),
    Client(
        "kcat",
        "kcat",
        "C",
        python("kcat"),
        lacks=frozenset(
            [
                *("no create", "no configs", "no alter", "no replace", "no add_partitions"),
                *("no delete_records", "no delete", NO_MAX_TIMESTAMP),
                "headers are arguments, which have no zero byte",
            ]
        ),
        cannot_write=frozenset(["binary header"]),
        cannot_read=frozenset(["binary header"]),
        timestamps=False,
        notes="`-L -t` creates a topic that does not exist; " + KEYS_BY_CRC,
    ),
    Client(
        "java",
        "Java kafka-clients",
        "Java",
        (
            "java",
            *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"),
            "-cp",
            f"{BUILT / 'java/classes'}{os.pathsep}{BUILT / 'java/jars'}/*",
            "Speaker",
        ),
        needs=(BUILT / "java/classes/Speaker.class",),
        target="client-java",
        lacks=frozenset(["no replace"]),
    ),
    Client(
        "franz",
        "franz-go",
        "Go",
        (str(BUILT / "go/speak"),),
        needs=(BUILT / "go/speak",),
        target="client-go",
    ),
    Client(
        "rdkafka",
        "rdkafka",
        "Rust",
        (str(BUILT / "rust/target/debug/speak_rdkafka"),),
        needs=(BUILT / "rust/target/debug/speak_rdkafka",),
        target="client-rust",
        lacks=frozenset(["no alter", NO_MAX_TIMESTAMP]),
        mute=frozenset(["configs", "replace"]),
        notes=REPLACES
        + ", and passes no refusal of them on (nor of describing them); "
        + KEYS_BY_CRC,
    ),
    Client(
        "rskafka",
        "rskafka",
        "Rust",
        (str(BUILT / "rust/target/debug/speak_rskafka"),),
        needs=(BUILT / "rust/target/debug/speak_rskafka",),
        target="client-rust",
        lacks=frozenset(
            [
                *("no describe", "no configs", "no alter", "no replace", "no add_partitions"),
                *("no partitioner", "no idempotence", "no acks but all", NO_MAX_TIMESTAMP),
                *("no repeated header names", "no order of headers but the names'", NO_NULL_HEADER),
            ]
        ),
        cannot_write=frozenset(["repeated header", "unsorted headers", "null header"]),
        cannot_read=frozenset(["repeated header", "unsorted headers", "null header"]),
    ),
    Client(
        "kafkajs",
        "KafkaJS",
        "JavaScript",
        ("node", str(HERE / "node/speak.mjs")),
        needs=(BUILT / "node/node_modules/kafkajs/package.json",),
        target="client-node",
        lacks=frozenset(
            [
                *(
                    "no lz4 without a package of one's own",
                    "no zstd without a package of one's own",
                ),
                *("no read", "no alter", NO_MAX_TIMESTAMP, NO_NULL_HEADER),
            ]
        ),
        cannot_write=frozenset(["null header"]),
        reads=False,
        notes="no manual assignment: it reads only as a group, which is not served yet; "
        "snappy by the package `kafkajs-snappy`; `deleteTopicRecords` needs a `fetchTopicOffsets` "
        "before it; `createTopics` says `false` of a topic that exists; " + REPLACES,
        environment={"CLIENT_MODULES": str(BUILT / "node")},
    ),
)


def locked() -> dict[str, str]:
    """The version of each client that the lock files name; kcat is Debian's."""
    python_locks = (ROOT / "requirements/dev.txt").read_text()
    pinned = dict(re.findall(r"^([a-z-]+)==(\S+)", python_locks, re.M))
    pom = (HERE / "java/pom.xml").read_text()
    java = re.search(r"<artifactId>kafka-clients</artifactId>\s*<version>([^<]+)<", pom)
    go = re.search(r"franz-go (v\S+)", (HERE / "go/go.mod").read_text())
    crates = dict(
        re.findall(r'name = "(\w+)"\nversion = "([^"]+)"', (HERE / "rust/crates.lock").read_text())
    )
    packages = json.loads((HERE / "node/package-lock.json").read_text())["packages"]
    assert java is not None and go is not None
    return {
        "confluent": pinned["confluent-kafka"],
        "aiokafka": pinned["aiokafka"],
        "kafka_python": pinned["kafka-python"],
        "java": java[1],
        "franz": go[1],
        "rdkafka": crates["rdkafka"],
        "rskafka": crates["rskafka"],
        "kafkajs": packages["node_modules/kafkajs"]["version"],
    }
