"""Parked fetches: an append touches its own partition's waiters, each is woken once, removal is
O(1)."""

from app.partitions.waiting import ParkedFetches
from tests.unit.partitions.arrange import ManualWorld


class Partition:
    """As much of a replica as waiting needs."""

    def __init__(self, fetches: ParkedFetches) -> None:
        self.fetches = fetches
        self.high_watermark = 0
        self.bytes_visible = 0
        self.read_error = 0
        self.waiters: dict = {}

    def commit(self, records: int, size: int = 100) -> None:
        self.high_watermark += records
        self.bytes_visible += records * size
        if self.waiters:
            self.fetches.advanced(self)


class Woken:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def park(fetches: ParkedFetches, *partitions: Partition, min_bytes: int = 1, wait_ms: int = 500):
    woken = Woken()
    waits = [(each, each.high_watermark, each.high_watermark) for each in partitions]
    return woken, fetches.park(waits, min_bytes, wait_ms, woken)


def test_with_100_000_parked_fetches_an_append_touches_only_its_partitions_waiters() -> None:
    """Seam 15."""
    fetches = ParkedFetches(ManualWorld())
    partitions = [Partition(fetches) for _ in range(10_000)]
    woken = [park(fetches, partitions[number % 10_000])[0] for number in range(100_000)]
    assert len(fetches) == 100_000
    partitions[77].commit(1)
    assert fetches.touched == 10
    assert fetches.woken == 10
    assert [number for number, each in enumerate(woken) if each.times] == list(
        range(77, 100_000, 10_000)
    )
    partitions[77].commit(1)
    assert fetches.touched == 10
    assert len(fetches) == 99_990


def test_a_fetch_of_many_partitions_is_woken_once() -> None:
    fetches = ParkedFetches(ManualWorld())
    partitions = [Partition(fetches) for _ in range(50)]
    woken, parked = park(fetches, *partitions)
    assert parked is not None
    for partition in partitions:
        partition.commit(1)
    assert woken.times == 1
    assert all(not partition.waiters for partition in partitions)


def test_a_fetch_waits_until_min_bytes_came_over_all_its_partitions() -> None:
    fetches = ParkedFetches(ManualWorld())
    left, right = Partition(fetches), Partition(fetches)
    woken, _ = park(fetches, left, right, min_bytes=1_000)
    left.commit(4)
    right.commit(5)
    assert woken.times == 0
    left.commit(1)
    assert woken.times == 1


def test_an_unsatisfied_fetch_is_woken_when_its_wait_is_over() -> None:
    world = ManualWorld()
    fetches = ParkedFetches(world)
    woken, _ = park(fetches, Partition(fetches), wait_ms=500)
    world.advance(499)
    assert woken.times == 0
    world.advance(20)
    assert woken.times == 1
    assert len(fetches) == 0


def test_a_cancelled_fetch_is_never_woken() -> None:
    world = ManualWorld()
    fetches = ParkedFetches(world)
    partition = Partition(fetches)
    woken, parked = park(fetches, partition)
    parked.cancel()
    parked.cancel()
    partition.commit(1)
    world.advance(1_000)
    assert woken.times == 0
    assert not partition.waiters
    assert len(fetches) == 0


def test_a_fetch_beyond_the_high_watermark_is_woken_only_once_its_offset_is_readable() -> None:
    fetches = ParkedFetches(ManualWorld())
    partition = Partition(fetches)
    woken = Woken()
    assert fetches.park([(partition, 3, 0)], 1, 500, woken) is not None
    partition.commit(3)
    assert woken.times == 0
    partition.commit(1)
    assert woken.times == 1


def test_a_fetch_is_not_parked_if_something_came_since_it_was_read() -> None:
    fetches = ParkedFetches(ManualWorld())
    partition = Partition(fetches)
    partition.commit(1)
    assert fetches.park([(partition, 0, 0)], 1, 500, Woken()) is None
    assert fetches.park([(partition, 1, 1)], 1, 500, Woken()) is not None


def test_a_fetch_is_not_parked_where_its_partition_has_an_error_or_it_will_not_wait() -> None:
    fetches = ParkedFetches(ManualWorld())
    partition = Partition(fetches)
    assert park(fetches, partition, wait_ms=0)[1] is None
    partition.read_error = 6
    assert park(fetches, partition)[1] is None


def test_above_the_bound_a_fetch_is_not_parked_but_answered_at_once() -> None:
    fetches = ParkedFetches(ManualWorld(), parked_max=2)
    partition = Partition(fetches)
    assert park(fetches, partition)[1] is not None
    _, second = park(fetches, partition)
    assert second is not None
    assert park(fetches, partition)[1] is None
    second.cancel()
    assert park(fetches, partition)[1] is not None


def test_a_changed_role_wakes_everyone_who_waits_for_that_partition() -> None:
    fetches = ParkedFetches(ManualWorld())
    partition, other = Partition(fetches), Partition(fetches)
    woken, _ = park(fetches, partition, min_bytes=10**9)
    bystander, _ = park(fetches, other)
    fetches.changed(partition)
    assert (woken.times, bystander.times) == (1, 0)


def test_a_woken_fetch_may_park_again_while_others_are_being_woken() -> None:
    fetches = ParkedFetches(ManualWorld())
    partition = Partition(fetches)
    again = Woken()

    def ready() -> None:
        mark = partition.high_watermark
        assert fetches.park([(partition, mark, mark)], 1, 500, again) is not None

    fetches.park([(partition, 0, 0)], 1, 500, ready)
    woken, _ = park(fetches, partition)
    partition.commit(1)
    assert (woken.times, again.times) == (1, 0)
    partition.commit(1)
    assert again.times == 1


def test_the_partitions_of_all_parked_fetches_are_bounded() -> None:
    fetches = ParkedFetches(ManualWorld(), waits_max=5)
    partitions = [Partition(fetches) for _ in range(3)]
    _, first = park(fetches, *partitions)
    assert first is not None
    assert park(fetches, *partitions)[1] is None
    assert park(fetches, *partitions[:2])[1] is not None
    first.cancel()
    assert park(fetches, *partitions)[1] is not None
