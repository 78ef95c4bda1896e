"""Twin of app/cli/config.py, options.py and broker.py: settings from a person's side."""

import json
from pathlib import Path
from typing import Any

import pytest
import trustme
from typer.testing import CliRunner, Result

from app import config
from app.config import BrokerConfig, ListenerConfig, WalConfig
from streambus.cli import main


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main.build(), list(words), env=environment)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[BrokerConfig]:
    """What a broker would have been started with."""
    seen: list[BrokerConfig] = []
    monkeypatch.setattr("app.main.run", lambda chosen, *_, **__: seen.append(chosen))
    return seen


def test_a_file_is_begun_checked_and_loaded(tmp_path: Path) -> None:
    path = str(tmp_path / "broker.yaml")
    written = run("config", "init", path)
    assert (written.exit_code, written.stdout) == (0, "")
    assert f"streambus serve --config {path}" in written.stderr
    checked = run("config", "check", path)
    assert (checked.exit_code, checked.stdout) == (0, f"{path}: nothing is wrong\n")
    assert config.load(path) == BrokerConfig()
    assert run("config", "init", "-").stdout == Path(path).read_text()


def test_a_file_that_exists_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "broker.yaml"
    path.write_text("rack: mine\n")
    refused = run("config", "init", str(path))
    assert refused.exit_code == 1 and f"{path} exists" in refused.stderr
    assert path.read_text() == "rack: mine\n"
    assert run("config", "init", str(path), "--force").exit_code == 0
    assert config.load(str(path)) == BrokerConfig()


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [("broker.toml", 2, "name it .yaml"), ("none/broker.yaml", 1, "No such file or directory")],
)
def test_a_file_that_cannot_be_written_says_why(
    tmp_path: Path, name: str, code: int, message: str
) -> None:
    refused = run("config", "init", str(tmp_path / name))
    assert refused.exit_code == code and message in refused.stderr


def test_check_says_each_problem_on_a_line(tmp_path: Path) -> None:
    path = tmp_path / "broker.yaml"
    path.write_text("broker_id: x\nwal: {synch: os}\n")
    checked = run("config", "check", str(path))
    assert (checked.exit_code, checked.stdout) == (1, "")
    assert checked.stderr.splitlines() == [
        f"{path} line 1: broker_id: takes a whole number from 0 to 2147483647, not 'x'",
        f"{path} line 2: wal.synch: there is no such setting; did you mean wal.sync?",
    ]
    checked = run("config", "check", str(path), "--json")
    assert checked.exit_code == 1
    assert json.loads(checked.stdout)["problems"][0] == {
        "where": f"{path} line 1",
        "path": "broker_id",
        "what": "takes a whole number from 0 to 2147483647, not 'x'",
    }


