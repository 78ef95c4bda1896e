"""The port inside the broker: nothing without the right to it, everything in time, and watches."""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from app import limits
from app.admin.commands import COMMANDS
from app.admin.commands.cluster import ClusterDescription, DescribeCluster
from app.admin.commands.health import CheckHealth
from app.admin.commands.records import DeleteRecords, ReadRecords, RecordsBefore
from app.admin.commands.topics import (
    CreateTopics,
    DeleteTopics,
    DeleteTopicsByPrefix,
    ListTopics,
    NewTopic,
    TopicRef,
)
from app.admin.local import LocalAdmin
from app.admin.operations import OPERATIONS, Itemised
from app.admin.port import Command, Failed
from app.errors import (
    ClusterAuthorizationFailed,
    InvalidRequest,
    RequestTimedOut,
    StreamBusError,
    ThrottlingQuotaExceeded,
    TopicAuthorizationFailed,
)
from app.model import ANONYMOUS, Principal
from app.security.ports import Operation, Resource
from tests.unit.admin.arrange import ALICE, Desk, Rights, on_broker, on_topics
from tests.unit.admin.samples import SAMPLES

EVERYTHING = [(operation, resource, "*") for operation in Operation for resource in Resource]
FORBIDDEN = (TopicAuthorizationFailed.code, ClusterAuthorizationFailed.code)
OPEN_TO_ALL = {"DescribeCluster", "CheckHealth", "ListTopics", "DeleteTopicsByPrefix"}


def test_every_command_has_its_operation_and_its_sample() -> None:
    assert set(OPERATIONS) == set(COMMANDS) == set(SAMPLES)


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_an_itemised_command_has_a_touch_for_each_item(kind: type[Command]) -> None:
    operation, command = OPERATIONS[kind], SAMPLES[kind]("orders")
    if isinstance(operation, Itemised):
        assert len(command.touches()) == len(getattr(command, operation.items)) > 0


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_who_has_no_right_gets_nothing_and_learns_nothing(kind: type[Command]) -> None:
    """What is there and what is not look the same to him, and nothing of it changes."""
    rights = Rights(*EVERYTHING)

    async def scenario(desk: Desk) -> None:
        await desk.create("secret.plan", partitions=3)
        await desk.write("secret.plan", b"to nobody")
        before = desk.image
        rights.rights.clear()
        there = await answer(desk, SAMPLES[kind]("secret.plan"))
        assert there == await answer(desk, SAMPLES[kind]("absent.plan"))
        assert "secret" not in repr(there) and "nobody" not in repr(there)
        if kind.__name__ not in OPEN_TO_ALL:
            assert refusals(there) and set(refusals(there)) <= set(FORBIDDEN)
        assert desk.image is before and desk.replica("secret.plan").log.end == 1

    on_broker(scenario, authorizer=rights)


async def answer(desk: Desk, command: Command) -> Any:
    """The reply, or what was raised as a value; without the name that the asker said himself."""
    try:
        reply = await desk.ask(command, ALICE)
    except StreamBusError as error:
        reply = Failed.of(error)
    text = msgspec.json.encode(reply).decode()
    return msgspec.json.decode(text.replace("secret.plan", "NAME").replace("absent.plan", "NAME"))


def refusals(answered: Any) -> list[int]:
    """The codes of all that is Failed in it; nothing else may be in it."""
    if answered["type"] == "Failed":
        return [answered["code"]]
    (items,) = [each for each in answered.values() if isinstance(each, list)]
    return [each["code"] for each in items if each["type"] == "Failed" or pytest.fail(str(each))]


def test_the_open_commands_tell_nothing_to_who_may_nothing() -> None:
    rights = Rights(*EVERYTHING)

    async def scenario(desk: Desk) -> None:
        await desk.create("secret.plan")
        rights.rights.clear()
        assert (await desk.ask(ListTopics())).topics == ()
        assert (await desk.ask(DeleteTopicsByPrefix("secret.*"))).topics == ()
        shown: ClusterDescription = await desk.ask(DescribeCluster(operations=True))
        assert (shown.topics, shown.partitions, shown.operations) == (-1, -1, ())
        assert (await desk.ask(CheckHealth())).ready

    on_broker(scenario, authorizer=rights)


def test_items_are_refused_one_by_one_and_commands_as_a_whole() -> None:
    rights = Rights(*on_topics(*Operation, name="mine*"))

    async def scenario(desk: Desk) -> None:
        made = await desk.ask(
            CreateTopics((NewTopic("mine.a"), NewTopic("theirs"), NewTopic("mine.b"))), ALICE
        )
        assert [type(each).__name__ for each in made.topics] == [
            "CreatedTopic",
            "Failed",
            "CreatedTopic",
        ]
        assert made.topics[1] == Failed(
            29,
            "rejected",
            "Topic authorization failed: User:alice has no right CREATE on topic 'theirs'.",
        )
        with pytest.raises(TopicAuthorizationFailed) as raised:
            await desk.ask(ReadRecords("theirs"), ALICE)
        assert str(raised.value) == (
            "Topic authorization failed: User:alice has no right READ on topic 'theirs'."
        )

    on_broker(scenario, authorizer=rights)


def test_every_command_ends_though_what_it_waits_for_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "ADMIN_ASK_MS_MAX", 5_000)

    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        await desk.write("orders", b"one")
        desk.started.registry.wal.append_control = lambda *_: 0  # type: ignore[method-assign]
        with pytest.raises(RequestTimedOut) as raised:
            await desk.ask(DeleteRecords((RecordsBefore("orders", 0, 1),), timeout_ms=10**9))
        assert str(raised.value) == (
            "DeleteRecords took more than 5000 ms; what it was to change may or may not have been "
            "changed"
        )

    on_broker(scenario)


