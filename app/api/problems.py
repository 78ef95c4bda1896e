"""Errors as problem documents (RFC 9457): the one place where an error gets its HTTP status.

Owns    the table of Kafka's error names with their statuses, the problems that only HTTP has, and
        the handlers that a FastAPI application answers errors with.
Never   shows what a client sent beyond the name of the field that is wrong.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from app import errors as kinds
from app.admin.port import Failed
from app.errors import StreamBusError
from app.limits import ERROR_CHARACTERS_MAX

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
FIELDS_MAX = 20  # fields that one problem names


class Known(NamedTuple):
    """One of Kafka's errors: its name, and the status that says the same over HTTP."""

    name: str
    status: int
    title: str


KAFKA: dict[int, Known] = {
    -1: Known("UNKNOWN_SERVER_ERROR", 500, "The broker failed"),
    kinds.OffsetOutOfRange.code: Known("OFFSET_OUT_OF_RANGE", 422, "No such offset"),
    kinds.CorruptMessage.code: Known("CORRUPT_MESSAGE", 400, "The records are damaged"),
    kinds.UnknownTopicOrPartition.code: Known(
        "UNKNOWN_TOPIC_OR_PARTITION", 404, "No such topic or partition"
    ),
    kinds.LeaderNotAvailable.code: Known("LEADER_NOT_AVAILABLE", 503, "No leader now"),
    kinds.NotLeader.code: Known("NOT_LEADER_OR_FOLLOWER", 503, "Another broker leads"),
    kinds.RequestTimedOut.code: Known("REQUEST_TIMED_OUT", 504, "Not done in time"),
    kinds.MessageTooLarge.code: Known("MESSAGE_TOO_LARGE", 413, "Records too large"),
    kinds.CoordinatorNotAvailable.code: Known(
        "COORDINATOR_NOT_AVAILABLE", 503, "No coordinator now"
    ),
    kinds.InvalidTopic.code: Known("INVALID_TOPIC_EXCEPTION", 422, "Not a topic's name"),
    kinds.NotEnoughReplicas.code: Known("NOT_ENOUGH_REPLICAS", 503, "Too few replicas"),
    kinds.NotEnoughReplicasAfterAppend.code: Known(
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND", 503, "Too few replicas"
    ),
    kinds.InvalidRequiredAcks.code: Known("INVALID_REQUIRED_ACKS", 400, "Not a number of acks"),
    kinds.TopicAuthorizationFailed.code: Known("TOPIC_AUTHORIZATION_FAILED", 403, "Not allowed"),
    kinds.GroupAuthorizationFailed.code: Known("GROUP_AUTHORIZATION_FAILED", 403, "Not allowed"),
    kinds.ClusterAuthorizationFailed.code: Known(
        "CLUSTER_AUTHORIZATION_FAILED", 403, "Not allowed"
    ),
    kinds.InvalidTimestamp.code: Known("INVALID_TIMESTAMP", 422, "Timestamp not allowed"),
    kinds.UnsupportedVersion.code: Known("UNSUPPORTED_VERSION", 400, "Not supported"),
    kinds.TopicAlreadyExists.code: Known("TOPIC_ALREADY_EXISTS", 409, "The topic exists"),
    kinds.InvalidPartitions.code: Known(
        "INVALID_PARTITIONS", 422, "Not a possible number of partitions"
    ),
    kinds.InvalidReplicationFactor.code: Known(
        "INVALID_REPLICATION_FACTOR", 422, "Not a possible replication factor"
    ),
    kinds.InvalidReplicaAssignment.code: Known(
        "INVALID_REPLICA_ASSIGNMENT", 422, "Not a possible assignment"
    ),
    kinds.InvalidConfig.code: Known("INVALID_CONFIG", 422, "Not a possible configuration"),
    kinds.InvalidRequest.code: Known("INVALID_REQUEST", 400, "Not a possible request"),
    kinds.UnsupportedForMessageFormat.code: Known(
        "UNSUPPORTED_FOR_MESSAGE_FORMAT", 422, "Not supported"
    ),
    kinds.PolicyViolation.code: Known("POLICY_VIOLATION", 422, "A policy forbids it"),
    kinds.StorageFailed.code: Known("KAFKA_STORAGE_ERROR", 503, "The disk does not allow it now"),
    kinds.FencedLeaderEpoch.code: Known("FENCED_LEADER_EPOCH", 409, "A newer leader exists"),
    kinds.UnknownLeaderEpoch.code: Known("UNKNOWN_LEADER_EPOCH", 503, "Not known here yet"),
    kinds.UnsupportedCompressionType.code: Known(
        "UNSUPPORTED_COMPRESSION_TYPE", 422, "Not supported"
    ),
    kinds.InvalidRecord.code: Known("INVALID_RECORD", 422, "The topic refuses this record"),
    kinds.ThrottlingQuotaExceeded.code: Known("THROTTLING_QUOTA_EXCEEDED", 429, "Too much at once"),
    kinds.UnknownTopicId.code: Known("UNKNOWN_TOPIC_ID", 404, "No such topic"),
    kinds.BrokerIdNotRegistered.code: Known("BROKER_ID_NOT_REGISTERED", 404, "No such broker"),
    kinds.InconsistentTopicId.code: Known("INCONSISTENT_TOPIC_ID", 409, "Another topic's id"),
}

