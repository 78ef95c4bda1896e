"""Twin of app/config/sources.py and typed.py: who wins, and what is said of what is wrong."""

from pathlib import Path

import pytest

from app import config
from app.config import (
    BrokerConfig,
    LogConfig,
    TopicsConfig,
    WalConfig,
    catalogue,
    reading,
    sources,
)
from app.errors import InvalidConfig


def tree(text: str, suffix: str = ".yaml") -> reading.Tree:
    return reading.parse(text.encode(), suffix, f"broker{suffix}")


def flags(*texts: str) -> list[sources.Flag]:
    return sources.assignments(texts)


def complaints(
    text: str = "", environment: dict[str, str] | None = None, *assigned: str
) -> list[str]:
    with pytest.raises(InvalidConfig) as refused:
        sources.effective(tree(text), environment or {}, flags(*assigned))
    lines = str(refused.value).splitlines()
    return [line.strip() for line in lines[1:]] if len(lines) > 1 else lines


def test_nothing_said_is_the_defaults() -> None:
    assert sources.effective(None, {"PATH": "/bin"}).config == BrokerConfig()
    assert sources.effective(tree("")).config == BrokerConfig()
    assert sources.effective(tree("wal:\nlog:")).config == BrokerConfig()


def test_the_environment_wins_over_the_file_and_flags_over_both() -> None:
    text = "broker_id: 1\nrack: file\nwal: {sync: block, segment_bytes: 2097152}"
    environment = {"STREAMBUS_RACK": "variable", "STREAMBUS_WAL__SYNC": "interval:50"}
    found = sources.effective(tree(text), environment, flags("wal.sync=os"))
    assert found.config == BrokerConfig(rack="variable", wal=WalConfig("os", 2_097_152))
    assert found.origins == {
        "broker_id": "broker.yaml line 1",
        "rack": "STREAMBUS_RACK",
        "wal.sync": "--set wal.sync",
        "wal.segment_bytes": "broker.yaml line 3",
    }


def test_every_form_of_value_can_stand_in_a_variable() -> None:
    found = sources.effective(
        None,
        {
            "STREAMBUS_LISTENERS": "127.0.0.1:1, 127.0.0.1:2",
            "STREAMBUS_INSECURE": "true",
            "STREAMBUS_TOPICS__CONFIGS": '{"retention.ms": 5, "cleanup.policy": ["compact"]}',
            "STREAMBUS_LOG__LEVEL": "error",
            "STREAMBUS_RACK": "",
            "STREAMBUS_API": "http://elsewhere:1",
            "STREAMBUS_SERVER": "elsewhere:2",
        },
    ).config
    assert found == BrokerConfig(
        listeners=("127.0.0.1:1", "127.0.0.1:2"),
        insecure=True,
        topics=TopicsConfig(configs={"retention.ms": "5", "cleanup.policy": "compact"}),
        log=LogConfig(level="error"),
    )
    text = '[{"address": "127.0.0.1:1", "name": "inner"}]'
    (door,) = sources.effective(None, {"STREAMBUS_LISTENERS": text}).config.listeners
    assert door == config.ListenerConfig("127.0.0.1:1", "inner")


def test_one_topic_config_is_set_beside_those_of_other_sources() -> None:
    text = "topics: {configs: {retention.ms: 5, retention.bytes: 6}}"
    found = sources.effective(tree(text), {}, flags("topics.configs.retention.ms=7"))
    assert found.config.topics.configs == {"retention.ms": "7", "retention.bytes": "6"}


TAKES_ANY_TEXT = ("data", "rack")


