"""Routes over a scripted port: what they ask, and what they make of the answers."""

import json

import pytest

from app.admin.commands.configs import DescribeConfigs, DescribedConfigs
from app.admin.commands.health import CheckHealth, Health
from app.admin.commands.metrics import CollectMetrics, Family, Metrics
from app.admin.commands.records import ReadRecord, ReadRecords, RecordPage
from app.admin.commands.topics import Created as CreatedReply
from app.admin.commands.topics import (
    CreatedTopic,
    CreateTopics,
    Described,
    DescribeTopics,
    ListTopics,
    TopicDescription,
    TopicPage,
    TopicSummary,
)
from app.admin.port import Failed
from app.errors import TopicAuthorizationFailed, Unavailable
from tests.unit.api.arrange import Asked, ScriptedAdmin

TOPIC = TopicDescription("a", bytes(15) + b"\1", False, 3, 1, ())


@pytest.fixture
def admin() -> ScriptedAdmin:
    return ScriptedAdmin()


async def test_a_topic_whose_configs_are_not_for_its_asker_is_shown_without(
    admin: ScriptedAdmin,
) -> None:
    admin.answers(DescribeTopics, Described((TOPIC,)))
    denied = Failed.of(TopicAuthorizationFailed("no"))
    admin.answers(DescribeConfigs, DescribedConfigs((denied,)))
    answer = await Asked(admin).ask("GET", "/v1/topics/a")
    assert answer.status == 200 and answer.json["configs"] is None
    assert answer.json["topic_id"] == "AAAAAAAAAAAAAAAAAAAAAQ"


async def test_what_is_left_out_of_a_new_topic_is_the_brokers_to_choose(
    admin: ScriptedAdmin,
) -> None:
    made = CreatedTopic("a", bytes(16), 1, 1, None)
    admin.answers(CreateTopics, CreatedReply((made,)))
    answer = await Asked(admin).ask("POST", "/v1/topics?validate_only=true", b'{"name":"a"}')
    assert answer.status == 201 and "location" not in answer.headers
    (command,) = admin.asked
    assert isinstance(command, CreateTopics) and command.validate_only
    (new,) = command.topics
    assert (new.partitions, new.replication_factor, dict(new.assignments)) == (-1, -1, {})


@pytest.mark.parametrize(
    ("started", "ready", "statuses"),
    [
        (True, True, (200, 200, 200)),
        (True, False, (200, 503, 200)),
        (False, False, (200, 503, 503)),
    ],
)
async def test_health_is_503_with_reasons_where_it_is_not_well(
    admin: ScriptedAdmin, started: bool, ready: bool, statuses: tuple[int, ...]
) -> None:
    admin.answers(CheckHealth, Health(started, ready, ("the log failed",)))
    asked = Asked(admin)
    answers = [await asked.ask("GET", f"/health/{what}") for what in ("live", "ready", "startup")]
    assert tuple(each.status for each in answers) == statuses
    for answer in answers:
        if answer.status == 503:
            assert answer.json == {"status": "failing", "reasons": ["the log failed"]}


async def test_a_broker_that_cannot_be_asked_is_not_alive(admin: ScriptedAdmin) -> None:
    admin.answers(CheckHealth, Unavailable("the broker is gone"))
    assert (await Asked(admin).ask("GET", "/health/live")).status == 503


async def test_metrics_are_rendered(admin: ScriptedAdmin) -> None:
    family = Family("streambus_things", "gauge", "Things.", (), [((), [7.0])])
    admin.answers(CollectMetrics, Metrics([family]))
    answer = await Asked(admin).ask("GET", "/metrics")
    assert b"streambus_things 7" in answer.body


def page(start: int, count: int, end: int) -> RecordPage:
    records = tuple([ReadRecord(start + n, 0, None, b"x") for n in range(count)])
    return RecordPage(0, records, start + count, 0, end)


async def test_a_stream_reads_page_after_page_until_the_end(admin: ScriptedAdmin) -> None:
    pages = iter([page(0, 2, 5), page(2, 2, 5), page(4, 1, 5), page(5, 0, 5)])
    admin.answers(ReadRecords, lambda command: next(pages))
    answer = await Asked(admin).ask(
        "GET", "/v1/topics/a/records?records=100", accept="application/x-ndjson"
    )
    assert [json.loads(line)["offset"] for line in answer.body.splitlines()] == [0, 1, 2, 3, 4]
    offsets = [each.offset for each in admin.asked if isinstance(each, ReadRecords)]
    assert offsets == ["earliest", 2, 4, 5]


async def test_a_stream_that_cannot_go_on_says_so_in_its_last_line(admin: ScriptedAdmin) -> None:
    pages = iter([page(0, 2, 5), Unavailable("not now")])
    admin.answers(ReadRecords, lambda command: next(pages))
    answer = await Asked(admin).ask(
        "GET", "/v1/topics/a/records", accept="application/x-ndjson", x_request_id="mine"
    )
    *_, last = map(json.loads, answer.body.splitlines())
    assert last["error"]["code"] == "UNAVAILABLE" and last["error"]["request_id"] == "mine"


async def test_who_waits_for_a_record_holds_no_room_meanwhile(admin: ScriptedAdmin) -> None:
    held: list[int] = []
    asked = Asked(admin)

    def read(command: ReadRecords) -> RecordPage:
        held.append(command.wait_ms)
        return page(7, 0, 7) if len(held) == 1 else page(7, 1, 8)

    admin.answers(ReadRecords, read)
    answer = await asked.ask("GET", "/v1/topics/a/records?offset=latest&wait_ms=500&bytes=9999")
    assert [each["offset"] for each in answer.json["records"]] == [7]
    _, waiting, whole = admin.asked
    assert isinstance(waiting, ReadRecords) and isinstance(whole, ReadRecords)
    assert held == [0, 500, 0]
    assert (waiting.offset, waiting.records_max, waiting.bytes_max) == (7, 1, 1)
    assert (whole.offset, whole.bytes_max) == (7, 9999)


async def test_a_watch_tells_each_reply_and_then_what_ended_it(admin: ScriptedAdmin) -> None:
    topic = TopicSummary("a", bytes(16), 1, 1, False)
    replies = [TopicPage(()), TopicPage((topic,)), Unavailable("not now")]
    admin.answers(ListTopics, replies)
    answer = await Asked(admin).ask("GET", "/v1/watch/topics")
    events = answer.body.decode().strip().split("\n\n")
    assert [each.split("\n")[0] for each in events] == ["id: 1", "id: 2", "event: problem"]
    assert '"name":"a"' in events[1] and '"code":"UNAVAILABLE"' in events[2]


@pytest.mark.parametrize("replies", [[Unavailable("not now")], []])
async def test_a_watch_that_fails_at_once_has_a_status(
    admin: ScriptedAdmin, replies: list[Unavailable]
) -> None:
    admin.answers(ListTopics, replies)
    assert (await Asked(admin).ask("GET", "/v1/watch/topics")).status == 503


def test_the_description_needs_nothing_from_elsewhere() -> None:
    asked = Asked(ScriptedAdmin())
    document = json.loads(asked.application.state.description)
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in document["components"]["schemas"]
    text = json.dumps(document)
    assert "http://" not in text and "https://" not in text
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], f"{method} {path}"
            for parameter in operation.get("parameters", []):
                assert parameter["name"] and "schema" in parameter
