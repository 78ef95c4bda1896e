"""The composition root: the only place that constructs things and joins them.

Owns    the order in which a broker starts and ends, and the process around it.
Never   decides anything else: `started` gives the same broker to a process, a test or a simulation.

Start: claim the directory, open manifest and log side by side, register (which raises the epoch of
every partition that this broker leads), make replicas, open the doors. End: the doors close, what
is in flight is answered, the log is synced, the directory is let go.
"""

import asyncio
import gc
import resource
import signal
import socket
import ssl
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from app import config as settings
from app import limits, supervisor
from app.admin.local import LocalAdmin
from app.admin.parts import Parts
from app.api import plane
from app.api.settings import ApiSettings
from app.broker_configs import kafka_configs
from app.config import BrokerConfig
from app.core import broker_config, effective_config
from app.core.hybrid_clock import HybridClock
from app.core.manifest.decide import ControllerDefaults
from app.core.manifest.image import Image
from app.core.manifest.policies import Policies
from app.directory import claim
from app.errors import InvalidConfig, StorageFailed, StreamBusError
from app.kafka.context import Broker, KafkaSettings
from app.kafka.handlers import ROUTES
from app.kafka.listener import Listener
from app.kafka.metadata_cache import MetadataCache
from app.kafka.metrics import KafkaMetrics
from app.kafka.router import Router
from app.kafka.sessions import FetchSessions
from app.model import BrokerId, Endpoint
from app.partitions.metrics import PartitionMetrics
from app.partitions.registry import OpensWal, Registry
from app.partitions.retention_loop import RetentionLoop
from app.raft.controller import Controller
from app.raft.metrics import ManifestMetrics
from app.raft.producer_ids import ProducerIds
from app.raft.single_node import SingleNode
from app.security import tls as listener_tls
from app.security.ports import AllowAll, Authorizer, Quotas, Unlimited
from app.telemetry import events
from app.telemetry.metrics import Collectors
from app.telemetry.process import watched
from app.tiers.nvme.metrics import WalMetrics
from app.tiers.nvme.ports import WalListener, WalSettings
from app.tiers.nvme.wal import Wal
from app.world.ports import World
from app.world.real import RealWorld
from streambus import __version__

BUG_STATUS = 70  # EX_SOFTWARE: the broker ended by a bug of its own
SWITCH_INTERVAL_S = 0.0005  # how long a lane may keep the interpreter from the loop
GC_THRESHOLDS = (500, 3, 50_000)  # small portions; our own paths leave no cycles (ADR 3)


@dataclass(frozen=True, slots=True)
class Started:
    """A broker that serves. `addresses` are its doors as (host, port), in the order of the
    config."""

    addresses: tuple[tuple[str, int], ...]
    registry: Registry
    controller: Controller
    listener: Listener
    admin: LocalAdmin
    collectors: Collectors


@asynccontextmanager
async def started(
    config: BrokerConfig,
    world: World,
    *,
    authorizer: Authorizer | None = None,
    quotas: Quotas | None = None,
) -> AsyncIterator[Started]:
    """Run one broker for as long as the block lasts. Raises one of the four kinds of error."""
    tls = [listener_tls.context(door) for door in config.doors()]
    release = await world.lane("raft").run(
        partial(claim, world.files, config.data, config.broker_id)
    )
    try:
        async with _parts(config, world, tls, authorizer, quotas) as broker:
            yield broker
    except BaseExceptionGroup as group:
        raise _first_of(group) from None  # what a task group raises is wrapped in a group
    finally:
        release()


@asynccontextmanager
async def _parts(
    config: BrokerConfig,
    world: World,
    tls: list[ssl.SSLContext | None],
    authorizer: Authorizer | None,
    quotas: Quotas | None,
) -> AsyncIterator[Started]:
    """The parts, joined and running."""
    broker_id = BrokerId(config.broker_id)
    file = kafka_configs(config)
    controller = Controller(
        world,
        SingleNode(world, f"{config.data}/manifest"),
        f"{config.data}/manifest",
        ControllerDefaults(config.topics.partitions, config.topics.replication_factor),
        Policies(broker_id, file),
    )
    registry = Registry(world, broker_id, _wal_factory(config, world))
    async with asyncio.TaskGroup() as opening:
        opening.create_task(controller.start(), name="open-manifest")
        opening.create_task(registry.open(), name="open-wal")
    producer_ids = ProducerIds(world, controller, broker_id)
    collectors = Collectors()
    admin = LocalAdmin(
        Parts(
            broker_id=broker_id,
            world=world,
            registry=registry,
            controller=controller,
            authorizer=authorizer or AllowAll(),
            directory=config.data,
            file=file,
            collectors=collectors,
        )
    )
    broker = Broker(
        broker_id=broker_id,
        world=world,
        registry=registry,
        controller=controller,
        producer_ids=producer_ids,
        authorizer=authorizer or AllowAll(),
        quotas=quotas or Unlimited(),
        settings=_kafka_settings(config),
        sessions=FetchSessions(config.limits.fetch_sessions),
        metadata=MetadataCache(),
        admin=admin,
    )
    retention = _retention(config, world, registry)
    controller.watch(_obeying(broker, retention, file))
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(registry.run(), name="registry"),
            tasks.create_task(retention.run(), name="retention"),
            tasks.create_task(producer_ids.run(), name="producer-ids"),
        ]
        async with Listener(broker, Router(ROUTES)) as listener:
            addresses = await _open_doors(config, world, controller, registry, listener, tls)
            _collect_from(collectors, listener, registry, controller)
            admin.opened()
            try:
                yield Started(addresses, registry, controller, listener, admin, collectors)
            finally:
                admin.close()
        for task in running:
            task.cancel()
    await registry.close()
    await controller.close()


