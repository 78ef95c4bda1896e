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
import ssl
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from app import config as settings
from app import limits
from app.config import BrokerConfig
from app.core.hybrid_clock import HybridClock
from app.core.manifest.decide import ControllerDefaults
from app.directory import claim
from app.errors import InvalidConfig, StorageFailed, StreamBusError
from app.kafka.context import Broker, KafkaSettings
from app.kafka.handlers import ROUTES
from app.kafka.listener import Listener
from app.kafka.metadata_cache import MetadataCache
from app.kafka.router import Router
from app.kafka.sessions import FetchSessions
from app.model import BrokerId, Endpoint
from app.partitions.registry import OpensWal, Registry
from app.partitions.retention_loop import RetentionLoop
from app.raft.controller import Controller
from app.raft.producer_ids import ProducerIds
from app.raft.single_node import SingleNode
from app.security.ports import AllowAll, Authorizer, Quotas, Unlimited
from app.telemetry import events
from app.tiers.nvme.ports import WalListener, WalSettings
from app.tiers.nvme.wal import Wal
from app.world.ports import World
from app.world.real import RealWorld

BUG_STATUS = 70  # EX_SOFTWARE: the broker ended by a bug of its own
SWITCH_INTERVAL_S = 0.0005  # how long a lane may keep the interpreter from the loop
GC_THRESHOLDS = (50_000, 50, 100)  # no pause above 1.4 ms was seen with these (ADR 3)


@dataclass(frozen=True, slots=True)
class Started:
    """A broker that serves. `addresses` are its doors as (host, port), in the order of the
    config."""

    addresses: tuple[tuple[str, int], ...]
    registry: Registry
    controller: Controller
    listener: Listener


@asynccontextmanager
async def started(
    config: BrokerConfig,
    world: World,
    *,
    authorizer: Authorizer | None = None,
    quotas: Quotas | None = None,
) -> AsyncIterator[Started]:
    """Run one broker for as long as the block lasts. Raises one of the four kinds of error."""
    tls = [_tls_context(door) for door in config.doors()]
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
    controller = Controller(
        world,
        SingleNode(world, f"{config.data}/manifest"),
        f"{config.data}/manifest",
        ControllerDefaults(config.topics.partitions, config.topics.replication_factor),
    )
    registry = Registry(world, broker_id, _wal_factory(config, world))
    async with asyncio.TaskGroup() as opening:
        opening.create_task(controller.start(), name="open-manifest")
        opening.create_task(registry.open(), name="open-wal")
    producer_ids = ProducerIds(world, controller, broker_id)
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
    )
    retention = RetentionLoop(
        world,
        registry,
        config.topics.retention_check_ms,
        config.limits.producer_expiration_ms,
    )
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(registry.run(), name="registry"),
            tasks.create_task(retention.run(), name="retention"),
            tasks.create_task(producer_ids.run(), name="producer-ids"),
        ]
        async with Listener(broker, Router(ROUTES)) as listener:
            addresses = await _open_doors(config, world, controller, registry, listener, tls)
            yield Started(addresses, registry, controller, listener)
        for task in running:
            task.cancel()
    await registry.close()
    await controller.close()


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


def _tls_context(door: settings.ListenerConfig) -> ssl.SSLContext | None:
    if door.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(door.tls.certificate, door.tls.key)
        if door.tls.client_ca is not None:
            context.load_verify_locations(door.tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise InvalidConfig(f"listener {door.name}: its TLS files do not load: {error}") from error
    return context


# The process


def run(config: BrokerConfig, on_ready: Callable[[Started], None]) -> None:
    """Run a broker in this process until SIGTERM or SIGINT. Raises one of the four kinds of
    error."""
    events.configure(config.log.rendering, config.log.level)
    _raise_descriptor_limit()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(config, on_ready))
    except (StreamBusError, KeyboardInterrupt):
        raise
    except Exception as error:  # a bug of ours: the log is what its reader has of it
        trace = "".join(traceback.format_exception(error))
        events.emit("broker.failed", events.ERROR, error=repr(error), trace=trace)
        raise SystemExit(BUG_STATUS) from None


async def _serve(config: BrokerConfig, on_ready: Callable[[Started], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bugs = _watch_loop(loop, stop)
    world = RealWorld()
    try:
        async with started(config, world) as broker:
            # Everything that lives as long as the broker is here now: collections need not look.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            doors = " ".join(f"{host}:{port}" for host, port in broker.addresses)
            events.emit("broker.ready", broker_id=config.broker_id, data=config.data, doors=doors)
            on_ready(broker)
            await stop.wait()
            if bugs:
                raise bugs[0]
            events.emit("broker.stopping", broker_id=config.broker_id)
    finally:
        await world.close()
    events.emit("broker.stopped", broker_id=config.broker_id)


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
