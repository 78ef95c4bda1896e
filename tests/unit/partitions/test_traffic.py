"""Traffic by topic: bounded, and what is counted together only grows."""

from hypothesis import given
from hypothesis import strategies as st

from app.partitions.traffic import TopicTraffic


def test_topics_that_are_too_many_are_counted_together() -> None:
    traffic = TopicTraffic(topics_max=2)
    one, two = traffic.of(b"one"), traffic.of(b"two")
    assert one is not two and traffic.of(b"three") is traffic.of(b"four") is traffic.others
    traffic.forget(b"one")
    assert traffic.of(b"five") is traffic.by_name[b"five"]
    assert set(traffic.by_name) == {b"two", b"five"}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_no_history_of_topics_exceeds_the_bound_or_loses_what_others_counted(
    history: list[tuple[bool, int]],
) -> None:
    traffic = TopicTraffic(topics_max=3)
    known = {}
    together = 0
    for appears, number in history:
        name = b"topic-%d" % number
        if not appears:
            traffic.forget(name)
            known.pop(name, None)
        elif name not in known:
            known[name] = traffic.of(name)
        for each in known.values():
            each.appended_bytes += 1
            together += each is traffic.others
        assert len(traffic.by_name) <= 3
        assert traffic.others.appended_bytes == together
