"""The port of administration: `ask` a command, `watch` a query. Faces know nothing else.

Owns    the two verbs, what a command must say of itself, and how an error travels in a reply.
Never   does anything: `app.admin.local` does it in the broker, `app.admin.remote` asks a broker
        over the sibling's socket; a face cannot tell which it has.

A command is a frozen value of plain fields, so that it can cross a socket, and names each resource
that it touches with the operation on it, so that nothing can be asked without being authorised.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal, Protocol

import msgspec

from app.errors import Corrupt, Fenced, StreamBusError, Unavailable, of_code
from app.limits import ERROR_CHARACTERS_MAX
from app.model import Principal
from app.security.ports import Operation, Resource

Kind = Literal["rejected", "unavailable", "fenced", "corrupt"]


class Touch(msgspec.Struct, frozen=True):
    """One resource that a command touches, and the operation that its asker must be allowed.

    A topic may be named by its id instead (16 bytes): then whoever authorises looks its name up.
    `or_cluster`: who may do the operation to the whole cluster needs no right on this one.
    """

    operation: Operation
    resource: Resource
    name: str
    topic_id: bytes = b""
    or_cluster: bool = False


class Command(msgspec.Struct, frozen=True, tag=True):
    """One thing to do or to ask. Subclasses are in `app.admin.commands`, one module per noun."""

    def touches(self) -> Sequence[Touch]:
        """What must be allowed. A command of several `items` has one touch for each, in their
        order, and each is refused by itself; any other command is refused as a whole. Empty where
        the answer shows only what its asker may describe."""
        raise AssertionError(f"{type(self).__name__} does not say what it touches")


class Failed(msgspec.Struct, frozen=True, tag=True):
    """An error as a value: the answer to one of several items, or to a whole command on a socket.

    `code` is Kafka's, `kind` says what its reader should do (`app.errors`).
    """

    code: int
    kind: Kind
    message: str
    retriable: bool = False

    @classmethod
    def of(cls, error: StreamBusError) -> "Failed":
        kind: Kind = "rejected"
        if isinstance(error, Unavailable):
            kind = "unavailable"
        elif isinstance(error, Fenced):
            kind = "fenced"
        elif isinstance(error, Corrupt):
            kind = "corrupt"
        message = str(error)[:ERROR_CHARACTERS_MAX]
        return cls(error.code, kind, message, error.retriable)

    def error(self) -> StreamBusError:
        """What was raised: the same class where the code has one, or its kind."""
        return of_code(self.code, self.kind, self.message)


class Admin(Protocol):
    """Raises StreamBusError for a command as a whole; answers items that fail with `Failed`."""

    async def ask(self, principal: Principal, command: Command) -> Any:
        """The reply that the command's docstring names, once it is durable and visible here."""

    def watch(self, principal: Principal, query: Command) -> AsyncGenerator[Any, None]:
        """The reply to `query` (a command that changes nothing) now, and again whenever the
        manifest changed and the reply with it. Ends when the broker does; close it when done
        (`contextlib.aclosing`)."""
