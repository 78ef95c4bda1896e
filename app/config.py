"""The broker's settings as values: one file (YAML, TOML or JSON), checked whole before anything
starts.

Owns    the shape and defaults of a broker's configuration, and the words of every complaint about
        it.
Never   constructs components: `app.main` reads these values and joins them.

`streambus dev` and `streambus serve` start from the same defaults.
"""

import ipaddress
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import msgspec

from app import limits
from app.errors import InvalidConfig

KAFKA_PORT = 9092


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PEM files of a TLS listener; `client_ca` asks clients for a certificate that it signed."""

    certificate: str
    key: str
    client_ca: str | None = None


class ListenerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One door: where to listen, and what its clients are told to connect to (the same if
    `advertised` is unset; a port of 0 there is the one that was bound). `BrokerConfig.doors` gives
    a name to one that has none."""

    address: str = f"127.0.0.1:{KAFKA_PORT}"
    name: str = ""
    advertised: str | None = None
    tls: Tls | None = None


class WalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`sync`: `block` acknowledges after the sync of a block, `interval:<ms>` and `os` before
    it."""

    sync: str = "block"
    segment_bytes: int = limits.SEGMENT_BYTES


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds that an operator may move; the meaning of each is in `app.limits`."""

    connections: int = limits.CONNECTIONS_MAX
    request_bytes: int = limits.REQUEST_BYTES_MAX
    connection_idle_ms: int = limits.CONNECTION_IDLE_MS_MAX
    connection_in_flight_bytes: int = limits.CONNECTION_IN_FLIGHT_BYTES_MAX
    receive_pool_bytes: int = limits.RECEIVE_POOL_BYTES_MAX
    fetch_response_bytes: int = limits.FETCH_RESPONSE_BYTES_MAX
    fetch_sessions: int = limits.FETCH_SESSIONS_MAX
    producer_expiration_ms: int = limits.PRODUCER_EXPIRATION_MS


class TopicsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a topic gets where its creator says nothing (Kafka's broker-level defaults)."""

    auto_create: bool = True
    partitions: int = 1
    replication_factor: int = 1
    retention_check_ms: int = 300_000


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rendering: Literal["human", "json"] = "human"
    level: Literal["debug", "info", "warning", "error"] = "info"


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that one broker needs to start. `listeners` takes addresses or whole listener
    objects."""

    broker_id: int = 1
    data: str = "./.streambus"
    listeners: tuple[ListenerConfig | str, ...] = (f"127.0.0.1:{KAFKA_PORT}",)
    advertised: str | None = None
    rack: str | None = None
    insecure: bool = False
    wal: WalConfig = WalConfig()
    limits: LimitsConfig = LimitsConfig()
    topics: TopicsConfig = TopicsConfig()
    log: LogConfig = LogConfig()

    def doors(self) -> tuple[ListenerConfig, ...]:
        """The listeners as objects: the first gets `advertised` of the broker if it has none, and
        those without a name are `plain`, `plain-2`… or with TLS `tls`, `tls-2`… in their order."""
        doors = [ListenerConfig(each) if isinstance(each, str) else each for each in self.listeners]
        if self.advertised is not None and doors[0].advertised is None:
            doors[0] = msgspec.structs.replace(doors[0], advertised=self.advertised)
        unnamed: Counter[str] = Counter()
        for place, door in enumerate(doors):
            if not door.name:
                kind = "plain" if door.tls is None else "tls"
                unnamed[kind] += 1
                name = kind if unnamed[kind] == 1 else f"{kind}-{unnamed[kind]}"
                doors[place] = msgspec.structs.replace(door, name=name)
        return tuple(doors)


def load(path: str) -> BrokerConfig:
    """Read and check a configuration file. Raises `InvalidConfig` naming the field and what it may
    be."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise InvalidConfig(f"cannot read {path}: {error.strerror}") from error
    return parse(text, Path(path).suffix, path)


def parse(text: bytes, suffix: str, name: str = "configuration") -> BrokerConfig:
    """`suffix` says the language: `.yaml`, `.yml`, `.toml` or `.json`."""
    try:
        match suffix:
            case ".yaml" | ".yml":
                config = msgspec.yaml.decode(text or b"{}", type=BrokerConfig)
            case ".toml":
                config = msgspec.toml.decode(text, type=BrokerConfig)
            case ".json":
                config = msgspec.json.decode(text, type=BrokerConfig)
            case _:
                raise InvalidConfig(f"{name}: name it .yaml, .toml or .json, not {suffix!r}")
    except msgspec.MsgspecError as error:
        raise InvalidConfig(f"{name}: {error}") from error
    check(config)
    return config


def override(config: BrokerConfig, **changes: Any) -> BrokerConfig:
    """`config` with the given fields changed (command-line flags that were not None), checked
    again."""
    changed = msgspec.structs.replace(
        config, **{name: value for name, value in changes.items() if value is not None}
    )
    check(changed)
    return changed


def override_groups(
    config: BrokerConfig,
    log: str | None = None,
    sync: str | None = None,
    segment_bytes: int | None = None,
) -> BrokerConfig:
    """`override` for the settings inside groups that have a command-line flag."""
    if log is not None and log not in ("human", "json"):
        raise InvalidConfig(f"log: must be human or json, not {log!r}")
    wal = {"sync": sync, "segment_bytes": segment_bytes}
    given = {name: value for name, value in wal.items() if value is not None}
    return override(
        config,
        wal=msgspec.structs.replace(config.wal, **given),
        log=msgspec.structs.replace(config.log, **({"rendering": log} if log else {})),
    )


def check(config: BrokerConfig) -> None:
    """Refuse what cannot work, in the words of someone who has to mend it."""
    if config.broker_id < 0:
        raise InvalidConfig(f"broker_id: must be 0 or more, not {config.broker_id}")
    if not config.listeners:
        raise InvalidConfig("listeners: give at least one address, for example 127.0.0.1:9092")
    wal_sync(config.wal.sync)
    size = config.wal.segment_bytes
    if not limits.SEGMENT_BYTES_MIN <= size <= limits.SEGMENT_BYTES_MAX:
        raise InvalidConfig(
            f"wal.segment_bytes: must be from {limits.SEGMENT_BYTES_MIN} to "
            f"{limits.SEGMENT_BYTES_MAX}, not {size}"
        )
    for name in LimitsConfig.__struct_fields__:
        if getattr(config.limits, name) <= 0:
            raise InvalidConfig(f"limits.{name}: must be more than 0")
    if not 1 <= config.topics.partitions <= limits.PARTITIONS_PER_TOPIC_MAX:
        raise InvalidConfig("topics.partitions: must be at least 1")
    named: dict[str, str] = {}
    for door in config.doors():
        if door.name in named:
            raise InvalidConfig(
                f"listeners: {named[door.name]} and {door.address} are both named {door.name!r}, "
                "and the name decides which address clients are told. Give one another `name`"
            )
        named[door.name] = door.address
        host, _ = address(door.address)
        if door.advertised is not None:
            address(door.advertised)
        if not config.insecure and not _is_loopback(host):
            raise InvalidConfig(
                f"listeners: {door.address} is reachable from other machines and nothing "
                "authenticates its clients yet. Listen on 127.0.0.1, or say `insecure: true` if "
                "you mean it"
            )
        if host in ("0.0.0.0", "::") and door.advertised is None:
            raise InvalidConfig(
                f"listeners: {door.address} is every address of this machine, which no client can "
                "connect to: say in `advertised` what they should use"
            )


def wal_sync(text: str) -> tuple[str, int]:
    """`wal.sync` as (mode, milliseconds): ('block', 0), ('interval', 50) or ('os', 0)."""
    mode, _, ms = text.partition(":")
    if mode in ("block", "os") and not ms:
        return mode, 0
    if mode == "interval" and ms.isdigit() and int(ms) > 0:
        return mode, int(ms)
    raise InvalidConfig(f"wal.sync: {text!r} is none of block, interval:<ms>, os")


def address(text: str) -> tuple[str, int]:
    """`host:port` (IPv6 in brackets) as (host, port). Raises `InvalidConfig`."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise InvalidConfig(f"{text!r} is not host:port, for example 127.0.0.1:9092")
    return host, int(port)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
