"""The port in the sibling process, against a broker that is anything."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from app import limits
from app.admin import frames
from app.admin import remote as module
from app.admin.commands.topics import ListTopics, TopicPage
from app.admin.port import Failed
from app.admin.remote import RemoteAdmin, connected
from app.admin.streams import FrameStream
from app.errors import (
    InvalidTopic,
    RequestTimedOut,
    StreamBusError,
    ThrottlingQuotaExceeded,
    Unavailable,
)
from app.model import ANONYMOUS

TOKEN = b"t" * frames.TOKEN_BYTES
GONE = "the broker is gone: what it was asked meanwhile may or may not have been done"


class Broker:
    """The other end, by hand."""

    def __init__(self, stream: FrameStream) -> None:
        self.stream = stream

    async def received(self) -> Any:
        body = await self.stream.read()
        return None if body is None else frames.decode_from_sibling(body)

    async def send(self, frame: Any) -> None:
        await self.stream.write(frame)

    def write(self, raw: bytes) -> None:
        self.stream._writer.write(raw)


@asynccontextmanager
async def facing() -> AsyncIterator[tuple[RemoteAdmin, Broker]]:
    ours, theirs = socket.socketpair()
    broker = Broker(await FrameStream.open(ours))
    try:
        async with connected(theirs, TOKEN) as admin:
            assert await broker.received() == frames.Hello(TOKEN)
            yield admin, broker
    finally:
        broker.stream.abort()


def page(name: str) -> TopicPage:
    return TopicPage((), name)


async def test_each_answer_finds_who_asked() -> None:
    async with facing() as (admin, broker), asyncio.TaskGroup() as tasks:
        first = tasks.create_task(outcome(admin.ask(ANONYMOUS, ListTopics(prefix="a"))))
        one = await broker.received()
        second = tasks.create_task(admin.ask(ANONYMOUS, ListTopics(prefix="b")))
        two = await broker.received()
        assert (one.command.prefix, two.command.prefix) == ("a", "b")
        await broker.send(frames.Reply(two.id, page("b")))
        await broker.send(frames.Refused(one.id, Failed(17, "rejected", "no")))
        assert (await second).next == "b"
        assert await first == "InvalidTopic: no"


async def test_a_broker_that_goes_leaves_nobody_waiting() -> None:
    async with facing() as (admin, broker):
        async with asyncio.TaskGroup() as tasks:
            asks = [
                tasks.create_task(outcome(admin.ask(ANONYMOUS, ListTopics()))) for _ in range(5)
            ]
            watch = tasks.create_task(watched(admin))
            for _ in range(6):
                await broker.received()
            assert not admin.ended.is_set()
            broker.stream.abort()
        assert [await each for each in asks] == [f"Unavailable: {GONE}"] * 5
        assert await watch == []
        assert admin.ended.is_set()
        with pytest.raises(Unavailable) as raised:
            await admin.ask(ANONYMOUS, ListTopics())
        assert str(raised.value) == GONE


async def outcome(asking: Any) -> Any:
    try:
        return await asking
    except StreamBusError as error:
        return f"{type(error).__name__}: {error}"


async def watched(admin: RemoteAdmin) -> list[Any]:
    async with aclosing(admin.watch(ANONYMOUS, ListTopics())) as replies:
        return [reply async for reply in replies]


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\x01\xc1",
        frames.encode(frames.Cancel(1)),
        frames.encode(frames.Hello(TOKEN)),
    ],
)
async def test_garbage_ends_the_connection_with_one_event(
    caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async with facing() as (admin, broker):
        broker.write(sent)
        async with asyncio.timeout(5):
            await admin.ended.wait()
        with pytest.raises(Unavailable):
            await admin.ask(ANONYMOUS, ListTopics())
    assert [record.getMessage() for record in caplog.records] == ["broker.garbled"]


async def test_answers_that_nobody_waits_for_are_dropped() -> None:
    async with facing() as (admin, broker), asyncio.TaskGroup() as tasks:
        for stray in (frames.Reply(77, page("")), frames.Ended(78)):
            await broker.send(stray)
        asking = tasks.create_task(admin.ask(ANONYMOUS, ListTopics()))
        await broker.send(frames.Reply((await broker.received()).id, page("x")))
        assert (await asking).next == "x"


async def test_who_gives_up_tells_the_broker() -> None:
    async with facing() as (admin, broker):
        asking = asyncio.timeout(0.01)
        with pytest.raises(TimeoutError):
            async with asking:
                await admin.ask(ANONYMOUS, ListTopics())
        ask = await broker.received()
        assert await broker.received() == frames.Cancel(ask.id)


async def test_an_answered_command_is_not_cancelled() -> None:
    async with facing() as (admin, broker), asyncio.TaskGroup() as tasks:
        for _ in range(2):
            asking = tasks.create_task(admin.ask(ANONYMOUS, ListTopics()))
            ask = await broker.received()
            assert isinstance(ask, frames.Ask)
            await broker.send(frames.Reply(ask.id, page("x")))
            await asking


async def test_a_broker_that_does_not_answer_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.02)
    async with facing() as (admin, broker):
        with pytest.raises(RequestTimedOut) as raised:
            await admin.ask(ANONYMOUS, ListTopics())
        assert str(raised.value) == (
            "the broker did not answer ListTopics within 0.02 s; what it was to change may or may "
            "not have been changed"
        )
        ask = await broker.received()
        assert await broker.received() == frames.Cancel(ask.id)


async def test_so_many_commands_are_under_way_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ADMIN_ASKED_MAX", 1)
    async with facing() as (admin, broker), asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(admin.ask(ANONYMOUS, ListTopics()))
        ask = await broker.received()
        with pytest.raises(ThrottlingQuotaExceeded) as raised:
            await admin.ask(ANONYMOUS, ListTopics())
        assert str(raised.value) == "1 commands are under way, the most allowed: try again"
        await broker.send(frames.Reply(ask.id, page("x")))
        await asking


async def test_a_slow_watcher_gets_the_newest_and_a_closed_one_is_cancelled() -> None:
    async with facing() as (admin, broker):
        async with aclosing(admin.watch(ANONYMOUS, ListTopics())) as replies:
            async with asyncio.TaskGroup() as tasks:
                first = tasks.create_task(anext(replies))
                watch = await broker.received()
                await broker.send(frames.Reply(watch.id, page("1")))
                assert (await first).next == "1"
            for name in ("2", "3", "4"):
                await broker.send(frames.Reply(watch.id, page(name)))
            await echoed(admin, broker)
            assert (await anext(replies)).next == "4"
        assert await broker.received() == frames.Cancel(watch.id)


async def echoed(admin: RemoteAdmin, broker: Broker) -> None:
    """Everything that the broker had sent before has been taken."""
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(admin.ask(ANONYMOUS, ListTopics()))
        await broker.send(frames.Reply((await broker.received()).id, page("echo")))
        await asking


@pytest.mark.parametrize("end", ["ended", "refused", "gone"])
async def test_the_last_reply_of_a_watch_is_not_lost_with_its_end(end: str) -> None:
    async with facing() as (admin, broker):
        replies = admin.watch(ANONYMOUS, ListTopics())
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(anext(replies))
            watch = await broker.received()
            await broker.send(frames.Reply(watch.id, page("1")))
            await first
        await broker.send(frames.Reply(watch.id, page("last")))
        if end == "ended":
            await broker.send(frames.Ended(watch.id))
        elif end == "refused":
            await broker.send(frames.Refused(watch.id, Failed(17, "rejected", "no")))
        if end == "gone":
            broker.stream.close()
            await admin.ended.wait()
        else:
            await echoed(admin, broker)
        assert (await anext(replies)).next == "last"
        with pytest.raises(InvalidTopic if end == "refused" else StopAsyncIteration):
            await anext(replies)
        await replies.aclose()
