"""A broker's file in Kafka's words."""

from app.broker_configs import kafka_configs
from app.config import BrokerConfig, LimitsConfig, ListenerConfig, TopicsConfig, WalConfig
from app.core import broker_config

ALWAYS = {
    "advertised.listeners": "plain://127.0.0.1:9092",
    "broker.id": "1",
    "listeners": "plain://127.0.0.1:9092",
    "log.dirs": "./.streambus",
    "node.id": "1",
}


def test_a_file_that_says_nothing_sets_only_what_every_broker_has() -> None:
    assert kafka_configs(BrokerConfig()) == ALWAYS


def test_what_differs_from_its_default_is_set() -> None:
    config = BrokerConfig(
        broker_id=7,
        data="/data",
        rack="r",
        listeners=(
            ListenerConfig("127.0.0.1:1", name="inner"),
            ListenerConfig("127.0.0.1:2", name="outer", advertised="example.org:9"),
        ),
        wal=WalConfig(sync="os"),
        topics=TopicsConfig(
            auto_create=False,
            partitions=4,
            replication_factor=3,
            retention_check_ms=5,
            configs={"retention.ms": "6", "compression.type": "zstd", "cleanup.policy": "delete"},
        ),
        limits=LimitsConfig(
            connections=10,
            request_bytes=11,
            connection_idle_ms=12,
            fetch_response_bytes=13,
            fetch_sessions=14,
            producer_expiration_ms=15,
        ),
    )
    assert kafka_configs(config) == {
        "advertised.listeners": "inner://127.0.0.1:1,outer://example.org:9",
        "auto.create.topics.enable": "false",
        "broker.id": "7",
        "broker.rack": "r",
        "compression.type": "zstd",
        "connections.max.idle.ms": "12",
        "default.replication.factor": "3",
        "fetch.max.bytes": "13",
        "listeners": "inner://127.0.0.1:1,outer://127.0.0.1:2",
        "log.dirs": "/data",
        "log.retention.check.interval.ms": "5",
        "log.retention.ms": "6",
        "max.connections": "10",
        "max.incremental.fetch.session.cache.slots": "14",
        "node.id": "7",
        "num.partitions": "4",
        "producer.id.expiration.ms": "15",
        "socket.request.max.bytes": "11",
        "streambus.wal.sync": "os",
    }


def test_every_name_is_one_that_a_broker_has() -> None:
    config = BrokerConfig(rack="r", wal=WalConfig(sync="os"))
    for name, text in kafka_configs(config).items():
        broker_config.OPTIONS[name].parse(text)
