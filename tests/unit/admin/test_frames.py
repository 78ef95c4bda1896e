"""Frames of the sibling's socket: what is said arrives, and what is not a frame is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import limits
from app.admin import frames
from app.admin.commands import COMMANDS
from app.admin.commands.records import NewRecord, ReadRecords, WriteRecords
from app.admin.commands.topics import DescribeTopics, ListTopics, TopicPage, TopicRef
from app.admin.operations import OPERATIONS, Itemised
from app.admin.port import Failed
from app.errors import InvalidRequest, MessageTooLarge
from app.model import ANONYMOUS, Principal
from streambus.errors import Malformed
from tests.unit.admin.samples import SAMPLES


def from_sibling(frame: frames.FromSibling) -> frames.FromSibling:
    encoded = frames.encode(frame)
    assert frames.length_of(encoded[: frames.LENGTH_BYTES]) == len(encoded) - frames.LENGTH_BYTES
    return frames.decode_from_sibling(encoded[frames.LENGTH_BYTES :])


def from_broker(frame: frames.FromBroker) -> frames.FromBroker:
    return frames.decode_from_broker(frames.encode(frame)[frames.LENGTH_BYTES :])


def plain(value: object) -> object:
    """Without the difference between lists and tuples, which no message keeps."""
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_every_command_crosses_the_socket(kind: type) -> None:
    command = SAMPLES[kind]("orders")
    asked = from_sibling(frames.Ask(7, Principal("User", "alice"), command))
    assert isinstance(asked, frames.Ask) and type(asked.command) is kind
    assert (asked.id, asked.principal) == (7, Principal("User", "alice"))
    assert plain(asked.command) == plain(command)
    watched = from_sibling(frames.Watch(8, ANONYMOUS, command))
    assert isinstance(watched, frames.Watch) and plain(watched.query) == plain(command)


def test_every_command_has_the_reply_that_its_operation_gives() -> None:
    assert set(frames.REPLIES) == set(COMMANDS)
    for kind, operation in OPERATIONS.items():
        if isinstance(operation, Itemised):
            assert operation.reply is frames.REPLIES[kind]
        assert f"-> {frames.REPLIES[kind].__name__}" in (kind.__doc__ or "")


def test_the_small_frames_cross_the_socket() -> None:
    for frame in (frames.Hello(b"\x00\xff" * 16), frames.Cancel(9)):
        assert from_sibling(frame) == frame
    failed = Failed(3, "rejected", "no", True)
    for answer in (frames.Refused(1, failed), frames.Ended(2), frames.Reply(3, TopicPage(()))):
        assert from_broker(answer) == answer


def test_a_frame_says_its_length_and_has_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ADMIN_MESSAGE_BYTES_MAX", 1_000)
    assert frames.length_of((1_000).to_bytes(4, "big")) == 1_000
    for length in (0, 1_001, 2**32 - 1):
        with pytest.raises(Malformed) as malformed:
            frames.length_of(length.to_bytes(4, "big"))
        assert str(malformed.value) == (f"a frame of {length} bytes: from 1 to 1000 are allowed")
    large = WriteRecords("orders", (NewRecord(b"x" * 1_000),))
    with pytest.raises(MessageTooLarge) as raised:
        frames.encode(frames.Ask(1, ANONYMOUS, large))
    assert str(raised.value).endswith(
        "bytes at once, and 1000 are the most: ask for less, in pages or parts"
    )


@pytest.mark.parametrize(
    "command",
    [ReadRecords("\ud800"), ReadRecords("orders", offset=2**70), ListTopics(limit=-(2**64))],
)
def test_what_no_message_can_carry_is_refused(command: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        frames.encode(frames.Ask(1, ANONYMOUS, command))  # type: ignore[arg-type]
    assert str(raised.value).startswith("not a text or number that can be passed on: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"type": "Nothing"}),
        msgspec.msgpack.encode({"type": "Cancel"}),
        msgspec.msgpack.encode({"type": "Cancel", "id": "1"}),
        msgspec.msgpack.encode({"type": "Hello", "token": "text"}),
        msgspec.msgpack.encode(
            {
                "type": "Ask",
                "id": 1,
                "principal": {"kind": "User", "name": "a"},
                "command": {"type": "Nothing"},
            }
        ),
        msgspec.msgpack.encode(
            {
                "type": "Ask",
                "id": 1,
                "principal": {"kind": "User", "name": "a"},
                "command": {"type": "ReadRecords", "topic": "a", "partition": "0"},
            }
        ),
        msgspec.msgpack.encode(
            {"type": "Ask", "id": 1, "principal": None, "command": {"type": "ListTopics"}}
        ),
        frames.encode(frames.Ended(1))[frames.LENGTH_BYTES :],
        frames.encode(frames.Cancel(1))[frames.LENGTH_BYTES :] + b"\x00",
        b"\x91" * 100_000,
        b"\x81\xa4type\xa6Canc\xffl",
    ],
)
def test_what_is_no_frame_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        frames.decode_from_sibling(body)
    with pytest.raises(Malformed):
        frames.decode_from_broker(body[:-1] if body else body)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_malformed(body: bytes) -> None:
    for decode in (frames.decode_from_sibling, frames.decode_from_broker):
        try:
            decode(body)
        except Malformed as error:
            assert str(error)


VALID = [
    frames.encode(frames.Ask(n, ANONYMOUS, sample("orders")))
    for n, sample in enumerate(SAMPLES.values())
] + [
    frames.encode(frames.Reply(1, TopicPage(()))),
    frames.encode(frames.Refused(2, Failed(3, "rejected", "no"))),
]


@given(st.sampled_from(VALID), st.data())
def test_a_damaged_frame_is_a_frame_or_malformed(encoded: bytes, data: st.DataObject) -> None:
    body = bytearray(encoded[frames.LENGTH_BYTES :])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])
    for damaged in (bytes(body), cut):
        for decode in (frames.decode_from_sibling, frames.decode_from_broker):
            try:
                decode(damaged)
            except Malformed as error:
                assert str(error)


@given(
    st.lists(st.builds(TopicRef, st.text(max_size=9), st.binary(max_size=16)), max_size=5),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
)
def test_whatever_is_asked_arrives_as_it_was_asked(
    refs: list[TopicRef], start: int, operations: bool
) -> None:
    command = DescribeTopics(tuple(refs), start, operations=operations)
    asked = from_sibling(frames.Ask(1, ANONYMOUS, command))
    assert isinstance(asked, frames.Ask) and asked.command == command
