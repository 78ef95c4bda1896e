"""Which brokers hold which partition of a new topic.

Owns    the spread: leaders in turn over the brokers, followers on the brokers that come next.
Never   moves a replica that exists, and knows nothing of load: reassignment decides that.
Trusts  that `brokers` are live and that `first` differs between topics, so that leaders spread.
"""

from collections.abc import Sequence
from typing import TypeVar

Id = TypeVar("Id", bound=int)


def place(
    partitions: int, replication_factor: int, brokers: Sequence[Id], first: int
) -> tuple[tuple[Id, ...], ...]:
    """Replicas of each partition, the preferred leader first; the same input, the same places."""
    assert 1 <= replication_factor <= len(brokers), (replication_factor, len(brokers))
    ring = sorted(brokers)
    size = len(ring)
    rows: list[tuple[Id, ...]] = []
    round_length = size * max(size - 1, 1)  # then leaders and shifts are where they began
    for partition in range(min(partitions, round_length)):
        leader = first + partition
        # After each full turn the followers shift by one, or a broker's partitions would all
        # have the same two followers and its loss would double the load of just those.
        shift = (partition // size) % (size - 1) if size > 1 else 0
        rows.append(
            (
                ring[leader % size],
                *(
                    ring[(leader + 1 + (shift + follower) % (size - 1)) % size]
                    for follower in range(replication_factor - 1)
                ),
            )
        )
    return (tuple(rows) * (partitions // len(rows) + 1))[:partitions] if rows else ()
