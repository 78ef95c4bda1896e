"""Timers, also against a plain dictionary of deadlines."""

from hypothesis import given
from hypothesis import strategies as st

from app.core.groups.timers import Timer, Timers, Wait

A: Timer = (Wait.SESSION, "g", "a")
B: Timer = (Wait.SESSION, "g", "b")
JOIN: Timer = (Wait.JOIN, "g", "")


def test_a_timer_that_is_started_again_is_due_later_or_earlier() -> None:
    timers = Timers()
    timers.start(A, 10)
    timers.start(A, 20)
    assert timers.due_ms() == 20
    assert list(timers.expire(19)) == []
    timers.start(A, 15)
    assert timers.due_ms() == 15
    assert list(timers.expire(15)) == [A]
    assert timers.due_ms() is None
    assert list(timers.expire(100)) == []


def test_one_that_was_moved_is_passed_over_where_it_was() -> None:
    timers = Timers()
    timers.start(A, 10)
    timers.start(A, 20)
    timers.start(B, 12)
    timers.stop(B)
    assert list(timers.expire(15)) == []
    assert list(timers.expire(20)) == [A]


def test_a_timer_that_is_stopped_is_never_due() -> None:
    timers = Timers()
    timers.start(A, 10)
    timers.stop(A)
    timers.stop(B)
    assert timers.due_ms() is None
    assert list(timers.expire(10)) == []
    timers.start(A, 12)
    assert timers.due_ms() == 12


def test_they_are_given_by_deadline_and_of_equal_ones_by_name() -> None:
    timers = Timers()
    timers.start(JOIN, 10)
    timers.start(B, 10)
    timers.start(A, 10)
    timers.start((Wait.SYNC, "a", ""), 9)
    assert list(timers.expire(10)) == [(Wait.SYNC, "a", ""), A, B, JOIN]


def test_one_that_is_stopped_or_moved_before_its_turn_is_not_given() -> None:
    timers = Timers()
    for timer in (A, B, JOIN):
        timers.start(timer, 10)
    given_ = []
    for timer in timers.expire(10):
        given_.append(timer)
        timers.stop(B)
        timers.start(JOIN, 11)
    assert given_ == [A]
    assert list(timers.expire(11)) == [JOIN]


def test_one_that_starts_itself_again_at_once_waits_for_the_next_call() -> None:
    timers = Timers()
    timers.start(A, 10)
    for timer in timers.expire(10):
        timers.start(timer, 10)
    assert timers.due_ms() == 10
    assert list(timers.expire(10)) == [A]


def test_moving_a_deadline_back_and_forth_costs_no_memory() -> None:
    timers = Timers()
    for round_ in range(100_000):
        timers.start(A, 1_000_000 - round_)
        timers.stop(A)
        timers.start(A, 2_000_000)
    assert len(timers) == 1
    assert len(timers._heap) < 5_000
    assert timers.due_ms() == 2_000_000


timer = st.sampled_from([A, B, JOIN, (Wait.EXPIRY, "", "")])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("start"), timer, st.integers(0, 30)),
        st.tuples(st.just("stop"), timer, st.just(0)),
        st.tuples(st.just("expire"), timer, st.integers(0, 5)),
        st.tuples(st.just("ask"), timer, st.just(0)),
    ),
    max_size=60,
)


@given(steps)
def test_they_are_what_a_dictionary_of_deadlines_says(
    history: list[tuple[str, Timer, int]],
) -> None:
    timers, plain, now = Timers(), dict[Timer, int](), 0
    for verb, which, number in history:
        if verb == "start":
            timers.start(which, now + number)
            plain[which] = now + number
        elif verb == "stop":
            timers.stop(which)
            plain.pop(which, None)
        elif verb == "ask":
            assert timers.due_ms() == min(plain.values(), default=None)
        else:
            now += number
            due = sorted((at, each) for each, at in plain.items() if at <= now)
            assert list(timers.expire(now)) == [each for _, each in due]
            for _, each in due:
                del plain[each]
        assert len(timers) == len(plain)
