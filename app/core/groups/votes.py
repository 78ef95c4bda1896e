"""Which protocol a group uses: by votes, among those that every member supports.

Owns    how many members support each protocol.
Never   knows members: it is told what each supports when it comes, changes and goes.
Trusts  that what is withdrawn was once added.
"""

from collections.abc import Iterable

from app.core.groups.values import JoinProtocol


class Votes:
    __slots__ = ("_supporters",)

    def __init__(self) -> None:
        self._supporters: dict[str, int] = {}

    def add(self, protocols: Iterable[JoinProtocol]) -> None:
        for name in _names(protocols):
            self._supporters[name] = self._supporters.get(name, 0) + 1

    def withdraw(self, protocols: Iterable[JoinProtocol]) -> None:
        for name in _names(protocols):
            left = self._supporters[name] - 1
            if left:
                self._supporters[name] = left
            else:
                del self._supporters[name]

    def candidates(self, members: int) -> frozenset[str]:
        """What all of so many members support."""
        return frozenset(name for name, count in self._supporters.items() if count == members)

    def has_common(self, protocols: Iterable[JoinProtocol], members: int) -> bool:
        """Whether one of `protocols` is supported by all of so many members."""
        return any(self._supporters.get(each.name, 0) == members for each in protocols)


def winner(ballots: Iterable[str]) -> str:
    """The most votes win; of equals, the one that was voted for first."""
    counts: dict[str, int] = {}
    for name in ballots:
        counts[name] = counts.get(name, 0) + 1
    return max(counts, key=counts.__getitem__)


def _names(protocols: Iterable[JoinProtocol]) -> dict[str, None]:
    """A name counts once, however often a member offers it."""
    return dict.fromkeys(each.name for each in protocols)
