"""A broker's file in Kafka's words: what its settings are called where Kafka's clients look.

Owns    which setting is which of Kafka's broker configs.
Never   reads the file: `app.config` did. What changes at run time is in the manifest.
"""

from app.config import BrokerConfig
from app.core import broker_config


def kafka_configs(config: BrokerConfig) -> dict[str, str]:
    """What the broker was started with, by Kafka's names: what every broker has of its own, and
    whatever differs from its default."""
    doors = config.doors()
    always = {
        "broker.id": str(config.broker_id),
        "node.id": str(config.broker_id),
        "listeners": ",".join([f"{door.name}://{door.address}" for door in doors]),
        "advertised.listeners": ",".join(
            [f"{door.name}://{door.advertised or door.address}" for door in doors]
        ),
        "log.dirs": config.data,
    }
    if config.rack is not None:
        always["broker.rack"] = config.rack
    bounds, topics = config.limits, config.topics
    settings = {
        "auto.create.topics.enable": str(topics.auto_create).lower(),
        "connections.max.idle.ms": str(bounds.connection_idle_ms),
        "default.replication.factor": str(topics.replication_factor),
        "fetch.max.bytes": str(bounds.fetch_response_bytes),
        "log.retention.check.interval.ms": str(topics.retention_check_ms),
        broker_config.CONNECTIONS_MAX: str(bounds.connections),
        "max.incremental.fetch.session.cache.slots": str(bounds.fetch_sessions),
        "num.partitions": str(topics.partitions),
        broker_config.PRODUCER_EXPIRATION_MS: str(bounds.producer_expiration_ms),
        "socket.request.max.bytes": str(bounds.request_bytes),
        "streambus.wal.sync": config.wal.sync,
    }
    for name, text in topics.configs.items():
        settings[broker_config.DEFAULT_OF[name].name] = text
    given = {
        name: text for name, text in settings.items() if text != broker_config.OPTIONS[name].default
    }
    return {**given, **always}
