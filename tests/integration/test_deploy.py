"""What `deploy/` holds works: the systemd unit is valid and the broker tells it of readiness."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.broker import free_port

UNIT = Path(__file__).parents[2] / "deploy" / "streambus.service"
STREAMBUS = Path(sys.executable).with_name("streambus")


def commands() -> list[str]:
    lines = UNIT.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith("Exec")]


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/streambus/bin/streambus", "/bin/true"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "streambus.service" not in checked.stderr, checked.stderr


def test_the_unit_starts_a_broker_that_says_when_it_is_ready(tmp_path: Path) -> None:
    config = tmp_path / "broker.yaml"
    port, api_port = free_port(), free_port()
    config.write_text(
        f"data: {tmp_path}/data\nlisteners: ['127.0.0.1:{port}']\n"
        f"api: {{address: '127.0.0.1:{api_port}'}}\n"
    )
    check, serve = [
        [str(STREAMBUS), *line.replace("/etc/streambus/broker.yaml", str(config)).split()[1:]]
        for line in commands()
    ]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(30)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(serve, env=environment, stderr=subprocess.PIPE) as broker:
            try:
                told = notified.recv(1_000).decode()
                assert told == f"READY=1\nSTATUS=Kafka clients at 127.0.0.1:{port}\n"
                with socket.create_connection(("127.0.0.1", port), timeout=5):
                    broker.terminate()
                assert notified.recv(1_000) == b"STOPPING=1\n"
                assert broker.wait(20) == 0
            finally:
                if broker.poll() is None:
                    broker.kill()
