"""The composition root: what a broker registers as."""

import asyncio
import socket
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from app import main
from app.admin.commands.health import CheckHealth
from app.admin.commands.topics import ListTopics
from app.config import ApiConfig, BrokerConfig, LimitsConfig, ListenerConfig, TopicsConfig
from app.core.manifest.config_changes import ConfigsReplaced
from app.core.manifest.image import Image
from app.errors import StorageFailed
from app.kafka.context import Broker, KafkaSettings
from app.main import Started, started
from app.model import ANONYMOUS, BrokerId, Endpoint
from app.partitions.retention_loop import RetentionLoop
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


async def test_broker_configs_count_at_once_and_after_a_restart_over_those_of_the_file(
    tmp_path: Path,
) -> None:
    config = BrokerConfig(
        data=str(tmp_path / "data"),
        listeners=("127.0.0.1:0",),
        topics=TopicsConfig(configs={"retention.ms": "60000"}),
        limits=LimitsConfig(connections=77),
    )

    def set_to(**configs: str) -> list[ConfigsReplaced]:
        named = {name.replace("_", "."): value for name, value in configs.items()}
        return [ConfigsReplaced("broker", "1", named)]

    def obeyed(broker: Started) -> tuple[int, int, int]:
        policy = broker.registry.topics[b"a"].policy
        bound = broker.listener.broker.settings.connections_max
        return policy.retention_ms, policy.max_message_bytes, bound

    world = RealWorld()
    try:
        async with started(config, world) as broker:
            await broker.controller.ensure_topic("a")
            assert obeyed(broker) == (60_000, 1_048_588, 77)
            await broker.controller.alter_configs(
                set_to(log_retention_ms="5000", message_max_bytes="999", max_connections="3")
            )
            assert obeyed(broker) == (5_000, 999, 3)
        async with started(config, world) as broker:
            assert obeyed(broker) == (5_000, 999, 3)
            await broker.controller.alter_configs(set_to())
            assert obeyed(broker) == (60_000, 1_048_588, 77)
    finally:
        await world.close()


def test_how_long_producers_are_remembered_follows_the_image() -> None:
    broker = SimpleNamespace(broker_id=BrokerId(1), settings=KafkaSettings())
    retention = SimpleNamespace()
    name = "producer.id.expiration.ms"
    obey = main._obeying(cast(Broker, broker), cast(RetentionLoop, retention), {name: "7"})
    for configs, expected in (
        ({}, 7),
        ({-1: {name: "8"}}, 8),
        ({-1: {name: "8"}, 1: {name: "9"}}, 9),
        ({2: {name: "10"}}, 7),
    ):
        obey(Image(broker_configs=configs))
        assert retention.producer_expiration_ms == expected


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
    def on_ready(broker: Started, api: str) -> None:
        assert api == ""
        asyncio.get_running_loop().call_soon(fail, AssertionError("a bug"))

    monkeypatch.setattr("signal.set_wakeup_fd", lambda *_, **__: -1)
    config = BrokerConfig(
        data=str(tmp_path / "data"), listeners=("127.0.0.1:0",), api=ApiConfig(address="")
    )
    with pytest.raises(SystemExit) as ended:
        main.run(config, on_ready)
    assert ended.value.code == main.BUG_STATUS


async def test_who_watches_is_let_go_when_the_broker_ends(tmp_path: Path) -> None:
    config = BrokerConfig(data=str(tmp_path / "data"), listeners=("127.0.0.1:0",))
    world = RealWorld()
    seen: list[object] = []
    is_watching = asyncio.Event()

    async def watching(broker: Started) -> None:
        async with aclosing(broker.admin.watch(ANONYMOUS, ListTopics())) as replies:
            async for reply in replies:
                seen.append(reply)
                is_watching.set()

    try:
        async with asyncio.TaskGroup() as tasks:
            async with started(config, world) as broker:
                assert (await broker.admin.ask(ANONYMOUS, CheckHealth())).ready
                tasks.create_task(watching(broker))
                await is_watching.wait()
            assert not (await broker.admin.ask(ANONYMOUS, CheckHealth())).ready
        assert len(seen) == 1
    finally:
        await world.close()
