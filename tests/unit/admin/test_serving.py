"""The broker's end of the sibling's socket, against a peer that is anything."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app import limits
from app.admin import frames
from app.admin.commands.records import ReadRecords
from app.admin.commands.topics import DeleteTopics, ListTopics, TopicPage, TopicRef
from app.admin.port import Command, Failed
from app.admin.serving import serve
from app.admin.streams import FrameStream
from app.errors import InvalidTopic, ThrottlingQuotaExceeded
from app.model import ANONYMOUS, Principal

TOKEN = b"t" * frames.TOKEN_BYTES


class ScriptedAdmin:
    """Answers when the test says so, and remembers who was given up."""

    def __init__(self) -> None:
        self.asked: list[Command] = []
        self.cancelled: list[Command] = []
        self.may_answer = asyncio.Event()
        self.changed = asyncio.Event()
        self.reply: Any = TopicPage(())
        self.error: BaseException | None = None

    async def ask(self, principal: Principal, command: Command) -> Any:
        self.asked.append(command)
        self.changed.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled.append(command)
            self.changed.set()
            raise
        if self.error is not None:
            raise self.error
        return self.reply

    async def watch(self, principal: Principal, query: Command) -> AsyncGenerator[Any, None]:
        self.asked.append(query)
        self.changed.set()
        try:
            for _ in range(3):
                yield self.reply
            await self.may_answer.wait()
        finally:
            self.cancelled.append(query)
            self.changed.set()


class Peer:
    """The other end, and the task that serves it."""

    def __init__(self, stream: FrameStream, serving: "asyncio.Task[None]", raw: Any) -> None:
        self.stream = stream
        self.serving = serving
        self.raw = raw

    async def send(self, frame: Any) -> None:
        await self.stream.write(frame)

    async def received(self) -> Any:
        body = await self.stream.read()
        return None if body is None else frames.decode_from_broker(body)


@asynccontextmanager
async def served(admin: Any, *, greets: bool = True) -> AsyncIterator[Peer]:
    ours, theirs = socket.socketpair()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve(admin, ours, TOKEN))
        stream = await FrameStream.open(theirs)
        if greets:
            await stream.write(frames.Hello(TOKEN))
        yield Peer(stream, serving, stream._writer)
        stream.abort()


async def seen(admin: ScriptedAdmin, commands: list[Command], count: int) -> None:
    """Until so many were asked, or given up."""
    async with asyncio.timeout(5):
        while len(commands) < count:
            admin.changed.clear()
            await admin.changed.wait()


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.getMessage(), str(record.fields["error"]))  # type: ignore[attr-defined]
        for record in caplog.records
        if record.getMessage() in ("sibling.refused", "request.failed")
    ]


async def test_answers_come_as_they_are_ready_each_with_its_id() -> None:
    admin = ScriptedAdmin()
    async with served(admin) as peer:
        for number in (5, 3):
            await peer.send(frames.Ask(number, ANONYMOUS, ListTopics(limit=number)))
        await seen(admin, admin.asked, 2)
        admin.may_answer.set()
        answers = [await peer.received(), await peer.received()]
        assert {each.id for each in answers} == {5, 3}
        assert all(each.reply == TopicPage(()) for each in answers)
        # An id is free again once it is answered.
        await peer.send(frames.Ask(5, ANONYMOUS, ListTopics()))
        assert (await peer.received()).id == 5


async def test_an_error_is_an_answer() -> None:
    admin = ScriptedAdmin()
    admin.error = InvalidTopic("no such name")
    admin.may_answer.set()
    async with served(admin) as peer:
        await peer.send(frames.Ask(1, ANONYMOUS, ListTopics()))
        assert await peer.received() == frames.Refused(1, Failed(17, "rejected", "no such name"))


async def test_what_nobody_expected_is_an_answer_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    admin = ScriptedAdmin()
    admin.error = KeyError("a secret")
    admin.may_answer.set()
    async with served(admin) as peer:
        await peer.send(frames.Ask(1, ANONYMOUS, ListTopics()))
        assert await peer.received() == frames.Refused(
            1, Failed(-1, "rejected", "the broker failed: see its log")
        )
    assert events(caplog) == [("request.failed", "KeyError('a secret')")]


async def test_a_bug_of_ours_ends_the_serving() -> None:
    admin = ScriptedAdmin()
    admin.error = AssertionError("a bug")
    admin.may_answer.set()
    with pytest.raises(BaseExceptionGroup) as raised:
        async with served(admin) as peer:
            await peer.send(frames.Ask(1, ANONYMOUS, ListTopics()))
            assert await peer.received() is None
    assert raised.group_contains(AssertionError, match="a bug")


async def test_a_reply_too_large_for_the_socket_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admin = ScriptedAdmin()
    admin.reply = TopicPage((), "x" * 2_000)
    admin.may_answer.set()
    async with served(admin) as peer:
        monkeypatch.setattr(limits, "ADMIN_MESSAGE_BYTES_MAX", 1_000)
        await peer.send(frames.Ask(1, ANONYMOUS, ListTopics()))
        refused = await peer.received()
        assert (refused.id, refused.failed.code) == (1, 10)
        assert refused.failed.message.endswith(
            "bytes at once, and 1000 are the most: ask for less, in pages or parts"
        )


async def test_a_cancelled_command_is_cancelled_there() -> None:
    admin = ScriptedAdmin()
    async with served(admin) as peer:
        await peer.send(frames.Ask(1, ANONYMOUS, ReadRecords("a")))
        await peer.send(frames.Watch(2, ANONYMOUS, ListTopics()))
        assert [(await peer.received()).id for _ in range(3)] == [2, 2, 2]
        for number in (1, 2, 99):
            await peer.send(frames.Cancel(number))
        await seen(admin, admin.cancelled, 2)
        # Its id is free again, and nothing was answered.
        admin.may_answer.set()
        await peer.send(frames.Ask(1, ANONYMOUS, ListTopics()))
        assert await peer.received() == frames.Reply(1, TopicPage(()))


async def test_a_watch_is_told_that_it_is_over() -> None:
    admin = ScriptedAdmin()
    admin.may_answer.set()
    async with served(admin) as peer:
        await peer.send(frames.Watch(4, ANONYMOUS, ListTopics()))
        answers = [await peer.received() for _ in range(4)]
        assert [type(each).__name__ for each in answers] == ["Reply"] * 3 + ["Ended"]


async def test_a_dead_peer_ends_everything_it_asked() -> None:
    admin = ScriptedAdmin()
    async with served(admin) as peer:
        for number in range(10):
            await peer.send(frames.Ask(number, ANONYMOUS, ReadRecords("a")))
        await peer.send(frames.Watch(99, ANONYMOUS, ListTopics()))
        await seen(admin, admin.asked, 11)
        peer.stream.abort()
        async with asyncio.timeout(5):
            await peer.serving
    assert len(admin.cancelled) == 11


async def test_a_peer_has_so_many_commands_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ADMIN_ASKED_MAX", 2)
    admin = ScriptedAdmin()
    async with served(admin) as peer:
        for number in (1, 2, 3):
            await peer.send(frames.Ask(number, ANONYMOUS, ReadRecords("a")))
        refused = await peer.received()
        assert refused == frames.Refused(
            3,
            Failed.of(
                ThrottlingQuotaExceeded("2 commands are under way, the most allowed: try again")
            ),
        )


async def test_a_slow_peer_holds_back_its_own_answers_and_nothing_is_lost() -> None:
    """More than sockets keep: the broker waits, and encodes one answer at a time."""
    admin = ScriptedAdmin()
    admin.reply = TopicPage((), "x" * 500_000)
    admin.may_answer.set()
    async with served(admin) as peer:
        for number in range(20):
            await peer.send(frames.Ask(number, ANONYMOUS, ListTopics()))
        await seen(admin, admin.asked, 20)
        numbers = []
        for _ in range(20):
            answer = await peer.received()
            assert len(answer.reply.next) == 500_000
            numbers.append(answer.id)
        assert sorted(numbers) == list(range(20))


GREETING = "its first frame does not have the token that its broker gave"


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (frames.encode(frames.Hello(b"x" * 32)), GREETING),
        (frames.encode(frames.Hello(b"")), GREETING),
        (frames.encode(frames.Ask(1, ANONYMOUS, DeleteTopics((TopicRef("a"),)))), GREETING),
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes: from 1 to 67108864 are allowed"),
        (b"\0\0\0\0", "a frame of 0 bytes: from 1 to 67108864 are allowed"),
        (b"\0\0\0\x01\xc1", "no frame of the sibling: "),
        (b"GET / HTTP/1.1\r\n\r\n", "a frame of 1195725856 bytes: from 1 to 67108864"),
    ],
)
async def test_who_does_not_say_the_token_gets_nothing(
    caplog: pytest.LogCaptureFixture, sent: bytes, why: str
) -> None:
    admin = ScriptedAdmin()
    async with served(admin, greets=False) as peer:
        peer.raw.write(sent)
        assert await peer.received() is None
        await peer.serving
    assert not admin.asked
    ((name, told),) = events(caplog)
    assert name == "sibling.refused" and told.startswith(why)


async def test_who_says_nothing_is_not_waited_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ADMIN_HELLO_MS_MAX", 20)
    async with served(ScriptedAdmin(), greets=False) as peer:
        assert await peer.received() is None
    assert events(caplog) == [("sibling.refused", "it did not say its token in time")]


async def test_who_goes_without_a_word_is_one_event(caplog: pytest.LogCaptureFixture) -> None:
    async with served(ScriptedAdmin(), greets=False):
        pass
    assert events(caplog) == [("sibling.refused", "it went without saying its token")]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"\xff\xff\xff\xff", "a frame of 4294967295 bytes"),
        (b"\0\0\0\x01\xc1", "no frame of the sibling: "),
        (frames.encode(frames.Reply(1, TopicPage(()))), "no frame of the sibling: "),
        (frames.encode(frames.Hello(TOKEN)), "it said its token twice"),
        (frames.encode(frames.Ask(1, ANONYMOUS, ListTopics())), "1 is asked already"),
        (frames.encode(frames.Watch(1, ANONYMOUS, ListTopics())), "1 is asked already"),
    ],
)
async def test_what_is_no_frame_closes_the_socket_and_ends_what_was_asked(
    caplog: pytest.LogCaptureFixture, sent: bytes, why: str
) -> None:
    admin = ScriptedAdmin()
    async with served(admin) as peer:
        await peer.send(frames.Ask(1, ANONYMOUS, ReadRecords("a")))
        await seen(admin, admin.asked, 1)
        peer.raw.write(sent)
        assert await peer.received() is None
        await peer.serving
    assert admin.cancelled == [ReadRecords("a")]
    ((name, told),) = events(caplog)
    assert name == "sibling.refused" and told.startswith(why)