def _retention(config: BrokerConfig, world: World, registry: Registry) -> RetentionLoop:
    check_ms, expiration_ms = config.topics.retention_check_ms, config.limits.producer_expiration_ms
    return RetentionLoop(world, registry, check_ms, expiration_ms)


def _obeying(
    broker: Broker, retention: RetentionLoop, file: Mapping[str, str]
) -> Callable[[Image], None]:
    """What sees to it that broker configs count as soon as the manifest has them. Those that are
    defaults of topics are in the topics' policies already."""
    seen: Mapping[int, Mapping[str, str]] | None = None

    def obey(image: Image) -> None:
        nonlocal seen
        if image.broker_configs == seen:
            return
        seen = image.broker_configs
        levels = effective_config.broker_levels(image, broker.broker_id, file)
        connections_max = broker_config.number(levels, broker_config.CONNECTIONS_MAX)
        broker.settings = replace(broker.settings, connections_max=connections_max)
        retention.producer_expiration_ms = broker_config.number(
            levels, broker_config.PRODUCER_EXPIRATION_MS
        )

    return obey


def _collect_from(
    collectors: Collectors, listener: Listener, registry: Registry, controller: Controller
) -> None:
    """Who shows what it counted when metrics are asked for."""
    collectors.add(KafkaMetrics(listener).collect)
    collectors.add(PartitionMetrics(registry).collect)
    collectors.add(WalMetrics(registry).collect)
    collectors.add(ManifestMetrics(controller).collect)


