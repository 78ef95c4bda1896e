"""The port of administration: the same suite for the one inside the broker and the one that asks
over the sibling's socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app import limits
from app.admin.commands import COMMANDS
from app.admin.commands.health import CheckHealth
from app.admin.commands.records import (
    NewRecord,
    ReadRecord,
    ReadRecords,
    RecordPage,
    WriteRecords,
    WrittenRecords,
)
from app.admin.commands.topics import (
    Created,
    CreatedTopic,
    CreateTopics,
    Deleted,
    DeletedTopic,
    DeleteTopics,
    DescribeTopics,
    ListTopics,
    NewTopic,
    TopicPage,
    TopicRef,
)
from app.admin.frames import REPLIES, TOKEN_BYTES
from app.admin.port import Admin, Command, Failed
from app.admin.remote import connected
from app.admin.serving import serve
from app.config import BrokerConfig
from app.errors import (
    InvalidRequest,
    InvalidTopic,
    OffsetOutOfRange,
    StreamBusError,
    TopicAuthorizationFailed,
    UnknownTopicOrPartition,
)
from app.main import Started, started
from app.model import ANONYMOUS
from app.security.ports import Operation, Resource
from app.world.real import RealWorld
from tests.unit.admin.arrange import ALICE, Rights
from tests.unit.admin.samples import SAMPLES

EVERYTHING = [(operation, resource, "*") for operation in Operation for resource in Resource]


@asynccontextmanager
async def local(broker: Started) -> AsyncIterator[Admin]:
    yield broker.admin


@asynccontextmanager
async def remote(broker: Started) -> AsyncIterator[Admin]:
    ours, theirs = socket.socketpair()
    token = bytes(range(TOKEN_BYTES))
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve(broker.admin, ours, token))
        async with connected(theirs, token) as admin:
            yield admin
        await serving


@pytest.fixture(params=[local, remote], ids=["local", "remote"])
def reach(request: pytest.FixtureRequest) -> Any:
    return request.param


@asynccontextmanager
async def reached(
    reach: Any, directory: Path, rights: Rights | None = None
) -> AsyncIterator[tuple[Admin, Started]]:
    config = BrokerConfig(data=str(directory / "data"), listeners=("127.0.0.1:0",))
    world = RealWorld()
    try:
        async with started(config, world, authorizer=rights) as broker, reach(broker) as admin:
            yield admin, broker
    finally:
        await world.close()


async def test_what_is_done_is_seen_in_the_next_answer(reach: Any, tmp_path: Path) -> None:
    async with reached(reach, tmp_path) as (admin, _):
        made = await admin.ask(ANONYMOUS, CreateTopics((NewTopic("orders", 2, 1),)))
        assert isinstance(made, Created) and isinstance(made.topics[0], CreatedTopic)
        topic_id = made.topics[0].topic_id
        page = await admin.ask(ANONYMOUS, ListTopics())
        assert isinstance(page, TopicPage)
        assert [(each.name, each.topic_id) for each in page.topics] == [("orders", topic_id)]
        record = NewRecord(b"value", b"key", (("h", None),), 1, 1_700_000_000_000)
        written = await admin.ask(ANONYMOUS, WriteRecords("orders", (record,)))
        assert isinstance(written, WrittenRecords)
        read = await admin.ask(ANONYMOUS, ReadRecords("orders", 1))
        assert read == RecordPage(
            1, (ReadRecord(0, 1_700_000_000_000, b"key", b"value", (("h", None),)),), 1, 0, 1
        )
        gone = await admin.ask(ANONYMOUS, DeleteTopics((TopicRef(topic_id=topic_id),)))
        assert gone == Deleted((DeletedTopic("orders", topic_id, 2),))


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
async def test_every_command_is_answered_by_a_value_of_its_own_type(
    reach: Any, tmp_path: Path, kind: type[Command]
) -> None:
    async with reached(reach, tmp_path) as (admin, _):
        if kind is not CreateTopics:
            await admin.ask(ANONYMOUS, CreateTopics((NewTopic("app.orders", 2, 1),)))
            await admin.ask(ANONYMOUS, WriteRecords("app.orders", (NewRecord(b"v", b"k"),) * 3))
        reply = await admin.ask(ANONYMOUS, SAMPLES[kind]("app.orders"))
        assert type(reply) is REPLIES[kind]
        for field in reply.__struct_fields__:
            items = getattr(reply, field)
            if isinstance(items, tuple):
                assert not [each for each in items if isinstance(each, Failed)]


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        (
            ReadRecords("nowhere"),
            UnknownTopicOrPartition,
            "This server does not host topic 'nowhere'.",
        ),
        (
            ReadRecords("orders", offset=9),
            OffsetOutOfRange,
            "orders-0 has the offsets from 0 up to 0, and no other.",
        ),
        (
            ListTopics(limit=0),
            InvalidRequest,
            "limit: from 1 to 1000 topics a page, not 0",
        ),
        (
            SAMPLES[next(k for k in SAMPLES if k.__name__ == "DeleteTopicsByPrefix")](""),
            InvalidTopic,
            "Topic prefix is invalid: '.*' is not one or more segments of a name between dots and "
            "then '.*', for example 'app.service.*'",
        ),
    ],
)
async def test_an_error_is_of_its_class_and_has_its_words(
    reach: Any, tmp_path: Path, command: Command, error: type[StreamBusError], message: str
) -> None:
    async with reached(reach, tmp_path) as (admin, _):
        await admin.ask(ANONYMOUS, CreateTopics((NewTopic("orders"),)))
        with pytest.raises(StreamBusError) as raised:
            await admin.ask(ANONYMOUS, command)
        assert (type(raised.value), str(raised.value)) == (error, message)
        assert (raised.value.code, raised.value.retriable) == (error.code, error.retriable)


async def test_an_item_that_fails_is_a_value_beside_the_others(reach: Any, tmp_path: Path) -> None:
    async with reached(reach, tmp_path) as (admin, _):
        await admin.ask(ANONYMOUS, CreateTopics((NewTopic("orders"),)))
        described = await admin.ask(
            ANONYMOUS, DescribeTopics((TopicRef("orders"), TopicRef("nowhere")))
        )
        assert described.topics[0].name == "orders"
        assert described.topics[1] == Failed(
            3, "rejected", "This server does not host topic 'nowhere'.", True
        )


async def test_who_asks_is_who_is_judged(reach: Any, tmp_path: Path) -> None:
    rights = Rights(*EVERYTHING)
    async with reached(reach, tmp_path, rights) as (admin, _):
        await admin.ask(ALICE, CreateTopics((NewTopic("orders"),)))
        rights.rights.clear()
        with pytest.raises(TopicAuthorizationFailed) as raised:
            await admin.ask(ALICE, ReadRecords("orders"))
        assert "User:alice has no right READ" in str(raised.value)


async def test_many_commands_are_under_way_at_once(reach: Any, tmp_path: Path) -> None:
    async with reached(reach, tmp_path) as (admin, _):
        await admin.ask(ANONYMOUS, CreateTopics((NewTopic("orders", 4, 1),)))
        waiting = ReadRecords("orders", 3, offset="latest", wait_ms=20_000)
        async with asyncio.TaskGroup() as tasks:
            slow = tasks.create_task(admin.ask(ANONYMOUS, waiting))
            written = [
                tasks.create_task(
                    admin.ask(ANONYMOUS, WriteRecords("orders", (NewRecord(b"%d" % n, b"k"),)))
                )
                for n in range(100)
            ]
            for each in written:
                await each
            assert not slow.done()
            last = NewRecord(b"last", partition=3)
            await admin.ask(ANONYMOUS, WriteRecords("orders", (last,)))
        assert [each.value for each in slow.result().records] == [b"last"]
        offsets = sorted(each.result().records[0].offset for each in written)
        assert offsets == list(range(100))


async def test_who_gives_up_is_not_waited_for(reach: Any, tmp_path: Path) -> None:
    async with reached(reach, tmp_path) as (admin, broker):
        await admin.ask(ANONYMOUS, CreateTopics((NewTopic("orders"),)))
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await admin.ask(
                        ANONYMOUS, ReadRecords("orders", offset="latest", wait_ms=30_000)
                    )
        await admin.ask(ANONYMOUS, CheckHealth())
        for _ in range(100):
            if not len(broker.registry.parked):
                break
            await admin.ask(ANONYMOUS, CheckHealth())
        assert len(broker.registry.parked) == 0


async def test_a_watch_tells_the_newest_after_each_change(reach: Any, tmp_path: Path) -> None:
    async with reached(reach, tmp_path) as (admin, _):
        async with aclosing(admin.watch(ANONYMOUS, ListTopics())) as replies:
            assert (await anext(replies)).topics == ()
            for number in range(20):
                await admin.ask(ANONYMOUS, CreateTopics((NewTopic(f"t{number}"),)))
            seen = 0
            async for reply in replies:
                seen += 1
                if len(reply.topics) == 20:
                    break
            assert seen <= 20
        assert (await admin.ask(ANONYMOUS, CheckHealth())).ready


async def test_a_watch_that_may_not_be_is_refused(reach: Any, tmp_path: Path) -> None:
    async with reached(reach, tmp_path) as (admin, _):
        async with aclosing(admin.watch(ANONYMOUS, DeleteTopics((TopicRef("a"),)))) as replies:
            with pytest.raises(InvalidRequest) as raised:
                await anext(replies)
        assert str(raised.value) == "DeleteTopics changes something: it can be asked, not watched"
        async with aclosing(admin.watch(ANONYMOUS, ReadRecords("nowhere"))) as replies:
            with pytest.raises(UnknownTopicOrPartition):
                await anext(replies)


async def test_a_watch_ends_with_the_broker(reach: Any, tmp_path: Path) -> None:
    async with reached(reach, tmp_path) as (admin, broker):
        seen = []
        async with aclosing(admin.watch(ANONYMOUS, ListTopics())) as replies:
            async for reply in replies:
                seen.append(reply)
                broker.admin.close()
        assert len(seen) == 1


async def test_watches_have_their_bound(
    reach: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WATCHES_MAX", 1)
    async with reached(reach, tmp_path) as (admin, _):
        async with aclosing(admin.watch(ANONYMOUS, ListTopics())) as first:
            await anext(first)
            async with aclosing(admin.watch(ANONYMOUS, ListTopics())) as second:
                with pytest.raises(StreamBusError) as raised:
                    await anext(second)
        assert (raised.value.code, str(raised.value)) == (
            89,
            "1 watches are open, the most allowed: close one first",
        )


async def test_text_that_no_message_can_carry_is_refused(reach: Any, tmp_path: Path) -> None:
    async with reached(reach, tmp_path) as (admin, _):
        with pytest.raises(StreamBusError):
            await admin.ask(ANONYMOUS, ReadRecords("\ud800"))
        with pytest.raises(StreamBusError):
            await admin.ask(ANONYMOUS, ReadRecords("orders", offset=2**70))
        assert (await admin.ask(ANONYMOUS, CheckHealth())).ready
