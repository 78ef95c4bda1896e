"""One configuration in each language is the same configuration; and each rule holds in all."""

import json
from typing import Any

import msgspec
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from app import config
from app.config import BrokerConfig, catalogue, sources
from app.core import topic_config
from app.errors import InvalidConfig

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20)
WORDS = st.one_of(TEXT, st.sampled_from(["on", "1", "null", "~", "- a", "a: b", "0x1", "{", "#"]))
PORTS = st.integers(1, 65_535)
DOORS = st.lists(
    st.one_of(
        PORTS.map(lambda port: f"127.0.0.1:{port}"),
        st.fixed_dictionaries(
            {"address": PORTS.map(lambda port: f"127.0.0.1:{port}")},
            optional={
                "name": TEXT,
                "advertised": PORTS.map(lambda port: f"broker.example:{port}"),
                "tls": st.fixed_dictionaries({"certificate": WORDS, "key": WORDS}),
            },
        ),
    ),
    min_size=1,
    max_size=3,
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "retention.ms": st.integers(-1, 2**63 - 1),
        "min.cleanable.dirty.ratio": st.sampled_from([0.25, "0.5", 1]),
        "preallocate": st.booleans(),
        "cleanup.policy": st.sampled_from(["compact", ["compact", "delete"], "delete"]),
    },
)
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "listeners": DOORS,
    "topics.configs": CONFIGS,
    "wal.sync": st.sampled_from(["block", "os", "interval:7"]),
    "advertised": st.just("broker.example:1"),
    "api.address": st.sampled_from(["", "127.0.0.1:0", "[::1]:0"]),
}


def value(setting: catalogue.Setting) -> st.SearchStrategy[Any]:
    match setting.type:
        case _ if setting.path in SPECIAL:
            return SPECIAL[setting.path]
        case inspect.IntType():
            return st.integers(setting.type.ge, setting.type.le)
        case inspect.BoolType():
            return st.booleans()
        case inspect.LiteralType():
            return st.sampled_from(list(setting.type.values))
        case _:
            return WORDS


TREES = st.fixed_dictionaries(
    {}, optional={each.path: value(each) for each in catalogue.settings()}
)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, item in flat.items():
        *groups, name = path.split(".")
        below = tree
        for group in groups:
            below = below.setdefault(group, {})
        below[name] = item
    return tree


def toml(item: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(item, dict):
        pairs = [f"{json.dumps(name)} = {toml(each)}" for name, each in item.items()]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(item, list):
        return "[" + ", ".join(map(toml, item)) + "]"
    return json.dumps(item, ensure_ascii=False)


def loaded(text: bytes, suffix: str) -> BrokerConfig | str:
    try:
        return config.parse(text, suffix, "broker")
    except InvalidConfig as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_any_configuration_is_the_same_in_every_language(flat: dict[str, Any]) -> None:
    tree = nested(flat)
    by_json = loaded(json.dumps(tree).encode(), ".json")
    by_yaml = loaded(yaml.safe_dump(tree, allow_unicode=True).encode(), ".yaml")
    lines = [f"{path} = {toml(item)}\n" for path, item in flat.items()]
    by_toml = loaded("".join(lines).encode(), ".toml")
    if isinstance(by_json, BrokerConfig):
        assert by_json == by_yaml == by_toml
    else:  # two doors of one name or address: refused in all of them
        assert isinstance(by_yaml, str) and isinstance(by_toml, str)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_what_a_file_says_can_be_said_by_the_environment(flat: dict[str, Any]) -> None:
    by_file = loaded(json.dumps(nested(flat)).encode(), ".json")
    texts = {
        sources.variable(path): item if isinstance(item, str) else json.dumps(item)
        for path, item in flat.items()
    }
    if isinstance(by_file, BrokerConfig):
        assert sources.effective(None, texts).config == by_file


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_an_effective_configuration_is_itself_when_written_and_read(flat: dict[str, Any]) -> None:
    first = loaded(json.dumps(nested(flat)).encode(), ".json")
    if isinstance(first, BrokerConfig):
        config.check(first)
        assert config.parse(msgspec.json.encode(first), ".json") == first
        assert set(first.topics.configs) <= set(topic_config.OPTIONS)