@pytest.mark.parametrize(
    "path", [each.path for each in catalogue.settings() if each.path not in TAKES_ANY_TEXT]
)
def test_every_setting_has_a_variable(path: str) -> None:
    name = sources.variable(path)
    (line,) = complaints("", {name: "no setting takes this"})
    assert line.startswith((f"{name}: {path}: ", f"{name}: {path}[0]: "))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("wal: {synch: os}", "broker.yaml line 1: wal.synch: there is no such setting; did you "
         "mean wal.sync?"),
        ("sync: os", "broker.yaml line 1: sync: there is no such setting; did you mean wal.sync?"),
        ("\nlog: {sync: os}", "broker.yaml line 2: log.sync: there is no such setting; did you "
         "mean wal.sync?"),
        ("colour: red", "broker.yaml line 1: colour: there is no such setting; "
         "docs/configuration.md lists them all"),
        ("broker_id: one", "broker.yaml line 1: broker_id: takes a whole number from 0 to "
         "2147483647, not 'one'"),
        ("broker_id: true", "broker.yaml line 1: broker_id: takes a whole number from 0 to "
         "2147483647, not true"),
        ("broker_id: -1", "broker.yaml line 1: broker_id: takes a whole number from 0 to "
         "2147483647, not -1"),
        ("rack: 7", "broker.yaml line 1: rack: takes text or null, not 7; put it in quotes"),
        ("wal: {sync: on}", "broker.yaml line 1: wal.sync: takes text, not true; put it in "
         "quotes"),
        ("wal: {sync: sometimes}", "broker.yaml line 1: wal.sync: takes block, interval:<ms> or "
         "os, not 'sometimes'"),
        ("wal: {segment_bytes: 5}", "broker.yaml line 1: wal.segment_bytes: takes a whole number "
         "of bytes from 1048576 to 1073741824, not 5"),
        ("limits: 3", "broker.yaml line 1: limits: is a group of connections, request_bytes, "
         "connection_idle_ms, connection_in_flight_bytes, receive_pool_bytes, "
         "fetch_response_bytes, fetch_sessions, producer_expiration_ms, not 3"),
        ("limits: {fetch_sessions: 0}", "broker.yaml line 1: limits.fetch_sessions: takes a whole "
         "number from 1 to 2147483647, not 0"),
        ("log: {level: loud}", "broker.yaml line 1: log.level: takes one of debug, error, info, "
         "warning, not 'loud'"),
        ("insecure: 1", "broker.yaml line 1: insecure: takes true or false, not 1"),
        ("data: ''", "broker.yaml line 1: data: is empty: name a directory, for example "
         "/var/lib/streambus"),
        ("listeners: []", "broker.yaml line 1: listeners: give at least one address, for example "
         "127.0.0.1:9092"),
        ("listeners: [nowhere]", "broker.yaml line 1: listeners[0]: 'nowhere' is not host:port, "
         "for example 127.0.0.1:9092"),
        ("listeners:\n- adress: x", "broker.yaml line 2: listeners[0].adress: there is no such "
         "setting; did you mean address?"),
        ("listeners:\n- tls: {key: k}", "broker.yaml line 2: listeners[0].tls: lacks "
         "`certificate`"),
        ("listeners: [5]", "broker.yaml line 1: listeners[0]: takes an object of address, name, "
         "advertised, tls or text, not 5; put it in quotes"),
        ("listeners: 127.0.0.1:1", "broker.yaml line 1: listeners: takes a list, each an object "
         "of address, name, advertised, tls or text, not '127.0.0.1:1'"),
        ("listeners: ['0.0.0.0:1']\nadvertised: a:1", "broker.yaml line 1: listeners: 0.0.0.0:1 "
         "is reachable from other machines and nothing authenticates its clients yet. Listen on "
         "127.0.0.1, or say `insecure: true` if you mean it"),
        ("api: {address: '0.0.0.0:1'}", "broker.yaml line 1: api.address: 0.0.0.0:1 is reachable "
         "from other machines and nothing authenticates its clients yet. Listen on 127.0.0.1, or "
         "say `insecure: true` if you mean it"),
        ("api: {address: '127.0.0.1:9092'}", "broker.yaml line 1: api.address: 127.0.0.1:9092 is "
         "listeners already: each door needs its own"),
        ("api: {address: here}", "broker.yaml line 1: api.address: 'here' is not host:port, for "
         "example 127.0.0.1:9092"),
        ("topics:\n configs: {retention.msec: 1}", "broker.yaml line 2: "
         "topics.configs.retention.msec: there is no such topic config; did you mean "
         "retention.ms?"),
        ("topics:\n configs: {retention.ms: x}", "broker.yaml line 2: "
         "topics.configs.retention.ms: Invalid value x for configuration retention.ms: Not a "
         "number of type LONG"),
        ("topics:\n configs: {retention.ms: {}}", "broker.yaml line 2: "
         "topics.configs.retention.ms: takes text, a number, true or false, not an object"),
        ("topics:\n configs: {min.compaction.lag.ms: 9, max.compaction.lag.ms: 8}", "broker.yaml "
         "line 2: topics.configs: conflict topic config setting min.compaction.lag.ms (9) > "
         "max.compaction.lag.ms (8)"),
    ],
)  # fmt: skip
def test_each_complaint_of_a_file_names_line_setting_and_what_it_takes(
    text: str, complaint: str
) -> None:
    assert complaints(text) == [complaint]


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("STREAMBUS_WAL__SYNCH", "os", "there is no such variable; did you mean "
         "STREAMBUS_WAL__SYNC?"),
        ("STREAMBUS_WAL_SYNC", "os", "there is no such variable; did you mean "
         "STREAMBUS_WAL__SYNC?"),
        ("STREAMBUS_wal__sync", "os", "there is no such variable; did you mean "
         "STREAMBUS_WAL__SYNC?"),
        ("STREAMBUS_WAL", "{}", "there is no such variable; docs/configuration.md lists them all"),
        ("STREAMBUS_BROKER_ID", "x", "broker_id: takes a whole number from 0 to 2147483647, not "
         "'x'"),
        ("STREAMBUS_INSECURE", "yes", "insecure: takes true or false, not 'yes'"),
        ("STREAMBUS_TOPICS__CONFIGS", "a=b", "topics.configs: takes JSON: Expecting value: line 1 "
         "column 1 (char 0)"),
        ("STREAMBUS_LISTENERS", "[1", "listeners: takes JSON: Expecting ',' delimiter: line 1 "
         "column 3 (char 2)"),
    ],
)  # fmt: skip
def test_each_complaint_of_the_environment_names_the_variable(
    name: str, text: str, complaint: str
) -> None:
    assert complaints("", {name: text}) == [f"{name}: {complaint}"]