OF_KIND = {
    "rejected": Known("REJECTED", 400, "Refused"),
    "unavailable": Known("UNAVAILABLE", 503, "Not available now"),
    "fenced": Known("FENCED", 409, "Superseded"),
    "corrupt": Known("KAFKA_STORAGE_ERROR", 500, "Stored bytes are damaged"),
}
"""What an error without a code of its own is called."""

NUMBERS = {known.name: code for code, known in KAFKA.items()}
"""Kafka's numbers by its names."""

OF_STATUS = {
    400: "MALFORMED_REQUEST",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    408: "REQUEST_NOT_RECEIVED",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    431: "HEAD_TOO_LARGE",
    501: "NOT_IMPLEMENTED",
    503: "SERVER_BUSY",
}
"""What only HTTP refuses; Kafka has no number for it."""


ONE, SEVERAL = "<one>", "<several>"
"""Tags of a body that may be one of two things; no sender wrote them."""


class FieldProblem(BaseModel):
    """One field of the request that is wrong."""

    field: str = Field(
        description="Where it stands, for example `query.limit` or `body.partitions`."
    )
    message: str = Field(description="What it must be.")


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "/problems/TOPIC_ALREADY_EXISTS",
                "title": "The topic exists",
                "status": 409,
                "detail": "topic 'orders' exists",
                "code": "TOPIC_ALREADY_EXISTS",
                "error_code": 36,
                "retriable": False,
                "request_id": "3f9a1c6e-1",
            }
        }
    )

    type: str = Field(description="Names the kind of problem: `/problems/` and `code`.")
    title: str = Field(description="The kind of problem in words, always the same.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time, and what to do.")
    code: str = Field(description="Kafka's name of the error, or ours for what only HTTP has.")
    error_code: int | None = Field(description="Kafka's number of the error, if it has one.")
    retriable: bool = Field(description="Whether the same request may succeed later.")
    request_id: str = Field(description="As in the header X-Request-ID and in the broker's log.")
    errors: list[FieldProblem] | None = Field(
        default=None, description="The fields that are wrong, at most 20."
    )


