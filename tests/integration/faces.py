"""The three faces of one set of operations, each driven as its users drive it.

Every method answers in the same plain words whatever the face: a value, or `Refused` with Kafka's
code of the error and its message. Nothing is shared with the broker but those codes.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from confluent_kafka import (
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

from benchmarks.broker import BrokerProcess
from tests.integration import admin_wire
from tests.integration.wire import Wire

SECONDS = 20


@dataclass(frozen=True)
class Refused:
    """`code` is Kafka's number (36 is TOPIC_ALREADY_EXISTS)."""

    code: int
    message: str
    """Empty where the answer has no room for one (DeleteRecords, Metadata, old versions)."""


@dataclass(frozen=True)
class Config:
    value: str | None
    source: str  # topic, prefix, broker, brokers, file or default


Answer = Any


class Face(ABC):
    name: str

    @abstractmethod
    def create(self, name: str, partitions: int, replicas: int, configs: dict[str, str]) -> Answer:
        """(partitions, replicas) of what was made."""

    @abstractmethod
    def names(self, prefix: str) -> list[str]: ...

    @abstractmethod
    def describe(self, name: str) -> Answer:
        """[(partition, leader, replicas, isr)], or Refused."""

    @abstractmethod
    def configs(self, kind: str, name: str, names: list[str]) -> Answer:
        """name -> Config of those names."""

    @abstractmethod
    def alter(self, kind: str, name: str, changes: list[tuple[str, str, str | None]]) -> Answer:
        """`changes` are (set | delete | append | subtract, config, value); None if it was done."""

    @abstractmethod
    def add_partitions(self, name: str, total: int) -> Answer:
        """None if it was done."""

    @abstractmethod
    def delete_records(self, name: str, partition: int, offset: int) -> Answer:
        """The new log start."""

    @abstractmethod
    def log_ends(self, name: str, partition: int) -> Answer:
        """(log start, high watermark)."""

    @abstractmethod
    def delete(self, name: str) -> Answer:
        """None if it was done."""

    @abstractmethod
    def cluster(self) -> Answer:
        """(cluster id, controller, broker ids)."""


# Kafka's protocol, by librdkafka's admin client

_SOURCES = {1: "topic", 2: "broker", 3: "brokers", 4: "file", 5: "default"}


def _source(number: int, synonyms: Iterable[str]) -> str:
    """Kafka has no word for a prefix: its name stands before the config's in a synonym."""
    return "prefix" if any(".*:" in each for each in synonyms) else _SOURCES[number]


