"""What every coordinator's machine speaks: records to append, and replies to requests.

Owns    `Record`, `Ticket`, `Now` and `Decided`, shared by the machines that fold internal topics.
Never   knows what a record means, appends one, or sends a reply.
Trusts  the runtime with the one rule of work in flight: it appends the records of a `Decided` as
        one batch, in the order decided, and no reply leaves before what it reveals is committed.
        If an append fails it discards the machine and folds a new one from the log.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, NewType

Ticket = NewType("Ticket", int)
"""Stands for a request until it is answered. The runtime gives each request its own."""


class Now(NamedTuple):
    """Both clocks at one moment: what is stored is wall time, what is waited for is monotonic."""

    wall_ms: int
    monotonic_ms: int


class Record(NamedTuple):
    """The newest record of a key replaces those before it. Without a value it is a tombstone."""

    key: bytes
    value: bytes | None


@dataclass(slots=True)
class Decided:
    """What one command led to. A request that has to wait is answered in that of a later one."""

    now: Now
    records: list[Record] = field(default_factory=list)
    replies: list[tuple[Ticket, object]] = field(default_factory=list)

    def answer(self, ticket: Ticket, reply: object) -> None:
        self.replies.append((ticket, reply))
