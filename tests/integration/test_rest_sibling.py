"""`streambus serve`: HTTP in a process beside the broker, which ends with it however it ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.broker import answers, free_port
from tests.integration.rest import Answer, RestBroker
from tests.integration.test_process import STREAMBUS, consume, produce

SECONDS = 30
pytestmark = pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps (procps)")


class Serving:
    """A broker by `streambus serve`, and its sibling."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.api_port = free_port(), free_port()
        self.config = folder / "broker.yaml"
        self.config.write_text(
            f"data: {folder / 'data'}\n"
            f"listeners: ['127.0.0.1:{self.port}']\n"
            f"api: {{address: '127.0.0.1:{self.api_port}'}}\n"
        )
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [STREAMBUS, "serve", "--config", str(self.config)], stdout=log, stderr=log
            )
        self._client = RestBroker.__new__(RestBroker)
        self._client.address = f"127.0.0.1:{self.api_port}"
        eventually(lambda: answers(self.port), "Kafka clients are not answered")
        eventually(self.is_up, "no answer over HTTP")

    def log(self) -> str:
        return self._log.read_text()

    def ask(self, method: str, path: str, body: Any = None, media: str | None = None) -> Answer:
        return self._client.ask(method, path, body, media)

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            return self.ask("GET", "/health/live").status == 200
        except OSError:
            return False

    def sibling(self) -> int:
        (found,) = children(self.process.pid)
        return found


def children(pid: int) -> list[int]:
    return [int(each) for each in told_by_ps("pid=", "--ppid", pid).split()]


def is_alive(pid: int) -> bool:
    """Whether it runs; who has ended and is not collected yet does not."""
    state = told_by_ps("stat=", "-p", pid).strip()
    return bool(state) and not state.startswith("Z")


def told_by_ps(what: str, by: str, pid: int) -> str:
    words = ["ps", "-o", what, by, str(pid)]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def eventually(is_so: Callable[[], bool], otherwise: str) -> None:
    ends = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < ends, otherwise
        time.sleep(0.01)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    running = Serving(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def test_what_is_done_beside_the_broker_is_done_in_it(serving: Serving) -> None:
    made = serving.ask("POST", "/v1/topics", {"name": "beside", "partitions": 2})
    assert made.status == 201, made
    body = {"records": [{"value": "by http", "partition": 0}]}
    assert serving.ask("POST", "/v1/topics/beside/records", body).status == 200
    address = f"127.0.0.1:{serving.port}"
    assert consume(address, "beside", 1) == [b"by http"]
    produce(address, "beside", [b"by kafka"])
    records = serving.ask("GET", "/v1/topics/beside/records?offset=1").json["records"]
    assert [each["value"] for each in records] == ["by kafka"]
    serving.ask("POST", "/v1/topics", {"name": "beside"}).problem(409, "TOPIC_ALREADY_EXISTS")
    assert b"streambus_" in serving.ask("GET", "/metrics").body
    serving.process.terminate()
    assert serving.process.wait(SECONDS) == 0


@pytest.mark.crash
def test_the_sibling_dies_with_a_broker_that_is_killed(serving: Serving) -> None:
    sibling = serving.sibling()
    serving.process.kill()
    serving.process.wait()
    eventually(lambda: not is_alive(sibling), "it outlived its broker")


@pytest.mark.crash
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process that hangs sees no end")
def test_a_sibling_that_hangs_dies_with_a_broker_that_is_killed(serving: Serving) -> None:
    sibling = serving.sibling()
    os.kill(sibling, signal.SIGSTOP)
    serving.process.kill()
    serving.process.wait()
    eventually(lambda: not is_alive(sibling), "it outlived its broker")


@pytest.mark.crash
def test_a_sibling_that_dies_is_started_again_and_the_broker_goes_on(serving: Serving) -> None:
    first = serving.sibling()
    os.kill(first, signal.SIGKILL)
    produce(f"127.0.0.1:{serving.port}", "goes-on", [b"1"])
    eventually(lambda: first not in children(serving.process.pid), "it is still there")
    eventually(serving.is_up, "it was not started again")
    assert serving.sibling() != first
    assert serving.ask("GET", "/v1/topics/goes-on").status == 200
    assert "api.ended" in serving.log()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_the_sibling_holds_nothing_of_the_data_directory(serving: Serving) -> None:
    serving.ask("POST", "/v1/topics", {"name": "a"})
    folder = Path(f"/proc/{serving.sibling()}/fd")
    held = [os.readlink(each) for each in folder.iterdir() if each.is_symlink()]
    assert held and not [each for each in held if str(serving.folder / "data") in each]
    mapped = Path(f"/proc/{serving.sibling()}/maps").read_text()
    assert str(serving.folder / "data") not in mapped


def test_a_request_that_is_under_way_is_answered_when_the_broker_stops(serving: Serving) -> None:
    assert serving.ask("POST", "/v1/topics", {"name": "a"}).status == 201
    with socket.create_connection(("127.0.0.1", serving.api_port), timeout=SECONDS) as connection:
        connection.sendall(
            b"POST /v1/topics/a/records HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n"
            b"content-type: text/plain\r\ncontent-length: 4\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        serving.process.terminate()
        eventually(lambda: "broker.stopping" in serving.log(), "it does not stop")
        connection.sendall(b"last")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200 ")
    assert serving.process.wait(SECONDS) == 0


def test_a_taken_address_is_refused_before_anything_starts(
    serving: Serving, tmp_path: Path
) -> None:
    config = tmp_path / "other.yaml"
    config.write_text(
        f"data: {tmp_path / 'other'}\n"
        "listeners: ['127.0.0.1:0']\n"
        f"api: {{address: '127.0.0.1:{serving.api_port}'}}\n"
    )
    done = subprocess.run(
        [STREAMBUS, "serve", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert f"127.0.0.1:{serving.api_port}" in done.stderr and "api.address" in done.stderr
    assert not (tmp_path / "other").exists()


def test_without_an_address_there_is_no_http_and_no_sibling(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "broker.yaml"
    config.write_text(
        f"data: {tmp_path / 'data'}\nlisteners: ['127.0.0.1:{port}']\napi: {{address: ''}}\n"
    )
    process = subprocess.Popen([STREAMBUS, "serve", "--config", str(config)])
    try:
        eventually(lambda: answers(port), "Kafka clients are not answered")
        assert children(process.pid) == []
        process.terminate()
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