class KafkaFace(Face):
    name = "kafka"

    def __init__(self, broker: BrokerProcess) -> None:
        self.address = broker.address
        self.client = AdminClient({"bootstrap.servers": broker.address})
        # librdkafka asks the broker that a broker's configs name, and cannot name all of them.
        self.wire = Wire(broker)

    def _do(self, ask: Callable[[], Any]) -> Answer:
        try:
            return ask()
        except KafkaException as raised:
            error = raised.args[0]
            # librdkafka's own words for a code stand where the answer has none.
            own_words = error.str().startswith("Broker: ")
            return Refused(error.code(), "" if own_words else error.str())

    def create(self, name: str, partitions: int, replicas: int, configs: dict[str, str]) -> Answer:
        def ask() -> Answer:
            topic = NewTopic(name, partitions, replicas, config=configs)
            self.client.create_topics([topic])[name].result(SECONDS)
            return partitions, replicas

        return self._do(ask)

    def names(self, prefix: str) -> list[str]:
        topics = self.client.list_topics(timeout=SECONDS).topics
        return sorted(name for name in topics if name.startswith(prefix))

    def describe(self, name: str) -> Answer:
        def ask() -> Answer:
            asked = self.client.describe_topics(TopicCollection([name]))
            return [
                (
                    each.id,
                    each.leader.id,
                    [node.id for node in each.replicas],
                    [node.id for node in each.isr],
                )
                for each in asked[name].result(SECONDS).partitions
            ]

        return self._do(ask)

    def configs(self, kind: str, name: str, names: list[str]) -> Answer:
        if kind == "broker":
            return self._broker_configs(name, names)

        def ask() -> Answer:
            resource = ConfigResource(ConfigResource.Type.TOPIC, name)
            found = self.client.describe_configs([resource])[resource].result(SECONDS)
            return {
                each: Config(found[each].value, _source(found[each].source, found[each].synonyms))
                for each in names
            }

        return self._do(ask)

    def _broker_configs(self, name: str, names: list[str]) -> Answer:
        result = admin_wire.describe_configs(self.wire, admin_wire.BROKER, name)
        if result.error_code:
            return Refused(result.error_code, result.error_message)
        found = {each.name: each for each in result.configs}
        return {
            each: Config(found[each].value, _SOURCES[found[each].config_source]) for each in names
        }

    def alter(self, kind: str, name: str, changes: list[tuple[str, str, str | None]]) -> Answer:
        if kind == "broker":
            values = {config: value for _, config, value in changes}
            fields = admin_wire.changes(admin_wire.BROKER, name, values)
            answer = admin_wire.ask(self.wire, "IncrementalAlterConfigs", **fields)
            (one,) = answer.responses
            return Refused(one.error_code, one.error_message) if one.error_code else None

        def ask() -> Answer:
            resource = ConfigResource(ConfigResource.Type.TOPIC, name)
            for change, config, value in changes:
                operation = AlterConfigOpType[change.upper()]
                resource.add_incremental_config(
                    ConfigEntry(config, value, incremental_operation=operation)
                )
            self.client.incremental_alter_configs([resource])[resource].result(SECONDS)

        return self._do(ask)

    def add_partitions(self, name: str, total: int) -> Answer:
        def ask() -> None:
            self.client.create_partitions([NewPartitions(name, total)])[name].result(SECONDS)

        return self._do(ask)

    def delete_records(self, name: str, partition: int, offset: int) -> Answer:
        def ask() -> Answer:
            where = TopicPartition(name, partition, offset)
            return self.client.delete_records([where])[where].result(SECONDS).low_watermark

        return self._do(ask)

    def log_ends(self, name: str, partition: int) -> Answer:
        def ask() -> Answer:
            where = TopicPartition(name, partition)
            specs = (OffsetSpec.earliest(), OffsetSpec.latest())
            asked = [self.client.list_offsets({where: spec})[where] for spec in specs]
            return tuple([each.result(SECONDS).offset for each in asked])

        return self._do(ask)

    def delete(self, name: str) -> Answer:
        return self._do(lambda: self.client.delete_topics([name])[name].result(SECONDS))

    def cluster(self) -> Answer:
        def ask() -> Answer:
            found = self.client.describe_cluster().result(SECONDS)
            return found.cluster_id, found.controller.id, sorted(node.id for node in found.nodes)

        return self._do(ask)


# REST, by the standard library


class RestFace(Face):
    name = "rest"

    def __init__(self, address: str) -> None:
        self.url = f"http://{address}/v1"

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answered:
                text = answered.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            assert error.headers["Content-Type"] == "application/problem+json", error.headers
            problem = json.loads(error.read())
            return Refused(problem["error_code"], problem["detail"])

    def create(self, name: str, partitions: int, replicas: int, configs: dict[str, str]) -> Answer:
        wanted = {
            "name": name,
            "partitions": partitions,
            "replication_factor": replicas,
            "configs": configs,
        }
        made = self.ask("POST", "/topics", wanted)
        if isinstance(made, Refused):
            return made
        return made["partition_count"], made["replication_factor"]

    def names(self, prefix: str) -> list[str]:
        found = self.ask("GET", f"/topics?prefix={quote(prefix)}")
        return [topic["name"] for topic in found["topics"]]

    def describe(self, name: str) -> Answer:
        found = self.ask("GET", f"/topics/{quote(name)}/partitions")
        if isinstance(found, Refused):
            return found
        return [
            (each["partition"], each["leader"], each["replicas"], each["isr"])
            for each in found["partitions"]
        ]

    @staticmethod
    def _path(kind: str, name: str) -> str:
        return f"/{kind}s/{quote(name or 'default')}/configs"

    def configs(self, kind: str, name: str, names: list[str]) -> Answer:
        found = self.ask("GET", self._path(kind, name))
        if isinstance(found, Refused):
            return found
        by_name = {each["name"]: each for each in found["configs"]}
        return {each: Config(by_name[each]["value"], by_name[each]["source"]) for each in names}

    def alter(self, kind: str, name: str, changes: list[tuple[str, str, str | None]]) -> Answer:
        wanted = [
            {"name": config, "change": change, "value": value} for change, config, value in changes
        ]
        done = self.ask("PATCH", self._path(kind, name), {"changes": wanted})
        return done if isinstance(done, Refused) else None

    def add_partitions(self, name: str, total: int) -> Answer:
        done = self.ask("POST", f"/topics/{quote(name)}/partitions", {"total": total})
        return done if isinstance(done, Refused) else None

    def delete_records(self, name: str, partition: int, offset: int) -> Answer:
        wanted = {"partitions": [{"partition": partition, "offset": offset}]}
        done = self.ask("DELETE", f"/topics/{quote(name)}/records", wanted)
        if isinstance(done, Refused):
            return done
        (one,) = done["partitions"]
        if "error" in one:
            return Refused(one["error"]["error_code"], one["error"]["detail"])
        return one["log_start"]

    def log_ends(self, name: str, partition: int) -> Answer:
        found = self.ask("GET", f"/topics/{quote(name)}/partitions")
        if isinstance(found, Refused):
            return found
        one = found["partitions"][partition]
        return one["log_start"], one["high_watermark"]

    def delete(self, name: str) -> Answer:
        done = self.ask("DELETE", f"/topics/{quote(name)}")
        return done if isinstance(done, Refused) else None

    def cluster(self) -> Answer:
        found = self.ask("GET", "/cluster")
        return (
            found["cluster_id"],
            found["controller_id"],
            sorted(each["broker_id"] for each in found["brokers"]),
        )


