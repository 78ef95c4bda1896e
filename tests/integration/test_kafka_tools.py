"""Apache Kafka's own command-line tools against us: what an operator of Kafka types every day.

`make kafka-tools` fetches them. Each call is a Java process of its own, so there are few.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.broker import BrokerProcess

JARS = Path(__file__).parents[2] / ".cache" / "kafka-tools"
TOPICS = "org.apache.kafka.tools.TopicCommand"
CONFIGS = "kafka.admin.ConfigCommand"
LOG_DIRS = "org.apache.kafka.tools.LogDirsCommand"
DELETE_RECORDS = "org.apache.kafka.tools.DeleteRecordsCommand"
GET_OFFSETS = "org.apache.kafka.tools.GetOffsetShell"
QUORUM = "org.apache.kafka.tools.MetadataQuorumCommand"
CLUSTER = "org.apache.kafka.tools.ClusterTool"

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(
        shutil.which("java") is None or not (JARS / ".fetched").exists(),
        reason="Kafka's own tools are not here: `make kafka-tools` fetches them",
    ),
]


def run(broker: BrokerProcess, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # For a process that lives for a second the first compiler is enough.
    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx128m", tool]
    flags = ["--bootstrap-server", broker.address]
    before = [arguments[0], *flags] if tool == CLUSTER else flags
    rest = arguments[1:] if tool == CLUSTER else arguments
    return subprocess.run(
        [*java, *before, *rest],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"CLASSPATH": f"{JARS}/*"},
    )


def made(broker: BrokerProcess, topic: str, **configs: str) -> None:
    """A topic, without another Java process."""
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(topic, 1, 1, config=configs)])[topic].result(20)


def told(broker: BrokerProcess, tool: str, *arguments: str) -> str:
    done = run(broker, tool, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def changed(broker: BrokerProcess, kind: str, *arguments: str) -> str:
    return told(broker, CONFIGS, "--alter", "--entity-type", kind, *arguments)


def described(broker: BrokerProcess, kind: str, *arguments: str) -> dict[str, str]:
    """What `kafka-configs --describe` shows: each config's value with its places."""
    text = told(broker, CONFIGS, "--describe", "--entity-type", kind, *arguments)
    rows = re.findall(r"^  (\S+?)=(.*) sensitive=\w+ synonyms=(\{.*\})$", text, re.MULTILINE)
    return {name: f"{value} {places}" for name, value, places in rows}


def test_topics_are_created_described_altered_and_deleted(broker: BrokerProcess) -> None:
    create = ("--create", "--topic", "tools", "--partitions", "2", "--config", "retention.ms=60000")
    assert "Created topic tools." in told(broker, TOPICS, *create)
    told(broker, TOPICS, "--alter", "--topic", "tools", "--partitions", "3")
    fewer = run(broker, TOPICS, "--alter", "--topic", "tools", "--partitions", "2")
    assert "currently has 3 partition(s); 2 would not be an increase." in fewer.stdout
    shown = told(broker, TOPICS, "--describe", "--topic", "tools")
    assert re.search(r"PartitionCount: 3\s+ReplicationFactor: 1\s+Configs: .*ms=60000", shown)
    assert len(re.findall(r"Topic: tools\s+Partition: \d\s+Leader: 1\s+Replicas: 1", shown)) == 3
    told(broker, TOPICS, "--delete", "--topic", "tools")
    assert "tools" not in told(broker, TOPICS, "--list").split()


def test_configs_of_topics_are_added_and_deleted(broker: BrokerProcess) -> None:
    made(broker, "configured", **{"retention.ms": "60000"})
    topic = ("--entity-name", "configured")
    policy = ("--add-config", "cleanup.policy=[compact,delete]")
    changed(broker, "topics", *topic, *policy, "--delete-config", "retention.ms")
    shown = described(broker, "topics", *topic)
    assert list(shown) == ["cleanup.policy"]
    assert shown["cleanup.policy"].startswith(
        "compact,delete {DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:"
    )
    wrong = ("--alter", "--entity-type", "topics", *topic, "--add-config", "retention.ms=soon")
    refused = run(broker, CONFIGS, *wrong)
    assert refused.returncode == 1
    assert "Invalid value soon for configuration retention.ms" in refused.stdout + refused.stderr


def test_configs_of_brokers_are_inherited(broker: BrokerProcess) -> None:
    made(broker, "app.orders.paid")
    changed(broker, "brokers", "--entity-default", "--add-config", "log.retention.ms=70000")
    changed(broker, "brokers", "--entity-name", "1", "--add-config", "log.retention.bytes=1000000")
    assert described(broker, "brokers", "--entity-default") == {
        "log.retention.ms": "70000 {DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=70000}"
    }
    # The tool changes a prefix, though it refuses to describe what is no topic's name.
    prefix = ("--entity-name", "app.orders.*")
    changed(broker, "topics", *prefix, "--add-config", "segment.ms=3600000")
    shown = described(broker, "topics", "--all", "--entity-name", "app.orders.paid")
    assert shown["retention.ms"].startswith("70000 {DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms")
    assert shown["retention.bytes"].startswith("1000000 {DYNAMIC_BROKER_CONFIG:log.retention.bytes")
    assert shown["segment.ms"].startswith(
        "3600000 {DYNAMIC_DEFAULT_BROKER_CONFIG:app.orders.*:segment.ms=3600000"
    )
    changed(broker, "brokers", "--entity-default", "--delete-config", "log.retention.ms")
    assert described(broker, "brokers", "--entity-default") == {}


def test_records_offsets_and_directories(broker: BrokerProcess, tmp_path: Path) -> None:
    made(broker, "counted")
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 0})
    for _ in range(4):
        producer.produce("counted", b"x")
        assert producer.flush(20) == 0
    offsets = tmp_path / "offsets.json"
    partitions = [{"topic": "counted", "partition": 0, "offset": 3}]
    offsets.write_text(json.dumps({"partitions": partitions, "version": 1}))
    deleted = told(broker, DELETE_RECORDS, "--offset-json-file", str(offsets))
    assert re.search(r"counted-0\s+low_watermark: 3", deleted)
    for time, offset in (("earliest", 3), ("max-timestamp", 3)):
        found = told(broker, GET_OFFSETS, "--topic", "counted", "--time", time)
        assert found.split() == [f"counted:0:{offset}"], time
    directories = told(broker, LOG_DIRS, "--describe", "--topic-list", "counted")
    (row,) = [line for line in directories.splitlines() if line.startswith("{")]
    (directory,) = json.loads(row)["brokers"][0]["logDirs"]
    assert directory["logDir"] == str(broker.data) and directory["error"] is None
    assert [each["partition"] for each in directory["partitions"]] == ["counted-0"]
    assert directory["partitions"][0]["size"] > 0


def test_the_cluster_and_its_quorum(broker: BrokerProcess) -> None:
    status = told(broker, QUORUM, "describe", "--status")
    cluster_id = re.search(r"^ClusterId:\s+(\S{22})$", status, re.MULTILINE)
    assert cluster_id and re.search(r"^LeaderId:\s+1$", status, re.MULTILINE)
    assert f"PLAIN://{broker.address}" in status
    assert cluster_id[1] in told(broker, CLUSTER, "cluster-id")
    endpoints = told(broker, CLUSTER, "list-endpoints")
    assert re.search(rf"^1\s+127\.0\.0\.1\s+{broker.port}\s", endpoints, re.MULTILINE)
