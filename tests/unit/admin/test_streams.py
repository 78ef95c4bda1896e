"""Whole frames over one socket, and its end."""

import asyncio
import socket

import pytest

from app.admin import frames
from app.admin.streams import FrameStream
from streambus.errors import Malformed


async def pair() -> tuple[FrameStream, FrameStream]:
    ours, theirs = socket.socketpair()
    return await FrameStream.open(ours), await FrameStream.open(theirs)


async def test_frames_come_whole_however_they_arrive() -> None:
    ours, theirs = await pair()
    encoded = frames.encode(frames.Cancel(1)) + frames.encode(frames.Cancel(2))
    for byte in encoded:
        ours._writer.write(bytes([byte]))
        await asyncio.sleep(0)
    for number in (1, 2):
        body = await theirs.read()
        assert body is not None and frames.decode_from_sibling(body) == frames.Cancel(number)
    ours.close()
    assert await theirs.read() is None
    theirs.close()


async def test_half_a_frame_is_the_end_and_not_a_frame() -> None:
    ours, theirs = await pair()
    ours._writer.write(frames.encode(frames.Cancel(1))[:-1])
    ours.close()
    assert await theirs.read() is None
    theirs.close()


async def test_a_length_that_is_not_allowed_is_malformed() -> None:
    ours, theirs = await pair()
    ours._writer.write(b"\xff" * 4)
    with pytest.raises(Malformed):
        await theirs.read()
    ours.close()
    theirs.close()


async def test_writing_to_who_is_gone_is_no_error_reading_says_so() -> None:
    ours, theirs = await pair()
    theirs.abort()
    large = frames.Refused(1, frames.Failed(3, "rejected", "x" * 1_000_000))
    for _ in range(5):
        await ours.write(large)
    assert await ours.read() is None
    await ours.write(large)
    ours.write_soon(large)
    ours.close()


async def test_who_writes_to_a_slow_reader_waits() -> None:
    ours, theirs = await pair()
    large = frames.Refused(1, frames.Failed(3, "rejected", "x" * 4_000_000))
    async with asyncio.TaskGroup() as tasks:
        writing = [tasks.create_task(ours.write(large)) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in writing)
        for _ in range(3):
            assert await theirs.read() is not None
    ours.close()
    theirs.close()