# The command line, as a process


class CliFace(Face):
    name = "cli"

    def __init__(self, address: str) -> None:
        self.api = f"http://{address}"

    def run(self, *words: str) -> Answer:
        program = Path(sys.executable).with_name("streambus")
        ended = subprocess.run(
            [program, *words, "--api", self.api, "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if ended.returncode == 0:
            return json.loads(ended.stdout) if ended.stdout.strip() else None
        problem = json.loads(ended.stdout)
        assert problem["detail"] in ended.stderr, ended
        return Refused(problem["error_code"], problem["detail"])

    def create(self, name: str, partitions: int, replicas: int, configs: dict[str, str]) -> Answer:
        words = ["topics", "create", "--partitions", str(partitions)]
        words += ["--replication-factor", str(replicas)]
        for config, value in configs.items():
            words += ["--config", f"{config}={value}"]
        made = self.run(*words, name)
        if isinstance(made, Refused):
            return made
        return made["partition_count"], made["replication_factor"]

    def names(self, prefix: str) -> list[str]:
        return [each["name"] for each in self.run("topics", "list", "--prefix", prefix)["topics"]]

    def describe(self, name: str) -> Answer:
        found = self.run("topics", "describe", name)
        if isinstance(found, Refused):
            return found
        return [
            (each["partition"], each["leader"], each["replicas"], each["isr"])
            for each in found["partitions"]
        ]

    def configs(self, kind: str, name: str, names: list[str]) -> Answer:
        found = self.run(f"{kind}s", "describe", *([name] if name else ["default"]))
        if isinstance(found, Refused):
            return found
        by_name = {each["name"]: each for each in found["configs"]}
        return {each: Config(by_name[each]["value"], by_name[each]["source"]) for each in names}

    def alter(self, kind: str, name: str, changes: list[tuple[str, str, str | None]]) -> Answer:
        words = [f"{kind}s", "alter", name or "default"]
        for change, config, value in changes:
            words += [f"--{change}", config if change == "delete" else f"{config}={value}"]
        done = self.run(*words)
        return done if isinstance(done, Refused) else None

    def add_partitions(self, name: str, total: int) -> Answer:
        done = self.run("topics", "add-partitions", name, "--total", str(total))
        return done if isinstance(done, Refused) else None

    def delete_records(self, name: str, partition: int, offset: int) -> Answer:
        done = self.run(
            "topics", "delete-records", name, "--before", f"{partition}={offset}", "--yes"
        )
        if isinstance(done, Refused):
            return done
        return done["partitions"][0]["log_start"]

    def log_ends(self, name: str, partition: int) -> Answer:
        found = self.run("topics", "describe", name)
        if isinstance(found, Refused):
            return found
        one = found["partitions"][partition]
        return one["log_start"], one["high_watermark"]

    def delete(self, name: str) -> Answer:
        done = self.run("topics", "delete", name, "--yes")
        return done if isinstance(done, Refused) else None

    def cluster(self) -> Answer:
        found = self.run("cluster", "describe")
        return (
            found["cluster_id"],
            found["controller_id"],
            sorted(each["broker_id"] for each in found["brokers"]),
        )
