"""The composition root: what a broker registers as."""

import asyncio
import socket
from pathlib import Path

import pytest

from app import main
from app.config import BrokerConfig, ListenerConfig
from app.errors import StorageFailed
from app.main import Started, started
from app.model import BrokerId, Endpoint
from app.world.real import RealWorld


async def test_every_door_is_registered_with_the_port_that_clients_can_reach(
    tmp_path: Path,
) -> None:
    config = BrokerConfig(
        data=str(tmp_path / "data"),
        listeners=(
            "127.0.0.1:0",
            ListenerConfig("127.0.0.1:0", name="mapped", advertised="outside.example:0"),
            ListenerConfig("127.0.0.1:0", name="behind", advertised="proxy.example:443"),
        ),
    )
    world = RealWorld()
    try:
        async with started(config, world) as broker:
            plain, mapped, _ = (port for _, port in broker.addresses)
            assert broker.controller.image.brokers[BrokerId(1)].endpoints == (
                Endpoint("behind", "proxy.example", 443),
                Endpoint("mapped", "outside.example", mapped),
                Endpoint("plain", "127.0.0.1", plain),
            )
    finally:
        await world.close()


async def test_an_error_of_the_start_is_itself_and_not_a_group(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = BrokerConfig(data=str(tmp_path / "data"), listeners=(address,))
        world = RealWorld()
        try:
            with pytest.raises(StorageFailed, match="cannot listen"):
                async with started(config, world):
                    raise AssertionError("it started")
        finally:
            await world.close()


async def test_what_a_callback_raises_is_one_event_and_our_own_bugs_stop_the_broker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    bugs = main._watch_loop(loop, stop)
    try:
        loop.call_soon(fail, ValueError("odd"))
        await asyncio.sleep(0)
        assert [record.getMessage() for record in caplog.records] == ["loop.error"]
        assert "in fail" in caplog.records[0].fields["trace"]  # type: ignore[attr-defined]
        assert not stop.is_set()
        loop.call_soon(fail, AssertionError("a bug"))
        await asyncio.sleep(0)
        assert stop.is_set() and [str(bug) for bug in bugs] == ["a bug"]
    finally:
        loop.set_exception_handler(None)


def fail(error: Exception) -> None:
    raise error


def test_a_bug_ends_the_process_with_its_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_ready(broker: Started) -> None:
        asyncio.get_running_loop().call_soon(fail, AssertionError("a bug"))

    monkeypatch.setattr("signal.set_wakeup_fd", lambda *_, **__: -1)
    config = BrokerConfig(data=str(tmp_path / "data"), listeners=("127.0.0.1:0",))
    with pytest.raises(SystemExit) as ended:
        main.run(config, on_ready)
    assert ended.value.code == main.BUG_STATUS
