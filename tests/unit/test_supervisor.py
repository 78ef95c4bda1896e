"""The supervisor is told over a real datagram socket."""

import socket
import sys
from pathlib import Path

import pytest

from app import supervisor


@pytest.fixture
def notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.settimeout(5)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return listening


def test_a_supervisor_hears_that_the_broker_is_ready_and_what_it_serves(
    notified: socket.socket,
) -> None:
    supervisor.tell(supervisor.READY, "Kafka clients at 127.0.0.1:9092")
    assert notified.recv(1_000) == b"READY=1\nSTATUS=Kafka clients at 127.0.0.1:9092\n"
    supervisor.tell(supervisor.STOPPING)
    assert notified.recv(1_000) == b"STOPPING=1\n"
    notified.close()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_told_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = f"streambus-test-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        supervisor.tell(supervisor.READY)
        assert listening.recv(1_000) == b"READY=1\n"


def test_without_a_supervisor_nothing_is_told_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    supervisor.tell(supervisor.READY)


def test_a_supervisor_that_went_away_costs_one_event_and_not_the_broker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with caplog.at_level("WARNING", logger="streambus"):
        supervisor.tell(supervisor.READY)
    assert [record.getMessage() for record in caplog.records] == ["supervisor.deaf"]


def test_a_supervisor_that_reads_nothing_does_not_hold_the_broker(
    notified: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filling:
        filling.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                filling.sendto(b"x", notified.getsockname())
    monkeypatch.setattr(supervisor, "PATIENCE_S", 0.01)
    with caplog.at_level("WARNING", logger="streambus"):
        supervisor.tell(supervisor.READY)
    assert [record.getMessage() for record in caplog.records] == ["supervisor.deaf"]
    notified.close()
