"""Fetch sessions against the rules of KIP-227."""

from itertools import count

from app.kafka.sessions import EVICTION_MS, FetchScope, FetchSessions
from streambus.protocol.messages.fetch import PartitionWanted

NEW = count(100).__next__


def wanted(*partitions: int, offset: int = 0) -> list[PartitionWanted]:
    return [(b"orders", None, each, -1, offset, -1, -1, 1 << 20) for each in partitions]


def full(sessions: FetchSessions, *partitions: int, now_ms: int = 0) -> int:
    scope = sessions.open(0, 0, wanted(*partitions), [], now_ms, uses_topic_ids=False)
    return sessions.start(scope, now_ms, NEW, uses_topic_ids=False)


def step(
    sessions: FetchSessions, session_id: int, epoch: int, *partitions: int, now_ms: int = 0
) -> FetchScope:
    return sessions.open(session_id, epoch, wanted(*partitions), [], now_ms, uses_topic_ids=False)


def numbers(scope: FetchScope) -> list[int]:
    return [each.partition for each in scope]


def test_epochs_follow_each_other_and_wrap_to_one() -> None:
    sessions = FetchSessions()
    session_id = full(sessions, 0, 1)
    assert step(sessions, session_id, 1).error == 0
    assert step(sessions, session_id, 1).error == 71
    assert step(sessions, session_id, 2).error == 0
    session = step(sessions, session_id, 3).session
    assert session is not None
    session.epoch = 2**31 - 1
    assert step(sessions, session_id, 2**31 - 1).error == 0
    assert step(sessions, session_id, 1).error == 0


def test_an_unknown_session_is_refused() -> None:
    assert step(FetchSessions(), 7, 1).error == 70


def test_a_session_keeps_what_it_was_told_and_forgets_what_it_was_told_to() -> None:
    sessions = FetchSessions()
    session_id = full(sessions, 0, 1)
    assert numbers(step(sessions, session_id, 1, 2)) == [0, 1, 2]
    scope = sessions.open(
        session_id, 2, wanted(1, offset=5), [(b"orders", None, 0)], 0, uses_topic_ids=False
    )
    assert [(each.partition, each.offset) for each in scope] == [(1, 5), (2, 0)]
    assert sessions.partitions == 2


def test_a_session_without_partitions_ends() -> None:
    sessions = FetchSessions()
    session_id = full(sessions, 0)
    scope = sessions.open(session_id, 1, [], [(b"orders", None, 0)], 0, uses_topic_ids=False)
    assert (scope.error, scope.session, numbers(scope)) == (0, None, [])
    assert len(sessions) == 0 and sessions.partitions == 0


def test_what_is_asked_and_forgotten_at_once_is_served_if_nothing_else_is_left() -> None:
    sessions = FetchSessions()
    session_id = full(sessions, 0)
    forgotten = [(b"orders", None, 0), (b"orders", None, 1)]
    scope = sessions.open(session_id, 1, wanted(0, 1, offset=5), forgotten, 0, uses_topic_ids=False)
    assert (scope.error, scope.session, scope.wants_session) == (0, None, False)
    assert [(each.partition, each.offset) for each in scope] == [(0, 5), (1, 5)]
    assert len(sessions) == 0 and sessions.partitions == 0


def test_a_new_full_fetch_or_the_final_epoch_ends_the_old_session() -> None:
    sessions = FetchSessions()
    for epoch in (0, -1):
        session_id = full(sessions, 0)
        scope = sessions.open(session_id, epoch, wanted(0), [], 0, uses_topic_ids=False)
        assert (scope.error, scope.wants_session) == (0, epoch == 0)
        assert len(sessions) == 0


def test_a_session_of_names_does_not_go_on_with_ids() -> None:
    sessions = FetchSessions()
    session_id = full(sessions, 0)
    by_id: list[PartitionWanted] = [(None, bytes(16), 0, -1, 0, -1, -1, 1)]
    assert sessions.open(session_id, 1, by_id, [], 0, uses_topic_ids=True).error == 106


def test_served_partitions_go_to_the_end() -> None:
    sessions = FetchSessions()
    session_id = full(sessions, 0, 1, 2)
    scope = step(sessions, session_id, 1)
    scope.served([each for each in scope if each.partition in (0, 2)])
    assert numbers(step(sessions, session_id, 2)) == [1, 0, 2]


def test_a_full_cache_gives_no_session_until_one_is_stale() -> None:
    sessions = FetchSessions(sessions_max=2)
    first, second = full(sessions, 0), full(sessions, 0)
    assert full(sessions, 0, now_ms=10) == 0
    step(sessions, second, 1, now_ms=EVICTION_MS)
    assert full(sessions, 0, now_ms=EVICTION_MS + 1) != 0
    assert step(sessions, first, 1).error == 70  # the one used least recently went
    assert step(sessions, second, 2).error == 0


def test_a_larger_session_replaces_a_smaller_one_that_had_its_time() -> None:
    sessions = FetchSessions(sessions_max=2)
    small, large = full(sessions, 0), full(sessions, 0, 1, 2)
    late = EVICTION_MS + 1
    step(sessions, small, 1, now_ms=late)
    step(sessions, large, 1, now_ms=late)
    assert full(sessions, 5, now_ms=late) == 0  # an equal does not push out its equal
    assert full(sessions, 5, 6, now_ms=late) != 0
    assert step(sessions, small, 2).error == 70
    assert step(sessions, large, 2).error == 0
    assert sessions.evictions == 1


def test_the_partitions_of_all_sessions_are_bounded() -> None:
    sessions = FetchSessions(partitions_max=4)
    session_id = full(sessions, 0, 1, 2)
    assert full(sessions, 0, 1) == 0
    assert step(sessions, session_id, 1, 3, 4).error == 70
    assert sessions.partitions == 0


def test_an_incremental_answer_mentions_changes_and_errors_only() -> None:
    (partition,) = FetchSessions().open(0, 0, wanted(0), [], 0, uses_topic_ids=False)

    def told(error: int = 0, size: int = 0, mark: int = 5, start: int = 0) -> bool:
        return partition.must_mention(error, size, mark, start, diverges=False)

    assert told()  # the first answer
    assert not told()
    assert told(mark=6)
    assert not told(mark=6)
    assert told(size=10, mark=6)
    assert told(start=1, mark=6)
    assert told(error=3, mark=6, start=1)
    assert told(mark=6, start=1)  # it works again
    assert not told(mark=6, start=1)


def test_a_session_never_mixes_names_and_ids_even_where_nothing_is_added() -> None:
    sessions = FetchSessions()
    session_id = full(sessions, 0)
    assert sessions.open(session_id, 1, [], [], 0, uses_topic_ids=True).error == 106
    assert step(sessions, session_id, 1).error == 0  # the epoch was not used up
