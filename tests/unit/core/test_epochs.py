"""EpochHistory."""

import pytest

from app.core.epochs import EpochHistory


def history(*entries: tuple[int, int]) -> EpochHistory:
    made = EpochHistory()
    for epoch, start in entries:
        made.assign(epoch, start)
    return made


def test_an_empty_history_knows_nothing() -> None:
    empty = history()
    assert (empty.latest, len(empty), empty.epoch_at(5)) == (-1, 0, -1)
    assert empty.end_offset_for(0, 10) == (-1, -1)
    assert empty.end_offset_for(-1, 10) == (-1, -1)


def test_an_epoch_that_is_not_newer_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        history((3, 0), (3, 10))
    with pytest.raises(AssertionError):
        history((3, 0), (2, 10))


def test_an_epoch_in_which_nothing_was_written_leaves_no_entry() -> None:
    assert history((1, 0), (2, 10), (3, 10), (5, 10)).entries() == [(1, 0), (5, 10)]


def test_an_epoch_that_starts_below_others_takes_their_offsets() -> None:
    assert history((1, 0), (2, 10), (3, 20), (4, 10)).entries() == [(1, 0), (4, 10)]


@pytest.mark.parametrize(
    ("end", "left", "latest"),
    [
        (25, [(1, 0), (2, 10), (3, 20)], 3),
        (20, [(1, 0), (2, 10)], 2),
        (11, [(1, 0), (2, 10)], 2),
        (10, [(1, 0)], 1),
        (0, [], -1),
    ],
)
def test_cutting_the_end_drops_epochs_that_start_there(
    end: int, left: list[tuple[int, int]], latest: int
) -> None:
    cut = history((1, 0), (2, 10), (3, 20))
    cut.truncate_end(end)
    assert (cut.entries(), cut.latest) == (left, latest)


@pytest.mark.parametrize(
    ("start", "left"),
    [
        (4, [(1, 5), (2, 10), (3, 20)]),  # below the first: nothing covers it
        (5, [(1, 5), (2, 10), (3, 20)]),
        (9, [(1, 9), (2, 10), (3, 20)]),
        (10, [(2, 10), (3, 20)]),
        (15, [(2, 15), (3, 20)]),
        (99, [(3, 99)]),
    ],
)
def test_cutting_the_start_keeps_the_epoch_that_covers_it(
    start: int, left: list[tuple[int, int]]
) -> None:
    cut = history((1, 5), (2, 10), (3, 20))
    cut.truncate_start(start)
    assert (cut.entries(), cut.latest) == (left, 3)


@pytest.mark.parametrize(
    ("requested", "answer"),
    [
        (-1, (-1, -1)),
        (0, (0, 5)),  # before the first known: its start, under the epoch that was asked for
        (1, (1, 5)),
        (2, (2, 10)),
        (3, (2, 10)),  # between two: the older
        (4, (4, 20)),
        (5, (4, 20)),
        (6, (6, 33)),  # the newest ends where the log ends
        (7, (-1, -1)),  # newer than all: unknown here
    ],
)
def test_an_epoch_ends_where_a_newer_one_begins(requested: int, answer: tuple[int, int]) -> None:
    asked = history((2, 5), (4, 10), (6, 20))
    assert asked.end_offset_for(requested, 33) == answer


def test_every_offset_belongs_to_the_epoch_that_began_at_or_before_it() -> None:
    known = history((2, 5), (4, 10))
    assert [known.epoch_at(offset) for offset in (4, 5, 9, 10, 99)] == [-1, 2, 2, 4, 4]


def test_histories_are_equal_by_what_they_hold() -> None:
    assert history((1, 0), (2, 5)) == history((1, 0), (2, 5))
    assert history((1, 0)) != history((1, 1))
    assert history() != object()
    assert repr(history((1, 0))) == "EpochHistory([(1, 0)])"