# Watching


def test_a_watch_tells_at_once_and_after_each_change_that_matters() -> None:
    async def scenario(desk: Desk) -> None:
        seen: list[list[str]] = []
        async with aclosing(desk.admin.watch(ANONYMOUS, ListTopics(prefix="app."))) as replies:
            seen.append(names(await anext(replies)))
            await desk.create("app.orders")
            seen.append(names(await anext(replies)))
            await desk.create("elsewhere")
            await desk.create("app.payments")
            seen.append(names(await anext(replies)))
            await desk.ask(DeleteTopics((TopicRef("app.orders"),)))
            seen.append(names(await anext(replies)))
        assert seen == [
            [],
            ["app.orders"],
            ["app.orders", "app.payments"],
            ["app.payments"],
        ]

    on_broker(scenario)


def names(page: Any) -> list[str]:
    return [topic.name for topic in page.topics]


def test_a_storm_of_changes_is_few_replies_and_the_last_one_counts() -> None:
    async def scenario(desk: Desk) -> None:
        replies = 0
        async with aclosing(desk.admin.watch(ANONYMOUS, ListTopics())) as watched:
            assert names(await anext(watched)) == []
            for number in range(50):
                await desk.create(f"topic-{number:02}")
            async for reply in watched:
                replies += 1
                if len(reply.topics) == 50:
                    break
        assert replies < 10

    on_broker(scenario)


def test_a_storm_of_changes_elsewhere_is_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(desk: Desk) -> None:
        looks = 0
        ask = desk.admin.ask

        async def counted(principal: Principal, command: Command) -> Any:
            nonlocal looks
            looks += isinstance(command, ListTopics)
            return await ask(principal, command)

        monkeypatch.setattr(desk.admin, "ask", counted)
        async with aclosing(desk.admin.watch(ANONYMOUS, ListTopics(prefix="app."))) as watched:
            await anext(watched)
            task = desk.world.spawn(anext(watched))
            for number in range(50):
                await desk.create(f"elsewhere-{number:02}")
            await desk.create("app.orders")
            await task
        assert looks < 10

    on_broker(scenario)


def test_watches_end_with_the_broker() -> None:
    async def scenario(desk: Desk) -> None:
        seen: list[Any] = []

        async def watching() -> None:
            async with aclosing(desk.admin.watch(ANONYMOUS, ListTopics())) as replies:
                async for reply in replies:
                    seen.append(reply)  # noqa: PERF401 (what came before the end counts)

        task = desk.world.spawn(watching())
        await desk.world.sleep(1_000)
        desk.admin.close()
        await task
        assert len(seen) == 1

    on_broker(scenario)


def test_a_watcher_that_loses_the_right_is_told_so() -> None:
    rights = Rights(*EVERYTHING)

    async def scenario(desk: Desk) -> None:
        await desk.create("orders")
        async with aclosing(desk.admin.watch(ALICE, ReadRecords("orders"))) as replies:
            await anext(replies)
            rights.rights -= set(on_topics(Operation.READ))
            await desk.create("another")
            with pytest.raises(TopicAuthorizationFailed):
                await anext(replies)

    on_broker(scenario, authorizer=rights)


def test_only_questions_are_watched_and_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WATCHES_MAX", 2)

    async def scenario(desk: Desk) -> None:
        with pytest.raises(InvalidRequest) as raised:
            await anext(desk.admin.watch(ANONYMOUS, DeleteTopics((TopicRef("orders"),))))
        assert str(raised.value) == ("DeleteTopics changes something: it can be asked, not watched")
        open_ = [desk.admin.watch(ANONYMOUS, ListTopics()) for _ in range(2)]
        for watch in open_:
            await anext(watch)
        with pytest.raises(ThrottlingQuotaExceeded) as refused:
            await anext(desk.admin.watch(ANONYMOUS, ListTopics()))
        assert str(refused.value) == "2 watches are open, the most allowed: close one first"
        await open_[0].aclose()
        await anext(desk.admin.watch(ANONYMOUS, ListTopics()))

    on_broker(scenario)


def test_listing_ten_thousand_partitions_gives_the_loop_its_turns() -> None:
    """Counted, not timed: what else is ready runs many times meanwhile."""

    async def scenario(desk: Desk) -> None:
        await desk.create("wide", partitions=10_000)
        turns = 0
        is_over = False

        async def counting() -> None:
            nonlocal turns
            while not is_over:
                turns += 1
                await asyncio.sleep(0)

        task = desk.world.spawn(counting())
        from app.admin.commands.topics import DescribeTopics

        (described,) = (await desk.ask(DescribeTopics((TopicRef("wide"),)))).topics
        is_over = True
        await task
        assert len(described.partitions) == 10_000
        assert turns >= 10_000 // limits.ADMIN_ITEMS_PER_TURN

    on_broker(scenario)


def test_a_closed_port_is_not_ready() -> None:
    async def scenario(desk: Desk) -> None:
        assert isinstance(desk.admin, LocalAdmin)
        desk.admin.close()
        health = await desk.ask(CheckHealth())
        assert (health.started, health.ready) == (False, False)
        assert health.reasons == ("The broker is starting or stopping: its doors are not open.",)

    on_broker(scenario)