@pytest.mark.parametrize(
    ("assigned", "complaint"),
    [
        ("wal.synch=os", "--set wal.synch: there is no such setting; did you mean wal.sync?"),
        ("wal=os", "--set wal: there is no such setting; docs/configuration.md lists them all"),
        ("wal.sync", "--set wal.sync: give a setting and its value: --set wal.sync=os"),
        ("=os", "--set =os: give a setting and its value: --set wal.sync=os"),
        ("wal.sync=never", "--set wal.sync: wal.sync: takes block, interval:<ms> or os, not "
         "'never'"),
        ("topics.configs.retention.m=1", "--set topics.configs.retention.m: "
         "topics.configs.retention.m: there is no such topic config; did you mean retention.ms?"),
    ],
)  # fmt: skip
def test_each_complaint_of_a_flag_names_it(assigned: str, complaint: str) -> None:
    assert complaints("", {}, assigned) == [complaint]


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = "broker_id: x\nwal:\n  sync: y\nlog: {level: z}\nlog: {}\n"
    found = complaints(text, {"STREAMBUS_X": "1"}, "api.adress=")
    assert [line.rpartition(": ")[0] for line in found] == [
        "broker.yaml line 5: log: stands there twice",
        "broker.yaml line 1: broker_id",
        "broker.yaml line 3: wal.sync",
        "STREAMBUS_X",
        "--set api.adress",
    ]


def test_a_rule_between_settings_names_who_said_the_last_of_them() -> None:
    environment = {"STREAMBUS_LISTENERS": "10.0.0.1:1"}
    (line,) = complaints("", environment)
    assert line.startswith("STREAMBUS_LISTENERS: listeners: 10.0.0.1:1 is reachable")


def test_a_file_is_read_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text('broker_id = 7\n[wal]\nsync = "os"\n')
    assert config.load(str(path)) == BrokerConfig(broker_id=7, wal=WalConfig("os"))
    with pytest.raises(InvalidConfig, match=r"none\.yaml: cannot be read: No such file"):
        config.load(str(tmp_path / "none.yaml"))
    with pytest.raises(InvalidConfig, match=r"must end in \.yaml, \.toml or \.json, not '\.ini'"):
        config.parse(b"", ".ini")
