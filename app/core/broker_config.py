"""Broker configs: Kafka's names for what a broker's file and its running settings mean here.

Owns    which of Kafka's broker configs exist here, their types, defaults and bounds, which may
        change at run time, and of which topic config each is the default.
Never   reads a file: `app.broker_configs` says what a broker's file sets, in these names.
Trusts  nothing: values are texts from clients.

Only configs that have an effect here are listed, beside the few that clients look for. Listeners,
which Kafka lets an administrator move, are read-only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from app import limits
from app.core import topic_config
from app.core.options import Kind, Option

Dynamic = Literal["read-only", "cluster-wide"]
"""`cluster-wide` may be set for all brokers, and for one, whose value then wins there."""

PRODUCER_EXPIRATION_MS = "producer.id.expiration.ms"
CONNECTIONS_MAX = "max.connections"


@dataclass(frozen=True, slots=True)
class BrokerOption(Option):
    """`topic` names the topic config that this is the default of. `older` are configs that say the
    same in coarser units, and count where this one is not set."""

    dynamic: Dynamic = "read-only"
    topic: str = ""
    older: tuple[str, ...] = ()


# Topic config -> the broker config that is its default (Kafka's `ServerTopicConfigSynonyms`).
_DEFAULT_OF: Mapping[str, str] = {
    "cleanup.policy": "log.cleanup.policy",
    "delete.retention.ms": "log.cleaner.delete.retention.ms",
    "file.delete.delay.ms": "log.segment.delete.delay.ms",
    "flush.messages": "log.flush.interval.messages",
    "flush.ms": "log.flush.interval.ms",
    "index.interval.bytes": "log.index.interval.bytes",
    "max.compaction.lag.ms": "log.cleaner.max.compaction.lag.ms",
    "max.message.bytes": "message.max.bytes",
    "message.timestamp.after.max.ms": "log.message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms": "log.message.timestamp.before.max.ms",
    "message.timestamp.type": "log.message.timestamp.type",
    "min.cleanable.dirty.ratio": "log.cleaner.min.cleanable.ratio",
    "min.compaction.lag.ms": "log.cleaner.min.compaction.lag.ms",
    "preallocate": "log.preallocate",
    "retention.bytes": "log.retention.bytes",
    "retention.ms": "log.retention.ms",
    "segment.bytes": "log.segment.bytes",
    "segment.index.bytes": "log.index.size.max.bytes",
    "segment.jitter.ms": "log.roll.jitter.ms",
    "segment.ms": "log.roll.ms",
}
_OLDER: Mapping[str, tuple[str, ...]] = {
    "log.retention.ms": ("log.retention.minutes", "log.retention.hours"),
    "log.roll.jitter.ms": ("log.roll.jitter.hours",),
    "log.roll.ms": ("log.roll.hours",),
}
_NOT_SET = frozenset({*_OLDER, "log.flush.interval.ms"})


def _default_of(option: Option) -> BrokerOption:
    name = _DEFAULT_OF.get(option.name, option.name)
    return BrokerOption(
        name,
        option.kind,
        None if name in _NOT_SET else option.default,
        f"What a topic has that does not set {option.name}. {option.doc}",
        option.minimum,
        option.maximum,
        option.allowed,
        option.gap,
        dynamic="cluster-wide",
        topic=option.name,
        older=_OLDER.get(name, ()),
    )


_OTHERS = (
    BrokerOption(
        "advertised.listeners",
        Kind.STRING,
        None,
        "Where clients are told to connect to, by the name of the listener.",
    ),
    BrokerOption(
        "auto.create.topics.enable",
        Kind.BOOLEAN,
        "true",
        "Whether Metadata for an unknown topic creates it, if the client allows.",
    ),
    BrokerOption("broker.id", Kind.INT, "-1", "This broker's id."),
    BrokerOption("broker.rack", Kind.STRING, None, "This broker's rack."),
    BrokerOption(
        "connections.max.idle.ms",
        Kind.LONG,
        str(limits.CONNECTION_IDLE_MS_MAX),
        "A connection without a request for so long is closed.",
    ),
    BrokerOption(
        "default.replication.factor",
        Kind.INT,
        "1",
        "Replicas of a topic whose creator does not say.",
    ),
    BrokerOption("delete.topic.enable", Kind.BOOLEAN, "true", "Topics can be deleted."),
    BrokerOption(
        "fetch.max.bytes",
        Kind.INT,
        str(limits.FETCH_RESPONSE_BYTES_MAX),
        "The most bytes of one Fetch answer, whatever the client asks for.",
    ),
    BrokerOption("listeners", Kind.STRING, None, "Where this broker listens, by name."),
    BrokerOption("log.dirs", Kind.STRING, None, "The directory of everything durable."),
    BrokerOption(
        "log.retention.check.interval.ms",
        Kind.LONG,
        "300000",
        "How often retention is applied.",
    ),
    BrokerOption(
        "log.retention.hours",
        Kind.INT,
        "168",
        "Kafka's log.retention.ms in hours; counts where that one is not set.",
    ),
    BrokerOption(
        "log.retention.minutes",
        Kind.INT,
        None,
        "Kafka's log.retention.ms in minutes; never set here.",
    ),
    BrokerOption(
        "log.roll.hours",
        Kind.INT,
        "168",
        "Kafka's log.roll.ms in hours; counts where that one is not set.",
    ),
    BrokerOption(
        "log.roll.jitter.hours",
        Kind.INT,
        "0",
        "Kafka's log.roll.jitter.ms in hours; counts where that one is not set.",
    ),
    BrokerOption(
        CONNECTIONS_MAX,
        Kind.INT,
        str(limits.CONNECTIONS_MAX),
        "The most open connections; one more is closed at once.",
        minimum=0,
        dynamic="cluster-wide",
    ),
    BrokerOption(
        "max.incremental.fetch.session.cache.slots",
        Kind.INT,
        str(limits.FETCH_SESSIONS_MAX),
        "The most incremental fetch sessions kept.",
    ),
    BrokerOption("node.id", Kind.INT, None, "This broker's id."),
    BrokerOption(
        "num.partitions", Kind.INT, "1", "Partitions of a topic whose creator does not say."
    ),
    BrokerOption(
        PRODUCER_EXPIRATION_MS,
        Kind.INT,
        str(limits.PRODUCER_EXPIRATION_MS),
        "How long an idle producer's sequences are remembered.",
        minimum=1,
        dynamic="cluster-wide",
    ),
    BrokerOption(
        "socket.request.max.bytes",
        Kind.INT,
        str(limits.REQUEST_BYTES_MAX),
        "The largest request; a larger one closes its connection.",
    ),
    BrokerOption(
        "streambus.wal.sync",
        Kind.STRING,
        "block",
        "When a produce is acknowledged: after the sync of its block, or before it.",
    ),
)

TABLE: tuple[BrokerOption, ...] = tuple(
    sorted(
        [*map(_default_of, topic_config.TABLE), *_OTHERS],
        key=lambda option: option.name,
    )
)

OPTIONS: Mapping[str, BrokerOption] = {option.name: option for option in TABLE}
DEFAULT_OF: Mapping[str, BrokerOption] = {option.topic: option for option in TABLE if option.topic}
"""By the name of the topic config."""


def topic_defaults(levels: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Topic configs that the levels (this broker's, all brokers', the file's) set, the first level
    that has one deciding."""
    names = [(name, option.name) for name, option in DEFAULT_OF.items()]
    found: dict[str, str] = {}
    for level in levels:
        for topic_name, broker_name in names:
            if broker_name in level:
                found.setdefault(topic_name, level[broker_name])
    return found


def number(levels: Iterable[Mapping[str, str]], name: str) -> int:
    """The value of a whole number that has a default."""
    option = OPTIONS[name]
    text = next((level[name] for level in levels if name in level), option.default)
    value = option.parse(text or "")
    assert isinstance(value, int), name
    return value
