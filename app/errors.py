"""Kafka's error codes as classes of the four kinds; only the borders turn them into replies.

Source: Apache Kafka `Errors.java` (codes and retriability), KIP of each where named.
"""

from streambus.errors import Corrupt, Fenced, Malformed, Rejected, StreamBusError, Unavailable

__all__ = ["Corrupt", "Fenced", "Malformed", "Rejected", "StreamBusError", "Unavailable"]


class OffsetOutOfRange(Rejected):
    code = 1


class CorruptMessage(Rejected):
    code, retriable = 2, True


class UnknownTopicOrPartition(Rejected):
    code, retriable = 3, True


class LeaderNotAvailable(Unavailable):
    code = 5


class NotLeader(Rejected):
    code, retriable = 6, True


class RequestTimedOut(Unavailable):
    code = 7


class MessageTooLarge(Rejected):
    code = 10


class OffsetMetadataTooLarge(Rejected):
    code = 12


class CoordinatorNotAvailable(Unavailable):
    code = 15


class InvalidTopic(Rejected):
    code = 17


class NotEnoughReplicas(Unavailable):
    code = 19


class NotEnoughReplicasAfterAppend(Unavailable):
    code = 20


class InvalidRequiredAcks(Rejected):
    code = 21


class IllegalGeneration(Rejected):
    code = 22


class InconsistentGroupProtocol(Rejected):
    code = 23


class InvalidGroupId(Rejected):
    code = 24


class UnknownMemberId(Rejected):
    code = 25


class InvalidSessionTimeout(Rejected):
    code = 26


class RebalanceInProgress(Rejected):
    code = 27


class TopicAuthorizationFailed(Rejected):
    code = 29


class GroupAuthorizationFailed(Rejected):
    code = 30


class ClusterAuthorizationFailed(Rejected):
    code = 31


class InvalidTimestamp(Rejected):
    code = 32


class UnsupportedVersion(Rejected):
    code = 35


class TopicAlreadyExists(Rejected):
    code = 36


class InvalidPartitions(Rejected):
    code = 37


class InvalidReplicationFactor(Rejected):
    code = 38


class InvalidReplicaAssignment(Rejected):
    code = 39


class InvalidConfig(Rejected):
    code = 40


class InvalidRequest(Rejected):
    code = 42


class UnsupportedForMessageFormat(Rejected):
    code = 43


class PolicyViolation(Rejected):
    code = 44


class OutOfOrderSequence(Rejected):
    code = 45


class InvalidProducerEpoch(Rejected):
    code = 47


class InvalidTxnState(Rejected):
    code = 48


class TransactionalIdAuthorizationFailed(Rejected):
    code = 53


class StorageFailed(Unavailable):
    """The log cannot take or give these bytes now (disk full, I/O error, quarantined):
    KAFKA_STORAGE_ERROR."""

    code = 56


class UnknownProducerId(Rejected):
    code = 59


class NonEmptyGroup(Rejected):
    code = 68


class GroupIdNotFound(Rejected):
    code = 69


class FetchSessionIdNotFound(Rejected):
    code, retriable = 70, True


class InvalidFetchSessionEpoch(Rejected):
    code, retriable = 71, True


class ListenerNotFound(Unavailable):
    """The leader has no listener of the name that the client came in by."""

    code = 72


class FencedLeaderEpoch(Fenced):
    code, retriable = 74, True


class UnknownLeaderEpoch(Unavailable):
    code = 75


class UnsupportedCompressionType(Rejected):
    code = 76


class MemberIdRequired(Rejected):
    """A new member joins again with the id that this answer gives it (KIP-394)."""

    code = 79


class GroupMaxSizeReached(Rejected):
    code = 81


class FencedInstanceId(Fenced):
    """Another member has joined with the same group.instance.id (KIP-345)."""

    code = 82


class GroupSubscribedToTopic(Rejected):
    code = 86


class InvalidRecord(Rejected):
    code = 87


class ThrottlingQuotaExceeded(Unavailable):
    code = 89


class UnknownTopicId(Rejected):
    code, retriable = 100, True


class BrokerIdNotRegistered(Rejected):
    code = 102


class InconsistentTopicId(Rejected):
    code, retriable = 103, True


class UpgradeNeeded(Fenced):
    """What is on disk, or in the log, was written by a newer StreamBus: stop, and say so."""


class FetchSessionTopicIdError(Rejected):
    """A session that began with topic names goes on with ids, or the other way round."""

    code, retriable = 106, True


class MismatchedEndpointType(Rejected):
    code = 114


class UnsupportedEndpointType(Rejected):
    code = 115


_KINDS: dict[str, type[StreamBusError]] = {
    "rejected": Rejected,
    "unavailable": Unavailable,
    "fenced": Fenced,
    "corrupt": Corrupt,
}


def of_code(code: int, kind: str, message: str) -> StreamBusError:
    """The error that was raised elsewhere: of the class with that code, or of its kind."""
    known = _kind(_KINDS[kind], code) or _KINDS[kind]
    return known(message)


def _kind(root: type[StreamBusError], code: int) -> type[StreamBusError] | None:
    """The class of this module that has the code; none where the kind itself has it."""
    known = [each for each in root.__subclasses__() if each.__module__ == __name__]
    return next((each for each in known if each.code == code != root.code), None)