def tls_file(directory: Path, **changed: str) -> Path:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(directory / "key.pem"))
    (directory / "cert.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    trustme.CA().private_key_pem.write_to_path(str(directory / "other.pem"))
    names: dict[str, Any] = {"certificate": "cert.pem", "key": "key.pem", "client_ca": "ca.pem"}
    files = {name: str(directory / file) for name, file in (names | changed).items()}
    path = directory / "broker.json"
    path.write_text(json.dumps({"listeners": [{"address": "127.0.0.1:9093", "tls": files}]}))
    return path


def test_check_opens_the_tls_files(tmp_path: Path) -> None:
    assert run("config", "check", str(tls_file(tmp_path))).exit_code == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"certificate": "none.pem"}, "cannot read {0}/none.pem: No such file or directory"),
        ({"key": "other.pem"}, "{0}/cert.pem and {0}/other.pem are no certificate and its key"),
        ({"client_ca": "key.pem"}, "{0}/key.pem is no certificate of an authority"),
    ],
)
def test_check_names_the_tls_file_that_is_wrong(
    tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    checked = run("config", "check", str(tls_file(tmp_path, **changed)))
    assert checked.exit_code == 1
    assert checked.stderr.startswith(f"{tmp_path}/broker.json line 1: listeners.tls: listener tls:")
    assert message.format(tmp_path) in checked.stderr


def test_show_says_who_said_what(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text('rack = "r"\n')
    words = ("config", "show", "--config", str(path), "--set", "wal.sync=os", "--api", "")
    shown = run(*words, "--json", STREAMBUS_LOG__LEVEL="debug")
    said = {each["setting"]: each for each in json.loads(shown.stdout)["settings"]}
    assert said["rack"] == {"setting": "rack", "value": "r", "source": f"{path} line 1"}
    assert said["wal.sync"]["source"] == "--set wal.sync"
    assert said["api.address"] == {"setting": "api.address", "value": "", "source": "--api"}
    assert said["log.level"]["source"] == "STREAMBUS_LOG__LEVEL"
    assert said["broker_id"]["source"] == "default"
    assert "STREAMBUS_LOG__LEVEL" in run(*words, STREAMBUS_LOG__LEVEL="debug").stdout


def test_the_schema_is_one_json_document() -> None:
    assert json.loads(run("config", "schema").stdout)["title"] == "StreamBus broker"


def test_dev_obeys_environment_and_flags(started: list[BrokerConfig]) -> None:
    done = run(
        "dev", "--listen", "127.0.0.1:1,127.0.0.1:2", "--data", "/d", "--sync", "os",
        "--segment-bytes", "2097152", "--api", "127.0.0.1:3", "--set", "broker_id=7",
        STREAMBUS_RACK="r", STREAMBUS_DATA="/lost",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert started == [
        BrokerConfig(
            broker_id=7,
            data="/d",
            listeners=("127.0.0.1:1", "127.0.0.1:2"),
            rack="r",
            wal=WalConfig("os", 2_097_152),
            api=config.ApiConfig("127.0.0.1:3"),
        )
    ]


def test_serve_starts_from_its_file(started: list[BrokerConfig], tmp_path: Path) -> None:
    path = tmp_path / "broker.yaml"
    path.write_text("listeners: [{address: '127.0.0.1:1', name: inner}]\nrack: file\n")
    done = run("serve", "--config", str(path), "--log", "json", STREAMBUS_RACK="variable")
    assert done.exit_code == 0, done.stderr
    (chosen,) = started
    assert chosen.listeners == (ListenerConfig("127.0.0.1:1", "inner"),)
    assert (chosen.rack, chosen.log.rendering) == ("variable", "json")
    assert run("serve").exit_code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--log", "loud"], "--log: log.rendering: takes one of human, json, not 'loud'"),
        (["--segment-bytes", "x"], "--segment-bytes: wal.segment_bytes: takes a whole number of "
         "bytes from 1048576 to 1073741824, not 'x'"),
        (["--listen", "nowhere"], "--listen: listeners[0]: 'nowhere' is not host:port, for "
         "example 127.0.0.1:9092"),
        (["--set", "wal.sink=os"], "--set wal.sink: there is no such setting; did you mean "
         "wal.sync?"),
    ],
)  # fmt: skip
def test_a_wrong_flag_starts_nothing(
    started: list[BrokerConfig], words: list[str], message: str
) -> None:
    refused = run("dev", *words)
    assert (refused.exit_code, refused.stderr) == (1, f"streambus: {message}\n")
    assert started == []


@pytest.mark.parametrize("words", [["dev"], ["config", "init", "-"], ["wal", "verify", "x"]])
def test_a_server_without_its_packages_says_what_to_install(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("app.") and not name.startswith("app.cli"):
            raise ModuleNotFoundError("No module named 'msgspec'", name="msgspec")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    refused = run(*words)
    assert refused.exit_code == 1
    assert refused.stderr == (
        "streambus: the server needs msgspec: pip install 'streambus[server]'\n"
    )
