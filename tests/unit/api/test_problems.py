"""The one mapping from errors to problem documents."""

import pytest

from app import errors, limits
from app.admin.commands.cluster import DescribeCluster
from app.admin.commands.topics import Deleted, DeleteTopics
from app.admin.port import Failed
from app.api import problems
from app.errors import Corrupt, Fenced, Rejected, StreamBusError, Unavailable
from tests.unit.api.arrange import Asked, ScriptedAdmin

STATUSES = {
    errors.OffsetOutOfRange: 422,
    errors.UnknownTopicOrPartition: 404,
    errors.UnknownTopicId: 404,
    errors.TopicAuthorizationFailed: 403,
    errors.ClusterAuthorizationFailed: 403,
    errors.TopicAlreadyExists: 409,
    errors.FencedLeaderEpoch: 409,
    errors.MessageTooLarge: 413,
    errors.InvalidConfig: 422,
    errors.InvalidPartitions: 422,
    errors.InvalidRequest: 400,
    errors.ThrottlingQuotaExceeded: 429,
    errors.NotLeader: 503,
    errors.StorageFailed: 503,
    errors.RequestTimedOut: 504,
    Rejected: 400,
    Unavailable: 503,
    Fenced: 409,
    Corrupt: 500,
}


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
async def test_a_command_that_fails_is_a_problem_of_its_errors_class(
    kind: type[StreamBusError],
) -> None:
    admin = ScriptedAdmin()
    admin.answers(DescribeCluster, kind("what to do"))
    answer = await Asked(admin).ask("GET", "/v1/cluster", x_request_id="mine")
    assert answer.status == STATUSES[kind]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["type"] == f"/problems/{problem['code']}"
    assert problem["status"] == answer.status
    assert (problem["detail"], problem["request_id"]) == ("what to do", "mine")
    assert problem["error_code"] == kind.code
    assert problem["retriable"] == (kind.retriable or answer.status == 503)
    assert ("retry-after" in answer.headers) == (answer.status in (429, 503))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"name": "a", "partitions": 9999999999}', {"body.partitions"}),
        (b'{"topics": [{"name": "a", "more": 1}]}', {"body.topics.0.more"}),
        (b'{"name": "a", "topics": []}', {"body.name", "body.topics"}),
        (b"[]", {"body"}),
    ],
)
async def test_of_one_topic_or_several_only_what_was_meant_is_told(
    body: bytes, fields: set[str]
) -> None:
    answer = await Asked(ScriptedAdmin()).ask("POST", "/v1/topics", body)
    assert answer.status == 422
    assert {each["field"] for each in answer.json["errors"]} == fields


async def test_a_name_of_kafkas_has_its_number_whoever_refuses() -> None:
    answer = await Asked(ScriptedAdmin()).ask("DELETE", "/v1/topics/app.*")
    assert (answer.json["code"], answer.json["error_code"]) == ("INVALID_REQUEST", 42)


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
async def test_an_item_that_fails_alone_is_the_same_problem(kind: type[StreamBusError]) -> None:
    admin = ScriptedAdmin()
    admin.answers(DeleteTopics, Deleted((Failed.of(kind("what to do")),)))
    answer = await Asked(admin).ask("DELETE", "/v1/topics/a")
    assert answer.status == STATUSES[kind] == answer.json["status"]


def test_every_error_of_kafkas_that_has_a_class_has_a_name_and_a_status() -> None:
    kafkas_alone = {70, 71, 106, 72, 114, 115}  # of fetch sessions, listeners, endpoints
    of_classes = {
        kind.code
        for root in (errors.Rejected, errors.Unavailable, errors.Fenced, errors.Corrupt)
        for kind in root.__subclasses__()
        if kind.__module__ == "app.errors" and kind.code >= 0
    }
    not_asked_here = {45, 47, 48, 53, 59}  # of producers and their transactions
    of_groups = {12, 22, 23, 24, 25, 26, 27, 68, 69, 79, 81, 82, 86}  # no route asks about them
    assert of_classes - kafkas_alone - not_asked_here - of_groups <= set(problems.KAFKA)


def test_an_unknown_code_is_named_by_its_kind() -> None:
    assert problems.of_failed(Failed(999, "rejected", "x"), "")["code"] == "REJECTED"
    assert problems.of_failed(Failed(999, "unavailable", "x"), "")["status"] == 503


def test_a_long_detail_is_cut() -> None:
    detail = problems.of_failed(Failed(42, "rejected", "x" * 10_000), "")["detail"]
    assert len(detail) == limits.ERROR_CHARACTERS_MAX


async def test_a_field_that_is_wrong_is_named_and_its_value_is_not_repeated() -> None:
    answer = await Asked(ScriptedAdmin()).ask(
        "POST", "/v1/topics/a/partitions", b'{"total": "secret", "more": 1}'
    )
    problem = answer.json
    assert answer.status == 422 and problem["error_code"] == 42
    assert {each["field"] for each in problem["errors"]} == {"body.total", "body.more"}
    assert b"secret" not in answer.body


async def test_no_more_fields_are_named_than_a_person_reads() -> None:
    body = b'{"total": 1, %s}' % b",".join(b'"x%d": 1' % number for number in range(100))
    answer = await Asked(ScriptedAdmin()).ask("POST", "/v1/topics/a/partitions", body)
    assert len(answer.json["errors"]) == problems.FIELDS_MAX
