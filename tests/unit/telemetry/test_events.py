"""Events: one line each, in two renderings, and no flood of them."""

import asyncio
import io
import json
from collections.abc import Iterator

import pytest

from app.telemetry import events


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    handlers, level = list(events.LOGGER.handlers), events.LOGGER.level
    propagate = events.LOGGER.propagate
    stream = io.StringIO()
    events.configure("json", "info", stream)
    yield stream
    events.LOGGER.handlers[:] = handlers
    events.LOGGER.setLevel(level)
    events.LOGGER.propagate = propagate


def parsed(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_any_value_is_one_line_of_json(lines: io.StringIO) -> None:
    events.emit("a.happened", error=OSError(5, "two\nlines"), raw=b"\xff\n", none=None, count=3)
    (line,) = parsed(lines)
    assert line["event"] == "a.happened" and line["level"] == "info"
    assert (line["raw"], line["count"], line["none"]) == ("ff0a", 3, None)


def test_a_flood_of_one_event_is_bounded_and_the_others_are_written(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("logging.time.time", lambda: now[0])
    for _ in range(events.LINES_PER_SECOND_MAX + 30):
        events.emit("flood.came", events.WARNING)
    events.emit("other.came")
    now[0] += 1
    events.emit("flood.came", events.WARNING, reason="again")
    events.emit("flood.came", events.WARNING)
    written = parsed(lines)
    floods = [line for line in written if line["event"] == "flood.came"]
    assert len(floods) == events.LINES_PER_SECOND_MAX + 2
    assert [line.get("suppressed") for line in floods[-3:]] == [None, 30, None]
    assert floods[-2]["reason"] == "again"
    assert "other.came" in [line["event"] for line in written]


def test_what_is_said_in_a_bound_block_carries_its_fields(lines: io.StringIO) -> None:
    with events.bound(request="4-7", face="kafka"):
        events.emit("inner.said", what="this")
        with events.bound(request="4-8"):
            events.emit("innermost.said", face="rest")
        assert events.bound_fields() == {"request": "4-7", "face": "kafka"}
    events.emit("outer.said")
    inner, innermost, outer = parsed(lines)
    assert (inner["request"], inner["face"], inner["what"]) == ("4-7", "kafka", "this")
    assert (innermost["request"], innermost["face"]) == ("4-8", "rest")
    assert "request" not in outer


def test_tasks_say_what_was_bound_where_they_began(lines: io.StringIO) -> None:
    async def works(name: str) -> None:
        await asyncio.sleep(0)
        events.emit("task.said", task=name)

    async def scenario() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(2):
                with events.bound(request=f"1-{number}"):
                    tasks.create_task(works(str(number)))
            tasks.create_task(works("none"))

    asyncio.run(scenario())
    assert [(line["task"], line.get("request")) for line in parsed(lines)] == [
        ("0", "1-0"),
        ("1", "1-1"),
        ("none", None),
    ]


def test_human_lines_show_the_request(lines: io.StringIO) -> None:
    events.configure("human", "info", lines)
    with events.bound(request="9-1"):
        events.emit("something.said", count=2)
    assert lines.getvalue().rstrip().endswith("something.said  request=9-1 count=2")
