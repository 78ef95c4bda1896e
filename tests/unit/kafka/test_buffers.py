"""The receive pool: its bound, reuse, and who is served when it is exhausted."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from app.kafka.buffers import SPARE_BYTES_MAX, Lease, ReceivePool, class_bytes
from app.limits import KIB, MIB


class Borrower:
    """Waits for a buffer and notes when it came."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log
        self.buffer: bytearray | None = None

    def ready(self, buffer: bytearray) -> None:
        self.buffer = buffer
        self.log.append(self.name)


def test_sizes_are_few_and_large_enough() -> None:
    assert class_bytes(1) == SPARE_BYTES_MAX
    assert class_bytes(64 * KIB + 1) == 128 * KIB
    assert class_bytes(MIB) == MIB
    assert class_bytes(MIB + 1) == 2 * MIB
    assert all(class_bytes(size) >= size for size in range(1, 3 * MIB, 77_777))


def test_lent_bytes_never_exceed_the_bound() -> None:
    pool = ReceivePool(4 * MIB)
    lent = []
    while (buffer := pool.borrow(MIB)) is not None:
        lent.append(buffer)
    assert len(lent) == 4 and pool.lent_bytes == 4 * MIB
    pool.give_back(lent.pop())
    assert pool.borrow(MIB) is not None


def test_a_buffer_is_used_again_and_let_go_by_trim() -> None:
    pool = ReceivePool(16 * MIB)
    buffer = pool.borrow(MIB)
    assert buffer is not None
    pool.give_back(buffer)
    assert pool.kept_bytes == MIB
    assert pool.borrow(MIB) is buffer
    pool.give_back(buffer)
    pool.trim()
    assert pool.kept_bytes == 0 and pool.borrow(MIB) is not buffer


def test_kept_buffers_do_not_keep_another_size_from_being_lent() -> None:
    pool = ReceivePool(8 * MIB)
    kept = pool.borrow(MIB)
    assert kept is not None
    pool.give_back(kept)
    assert pool.borrow(8 * MIB) is not None
    assert pool.kept_bytes == 0


def test_who_waits_first_is_served_first() -> None:
    pool = ReceivePool(4 * MIB)
    held = [pool.borrow(2 * MIB), pool.borrow(2 * MIB)]
    log: list[str] = []
    large, small = Borrower("large", log), Borrower("small", log)
    assert pool.wait(4 * MIB, 0, large.ready)
    assert pool.wait(64 * KIB, 0, small.ready)
    for buffer in held:
        assert log == []  # the small one does not overtake, though it would fit
        assert buffer is not None
        pool.give_back(buffer)
    assert log == ["large"]
    assert large.buffer is not None
    pool.give_back(large.buffer)
    assert log == ["large", "small"]


def test_a_newcomer_does_not_overtake() -> None:
    pool = ReceivePool(4 * MIB)
    held = pool.borrow(3 * MIB)
    assert held is not None
    assert pool.wait(4 * MIB, 0, Borrower("first", []).ready)
    assert pool.is_wanted
    assert pool.borrow(64 * KIB) is None
    assert pool.borrow_spare() is None


def test_a_waiter_that_leaves_lets_the_next_one_in() -> None:
    pool = ReceivePool(4 * MIB)
    held = pool.borrow(3 * MIB)
    assert held is not None
    log: list[str] = []
    large, small = Borrower("large", log), Borrower("small", log)
    pool.wait(4 * MIB, 0, large.ready)
    pool.wait(MIB, 0, small.ready)
    pool.cancel(large.ready)
    assert log == ["small"]


def test_what_waiters_hold_is_bounded_so_that_somebody_always_goes_on() -> None:
    pool = ReceivePool(4 * MIB)
    assert pool.borrow(4 * MIB) is not None
    waiting = [Borrower(str(number), []) for number in range(40)]
    accepted = [pool.wait(MIB, 64 * KIB, each.ready) for each in waiting]
    assert accepted == [True] * 32 + [False] * 8
    assert pool.waiting_bytes == 2 * MIB


def test_spares_come_only_from_the_half_that_no_frame_needs() -> None:
    pool = ReceivePool(MIB)
    spares = []
    while (spare := pool.borrow_spare()) is not None:
        spares.append(spare)
    assert pool.lent_bytes == MIB // 2
    assert pool.borrow(MIB // 2) is not None


def test_buffers_are_shared_only_while_half_of_the_pool_is_free_and_nobody_waits() -> None:
    pool = ReceivePool(4 * MIB)
    lent = [pool.borrow(MIB), pool.borrow(MIB)]
    assert pool.may_share
    lent.append(pool.borrow(64 * KIB))
    assert not pool.may_share
    pool.give_back(lent.pop())  # type: ignore[arg-type]
    assert pool.may_share
    waiter = Borrower("waits", [])
    assert pool.wait(4 * MIB, 0, waiter.ready)
    assert not pool.may_share
    pool.cancel(waiter.ready)
    assert pool.may_share


def test_a_leased_buffer_goes_home_with_its_last_holder_and_once() -> None:
    pool = ReceivePool(4 * MIB)
    buffer = pool.borrow(MIB)
    assert buffer is not None
    lease = Lease(pool, buffer)
    assert not lease.is_shared
    for _ in range(2):
        lease.hold()
    assert lease.is_shared
    lease.release()
    lease.release()
    assert not lease.is_shared and pool.lent_bytes == MIB
    lease.release()
    assert pool.lent_bytes == 0
    with pytest.raises(AssertionError, match="went home"):
        lease.hold()
    with pytest.raises(AssertionError, match="more often"):
        lease.release()
    assert pool.lent_bytes == 0


def test_who_waits_is_served_by_a_lease_that_ends() -> None:
    pool = ReceivePool(4 * MIB)
    buffer = pool.borrow(2 * MIB)
    assert buffer is not None
    lease = Lease(pool, buffer)
    lease.hold()
    log: list[str] = []
    waiter = Borrower("waits", log)
    assert pool.wait(4 * MIB, 0, waiter.ready)
    lease.release()
    assert log == []
    lease.release()
    assert log == ["waits"]


def test_waking_many_does_not_nest() -> None:
    pool = ReceivePool(4 * MIB)
    held = pool.borrow(4 * MIB)
    assert held is not None
    served = 0

    def gives_back_at_once() -> Callable[[bytearray], None]:
        def ready(buffer: bytearray) -> None:
            nonlocal served
            served += 1
            pool.give_back(buffer)

        return ready

    for _ in range(5_000):
        assert pool.wait(4 * MIB, 0, gives_back_at_once())
    pool.give_back(held)
    assert served == 5_000 and pool.lent_bytes == 0


def test_a_large_buffer_costs_nothing_until_bytes_arrive_in_it() -> None:
    pool = ReceivePool(256 * MIB)
    before = resident_bytes()
    buffer = pool.borrow(100 * MIB)
    assert buffer is not None and len(buffer) == 100 * MIB
    assert resident_bytes() - before < 10 * MIB


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
