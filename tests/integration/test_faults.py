"""A live broker against what befalls machines: signals at bad moments, full and failing disks,
damaged files. Nothing acknowledged is lost, and an operator reads a sentence, never a traceback."""

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.broker import BrokerProcess
from tests.integration.test_process import needs_mount, needs_strace
from tests.integration.wire import (
    API_VERSIONS,
    Wire,
    a_batch,
    ended,
    eventually,
    fetched,
    outcome,
    produced,
)

SMALL_SEGMENTS = ("--segment-bytes", "1048576")


@contextmanager
def running(broker: BrokerProcess) -> Iterator[Wire]:
    """`broker`, started, with the topic `kept`; killed if the test did not end it."""
    broker.start()
    wire = Wire(broker)
    try:
        wire.create("kept")
        yield wire
    finally:
        wire.close()
        if broker.process is not None and broker.process.poll() is None:
            broker.kill()


@contextmanager
def small_disk(tmp_path: Path, size: str) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def grow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)


@contextmanager
def failing(broker: BrokerProcess, call: str, error: str) -> Iterator[None]:
    """Every `call` of the broker fails with `error`, once this block has begun."""
    tracer = subprocess.Popen(
        [
            "strace", "-f", "-e", f"trace={call}", "-e", f"inject={call}:error={error}",
            "-o", "/dev/null", "-p", str(broker.pid),
        ],
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert tracer.stderr is not None
    try:
        assert b"attached" in tracer.stderr.readline()
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)


class Load:
    """Four connections that produce one record after another, until the broker hangs up."""

    def __init__(self, broker: BrokerProcess) -> None:
        self.acknowledged: list[bytes] = []
        self.refused: list[int] = []
        self._wires = [Wire(broker) for _ in range(4)]
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(4)]

    def _run(self, number: int) -> None:
        count = 0
        while True:
            value = b"%d-%d" % (number, count)
            try:
                error, _ = self._wires[number].produce("kept", [value])
            except OSError:
                return
            if error:
                self.refused.append(error)
                return
            self.acknowledged.append(value)
            count += 1

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        eventually(lambda: len(self.acknowledged) > 20)
        return self

    def __exit__(self, *exception: object) -> None:
        for thread in self._threads:
            thread.join(30)
        for wire in self._wires:
            wire.close()


def assert_kept(broker: BrokerProcess, acknowledged: list[bytes]) -> None:
    broker.start()
    wire = Wire(broker)
    values, error = wire.read("kept")
    wire.close()
    assert error == 0
    assert set(acknowledged) <= set(values)
    assert broker.stop() == 0
    assert "Traceback" not in broker.log()


# Signals


@pytest.mark.parametrize("times", [1, 2])
def test_sigterm_under_load_ends_with_status_0_and_keeps_what_was_acknowledged(
    tmp_path: Path, times: int
) -> None:
    broker = BrokerProcess(tmp_path / "data", SMALL_SEGMENTS)
    with running(broker):
        parked = [Wire(broker) for _ in range(20)]
        for each in parked:
            each.send(fetched("kept", min_bytes=1 << 30, wait_ms=60_000))
        if times == 1:  # the broker waits for it as long as it waits for anything
            Wire(broker).send(fetched("kept") * 500)  # and reads no answer
        pipelined = Wire(broker)
        pipelined.send(produced("kept", a_batch([bytes(900)])) * 500)
        with Load(broker) as load:
            assert ended(broker, times) == 0
    assert_kept(broker, load.acknowledged)


def test_signals_while_starting_leave_everything_in_place(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path / "data", SMALL_SEGMENTS)
    values = [b"%d-" % number + bytes(200_000) for number in range(12)]
    with running(broker) as wire:
        for value in values:
            assert wire.produce("kept", [value])[0] == 0
        broker.kill()
    for number in range(6):
        broker.launch()
        assert broker.process is not None
        with pytest.raises(subprocess.TimeoutExpired):
            broker.process.wait(0.35 + 0.06 * number)
        if number % 2:
            broker.kill()
        else:
            assert ended(broker) in (0, -signal.SIGTERM)
    assert_kept(broker, values)


def test_a_stopped_and_continued_process_goes_on(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path / "data")
    with running(broker) as wire:
        assert broker.process is not None
        broker.process.send_signal(signal.SIGSTOP)
        wire.send(produced("kept", a_batch([b"while it was stopped"])))
        broker.process.send_signal(signal.SIGCONT)
        assert outcome(wire.answer()) == (0, 0)
        assert broker.stop() == 0


# Full disks


