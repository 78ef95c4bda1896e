"""Who says what, and who wins: a file, then the environment, then flags.

Owns    the names of variables, the order of sources, and where each effective value came from.
Never   reads the environment itself: it is given.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from app.config import catalogue, reading, rules, typed
from app.config.problems import Problem, WrongConfig
from app.config.settings import BrokerConfig

PREFIX = "STREAMBUS_"
OF_CLIENTS = ("STREAMBUS_API", "STREAMBUS_SERVER")
"""Variables of the commands that speak to a broker: they set nothing of one."""
DEFAULT = "default"


class Flag(NamedTuple):
    """`said` is what stood on the command line: `--listen`, or `--set wal.sync`."""

    said: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Effective:
    """The configuration, and who said each of its settings (DEFAULT: nobody)."""

    config: BrokerConfig
    origins: Mapping[str, str]


def load(path: str) -> BrokerConfig:
    """Read and check a configuration file. Raises `InvalidConfig` naming every problem in it."""
    return effective(reading.read(path)).config


def parse(text: bytes, suffix: str, name: str = "configuration") -> BrokerConfig:
    """`suffix` says the language: `.yaml`, `.yml`, `.toml` or `.json`."""
    return effective(reading.parse(text, suffix, name)).config


def variable(path: str) -> str:
    """`STREAMBUS_WAL__SYNC` for `wal.sync`."""
    return PREFIX + path.upper().replace(".", "__")


def effective(
    file: reading.Tree | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Iterable[Flag] = (),
) -> Effective:
    """All sources together, the later one wins. Raises `InvalidConfig` naming every problem."""
    gathered = _Gathered()
    if file is not None:
        gathered.problems += file.problems
        for path, value in typed.leaves(file.values, gathered.complainer(file.where)):
            gathered.set(path, value, file.where(path), file.where)
    for name, text in sorted((environment or {}).items()):
        if name.startswith(PREFIX) and name not in OF_CLIENTS:
            _of_variable(name, text, gathered)
    for flag in flags:
        _of_flag(flag, gathered)
    if not gathered.problems:
        config = msgspec.convert(gathered.tree(), BrokerConfig)
        rules.between(config, gathered.complainer(gathered.origin))
    if gathered.problems:
        raise WrongConfig(gathered.problems)
    return Effective(config, gathered.origins)


@dataclass(slots=True)
class _Gathered:
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def complainer(self, where: Callable[[str], str]) -> Callable[[str, str], None]:
        def complain(path: str, what: str) -> None:
            self.problems.append(Problem(where(path), path, what))

        return complain

    def set(self, path: str, value: Any, origin: str, where: Callable[[str], str]) -> None:
        rules.of_setting(catalogue.by_path()[path], value, path, self.complainer(where))
        self.values[path], self.origins[path] = value, origin

    def origin(self, path: str) -> str:
        """Who said the setting that a path is of or in; "" if nobody did."""
        return self.origins.get(path.partition("[")[0], "")

    def tree(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for path, value in self.values.items():
            *groups, name = path.split(".")
            below = tree
            for group in groups:
                below = below.setdefault(group, {})
            below[name] = value
        return tree


def _of_variable(name: str, text: str, gathered: _Gathered) -> None:
    path = name.removeprefix(PREFIX).lower().replace("__", ".")
    setting = catalogue.by_path().get(path)
    if setting is None or variable(path) != name:
        flat = {known.replace(".", "_"): known for known in catalogue.by_path()}
        nearest = catalogue.nearest(path.replace(".", "_"), flat)
        hint = f"did you mean {variable(flat[nearest])}?" if nearest else typed.ALL_LISTED
        gathered.problems.append(Problem(name, "", f"there is no such variable; {hint}"))
        return
    _take(name, setting, text, gathered)


def _of_flag(flag: Flag, gathered: _Gathered) -> None:
    setting = catalogue.by_path().get(flag.path)
    configs, _, config = flag.path.partition(f"{catalogue.TOPIC_CONFIGS}.")
    if setting is None and not configs and config:  # one of them: those of other sources stay
        known = gathered.values.get(catalogue.TOPIC_CONFIGS, {})
        value = known | {config: flag.text}
        gathered.set(catalogue.TOPIC_CONFIGS, value, flag.said, lambda _: flag.said)
    elif setting is None:
        what = typed.unknown(flag.path, iter(catalogue.by_path()))
        gathered.problems.append(Problem(flag.said, "", what))
    else:
        _take(flag.said, setting, flag.text, gathered)


def _take(said: str, setting: catalogue.Setting, text: str, gathered: _Gathered) -> None:
    def where(_: str) -> str:
        return said

    value = typed.from_text(text, setting, gathered.complainer(where))
    if value is not typed.NOTHING:
        gathered.set(setting.path, value, said, where)


def assignments(texts: Sequence[str]) -> list[Flag]:
    """`--set` flags. Raises `InvalidConfig` for one that assigns nothing."""
    flags = []
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not path:
            problem = Problem(
                f"--set {text}", "", "give a setting and its value: --set wal.sync=os"
            )
            raise WrongConfig([problem])
        flags.append(Flag(f"--set {path}", path, value))
    return flags