def _first_of(error: BaseException) -> BaseException:
    """What was raised, out of the groups that it came in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _open_doors(
    config: BrokerConfig,
    world: World,
    controller: Controller,
    registry: Registry,
    listener: Listener,
    tls: list[ssl.SSLContext | None],
) -> tuple[tuple[str, int], ...]:
    """Register and listen. Doors on port 0 open first: clients must be told their numbers."""
    doors = list(zip(config.doors(), tls, strict=True))
    opened: dict[str, tuple[str, int]] = {}
    for door, context in doors:
        if settings.address(door.address)[1] == 0:
            opened[door.name] = await _listen(listener, door, context)
    endpoints = [_endpoint(door, opened.get(door.name)) for door, _ in doors]
    await controller.register_broker(BrokerId(config.broker_id), endpoints, config.rack)
    controller.watch(registry.apply)
    for door, context in doors:
        if door.name not in opened:
            opened[door.name] = await _listen(listener, door, context)
    return tuple(opened[door.name] for door, _ in doors)


def _endpoint(door: settings.ListenerConfig, bound: tuple[str, int] | None) -> Endpoint:
    """What clients of this door are told; `bound` is where it listens if that was up to the
    system."""
    host, port = settings.address(door.advertised or door.address)
    if port == 0:
        port = bound[1] if bound is not None else settings.address(door.address)[1]
    return Endpoint(door.name, host, port)


async def _listen(
    listener: Listener, door: settings.ListenerConfig, tls: ssl.SSLContext | None
) -> tuple[str, int]:
    host, port = settings.address(door.address)
    try:
        listening = await listener.listen(host, port, tls, door.name)
    except OSError as error:
        raise StorageFailed(
            f"cannot listen on {host}:{port}: {error.strerror}. "
            "Stop what uses it, or choose another address with --listen"
        ) from error
    return listening.host, listening.port


def _wal_factory(config: BrokerConfig, world: World) -> OpensWal:
    clock = HybridClock()
    wal = WalSettings(segment_bytes=config.wal.segment_bytes, sync=config.wal.sync)

    def opens(listener: WalListener) -> Wal:
        return Wal(world, f"{config.data}/wal", wal, clock, listener)

    return opens


def _kafka_settings(config: BrokerConfig) -> KafkaSettings:
    bounds = config.limits
    return KafkaSettings(
        auto_create_topics=config.topics.auto_create,
        connections_max=bounds.connections,
        request_bytes_max=bounds.request_bytes,
        connection_idle_ms=bounds.connection_idle_ms,
        in_flight_bytes_max=bounds.connection_in_flight_bytes,
        receive_pool_bytes=bounds.receive_pool_bytes,
        fetch_response_bytes_max=bounds.fetch_response_bytes,
        fetch_sessions_max=bounds.fetch_sessions,
        descriptors_max=_descriptors_max(),
    )


# The process


OnReady = Callable[[Started, str], None]
"""Told that Kafka clients are served, and the address of the HTTP plane ("" if there is none)."""


def run(config: BrokerConfig, on_ready: OnReady, api: plane.Where = "inside") -> None:
    """Run a broker in this process until SIGTERM or SIGINT, its HTTP plane inside or beside it.
    Raises one of the four kinds of error."""
    events.configure(config.log.rendering, config.log.level)
    _raise_descriptor_limit()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(config, on_ready, api))
    except (StreamBusError, KeyboardInterrupt):
        raise
    except Exception as error:  # a bug of ours: the log is what its reader has of it
        trace = "".join(traceback.format_exception(error))
        events.emit("broker.failed", events.ERROR, error=repr(error), trace=trace)
        raise SystemExit(BUG_STATUS) from None


async def _serve(config: BrokerConfig, on_ready: OnReady, api: plane.Where) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bugs = _watch_loop(loop, stop)
    world = RealWorld()
    try:
        with _api_socket(config) as bound:
            async with started(config, world) as broker:
                # Everything that lives as long as the broker is here now: collections need not
                # look.
                gc.collect()
                gc.freeze()
                gc.set_threshold(*GC_THRESHOLDS)
                doors = " ".join(f"{host}:{port}" for host, port in broker.addresses)
                events.emit(
                    "broker.ready", broker_id=config.broker_id, data=config.data, doors=doors
                )
                supervisor.tell(supervisor.READY, f"Kafka clients at {doors}")
                on_ready(broker, "" if bound is None else plane.address_of(bound))
                async with _api(config, world, broker, bound, api):
                    with watched(world, broker.collectors):
                        await stop.wait()
                    if bugs:
                        raise bugs[0]
                    supervisor.tell(supervisor.STOPPING)
                    events.emit("broker.stopping", broker_id=config.broker_id)
    finally:
        await world.close()
    events.emit("broker.stopped", broker_id=config.broker_id)


def _api_socket(config: BrokerConfig) -> AbstractContextManager[socket.socket | None]:
    """What the HTTP plane will listen on: bound before the broker starts, so that a taken address
    is told at once."""
    if not config.api.address:
        return nullcontext()
    return plane.listening(*settings.address(config.api.address))


def _api(
    config: BrokerConfig,
    world: World,
    broker: Started,
    bound: socket.socket | None,
    where: plane.Where,
) -> AbstractAsyncContextManager[None]:
    """The HTTP plane, for as long as the block lasts."""
    if bound is None:
        return nullcontext()
    host, _ = settings.address(config.api.address)
    bounds = ApiSettings(
        body_bytes=config.api.body_bytes,
        request_ms=config.api.request_ms,
        connections=config.api.connections,
        is_local=settings.is_loopback(host),
        version=__version__,
        broker_id=config.broker_id,
    )
    log = (config.log.rendering, config.log.level)
    return plane.Plane(world, broker.admin, bound, bounds).running(where, log)


def _raise_descriptor_limit() -> None:
    """Two descriptors a connection, one a segment: take what the system lets this user have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < limits.DESCRIPTORS_MIN:
        raise InvalidConfig(
            f"this process may open {hard} files and a broker needs {limits.DESCRIPTORS_MIN} at "
            "least, and two more for each connection: raise `ulimit -n`"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _descriptors_max() -> int:
    """What connections may use of the descriptors: the rest is for files, or a flood of
    connections would end the log."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 0:
        return limits.DESCRIPTORS_UNBOUNDED
    return soft - min(limits.DESCRIPTORS_RESERVED, soft // 2)


def _watch_loop(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> list[BaseException]:
    """Make what goes wrong in a callback visible, as one event. Our own bugs (AssertionError) stop
    the broker: they are in the list then."""
    bugs: list[BaseException] = []

    def failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        traced: dict[str, str] = {}
        if error is not None and not isinstance(error, OSError | StreamBusError):
            traced["trace"] = "".join(traceback.format_exception(error))
        events.emit(
            "loop.error", events.ERROR, what=context["message"], error=repr(error), **traced
        )
        if isinstance(error, AssertionError):
            bugs.append(error)
            stop.set()

    loop.set_exception_handler(failed)
    return bugs


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
