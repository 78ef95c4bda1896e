"""Committed offsets of one group."""

import pytest

from app.core.groups.offsets import Offsets, Topics
from app.core.groups.values import FetchedOffset
from app.errors import Corrupt
from streambus.protocol.coordinator_records import OffsetValue, encode_value

KEY = ("orders", 3)


def offsets(value: OffsetValue) -> Offsets:
    made = Offsets(Topics())
    made.put(KEY, encode_value(value))
    return made


def test_committed_metadata_and_leader_epoch_round_trip() -> None:
    """semantics.md, Groups: OffsetCommit metadata round-trips; leader epoch stored."""
    assert offsets(OffsetValue(5, 7, "čau", 1)).fetch(KEY) == FetchedOffset(
        "orders", 3, 5, 7, "čau"
    )


def test_what_was_never_committed_is_minus_one() -> None:
    assert Offsets(Topics()).fetch(KEY) == FetchedOffset("orders", 3, -1, -1, "")


def test_what_was_committed_to_another_topic_of_the_name_is_not_given() -> None:
    """semantics.md, Groups: topic-id aware commit."""
    of_old = offsets(OffsetValue(5, 7, "", 1, None, b"old-topic-id----"))
    assert of_old.fetch(KEY, b"new-topic-id----").offset == -1
    assert of_old.fetch(KEY, b"old-topic-id----").offset == 5
    assert of_old.fetch(KEY).offset == 5
    assert offsets(OffsetValue(5, 7, "", 1)).fetch(KEY, b"new-topic-id----").offset == 5


def test_the_newest_commit_replaces_the_one_before() -> None:
    kept = offsets(OffsetValue(5, -1, "", 1))
    kept.put(KEY, encode_value(OffsetValue(4, -1, "", 2)))
    assert kept.fetch(KEY).offset == 4 and len(kept) == 1
    kept.remove(KEY)
    kept.remove(KEY)
    assert KEY not in kept and kept.stored(KEY) is None


def test_removing_while_reading_is_safe() -> None:
    kept = Offsets(Topics())
    for partition in range(10):
        kept.put(("orders", partition), b"")
    for key in kept:
        kept.remove(key)
    assert len(kept) == 0


def test_bytes_that_are_no_offset_are_corrupt() -> None:
    kept = Offsets(Topics())
    kept.put(KEY, b"\x00\x63")
    with pytest.raises(Corrupt, match="orders-3"):
        kept.fetch(KEY)


def test_a_topic_has_one_number_in_all_groups_until_it_is_gone() -> None:
    topics = Topics()
    first, second = Offsets(topics), Offsets(topics)
    first.put(("orders", 300), b"1")
    second.put(("orders", 300), b"2")
    second.put(("bills", 2**31 - 1), b"3")
    assert len(topics) == 2
    assert second.of(["orders", "unheard"]) == [("orders", 300)]
    assert list(second) == [("orders", 300), ("bills", 2**31 - 1)]
    first.remove(("orders", 300))
    second.remove(("orders", 300))
    topics.forget(["orders", "unheard"])
    assert len(topics) == len(topics._names) == 1
    first.put(("orders", 1), b"4")
    assert list(first) == [("orders", 1)] and list(second) == [("bills", 2**31 - 1)]


def test_asking_for_what_nobody_committed_to_makes_no_number() -> None:
    topics = Topics()
    kept = Offsets(topics)
    assert kept.fetch(KEY).offset == -1 and KEY not in kept
    kept.remove(KEY)
    assert len(topics) == 0
