"""The controller: makes decisions about the manifest, one at a time, and answers when they count.

Owns    the turn of whoever decides, the stamps of proposals, and finding out what each came to.
Never   decides on a state that a proposal under way may still change, and never lets a caller
        believe that something failed when it may have happened without saying so (RequestTimedOut).
Trusts  core/manifest/decide.py for the rules, and the gate for taking each proposal once.

    decide (pure) -> propose -> durable -> applied -> image published -> reply
"""

import asyncio
import base64
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Generic, TypeVar

from app.core.manifest.config_changes import (
    ConfigsChanged,
    ConfigsReplaced,
    deciding_alter,
    refuse_repeated_resources,
)
from app.core.manifest.decide import (
    ControllerDefaults,
    MorePartitions,
    NewTopic,
    decide_delete,
    decide_register,
    decide_reserve_producer_ids,
    deciding_add_partitions,
    deciding_create,
    refuse_repeated,
)
from app.core.manifest.entries import Verdict, split
from app.core.manifest.facts import Fact, Stamp, TopicCreated, encoded_bytes
from app.core.manifest.image import Image, Topic
from app.core.manifest.policies import Policies
from app.errors import (
    InvalidConfig,
    Rejected,
    RequestTimedOut,
    StorageFailed,
    StreamBusError,
    TopicAlreadyExists,
    Unavailable,
    UnknownTopicOrPartition,
)
from app.limits import (
    FACT_BYTES_MAX,
    PROPOSALS_IN_FLIGHT_MAX,
    PROPOSE_TIMEOUT_MS,
    PROPOSED_PARTITIONS_MAX,
)
from app.model import NO_TOPIC_ID, BrokerId, ControllerTerm, Endpoint, Incarnation, TopicId
from app.raft.consensus import Consensus
from app.raft.manifest_node import ManifestNode
from app.world.ports import World

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

_RETRY_MS_MIN, _RETRY_MS_MAX = 10, 1_000
_ATTEMPT_MS_MAX = 5_000
"""An answer may be lost for ever (a replicated log forgets who asked): none is awaited longer."""
_DECIDED_AT_ONCE = 400  # topics of one request: about what an entry has room for
_ENTRY_ROOM = FACT_BYTES_MAX - 64  # what an entry adds around its facts


@dataclass(frozen=True, slots=True)
class CreatedTopic:
    """Answer to a topic asked for; `topic_id` is all zero where it was only validated."""

    name: str
    topic_id: TopicId
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Decided(Generic[_Answer]):
    """An item that may be: its answer once the fact counts, at once if it needs none."""

    answer: _Answer
    fact: Fact | None
    partitions: int = 0  # that come or go with it


_Decides = Callable[[Sequence[_Item]], Iterator[_Decided[_Answer] | Rejected]]
_Refuses = Callable[[Sequence[_Item]], Mapping[int, StreamBusError]]