class Refused(HTTPException):
    """What HTTP itself refuses, before or beside any operation. `name` as in `OF_STATUS`, or a more
    exact one."""

    def __init__(
        self, status: int, detail: str, name: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.name = name or OF_STATUS.get(status, "REFUSED")


def of_failed(failed: Failed, request_id: str) -> dict[str, Any]:
    """The problem document of an error that came as a value."""
    known = KAFKA.get(failed.code)
    if known is None or (failed.code == -1 and failed.kind in OF_KIND):
        known = OF_KIND[failed.kind]
    elif failed.kind == "corrupt":
        known = OF_KIND["corrupt"]
    return _document(
        known.status,
        known.name,
        known.title,
        failed.message,
        failed.code,
        failed.retriable or known.status == 503,
        request_id,
    )


def of_refusal(
    status: int, name: str, detail: str, request_id: str, errors: Sequence[Any] = ()
) -> dict[str, Any]:
    """The problem document of what only HTTP refuses."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Refused"
    retriable = status in (408, 429, 503, 504)
    number = NUMBERS.get(name)
    document = _document(status, name, title, detail, number, retriable, request_id)
    if errors:
        document["errors"] = list(errors)
    return document


def _document(
    status: int,
    name: str,
    title: str,
    detail: str,
    error_code: int | None,
    retriable: bool,
    request_id: str,
) -> dict[str, Any]:
    return {
        "type": f"/problems/{name}",
        "title": title,
        "status": status,
        "detail": (detail or title)[:ERROR_CHARACTERS_MAX],
        "code": name,
        "error_code": error_code,
        "retriable": retriable,
        "request_id": request_id,
    }


def headers_of(document: dict[str, Any]) -> dict[str, str]:
    """What a problem needs besides its document."""
    if document["status"] in (429, 503):
        return {"retry-after": str(RETRY_AFTER_S)}
    return {}


def response(document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(document),
        document["status"],
        {**headers_of(document), **(headers or {})},
        MEDIA_TYPE,
    )


def request_id(request: Request) -> str:
    """The id of this request: the guard gave it one."""
    given: str = request.state.request_id
    return given


async def on_error(request: Request, error: Exception) -> Response:
    """One of the four kinds of error, for a command as a whole."""
    assert isinstance(error, StreamBusError)
    return response(of_failed(Failed.of(error), request_id(request)))


async def on_refusal(request: Request, error: Exception) -> Response:
    """What Starlette, FastAPI or the guard refuse."""
    assert isinstance(error, HTTPException)
    status = error.status_code
    name = error.name if isinstance(error, Refused) else OF_STATUS.get(status, "REFUSED")
    detail = str(error.detail)
    if status == 404 and name == "NOT_FOUND":
        detail = f"nothing is at {request.url.path[:200]}: /v1/openapi.json says what there is"
    elif status == 405:
        detail = f"{request.method} is not possible here"
    document = of_refusal(status, name, detail, request_id(request))
    return response(document, dict(error.headers or {}))


async def on_invalid(request: Request, error: Exception) -> Response:
    """A request whose fields are not what the operation's schema says."""
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if errors and errors[0]["type"] == "json_invalid":
        at = errors[0]["loc"][-1]
        reason = errors[0].get("ctx", {}).get("error", "not JSON")
        detail = f"the body is not JSON: {reason}, at character {at}"
        return response(of_refusal(400, "MALFORMED_REQUEST", detail, request_id(request)))
    fields = [
        {
            "field": ".".join([str(name) for name in each["loc"] if name not in (ONE, SEVERAL)])[
                :200
            ],
            "message": each["msg"],
        }
        for each in errors[:FIELDS_MAX]
    ]
    detail = "; ".join(f"{each['field']}: {each['message']}" for each in fields)
    document = of_refusal(422, "INVALID_REQUEST", detail, request_id(request), fields)
    return response(document)


def install(application: FastAPI) -> None:
    """Let every error of `application` be a problem document."""
    application.add_exception_handler(StreamBusError, on_error)
    application.add_exception_handler(HTTPException, on_refusal)
    application.add_exception_handler(RequestValidationError, on_invalid)


def schema(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of an operation that may answer these problems; what every operation
    may answer is among them."""
    every = {400, 403, 404, 408, 413, 422, 429, 431, 500, 503, 504, *statuses}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted(every)
    }
