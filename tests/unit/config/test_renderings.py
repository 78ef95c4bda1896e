"""Twin of app/config/renderings.py and catalogue.py: settings written down for people and tools."""

import json
from typing import Any

import jsonschema_rs
import pytest
import yaml

from app.config import BrokerConfig, catalogue, parse, renderings, sources
from app.core import broker_config


def valid(instance: Any) -> bool:
    return jsonschema_rs.validator_for(renderings.schema()).is_valid(instance)


def test_the_file_to_start_from_is_the_defaults() -> None:
    text = renderings.starting_file()
    assert parse(text.encode(), ".yaml") == BrokerConfig()
    assert valid(yaml.safe_load(text))
    assert max(map(len, text.splitlines())) <= 100


def test_the_file_to_start_from_says_every_setting() -> None:
    given = yaml.safe_load(renderings.starting_file())
    for setting in catalogue.settings():
        value: Any = given
        for name in setting.path.split("."):
            value = value[name]
        assert value == renderings.builtins(setting.default), setting.path


@pytest.mark.parametrize(
    "text",
    [
        "wal: {synch: os}",
        "wal: {sync: never}",
        "broker_id: one",
        "limits: {connections: 0}",
        "listeners: []",
        "listeners: [{address: '127.0.0.1:1', tls: {key: k}}]",
        "topics: {configs: {retention.msec: 1}}",
        "log: {level: loud}",
    ],
)
def test_the_schema_refuses_what_the_broker_refuses(text: str) -> None:
    assert not valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "rack: null",
        "wal: {sync: 'interval:5'}",
        "listeners: ['127.0.0.1:1', {address: '127.0.0.1:2', tls: {certificate: c, key: k}}]",
        "topics: {configs: {retention.ms: 1, cleanup.policy: [compact, delete]}}",
    ],
)
def test_the_schema_takes_what_the_broker_takes(text: str) -> None:
    parse(text.encode(), ".yaml")
    assert valid(yaml.safe_load(text))


def test_the_schema_tells_what_each_setting_means() -> None:
    schema = renderings.schema()
    assert json.loads(json.dumps(schema)) == schema
    wal = schema["$defs"]["WalConfig"]["properties"]["segment_bytes"]
    assert wal["description"] == "size of one segment"
    assert (wal["minimum"], wal["default"]) == (1_048_576, 67_108_864)


def test_every_row_of_the_table_has_its_columns() -> None:
    for line in renderings.table().splitlines() + renderings.topic_config_table().splitlines():
        assert line.replace("\\|", "").count("|") in (5, 6), line


def test_what_is_in_effect_names_who_said_it() -> None:
    flags = sources.assignments(["wal.sync=os"])
    rows = renderings.shown(sources.effective(None, {"STREAMBUS_RACK": "r"}, flags))
    said = {row["setting"]: (row["value"], row["source"]) for row in rows}
    assert said["wal.sync"] == ("os", "--set wal.sync")
    assert said["rack"] == ("r", "STREAMBUS_RACK")
    assert said["listeners"] == (["127.0.0.1:9092"], "default")
    assert list(said) == [setting.path for setting in catalogue.settings()]


def test_what_takes_effect_at_once_is_a_dynamic_broker_config() -> None:
    named = {each.path: each.at_once for each in catalogue.settings() if each.at_once}
    assert set(named) == {
        "limits.connections",
        "limits.producer_expiration_ms",
        "topics.configs",
    }
    for name in named.values():
        assert broker_config.OPTIONS[name].dynamic != "read-only", name


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("wal.synch", "wal.sync"),
        ("WAL.SYNC", "wal.sync"),
        ("segment_bytes", "wal.segment_bytes"),
        ("limits.auto_create", "topics.auto_create"),
        ("listener", "listeners"),
        ("colour", ""),
        ("", ""),
    ],
)
def test_the_nearest_setting_is_found(wrong: str, right: str) -> None:
    assert catalogue.nearest(wrong, catalogue.by_path()) == right


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(67_108_864, "bytes", "64 MiB"), (1, "bytes", ""), (90_000, "ms", "90 s"), (5, "", "")],
)
def test_a_round_size_or_time_is_said_in_its_larger_unit(value: int, unit: str, text: str) -> None:
    assert renderings.human(value, unit) == text
