"""Seam 12: consensus that delays, voids, repeats, says "unknown": no topic twice, no reply lost."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import cast

import pytest

from app import limits
from app.core.manifest.decide import NewTopic
from app.core.manifest.entries import Applied
from app.core.manifest.facts import TopicCreated
from app.errors import RequestTimedOut, StreamBusError
from app.raft.controller import Controller, CreatedTopic
from app.raft.manifest_node import ManifestNode
from app.raft.single_node import SingleNode
from app.world.ports import World
from tests.contract.adversary import TRICKS, Adversary
from tests.sim.world import Machine, Simulation, simulate
from tests.unit.raft.brokers import ONE, PLAIN

NAMES = ["a", "b", "a.b", "a_b", "c"]
PATH = "data/manifest"


async def boot(machine: Machine, random: Random) -> tuple[Controller, Adversary]:
    world = cast(World, machine.boot())
    adversary = Adversary(SingleNode(world, PATH), world, random)
    broker = Controller(world, adversary, PATH)
    await broker.start()
    await broker.register_broker(ONE, [PLAIN], timeout_ms=600_000)
    return broker, adversary


def watch_facts(monkeypatch: pytest.MonkeyPatch) -> list[TopicCreated]:
    """Every TopicCreated that counted, in order."""
    counted: list[TopicCreated] = []
    publish = ManifestNode.publish

    def watched(self: ManifestNode, applied: Sequence[Applied]) -> None:
        counted.extend(
            fact for one in applied for fact in one.facts if isinstance(fact, TopicCreated)
        )
        publish(self, applied)

    monkeypatch.setattr(ManifestNode, "publish", watched)
    return counted


@pytest.mark.parametrize("seed", range(25))
def test_no_topic_is_made_twice_and_no_reply_is_lost(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = watch_facts(monkeypatch)
    answers: dict[str, CreatedTopic | StreamBusError] = {}  # by the tag that each call puts in
    outcomes: Counter[str] = Counter()

    async def client(broker: Controller, number: int) -> None:
        random = Random(f"{seed}/{number}")
        for turn in range(12):
            name = random.choice(NAMES)
            timeout_ms = random.choice([50, 1_000, 60_000])
            if random.random() < 0.4:
                await broker.delete_topics([name], timeout_ms=timeout_ms)
                continue
            tag = str(1_000 * number + turn)
            topic = NewTopic(name, configs={"retention.ms": tag})
            (answer,) = await broker.create_topics([topic], timeout_ms=timeout_ms)
            outcomes[type(answer).__name__] += 1
            answers[tag] = answer

    def check() -> None:
        made = {dict(fact.configs)["retention.ms"]: fact for fact in counted}
        assert len(made) == len(counted), "one call made two topics"
        for tag, answer in answers.items():
            if isinstance(answer, CreatedTopic):
                assert made[tag].topic_id == answer.topic_id
            elif not isinstance(answer, RequestTimedOut):
                assert tag not in made, f"{answer!r}, and yet it happened"

    async def scenario(simulation: Simulation) -> None:
        machine = simulation.machine("broker")
        broker, adversary = await boot(machine, simulation.random)
        await asyncio.gather(*(client(broker, number) for number in range(6)))
        assert len(adversary.played) > len(TRICKS) // 2
        await broker.delete_topics(["none"], timeout_ms=600_000)  # settles what is under way
        check()
        assert not {"a.b", "a_b"} <= set(broker.image.topics_by_name)
        await broker.close()
        await check_restart(machine, broker)

    simulate(scenario, seed)
    assert outcomes["CreatedTopic"] and outcomes["RequestTimedOut"], outcomes


async def check_restart(machine: Machine, before: Controller) -> None:
    """What the log gives again is what was shown."""
    machine.kill()
    world = cast(World, machine.boot())
    again = Controller(world, SingleNode(world, PATH), PATH)
    await again.start()
    assert again.image.topics_by_name == before.image.topics_by_name
    await again.close()


def test_a_topic_in_parts_gets_through_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    # Stands for the assignments of many brokers, which no entry has room for.
    monkeypatch.setattr(limits, "CONFIGS_BYTES_MAX", 1 << 20)

    async def scenario(simulation: Simulation) -> None:
        broker, _ = await boot(simulation.machine("broker"), simulation.random)
        wide: dict[str, str | None] = {"cleanup.policy": ",".join(["delete"] * 20_000)}
        for number in range(3):
            (answer,) = await broker.create_topics(
                [NewTopic(f"wide{number}", configs=wide)], timeout_ms=600_000
            )
            assert not isinstance(answer, StreamBusError)
        assert len(broker.image.topics_by_name) == 3
        await broker.close()

    for seed in range(5):
        simulate(scenario, seed)
