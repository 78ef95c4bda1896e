"""Pins end when the client shows that it has read, and taint when it never will."""

from app.kafka.pins import Pins

KEY, OTHER = (b"orders", 0), (b"orders", 1)


class Segment:
    def __init__(self) -> None:
        self.pins = 1
        self.tainted = False

    def unpin(self) -> None:
        assert self.pins > 0
        self.pins -= 1

    def taint(self) -> None:
        self.tainted = True


def test_only_a_fetch_at_or_beyond_the_end_releases() -> None:
    pins, first, second = Pins(), Segment(), Segment()
    pins.lend(KEY, [(first, 10), (second, 20)])  # type: ignore[list-item]
    pins.read_up_to(KEY, 9)
    pins.read_up_to(OTHER, 99)
    assert (first.pins, second.pins) == (1, 1)
    pins.read_up_to(KEY, 10)
    assert (first.pins, second.pins) == (0, 1)
    pins.read_up_to(KEY, 25)
    assert (second.pins, second.tainted, len(pins)) == (0, False, 0)


def test_a_lost_connection_taints_what_it_had_lent() -> None:
    pins, kept, read = Pins(), Segment(), Segment()
    pins.lend(KEY, [(read, 10), (kept, 20)])  # type: ignore[list-item]
    pins.read_up_to(KEY, 10)
    pins.taint()
    assert (kept.pins, kept.tainted) == (0, True)
    assert (read.pins, read.tainted) == (0, False)
    pins.taint()
    assert len(pins) == 0


def test_pins_of_a_connection_are_bounded_and_the_oldest_taint() -> None:
    pins, segments = Pins(count_max=3), [Segment() for _ in range(5)]
    for end, segment in enumerate(segments):
        pins.lend(KEY if end % 2 else OTHER, [(segment, end + 1)])  # type: ignore[list-item]
    assert len(pins) == 3
    assert sum(segment.tainted for segment in segments) == 2
    # Parts of them may be queued: they stay open until the connection is gone.
    assert all(segment.pins == 1 for segment in segments)
    pins.taint()
    assert all(segment.tainted and segment.pins == 0 for segment in segments)


def test_one_segment_is_kept_open_once_however_often_it_was_lent() -> None:
    pins, segment = Pins(count_max=1), Segment()
    segment.pins = 4
    pins.lend(KEY, [(segment, end) for end in (1, 2, 3, 4)])  # type: ignore[list-item]
    assert (segment.pins, segment.tainted, len(pins)) == (2, True, 1)
    pins.read_up_to(KEY, 4)
    assert segment.pins == 1
    pins.taint()
    assert segment.pins == 0
