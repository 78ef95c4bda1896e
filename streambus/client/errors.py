"""What can go wrong between a client and its brokers, as the four kinds of errors.

Owns    the classes, and which error codes of a broker are worth another try.
Never   retries: the caller has the deadline.
"""

from streambus.errors import Rejected, Unavailable

UNKNOWN_TOPIC_OR_PARTITION = 3

# What metadata, time or another broker may mend. Kafka's `Errors.java` marks these retriable.
RETRIABLE_CODES = frozenset(
    [
        UNKNOWN_TOPIC_OR_PARTITION,  # just created, or about to be
        5,  # LEADER_NOT_AVAILABLE
        6,  # NOT_LEADER_OR_FOLLOWER
        7,  # REQUEST_TIMED_OUT
        9,  # REPLICA_NOT_AVAILABLE
        13,  # NETWORK_EXCEPTION
        19,  # NOT_ENOUGH_REPLICAS
        20,  # NOT_ENOUGH_REPLICAS_AFTER_APPEND
        56,  # KAFKA_STORAGE_ERROR
        74,  # FENCED_LEADER_EPOCH
        75,  # UNKNOWN_LEADER_EPOCH
        78,  # OFFSET_NOT_AVAILABLE
        89,  # THROTTLING_QUOTA_EXCEEDED
        100,  # UNKNOWN_TOPIC_ID
        103,  # INCONSISTENT_TOPIC_ID
    ]
)


class ConnectionLost(Unavailable):
    """The connection could not be made, or ended with requests still unanswered."""


class NotInTime(Unavailable):
    """The deadline passed first. Whether a request took effect is unknown."""


class NotSupported(Rejected):
    """The broker serves no version of an API that this client speaks."""

    code = 35


class Refused(Rejected):
    """A broker answered with an error code."""

    def __init__(self, what: str, error_code: int, message: str | None = None) -> None:
        self.error_code = error_code
        self.broker_message = message
        super().__init__(f"{what}: {message or name_of(error_code)} ({error_code})")


def name_of(error_code: int) -> str:
    """Kafka's name for an error code, like NOT_LEADER_OR_FOLLOWER."""
    from kio.schema.errors import ErrorCode

    try:
        return ErrorCode(error_code).name.upper()
    except ValueError:
        return "UNKNOWN"
