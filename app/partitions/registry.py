"""All replicas of this broker: what the image says exists, what the WAL says is durable.

Owns    replicas by partition key, topic routes by name and by id, and what happens when the WAL
        fails.
Never   decides what exists (the manifest does), and never acknowledges after a failed write or
        sync.
Trusts  that `apply` is called on the loop with each image, in order, beginning after `open`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from app import limits
from app.core.manifest.image import Image, PartitionState, Topic
from app.core.partition_log import PartitionLog
from app.core.replication import Replication
from app.core.topic_policy import TopicPolicy
from app.errors import Fenced, StorageFailed
from app.model import BrokerId, PartitionKey, TopicId
from app.partitions import replica as roles
from app.partitions.fold import Folded, LogFold, pack_state
from app.partitions.replica import Replica
from app.partitions.shared import Shared
from app.partitions.traffic import TopicTraffic, Traffic
from app.partitions.waiting import ParkedFetches
from app.telemetry import events
from app.tiers.nvme.block import BATCHES, Frame, FrameKind
from app.tiers.nvme.failures import DiskFull
from app.tiers.nvme.ports import WalListener
from app.tiers.nvme.recovery import UNKNOWN, Recovered
from app.tiers.nvme.wal import Wal
from app.world.ports import World

FAILED_WAL = "failed"
REOPEN_MS = 3_000  # how often a broker whose disk was full tries to write again


class OpensWal(Protocol):
    def __call__(self, listener: WalListener) -> Wal:
        """A WAL that is not open yet, over the broker's directory."""


class TopicRoute:
    """Where the partitions of one topic are on this broker. `replicas[p]` is None where it has
    none."""

    __slots__ = ("name", "policy", "replicas", "topic", "topic_id", "traffic")

    def __init__(self, topic: Topic, traffic: Traffic) -> None:
        self.name = topic.name.encode()
        self.topic_id = topic.topic_id
        self.topic = topic
        self.policy: TopicPolicy = topic.policy
        self.traffic = traffic
        self.replicas: list[Replica | None] = []


