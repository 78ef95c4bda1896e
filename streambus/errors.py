"""The four kinds of error: each answers one question, what does the caller do now?

Owns    the four roots and `Malformed`, shared by client and broker.
Never   carries a reply: codes live in the classes, borders turn them into bytes.
"""

from typing import ClassVar


class StreamBusError(Exception):
    """Root of everything that StreamBus raises on purpose.

    `code` is the Kafka error code that a reply carries; `retriable` says whether the same request
    may succeed later, unchanged.
    """

    code: ClassVar[int] = -1
    retriable: ClassVar[bool] = False


class Rejected(StreamBusError):
    """The request is wrong or not allowed now: tell the client. Expected, never a fault."""


class Unavailable(StreamBusError):
    """What is needed is not there yet: wait and try again, within the deadline."""

    retriable = True


class Fenced(StreamBusError):
    """Someone newer owns this: stop the role, do not retry."""


class Corrupt(StreamBusError):
    """Bytes that we stored are wrong: quarantine them, raise the alarm, never serve them."""

    code = 56  # KAFKA_STORAGE_ERROR: clients retry elsewhere


class Malformed(Rejected):
    """Bytes from outside do not parse. Nothing of them was used."""

    code = 87  # INVALID_RECORD; a frame that does not parse closes its connection instead