class Controller:
    def __init__(
        self,
        world: World,
        consensus: Consensus,
        directory: str,
        defaults: ControllerDefaults | None = None,
        policies: Policies | None = None,
    ) -> None:
        self._world = world
        self._consensus = consensus
        self._node = ManifestNode(world.files, directory, policies)
        self._defaults = defaults or ControllerDefaults()
        self._lock = asyncio.Lock()
        self._waiting = 0
        self.proposals = 0  # decided here, whatever they came to
        self._unsettled: list[tuple[bytes, bytes]] = []
        """Entries of the newest proposal while it is not known what it came to."""

    @property
    def image(self) -> Image:
        return self._node.image

    @property
    def term(self) -> int:
        return self._consensus.term

    @property
    def is_leader(self) -> bool:
        return self._consensus.is_leader

    @property
    def waiting(self) -> int:
        """Changes that wait for their turn to be decided."""
        return self._waiting

    def watch(self, watcher: Callable[[Image], None]) -> None:
        self._node.watch(watcher)

    async def start(self) -> None:
        """Load the state and bring it up to the end of the log."""
        await self._consensus.start(self._node)

    async def close(self) -> None:
        await self._consensus.close()
        await self._world.lane("raft").run(self._node.close)

    # Operations

    async def register_broker(
        self,
        broker_id: BrokerId,
        endpoints: Sequence[Endpoint],
        rack: str | None = None,
        timeout_ms: int = PROPOSE_TIMEOUT_MS,
    ) -> Incarnation:
        """A broker starts, with one endpoint per listener. The first one forms the cluster, in the
        same proposal."""
        others = sorted(set(self._node.manifest.brokers) - {broker_id})
        if self._consensus.is_alone and others:
            raise InvalidConfig(
                f"this directory belongs to broker {others[0]}, and this broker is {broker_id}"
            )
        self._node.controller_id = broker_id
        new_cluster_id = self._new_cluster_id()

        def decide() -> list[Fact]:
            return decide_register(self._node.manifest, broker_id, endpoints, rack, new_cluster_id)

        await self._decide(decide, self._deadline(timeout_ms))
        return self._node.manifest.brokers[broker_id].incarnation

    async def create_topics(
        self,
        topics: Sequence[NewTopic],
        *,
        validate_only: bool = False,
        timeout_ms: int = PROPOSE_TIMEOUT_MS,
    ) -> list[CreatedTopic | StreamBusError]:
        """One answer per topic, in order. Topics share proposals as far as an entry has room."""

        def decide(some: Sequence[NewTopic]) -> Iterator[_Decided[CreatedTopic] | Rejected]:
            for one in self._deciding_create(some):
                if isinstance(one, Rejected):
                    yield one
                else:
                    yield _Decided(_answer(one, validate_only), one, len(one.replicas))

        refused = await self._refused(refuse_repeated, topics)
        if validate_only:
            return await _validated(topics, refused, decide)
        return await self._decide_each(topics, refused, decide, timeout_ms)

    def _deciding_create(self, topics: Sequence[NewTopic]) -> Iterator[TopicCreated | Rejected]:
        return deciding_create(
            self._node.manifest,
            topics,
            self._defaults,
            lambda: TopicId(self._world.randomness.bytes(16)),
        )

    async def ensure_topic(self, name: str, timeout_ms: int = PROPOSE_TIMEOUT_MS) -> Topic:
        """The topic, made with defaults if it is not there and may be made by asking for it."""
        topic = self.image.topics_by_name.get(name)
        if topic is None and self._defaults.auto_create:
            (answer,) = await self.create_topics([NewTopic(name)], timeout_ms=timeout_ms)
            if isinstance(answer, StreamBusError) and not isinstance(answer, TopicAlreadyExists):
                raise answer
            topic = self.image.topics_by_name.get(name)
        if topic is None:
            raise UnknownTopicOrPartition(f"This server does not host topic '{name}'.")
        return topic

    async def delete_topics(
        self, wanted: Sequence[str | TopicId], *, timeout_ms: int = PROPOSE_TIMEOUT_MS
    ) -> list[Topic | StreamBusError]:
        """One answer per name or topic id, in order: the topic that is gone now."""

        def decide(some: Sequence[str | TopicId]) -> Iterator[_Decided[Topic] | Rejected]:
            for one in decide_delete(self._node.manifest, some):
                yield _Decided(*one, len(one[0].partitions)) if isinstance(one, tuple) else one

        return await self._decide_each(wanted, {}, decide, timeout_ms)

    async def add_partitions(
        self,
        topics: Sequence[MorePartitions],
        *,
        validate_only: bool = False,
        timeout_ms: int = PROPOSE_TIMEOUT_MS,
    ) -> list[Topic | StreamBusError]:
        """One answer per topic, in order: the topic as it is then. They share proposals."""

        def decide(some: Sequence[MorePartitions]) -> Iterator[_Decided[Topic] | Rejected]:
            manifest = self._node.manifest
            for one in deciding_add_partitions(manifest, some):
                if isinstance(one, Rejected):
                    yield one
                else:
                    yield _Decided(manifest.widened(one), one, len(one.replicas))

        refused = await self._refused(refuse_repeated, topics)
        if validate_only:
            return await _validated(topics, refused, decide)
        return await self._decide_each(topics, refused, decide, timeout_ms)

    async def alter_configs(
        self,
        resources: Sequence[ConfigsChanged | ConfigsReplaced],
        *,
        validate_only: bool = False,
        timeout_ms: int = PROPOSE_TIMEOUT_MS,
    ) -> list[Mapping[str, str] | StreamBusError]:
        """One answer per resource, in order: what is set on it then. Each is changed as a whole or
        not at all; they share proposals."""

        def decide(
            some: Sequence[ConfigsChanged | ConfigsReplaced],
        ) -> Iterator[_Decided[Mapping[str, str]] | Rejected]:
            for one in deciding_alter(self._node.manifest, some):
                yield one if isinstance(one, Rejected) else _Decided(one.configs, one.fact)

        refused = await self._refused(refuse_repeated_resources, resources)
        if validate_only:
            return await _validated(resources, refused, decide)
        return await self._decide_each(resources, refused, decide, timeout_ms)

    async def reserve_producer_ids(
        self, broker_id: BrokerId, timeout_ms: int = PROPOSE_TIMEOUT_MS
    ) -> range:
        """Ids that nobody else will ever get."""
        reserved = range(0)

        def decide() -> list[Fact]:
            nonlocal reserved
            fact = decide_reserve_producer_ids(self._node.manifest, broker_id)
            reserved = range(fact.start, fact.end)
            return [fact]

        await self._decide(decide, self._deadline(timeout_ms))
        return reserved

    # One decision at a time

    async def _refused(
        self, refuse: _Refuses[_Item], items: Sequence[_Item]
    ) -> Mapping[int, StreamBusError]:
        """Which of the items are refused whatever the state: on a lane where they are many."""
        if len(items) <= _DECIDED_AT_ONCE:
            return refuse(items)
        return await self._world.lane("reader").run(partial(refuse, items))

    async def _decide_each(
        self,
        items: Sequence[_Item],
        refused: Mapping[int, StreamBusError],
        decide: _Decides[_Item, _Answer],
        timeout_ms: int,
    ) -> list[_Answer | StreamBusError]:
        """One answer per item, in order. As many share a proposal as an entry has room for."""
        deadline = self._deadline(timeout_ms)
        if len(items) > _DECIDED_AT_ONCE:
            await asyncio.sleep(0)  # whoever made so many items had a turn of his own
        answers: dict[int, _Answer | StreamBusError] = {**refused}
        left = deque([each for each in enumerate(items) if each[0] not in answers])
        proposed: list[tuple[int, _Answer]] = []

        def decide_some() -> list[Fact]:
            """What fits one entry of what comes next; what needs no fact is answered at once."""
            facts: list[tuple[Fact, int]] = []
            proposed.clear()
            decided = decide([item for _, item in now])
            for (place, _), one in zip(now, decided, strict=True):
                if isinstance(one, Rejected):
                    answers[place] = one
                elif one.fact is None:
                    answers[place] = one.answer
                else:
                    facts.append((one.fact, one.partitions))
                    proposed.append((place, one.answer))
            count = _fitting(facts)
            del proposed[count:]
            return [fact for fact, _ in facts[:count]]

        while left:
            proposed.clear()
            unanswered = (each for each in left if each[0] not in answers)
            now = list(islice(unanswered, _DECIDED_AT_ONCE))
            try:
                await self._decide(decide_some, deadline)
                answers.update(proposed)
            except StreamBusError as error:
                # What is refused as a proposal is refused for what was in it; the rest goes on.
                only_these = isinstance(error, Rejected) and proposed
                answers.update((place, error) for place, _ in (proposed if only_these else left))
            while left and left[0][0] in answers:
                left.popleft()
            await asyncio.sleep(0)
        return [answers[place] for place in range(len(items))]

    async def _decide(self, decide: Callable[[], list[Fact]], deadline: int) -> list[Fact]:
        """The facts decided, once they are applied and published; none if none were needed."""
        async with self._turn(deadline):
            # What an earlier caller gave up on may still happen, and would change the ground
            # that this decision stands on: first learn what it came to.
            await self._settle(deadline)
            while facts := decide():
                # at_ms grows strictly, so that the gate knows old copies from new proposals.
                stamp = Stamp(
                    ControllerTerm(self._consensus.term),
                    self._world.randomness.bytes(12) + bytes(4),
                    max(self._world.clock.now_ms(), self._node.at_ms + 1),
                )
                self._unsettled = split(facts, stamp)
                self.proposals += 1
                if await self._settle(deadline) is not Verdict.STALE:
                    break
            return facts

    @asynccontextmanager
    async def _turn(self, deadline: int) -> AsyncIterator[None]:
        if self._waiting >= PROPOSALS_IN_FLIGHT_MAX:
            raise Unavailable(f"{self._waiting} changes of the manifest wait already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._left(deadline) / 1000):
                await self._lock.acquire()
        except TimeoutError:
            raise RequestTimedOut("other changes of the manifest took all the time") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    async def _settle(self, deadline: int) -> Verdict | None:
        """Ask, with the same proposal, until it is known what the newest one came to."""
        wait_ms = _RETRY_MS_MIN
        is_first = True
        while self._unsettled:
            try:
                verdict = await self._propose_all(deadline)
            except StorageFailed:
                # Certainly not in the log; but a former attempt, whose end is unknown, may be.
                if is_first:
                    self._unsettled = []
                raise
            except Unavailable:
                is_first = False
                await self._world.sleep(min(wait_ms, self._left(deadline)))
                wait_ms = min(2 * wait_ms, _RETRY_MS_MAX)
                continue
            # HELD after the last part: another proposal's late part came between. Once more.
            if verdict is not Verdict.HELD:
                self._unsettled = []
                return verdict
        return None

    async def _propose_all(self, deadline: int) -> Verdict:
        verdict = Verdict.HELD
        for proposal, payload in self._unsettled:
            patience_ms = min(self._left(deadline), _ATTEMPT_MS_MAX)
            applied = await self._consensus.propose(proposal, payload, patience_ms)
            verdict = applied.verdict
        return verdict

    def _deadline(self, timeout_ms: int) -> int:
        return self._world.clock.monotonic_ms() + timeout_ms

    def _left(self, deadline: int) -> int:
        left = deadline - self._world.clock.monotonic_ms()
        if left <= 0:
            raise RequestTimedOut("the change may or may not have been made")
        return left

    def _new_cluster_id(self) -> str:
        """22 characters, as Kafka's; not one that shells take for an option."""
        while True:
            text = base64.urlsafe_b64encode(self._world.randomness.bytes(16)).decode().rstrip("=")
            if not text.startswith("-"):
                return text


def _fitting(facts: Sequence[tuple[Fact, int]]) -> int:
    """How many of the first facts, each with its partitions, are one entry: what it has room for,
    and what is applied in one turn of the loop. At least one, which may need parts."""
    room, partitions = _ENTRY_ROOM, PROPOSED_PARTITIONS_MAX
    for count, (fact, moved) in enumerate(facts):
        room -= encoded_bytes(fact)
        partitions -= moved
        if room < 0 or partitions < 0:
            return max(count, 1)
    return len(facts)


async def _validated(
    items: Sequence[_Item],
    refused: Mapping[int, StreamBusError],
    decide: _Decides[_Item, _Answer],
) -> list[_Answer | StreamBusError]:
    """The answers as they would be."""
    answers: dict[int, _Answer | StreamBusError] = {**refused}
    left = [each for each in enumerate(items) if each[0] not in answers]
    decided = decide([item for _, item in left])
    for count, ((place, _), one) in enumerate(zip(left, decided, strict=True), 1):
        answers[place] = one if isinstance(one, Rejected) else one.answer
        if count % _DECIDED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return [answers[place] for place in range(len(items))]


def _answer(fact: TopicCreated, validate_only: bool) -> CreatedTopic:
    topic_id = NO_TOPIC_ID if validate_only else fact.topic_id
    return CreatedTopic(
        fact.name, topic_id, len(fact.replicas), len(fact.replicas[0]), dict(fact.configs)
    )
