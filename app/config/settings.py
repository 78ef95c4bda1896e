"""Every setting: its type, default, bounds, unit, and what it means, in one place.

Owns    the shape and defaults of a broker's configuration. The table in docs/configuration.md, the
        JSON Schema and the commented file of `streambus config init` are made of what stands here.
Never   reads anything: `app.config.sources` does, and `app.config.rules` says what cannot work.
"""

from collections import Counter
from typing import Annotated, Literal

import msgspec

from app import limits

KAFKA_PORT = 9092
API_PORT = 9080

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1


def setting(
    doc: str,
    *,
    unit: str = "",
    least: int | None = None,
    most: int | None = None,
    at_once: str = "",
) -> msgspec.Meta:
    """What is known of a setting beside its type and default. `at_once` is the Kafka broker config
    that changes it while the broker runs (of `topics.configs` one of many); without one it takes
    effect at the next start."""
    extra = {"unit": unit, "at_once": at_once}
    return msgspec.Meta(description=doc, ge=least, le=most, extra=extra)


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PEM files of a TLS listener; `client_ca` asks clients for a certificate that it signed."""

    certificate: Annotated[str, setting("PEM file of the certificate, and of those that signed it")]
    key: Annotated[str, setting("PEM file of its private key")]
    client_ca: Annotated[
        str | None, setting("PEM file of who signs clients' certificates; they must have one then")
    ] = None


class ListenerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One door: where to listen, and what its clients are told to connect to (the same if
    `advertised` is unset; a port of 0 there is the one that was bound). `BrokerConfig.doors` gives
    a name to one that has none."""

    address: Annotated[str, setting("host:port to listen on")] = f"127.0.0.1:{KAFKA_PORT}"
    name: Annotated[str, setting("what brokers of a cluster call this kind of listener alike")] = ""
    advertised: Annotated[
        str | None, setting("host:port that its clients are told to connect to")
    ] = None
    tls: Annotated[Tls | None, setting("its TLS files; without them it speaks in the clear")] = None


class WalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """the write-ahead log"""

    sync: Annotated[
        str,
        setting(
            "`block`: a produce is acknowledged after the sync of its block. `interval:<ms>`: after"
            " the write, with a sync every so often; a power cut may take what was acknowledged"
            " since. `os`: after the write, synced when the system likes"
        ),
    ] = "block"
    segment_bytes: Annotated[
        int,
        setting(
            "size of one segment",
            unit="bytes",
            least=limits.SEGMENT_BYTES_MIN,
            most=limits.SEGMENT_BYTES_MAX,
        ),
    ] = limits.SEGMENT_BYTES


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bounds; over one is a clear error"""

    connections: Annotated[
        int,
        setting(
            "open connections; one more is closed at once",
            least=1,
            most=INT32_MAX,
            at_once="max.connections",
        ),
    ] = limits.CONNECTIONS_MAX
    request_bytes: Annotated[
        int,
        setting(
            "one request; a larger one closes its connection", unit="bytes", least=1, most=INT32_MAX
        ),
    ] = limits.REQUEST_BYTES_MAX
    connection_idle_ms: Annotated[
        int,
        setting(
            "a connection without a request for so long is closed",
            unit="ms",
            least=1,
            most=INT64_MAX,
        ),
    ] = limits.CONNECTION_IDLE_MS_MAX
    connection_in_flight_bytes: Annotated[
        int,
        setting(
            "produced and not yet acknowledged, per connection; above it the connection is not "
            "read",
            unit="bytes",
            least=1,
            most=INT64_MAX,
        ),
    ] = limits.CONNECTION_IN_FLIGHT_BYTES_MAX
    receive_pool_bytes: Annotated[
        int,
        setting(
            "receive buffers of all connections together", unit="bytes", least=1, most=INT64_MAX
        ),
    ] = limits.RECEIVE_POOL_BYTES_MAX
    fetch_response_bytes: Annotated[
        int,
        setting(
            "one Fetch answer, whatever the client asks for", unit="bytes", least=1, most=INT32_MAX
        ),
    ] = limits.FETCH_RESPONSE_BYTES_MAX
    fetch_sessions: Annotated[
        int, setting("incremental fetch sessions kept (KIP-227)", least=1, most=INT32_MAX)
    ] = limits.FETCH_SESSIONS_MAX
    producer_expiration_ms: Annotated[
        int,
        setting(
            "how long an idle producer's sequences are remembered",
            unit="ms",
            least=1,
            most=INT32_MAX,
            at_once="producer.id.expiration.ms",
        ),
    ] = limits.PRODUCER_EXPIRATION_MS


class TopicsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """what a topic gets where its creator says nothing"""

    auto_create: Annotated[
        bool, setting("Metadata for an unknown topic creates it, if the client allows")
    ] = True
    partitions: Annotated[
        int,
        setting("partitions of such a topic", least=1, most=limits.PARTITIONS_PER_TOPIC_MAX),
    ] = 1
    replication_factor: Annotated[int, setting("its replicas", least=1, most=32_767)] = 1
    retention_check_ms: Annotated[
        int, setting("how often retention is applied", unit="ms", least=1, most=INT64_MAX)
    ] = 300_000
    configs: Annotated[
        dict[str, str],
        setting(
            "topic configs by their Kafka names, for every topic that does not say otherwise",
            at_once="log.retention.ms",
        ),
    ] = {}


class ApiConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """the HTTP door (`/v1`, `/health`, `/metrics`)"""

    address: Annotated[
        str, setting("host:port; empty: no HTTP at all. Loopback only unless `insecure: true`")
    ] = f"127.0.0.1:{API_PORT}"
    body_bytes: Annotated[
        int, setting("the body of one request", unit="bytes", least=1, most=INT32_MAX)
    ] = limits.API_BODY_BYTES_MAX
    request_ms: Annotated[
        int, setting("how long one request may take", unit="ms", least=1, most=INT32_MAX)
    ] = limits.API_REQUEST_MS_MAX
    connections: Annotated[int, setting("open HTTP connections", least=1, most=INT32_MAX)] = (
        limits.API_CONNECTIONS_MAX
    )


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """what the broker says"""

    rendering: Annotated[
        Literal["human", "json"], setting("for people, or one JSON object per line")
    ] = "human"
    level: Annotated[
        Literal["debug", "info", "warning", "error"], setting("the least that is said")
    ] = "info"


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that one broker needs to start. `listeners` takes addresses or whole listener
    objects."""

    broker_id: Annotated[int, setting("this broker's id in Metadata", least=0, most=INT32_MAX)] = 1
    data: Annotated[
        str, setting("directory of everything durable; one broker at a time may use it")
    ] = "./.streambus"
    listeners: Annotated[
        tuple[ListenerConfig | str, ...],
        setting(
            "addresses, or objects of `address`, `name`, `advertised`, `tls: {certificate, key, "
            "client_ca}` (see Listeners); one that is not loopback is refused unless `insecure: "
            "true`, because nothing authenticates clients yet"
        ),
    ] = (f"127.0.0.1:{KAFKA_PORT}",)
    advertised: Annotated[
        str | None,
        setting(
            "what clients of the first listener are told to connect to, if it says nothing itself "
            "(null: its address)"
        ),
    ] = None
    rack: Annotated[str | None, setting("this broker's rack in Metadata")] = None
    insecure: Annotated[
        bool, setting("allow listeners that other machines can reach without authentication")
    ] = False
    wal: WalConfig = WalConfig()
    limits: LimitsConfig = LimitsConfig()
    topics: TopicsConfig = TopicsConfig()
    api: ApiConfig = ApiConfig()
    log: LogConfig = LogConfig()

    def doors(self) -> tuple[ListenerConfig, ...]:
        """The listeners as objects: the first gets `advertised` of the broker if it has none, and
        those without a name are `plain`, `plain-2`… or with TLS `tls`, `tls-2`… in their order."""
        doors = [ListenerConfig(each) if isinstance(each, str) else each for each in self.listeners]
        if doors and self.advertised is not None and doors[0].advertised is None:
            doors[0] = msgspec.structs.replace(doors[0], advertised=self.advertised)
        unnamed: Counter[str] = Counter()
        for place, door in enumerate(doors):
            if not door.name:
                kind = "plain" if door.tls is None else "tls"
                unnamed[kind] += 1
                name = kind if unnamed[kind] == 1 else f"{kind}-{unnamed[kind]}"
                doors[place] = msgspec.structs.replace(door, name=name)
        return tuple(doors)
