"""The states of a classic group, and the only ways between them.

Owns    `State` and `LEGAL`, from which the diagram in the documentation is made.
Never   says when a way is taken: phases.py does, and nothing else.
Trusts  nothing: a way that is not here is our bug, and stops the process.
"""

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """Which protocol a group speaks, as ListGroups says it (KIP-848)."""

    CLASSIC = "classic"


class State(StrEnum):
    """As ListGroups and DescribeGroups spell them."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


LEGAL: Mapping[tuple[State, State], str] = {
    (State.EMPTY, State.PREPARING): "the first member joins",
    (State.PREPARING, State.COMPLETING): "all members have joined, or their time is up",
    (State.PREPARING, State.EMPTY): "no member is left",
    (State.COMPLETING, State.STABLE): "the leader sends the assignments",
    (State.COMPLETING, State.PREPARING): "a member joins, changes, leaves, or is lost",
    (State.STABLE, State.PREPARING): "a member joins, changes, leaves, or is lost",
    (State.EMPTY, State.DEAD): "deleted, or its last offset has expired",
}
"""(from, to) -> why. A group that is loaded starts as Empty or Stable; Dead is not stored."""

LOADED = (State.EMPTY, State.STABLE)
