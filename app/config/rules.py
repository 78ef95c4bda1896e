"""What cannot work, in the words of someone who has to mend it.

Owns    the rules of single settings beyond their type, and those between settings.
Never   asks where a value came from: `app.config.sources` knows.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import inspect

from app.config import catalogue
from app.config.problems import Complain, Problem, WrongConfig
from app.config.settings import BrokerConfig, ListenerConfig
from app.core import topic_config
from app.errors import InvalidConfig


def check(config: BrokerConfig) -> None:
    """Raises `InvalidConfig` that names every problem of the configuration."""
    problems: list[Problem] = []

    def complain(path: str, what: str) -> None:
        problems.append(Problem("", path, what))

    for setting in catalogue.settings():
        of_setting(setting, _value(config, setting.path), setting.path, complain)
    if not problems:
        between(config, complain)
    if problems:
        raise WrongConfig(problems)


def _value(config: BrokerConfig, path: str) -> Any:
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def of_setting(setting: catalogue.Setting, value: Any, path: str, complain: Complain) -> None:
    """One setting whose value has the right type. `path` may be of a part of it."""
    kind = setting.type
    if isinstance(kind, inspect.IntType):
        if not (kind.ge or 0) <= value <= (kind.le or value):
            complain(path, f"takes {setting.takes}, not {value}")
        return
    try:
        match setting.path:
            case "wal.sync":
                wal_sync(value)
            case "advertised" | "api.address":
                if value:
                    address(value)
            case "data":
                if not value:
                    complain(path, "is empty: name a directory, for example /var/lib/streambus")
            case "listeners":
                if not value:
                    complain(path, "give at least one address, for example 127.0.0.1:9092")
                for place, listener in enumerate(value):
                    _of_listener(listener, f"{path}[{place}]", complain)
            case catalogue.TOPIC_CONFIGS:
                _of_topic_configs(value, path, complain)
    except InvalidConfig as error:
        complain(path, str(error))


def _of_listener(listener: ListenerConfig | str, path: str, complain: Complain) -> None:
    door = ListenerConfig(listener) if isinstance(listener, str) else listener
    for text in (door.address, door.advertised):
        try:
            if text is not None:
                address(text)
        except InvalidConfig as error:
            complain(path, str(error))


def _of_topic_configs(configs: Mapping[str, str], path: str, complain: Complain) -> None:
    wrong = False
    for name, text in configs.items():
        option = topic_config.OPTIONS.get(name)
        try:
            if option is None:
                nearest = catalogue.nearest(name, topic_config.OPTIONS)
                hint = f"did you mean {nearest}?" if nearest else "docs/configuration.md lists them"
                raise InvalidConfig(f"there is no such topic config; {hint}")
            option.parse(text)
        except InvalidConfig as error:
            wrong = True
            complain(f"{path}.{name}", str(error))
    if not wrong:
        topic_config.check(configs)


def between(config: BrokerConfig, complain: Complain) -> None:
    """What single settings cannot show."""
    named: dict[str, str] = {}
    taken: dict[tuple[str, int], str] = {}
    doors = [
        (_path(config, place, door), door.address, door)
        for place, door in enumerate(config.doors())
    ]
    for path, text, door in doors:
        if door.name in named:
            complain(
                path,
                f"{named[door.name]} and {text} are both named {door.name!r}, and the name decides "
                "which address clients are told. Give one another `name`",
            )
        named[door.name] = text
        if address(text)[0] in ("0.0.0.0", "::") and door.advertised is None:
            complain(
                path,
                f"{text} is every address of this machine, which no client can connect to: say in "
                "`advertised` what they should use",
            )
    opened = [(path, text) for path, text, _ in doors]
    if config.api.address:
        opened.append(("api.address", config.api.address))
    for path, text in opened:
        host, port = address(text)
        if not config.insecure and not is_loopback(host):
            complain(
                path,
                f"{text} is reachable from other machines and nothing authenticates its clients "
                "yet. Listen on 127.0.0.1, or say `insecure: true` if you mean it",
            )
        if port and (host, port) in taken:
            complain(path, f"{text} is {taken[host, port]} already: each door needs its own")
        taken[host, port] = path


def _path(config: BrokerConfig, place: int, door: ListenerConfig) -> str:
    return "listeners" if len(config.listeners) == 1 else f"listeners[{place}]"


def wal_sync(text: str) -> tuple[str, int]:
    """`wal.sync` as (mode, milliseconds): ('block', 0), ('interval', 50) or ('os', 0)."""
    mode, _, ms = text.partition(":")
    if mode in ("block", "os") and text == mode:
        return mode, 0
    if mode == "interval" and ms.isdecimal() and ms.isascii() and int(ms[:12]) > 0:
        return mode, int(ms)
    raise InvalidConfig(f"takes block, interval:<ms> or os, not {text!r}")


def address(text: str) -> tuple[str, int]:
    """`host:port` (IPv6 in brackets) as (host, port). Raises `InvalidConfig`."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_number = port.isdecimal() and port.isascii() and len(port) <= 5
    if not colon or not host or not is_number or int(port) > 65535:
        raise InvalidConfig(f"{text!r} is not host:port, for example 127.0.0.1:9092")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_files(config: BrokerConfig) -> Iterator[tuple[str, ListenerConfig]]:
    """(path, door) of every listener that has TLS files."""
    for place, door in enumerate(config.doors()):
        if door.tls is not None:
            yield f"{_path(config, place, door)}.tls", door
