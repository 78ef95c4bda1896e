"""Random histories of administration against a model that shares no rule with the manifest.

Through restarts, from journal and state and from the journal alone, and with the power failing at
any step.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.manifest.manifest import Manifest
from app.core.manifest.policies import Policies
from app.errors import StreamBusError
from app.model import BrokerId, Endpoint
from app.raft.controller import Controller
from app.raft.single_node import SingleNode
from app.world.ports import World
from tests.property.admin_model import (
    FILE,
    NAMES,
    Model,
    random_resources,
    random_topics,
    random_widening,
)
from tests.sim.world import Machine, Simulation, simulate

ONE = BrokerId(1)
DIRECTORY = "data/manifest"
Answers = Awaitable[Sequence[Any]]


def shown(controller: Controller) -> dict[str, tuple[int, dict[str, str], tuple[Any, ...]]]:
    told = {}
    for name, topic in controller.image.topics_by_name.items():
        policy = topic.policy
        told[name] = (
            len(topic.partitions),
            dict(topic.configs),
            (
                policy.retention_ms,
                policy.retention_bytes,
                policy.cleanup_compact,
                policy.cleanup_delete,
            ),
        )
    return told


def configs(controller: Controller) -> tuple[dict[str, Any], dict[str, Any]]:
    image = controller.image
    brokers = {
        ("" if which < 0 else str(which)): dict(image.broker_configs[which])
        for which in (image.broker_configs)
    }
    return {name: dict(each) for name, each in image.prefix_configs.items()}, brokers


def agrees(controller: Controller, model: Model) -> bool:
    return shown(controller) == model.shown() and configs(controller) == (
        (model.prefixes, model.brokers)
    )


class Life:
    """One broker's manifest on a machine whose power may fail."""

    def __init__(self, machine: Machine, random: Random) -> None:
        self.machine = machine
        self.random = random
        self.model = Model()
        self.refused = self.done = 0
        self.undone_by_crashes = self.done_before_crashes = 0

    async def open(self) -> None:
        world = self.machine.boot()
        if self.random.random() < 0.3:
            with world.on_lane("raft"):
                for name in world.files.list(DIRECTORY) if self.refused + self.done else ():
                    if name.startswith("state.sqlite"):
                        world.files.unlink(f"{DIRECTORY}/{name}")
        node = SingleNode(cast(World, world), DIRECTORY)
        self.controller = Controller(cast(World, world), node, DIRECTORY, None, Policies(ONE, FILE))
        await self.controller.start()
        await self.controller.register_broker(ONE, [Endpoint("plain", "host", 1)])
        saved = self.controller._node.manifest.save()
        assert Manifest.load(saved).save() == saved

    def wish(self) -> tuple[Callable[[Model], list[bool]], Callable[[bool], Answers]]:
        """What somebody asks: of the model, and of the controller (validating only, or not)."""
        random, controller = self.random, self.controller
        match random.randrange(5):
            case 0:
                topics = random_topics(random)
                return (
                    lambda model: [model.create(each) for each in topics],
                    lambda only: controller.create_topics(topics, validate_only=only),
                )
            case 1:
                more = random_widening(random)
                return (
                    lambda model: [model.widen(each) for each in more],
                    lambda only: controller.add_partitions(more, validate_only=only),
                )
            case 2 if random.random() < 0.4:
                names = random.sample(NAMES, 1)
                return (
                    lambda model: [model.delete(name) for name in names],
                    lambda only: controller.delete_topics([] if only else names),
                )
            case _:
                resources = random_resources(random)
                return (
                    lambda model: [model.alter(each) for each in resources],
                    lambda only: controller.alter_configs(resources, validate_only=only),
                )

    async def step(self) -> None:
        of_model, of_controller = self.wish()
        after = self.model.copy()
        expected = of_model(after)
        if self.random.random() < 0.15:
            answers = await of_controller(True)
            assert not answers or self.verdicts(answers) == expected
        elif self.random.random() < 0.15:
            await self.fail_during(of_controller(False), after)
        else:
            assert self.verdicts(await of_controller(False)) == expected
            self.model = after
        assert agrees(self.controller, self.model)

    def verdicts(self, answers: Sequence[Any]) -> list[bool]:
        verdicts = [not isinstance(answer, StreamBusError) for answer in answers]
        self.done += sum(verdicts)
        self.refused += len(verdicts) - sum(verdicts)
        return verdicts

    async def fail_during(self, asked: Answers, after: Model) -> None:
        """The power fails somewhere on the way: all of it happened or nothing, never half."""
        task = asyncio.ensure_future(asked)
        await asyncio.sleep(self.random.random() ** 3 * 0.008)
        was_answered = task.done() and not task.cancelled()
        self.machine.crash() if self.random.random() < 0.7 else self.machine.kill()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.open()
        if was_answered or not agrees(self.controller, self.model):
            assert agrees(self.controller, after)
            self.model = after
            self.done_before_crashes += 1
        elif after != self.model:
            self.undone_by_crashes += 1

    async def restart(self) -> None:
        await self.controller.close()
        self.machine.kill()
        await self.open()
        assert agrees(self.controller, self.model)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_administration_does_what_a_model_says_through_restarts(seed: int) -> None:
    async def scenario(simulation: Simulation) -> None:
        life = Life(simulation.machine("broker"), Random(seed))
        await life.open()
        for _ in range(40):
            await life.step()
            if life.random.random() < 0.08:
                await life.restart()
        await life.restart()

    simulate(scenario, seed)


def test_a_history_has_something_of_everything() -> None:
    async def scenario(simulation: Simulation) -> None:
        life = Life(simulation.machine("broker"), Random(7))
        await life.open()
        for _ in range(200):
            await life.step()
        assert life.done > 100 and life.refused > 50
        assert life.done_before_crashes > 3 and life.undone_by_crashes > 3
        assert life.model.topics and life.model.prefixes and life.model.brokers

    simulate(scenario, 7)