@needs_mount
def test_when_a_full_disk_has_room_again_produce_resumes_by_itself(tmp_path: Path) -> None:
    with small_disk(tmp_path, "3m") as disk:
        broker = BrokerProcess(disk / "data", SMALL_SEGMENTS)
        (disk / "data.log").symlink_to(tmp_path / "broker.log")
        acknowledged: list[bytes] = []
        with running(broker) as wire:
            while True:
                value = b"%d" % len(acknowledged) + bytes(300_000)
                if wire.produce("kept", [value])[0]:
                    break
                acknowledged.append(value)
            assert wire.read("kept") == (acknowledged, 0)
            grow(disk)
            eventually(lambda: wire.produce("kept", [b"again"])[0] == 0)
            assert wire.read("kept") == ([*acknowledged, b"again"], 0)
            broker.kill()
        assert_kept(broker, [*acknowledged, b"again"])


@needs_mount
@pytest.mark.parametrize("size", ["8k", "64k"])
def test_a_disk_too_full_to_start_on_is_a_sentence(tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path, size) as disk:
        broker = BrokerProcess(disk / "data", SMALL_SEGMENTS)
        (disk / "data.log").symlink_to(tmp_path / "broker.log")
        with pytest.raises(RuntimeError, match="the broker ended"):
            broker.start()
        assert "Traceback" not in broker.log()
        assert "streambus: " in broker.log() and str(disk) in broker.log()
        grow(disk)
        with running(broker) as wire:
            assert wire.produce("kept", [b"x"]) == (0, 0)
            assert broker.stop() == 0


# Failing calls


@needs_strace
def test_a_read_that_fails_is_answered_and_said_once_each(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path / "data", SMALL_SEGMENTS)
    with running(broker) as wire:
        assert wire.produce("kept", [b"small"])[0] == 0
        with failing(broker, "preadv2,pread64", "EIO"):
            assert wire.read("kept") == ([], 56)
        assert wire.read("kept") == ([b"small"], 0)
        assert "read.failed" in broker.log() and "Traceback" not in broker.log()
        assert broker.stop() == 0


@needs_strace
def test_a_file_that_cannot_be_sent_is_an_event(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path / "data", SMALL_SEGMENTS)
    with running(broker) as wire:
        assert wire.produce("kept", [bytes(500_000)])[0] == 0
        with failing(broker, "sendfile", "EIO"), pytest.raises(OSError):
            wire.read("kept")
        assert "connection.failed" in broker.log()
        assert Wire(broker).read("kept") == ([bytes(500_000)], 0)
        assert broker.stop() == 0


@needs_strace
def test_a_log_without_a_descriptor_left_goes_on_when_there_is_one(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path / "data", SMALL_SEGMENTS)
    acknowledged: list[bytes] = []
    with running(broker) as wire:
        with failing(broker, "openat", "EMFILE"):
            while True:
                value = b"%d" % len(acknowledged) + bytes(300_000)
                if wire.produce("kept", [value])[0]:
                    break
                acknowledged.append(value)
        eventually(lambda: wire.produce("kept", [b"again"])[0] == 0)
        assert "ulimit -n" in broker.log()
        broker.kill()
    assert_kept(broker, [*acknowledged, b"again"])


# Damaged files


def flipped(raw: bytes) -> bytes:
    used = raw.rstrip(b"\0") or raw
    at = len(used) // 2
    return raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flipped,
    "cut": lambda raw: raw[: len(raw) // 2],
}
KINDS = {
    "journal": "manifest/journal",
    "state": "manifest/state.sqlite",
    "marker": "streambus.json",
    "segment": "wal/*.segment",
    "sidecar": "wal/*.sidecar",
    "checkpoint": "wal/checkpoint-*",
}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A broker's directory after an orderly end, and what was acknowledged there."""
    folder = tmp_path_factory.mktemp("sealed")
    broker = BrokerProcess(folder / "data", SMALL_SEGMENTS)
    values = [b"%d-" % number + bytes(200_000) for number in range(12)]
    with running(broker) as wire:
        for value in values:
            assert wire.produce("kept", [value])[0] == 0
        assert broker.stop() == 0
    return folder / "data", values


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_costs_nothing_or_is_named(
    sealed: tuple[Path, list[bytes]], tmp_path: Path, kind: str, damage: str
) -> None:
    kept, values = sealed
    shutil.copytree(kept, tmp_path / "data")
    victim = sorted((tmp_path / "data").glob(KINDS[kind]))[0]
    victim.write_bytes(DAMAGES[damage](victim.read_bytes()))
    broker = BrokerProcess(tmp_path / "data", SMALL_SEGMENTS)
    try:
        broker.start()
    except RuntimeError:
        assert f"streambus: {tmp_path}" in broker.log() and victim.name in broker.log()
        assert "Traceback" not in broker.log()
        return
    try:
        wire = Wire(broker)
        try:
            read, error = wire.read("kept")
        except Exception as refused:  # a sealed batch goes out as it lies: its reader checks it
            assert kind == "segment" and "CRC" in str(refused)
            return
        assert read == values[: len(read)], "a wrong record was served"
        assert read == values or (error == 56 and victim.name in broker.log())
        wire.send(API_VERSIONS)
        wire.answer()
    finally:
        assert broker.stop() == 0
    assert "Traceback" not in broker.log()