class Registry:
    """Main's calls: `await open()`, then `apply(image)` for each image, `run()` in a TaskGroup,
    `await close()`. The Kafka side reads `topics`, `topics_by_id`, `generation`, `parked` and
    `wal`."""

    def __init__(
        self,
        world: World,
        broker_id: BrokerId,
        opens_wal: OpensWal,
        parked_fetches_max: int = limits.PARKED_FETCHES_MAX,
    ) -> None:
        self.topics: dict[bytes, TopicRoute] = {}
        self.topics_by_id: dict[TopicId, TopicRoute] = {}
        self.generation = 0
        """Grows with each image applied: what connections cached of an older one is stale."""
        self.parked = ParkedFetches(world, parked_fetches_max)
        self.traffic = TopicTraffic()
        self.wal_failures = 0
        self.failure: Exception | None = None
        """Why nothing can be written now, or None."""
        self._world = world
        self._broker_id = broker_id
        self._opens_wal = opens_wal
        self._replicas: dict[PartitionKey, Replica] = {}
        self._applied: Mapping[TopicId, Topic] | None = None
        self._recovered: dict[PartitionKey, Folded] = {}
        self._quarantined: dict[PartitionKey, str] = {}
        self._lost = ""
        """Why partitions of the first image of which nothing was recovered may have had records:
        they must not begin anew."""
        self._dropping: dict[PartitionKey, int] = {}
        """ReplicaDropped frames that are not durable yet: until then frames of before still
        come."""
        self._undropped: dict[PartitionKey, None] = {}
        """Dropped, but no frame says so on disk: the WAL had failed."""
        self._after_release: list[Callable[[], None]] = []
        self._drained: list[Callable[[], None]] = []
        self._woken = asyncio.Event()
        self._garbage = asyncio.Event()
        self._shared = Shared(world, opens_wal(self), self.parked, self.on_failed)

    # Main

    async def open(self) -> Recovered:
        """Recover what the WAL holds; replicas appear when `apply` is told what exists."""
        fold = LogFold()
        recovered = await self.wal.open(fold)
        self._recovered = fold.partitions
        self._quarantined = recovered.quarantined
        self._lost = recovered.quarantined.get(UNKNOWN, "")
        _report(recovered)
        return recovered

    async def run(self) -> None:
        """Lives as long as the broker: after a failed write or sync it refolds the logs from disk
        and, where the disk was only full, goes on by itself."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self._recover()

    async def close(self) -> None:
        """Take nothing more, sync what was appended, answer what waits for it, close the WAL."""
        for replica in self.replicas():
            replica.drain()
        try:
            await self.wal.close()
        finally:
            for replica in self.replicas():
                replica.become(roles.FENCED)
            self._released()
            self.parked.close()
            self._shared.deadlines.close()

    @property
    def wal(self) -> Wal:
        return self._shared.wal

    def replicas(self) -> Sequence[Replica]:
        return list(self._replicas.values())

    def find(self, key: PartitionKey) -> Replica | None:
        return self._replicas.get(key)

    @property
    def quarantined(self) -> Mapping[PartitionKey, str]:
        """Why each partition that is not served is not, in words."""
        return self._quarantined

    def after_release(self, callback: Callable[[], None]) -> None:
        """Call back after each round of released replies (a synced block, a failure): whatever
        they made ready is complete then, and can be written once per connection."""
        self._after_release.append(callback)

    def after_drained(self, callback: Callable[[], None]) -> None:
        """Call back when the WAL's unsynced bytes fell below half of their bound
        (`wal.pending_bytes`)."""
        self._drained.append(callback)

    # The image

    def apply(self, image: Image) -> None:
        """Make replicas what the image says: created, led, reconfigured, dropped. On the loop."""
        if image.topics_by_id is not self._applied:
            self._applied = image.topics_by_id
            self._apply_topics(image.topics_by_id)
            self._lost = ""
        if self.failure is None:
            self._drop_unknown()
        self.generation += 1

    def _apply_topics(self, topics: Mapping[TopicId, Topic]) -> None:
        for topic_id in [known for known in self.topics_by_id if known not in topics]:
            self._drop_topic(self.topics_by_id[topic_id])
        for topic in topics.values():
            route = self.topics_by_id.get(topic.topic_id)
            if route is None or route.topic is not topic:
                self._apply_topic(topic, route)

    def _drop_unknown(self) -> None:
        """What the WAL has and no image knows belongs to topics whose deletion it did not note."""
        unknown = {**dict.fromkeys(self._recovered), **self._undropped}
        self._recovered, self._undropped = {}, {}
        for key in unknown:
            self._note_dropped(key)

    def _apply_topic(self, topic: Topic, route: TopicRoute | None) -> None:
        known: Sequence[PartitionState] = ()
        if route is None:
            route = TopicRoute(topic, self.traffic.of(topic.name.encode()))
            self.topics_by_id[topic.topic_id] = route
            self.topics[route.name] = route
        else:
            known = route.topic.partitions
        route.topic, route.policy = topic, topic.policy
        route.replicas += [None] * (len(topic.partitions) - len(route.replicas))
        for number, state in enumerate(topic.partitions):
            replica = route.replicas[number]
            if replica is not None and number < len(known) and known[number] is state:
                _configure(replica, topic.policy, state)
            else:
                self._apply_partition(route, number, state, replica)

    def _apply_partition(
        self, route: TopicRoute, number: int, state: PartitionState, replica: Replica | None
    ) -> None:
        if self._broker_id not in state.replicas:
            if replica is not None:
                self._drop(replica)
                route.replicas[number] = None
            return
        if replica is None:
            key = PartitionKey(route.topic_id, number)
            replica = route.replicas[number] = self._create(key, route)
        elif replica.policy is not route.policy:
            replica.configure(route.policy)
        self._assume_role(replica, state)

    def _create(self, key: PartitionKey, route: TopicRoute) -> Replica:
        folded = self._recovered.pop(key, None)
        if folded is None:
            folded = Folded(PartitionLog(), 0)
            if self._lost:
                self._quarantined[key] = self._lost
        replica = Replica(
            self._shared, key, route.policy, folded.log, folded.high_watermark, route.traffic
        )
        self._replicas[key] = replica
        return replica

    def _assume_role(self, replica: Replica, state: PartitionState) -> None:
        if replica.key in self._quarantined:
            replica.become(roles.QUARANTINED)
            return
        if state.leader != self._broker_id:
            replica.become(roles.FENCED if state.leader < 0 else roles.FOLLOWING)
            return
        replication = Replication(
            state.isr,
            self._broker_id,
            replica.high_watermark,
            min_isr=_min_isr(replica.policy, state),
        )
        if self.failure is not None:
            replica.fail(state.leader_epoch, replication)
            return
        try:
            replica.lead(state.leader_epoch, replication)
        except StorageFailed as error:
            replica.fail(state.leader_epoch, replication)
            self.on_failed(error)
        except Fenced as error:
            # The WAL has seen a newer epoch than the manifest knows: one of the two directories is
            # not of this broker's present. Serving either would be a guess.
            events.emit("replica.fenced", events.ERROR, partition=replica.key, error=error)
            replica.become(roles.FENCED)

    def _drop_topic(self, route: TopicRoute) -> None:
        del self.topics_by_id[route.topic_id]
        if self.topics.get(route.name) is route:
            del self.topics[route.name]
            self.traffic.forget(route.name)
        for replica in route.replicas:
            if replica is not None:
                self._drop(replica)

    def _drop(self, replica: Replica) -> None:
        del self._replicas[replica.key]
        replica.become(roles.DROPPED)
        self._note_dropped(replica.key)

    def _note_dropped(self, key: PartitionKey) -> None:
        """A deleted topic's data may go at once: the manifest, which is durable, no longer has
        it."""
        self.wal.drop(key)
        self._quarantined.pop(key, None)
        try:
            self.wal.append_control(key, FrameKind.REPLICA_DROPPED, 0, -1)
            self._dropping[key] = self._dropping.get(key, 0) + 1
        except StorageFailed as error:
            self._undropped[key] = None
            self.on_failed(error)
        self._garbage.set()

    # The WAL's listener

    def on_synced(self, frames: Iterable[Frame], block: int) -> None:
        """A block is durable: move the ends of its partitions and release who waited for that."""
        replicas = self._replicas
        for frame in frames:
            if self._dropping and self._is_of_dropped(frame):
                continue
            replica = replicas.get(frame.key)
            if replica is None:
                continue
            if frame.kind == BATCHES:
                traffic = replica.traffic
                traffic.appended_batches += frame.batches
                traffic.appended_records += frame.end_offset - frame.base_offset
                traffic.appended_bytes += frame.length
                replica.synced(frame.end_offset)
            elif frame.kind == FrameKind.START_MOVED:
                replica.start_moved(frame.base_offset)
                self._garbage.set()
        self._released()

    def _is_of_dropped(self, frame: Frame) -> bool:
        """Whether the frame belongs to a replica that was dropped since, not to one made after
        it."""
        drops = self._dropping.get(frame.key, 0)
        if drops and frame.kind == FrameKind.REPLICA_DROPPED:
            self._dropping[frame.key] = drops - 1
            if drops == 1:
                del self._dropping[frame.key]
        return drops > 0

    def on_failed(self, error: Exception) -> None:
        """A write or sync failed, or an append found no room. Nothing unsynced is ever
        acknowledged: all produce is refused from here on, while reads of what is committed go
        on."""
        if self.failure is not None:
            return
        self.failure = error
        self.wal_failures += 1
        events.emit("wal.failed", events.ERROR, error=error, resumes=isinstance(error, DiskFull))
        for replica in list(self._replicas.values()):
            if replica.role != roles.QUARANTINED:
                replica.become(roles.FAILED)
        self._released()
        self._woken.set()

    def on_drained(self) -> None:
        for callback in self._drained:
            callback()

    def checkpoint_states(self, keys: Iterable[PartitionKey]) -> list[tuple[PartitionKey, bytes]]:
        """What a checkpoint keeps of each partition that is still here."""
        states = []
        for key in keys:
            replica = self._replicas.get(key)
            if replica is not None:
                states.append((key, pack_state(replica.log, replica.high_watermark)))
        return states

    def _released(self) -> None:
        for callback in self._after_release:
            callback()

    # After a failure

    async def _recover(self) -> None:
        """Refold what is truly synced; where the disk was only full, try to go on until that
        works."""
        is_folded = False
        while isinstance(self.failure, StorageFailed) and self.wal.state == FAILED_WAL:
            try:
                if not is_folded:
                    fold = LogFold()
                    self._refolded(fold, await self.wal.refold(fold))
                    is_folded = True
                await self.wal.reopen()
            except DiskFull:
                await self._world.sleep(REOPEN_MS)
            except StorageFailed as error:
                events.emit("wal.stopped", events.ERROR, error=error)
                return
            else:
                self._resume()

    def _refolded(self, fold: LogFold, recovered: Recovered) -> None:
        self._quarantined = recovered.quarantined
        # Frames that were not durable never come: what they dropped is back, and is not this log.
        self._undropped |= dict.fromkeys(self._dropping)
        self._dropping = {}
        for replica in self.replicas():
            folded = fold.partitions.pop(replica.key, None)
            if folded is None or replica.key in self._undropped:
                folded = Folded(PartitionLog(), 0)
            if folded.log.end >= replica.high_watermark:
                replica.refolded(folded.log)
            else:
                # `wal.sync` let clients see what was not truly synced, and it is gone. Offsets must
                # not be given twice in one leader epoch, so only a restart may go on from here.
                self._quarantined[replica.key] = f"{folded.log!r} lacks committed offsets"
            reason = self._quarantined.get(replica.key)
            if reason is not None:
                events.emit("replica.quarantined", events.ERROR, partition=replica.key, why=reason)
                replica.become(roles.QUARANTINED)
        self._recovered = fold.partitions

    def _resume(self) -> None:
        """The WAL takes appends again: lead what the newest image says."""
        events.emit("wal.resumed", error=self.failure)
        self.failure = None
        self._drop_unknown()
        for route in list(self.topics_by_id.values()):
            for replica, state in zip(route.replicas, route.topic.partitions, strict=True):
                if replica is not None:
                    self._assume_role(replica, state)

    # Garbage

    async def wait_for_garbage(self, timeout_ms: int) -> None:
        """Until a topic went or a log start moved, `timeout_ms` at most."""
        timer = self._world.call_later(timeout_ms, self._garbage.set)
        try:
            await self._garbage.wait()
        finally:
            timer.cancel()
        self._garbage.clear()

    async def retire(self) -> None:
        """Give back the segments in which nothing is live."""
        if self.failure is not None:
            return
        try:
            await self.wal.retire()
        except StorageFailed as error:
            # The WAL failed while this waited for it: `on_failed` has said so. Nothing was given
            # back, and the next round tries again.
            events.emit("segment.kept", events.DEBUG, error=error)


def _configure(replica: Replica, policy: TopicPolicy, state: PartitionState) -> None:
    """Only the policy changed, if anything: who leads goes on, as do those who wait."""
    if replica.policy is not policy:
        replica.configure(policy)
        replica.require(_min_isr(policy, state))


def _min_isr(policy: TopicPolicy, state: PartitionState) -> int:
    return min(policy.min_insync_replicas, len(state.replicas))


def _report(recovered: Recovered) -> None:
    """Say what recovery found: a torn tail is ordinary, a loss is named."""
    events.emit(
        "wal.recovered",
        segments=recovered.segments,
        blocks_folded=recovered.blocks_folded,
        synced_through=recovered.synced_through,
    )
    for tail in recovered.torn:
        events.emit("wal.torn", events.WARNING, tail=tail)
    for note in recovered.notes:
        events.emit("wal.damaged", events.WARNING, note=note)
    for loss in recovered.corrupt:
        events.emit("wal.corrupt", events.ERROR, loss=loss)
    for key, reason in recovered.quarantined.items():
        events.emit("replica.quarantined", events.ERROR, partition=key, why=reason)
