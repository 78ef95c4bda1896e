"""What clients read: from the start, an offset or a timestamp, to the end, at both isolation
levels."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.clients import Client
from tests.clients.conftest import Ask
from tests.clients.conversation import Refused
from tests.clients.records import START_MS, Sent, as_json, content, stamped

pytestmark = pytest.mark.clients

NewTopic = Callable[..., str]
OFFSET_OUT_OF_RANGE = 1
COUNT = 100
SENT = [
    as_json(each)
    for each in stamped(Sent(str(at), b"k%d" % at, b"value %d" % at) for at in range(COUNT))
]


@pytest.fixture(scope="module")
def written(referee: Ask, new_topic: NewTopic) -> str:
    """A topic of two partitions: a hundred records 10 ms apart in one batch, and none."""
    topic = new_topic(2)
    how = {"partition": 0, "codec": "zstd", "acks": "all", "idempotent": True}
    referee("produce", topic=topic, records=SENT, **how)
    return topic


def read(ask: Ask, topic: str, start: str | int, **how: Any) -> list[dict[str, Any]]:
    command = {"partitions": [0], "from": start} | how
    found: list[dict[str, Any]] = ask("read", topic=topic, **command)["records"]
    return found


@pytest.mark.step("reading from the start and from an offset, to the end")
@pytest.mark.parametrize("start", ["earliest", 0, 1, 57, COUNT - 1])
def test_reading_begins_at_the_record_asked_for(ask: Ask, written: str, start: str | int) -> None:
    found = read(ask, written, start)
    first = 0 if start == "earliest" else int(start)
    assert [each["offset"] for each in found] == list(range(first, COUNT))
    assert [content(each) for each in found] == SENT[first:]


@pytest.mark.step("reading from the start and from an offset, to the end")
def test_an_empty_partition_is_read_to_its_end(ask: Ask, written: str) -> None:
    assert read(ask, written, "earliest", partitions=[1]) == []
    found = read(ask, written, "earliest", partitions=[1, 0])
    assert [each["partition"] for each in found] == [0] * COUNT


@pytest.mark.step("read_committed reads as read_uncommitted does")
def test_both_isolation_levels_read_the_same(ask: Ask, written: str) -> None:
    committed = read(ask, written, "earliest", committed=True)
    assert committed == read(ask, written, "earliest", committed=False)
    assert len(committed) == COUNT


@pytest.mark.step("read_committed reads as read_uncommitted does")
def test_both_isolation_levels_end_at_the_same_offset(ask: Ask, written: str) -> None:
    ends = [
        ask("offset", topic=written, partition=0, at="latest", committed=committed)["offset"]
        for committed in (True, False)
    ]
    assert ends == [COUNT, COUNT]


@pytest.mark.step("timestamps are looked up to the record")
@pytest.mark.parametrize(
    ("at", "offset"),
    [
        (START_MS - 1_000, 0),
        (START_MS, 0),
        (START_MS + 1, 1),
        (START_MS + 10, 1),
        (START_MS + 569, 57),
        (START_MS + 10 * (COUNT - 1), COUNT - 1),
        (START_MS + 10 * COUNT, -1),
    ],
    ids=["before", "first", "between", "second", "inside", "last", "after"],
)
def test_a_timestamp_finds_the_exact_record(ask: Ask, written: str, at: int, offset: int) -> None:
    assert ask("offset", topic=written, partition=0, at=at)["offset"] == offset


@pytest.mark.step("timestamps are looked up to the record")
def test_the_largest_timestamp_is_found(ask: Ask, written: str) -> None:
    assert ask("offset", topic=written, partition=0, at="max_timestamp")["offset"] == COUNT - 1


@pytest.mark.step("the first and the last offset")
@pytest.mark.parametrize("partition", [0, 1])
def test_the_ends_of_a_partition_are_told(ask: Ask, written: str, partition: int) -> None:
    first = ask("offset", topic=written, partition=partition, at="earliest")["offset"]
    last = ask("offset", topic=written, partition=partition, at="latest")["offset"]
    assert (first, last) == (0, 0 if partition else COUNT)


@pytest.mark.step("clean errors")
def test_an_offset_beyond_the_end_is_out_of_range(client: Client, ask: Ask, written: str) -> None:
    with pytest.raises(Refused) as refused:
        read(ask, written, COUNT + 1)
    assert refused.value.code == OFFSET_OUT_OF_RANGE, client.title
