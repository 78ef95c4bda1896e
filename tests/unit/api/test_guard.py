"""What every request meets first, and the last net under it."""

import asyncio
import json

import pytest

from app import limits
from app.admin.commands.cluster import DescribeCluster
from app.admin.commands.health import CheckHealth, Health
from app.api.guard import Budget, RequestIds
from app.api.problems import Refused
from tests.unit.api.arrange import Asked, ScriptedAdmin


@pytest.fixture
def admin() -> ScriptedAdmin:
    scripted = ScriptedAdmin()
    scripted.answers(CheckHealth, Health(started=True, ready=True))
    return scripted


def test_a_budget_refuses_what_is_over_it_until_some_is_given_back() -> None:
    budget = Budget(10)
    budget.take(6)
    with pytest.raises(Refused, match="10 are the most"):
        budget.take(5)
    budget.take(4)
    budget.release(6)
    budget.take(6)
    assert budget.held == 10


def test_giving_back_more_than_was_taken_is_a_bug() -> None:
    budget = Budget(10)
    budget.take(1)
    with pytest.raises(AssertionError):
        budget.release(2)


@pytest.mark.parametrize("asked", ["a", "A-1._~:+=@", "x" * 64])
def test_a_legal_request_id_is_taken(asked: str) -> None:
    assert RequestIds("p").chosen(asked) == asked


@pytest.mark.parametrize("asked", [None, "", "x" * 65, "a b", "a\n", 'a"', "é", "a/b"])
def test_another_one_is_made_and_no_two_are_alike(asked: str | None) -> None:
    ids = RequestIds("p")
    assert [ids.chosen(asked), ids.chosen(asked)] == ["p-1", "p-2"]


async def test_a_bug_is_a_500_that_tells_nothing_but_where_to_look(
    admin: ScriptedAdmin, caplog: pytest.LogCaptureFixture
) -> None:
    admin.answers(DescribeCluster, ValueError("the secret"))
    answer = await Asked(admin).ask("GET", "/v1/cluster", x_request_id="mine")
    assert answer.status == 500 and answer.json["code"] == "UNKNOWN_SERVER_ERROR"
    assert b"secret" not in answer.body and b"Traceback" not in answer.body
    (failed,) = [each for each in caplog.records if each.getMessage() == "api.failed"]
    fields = failed.fields  # type: ignore[attr-defined]
    assert fields["request"] == "mine" and "the secret" in fields["trace"]


async def test_a_broken_assertion_is_told_to_who_runs_the_loop(admin: ScriptedAdmin) -> None:
    told: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: told.append(context["exception"])
    )
    bug = AssertionError("a bug")
    admin.answers(DescribeCluster, bug)
    assert (await Asked(admin).ask("GET", "/v1/cluster")).status == 500
    assert told == [bug]


async def test_what_takes_longer_than_its_time_is_504(admin: ScriptedAdmin) -> None:
    admin.answers(DescribeCluster, lambda command: asyncio.Event().wait())
    answer = await Asked(admin, request_ms=30).ask("GET", "/v1/cluster")
    assert answer.status == 504 and answer.json["code"] == "REQUEST_TIMED_OUT"


async def test_a_body_is_counted_as_it_comes(admin: ScriptedAdmin) -> None:
    asked = Asked(admin, body_bytes=10)
    whole = await asked.ask("POST", "/v1/topics", b"x" * 11, content_length="11")
    parts = await asked.ask("POST", "/v1/topics", [b"x" * 6, b"x" * 6])
    assert (whole.status, parts.status) == (413, 413)
    assert (await asked.ask("POST", "/v1/topics", [b"x" * 5, b"x" * 5])).status == 400


async def test_what_a_request_held_is_given_back_however_it_ends(
    admin: ScriptedAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "API_BUFFERED_BYTES_MAX", 100)
    asked = Asked(admin)
    admin.answers(DescribeCluster, ValueError())
    for _ in range(20):
        assert (await asked.ask("POST", "/v1/topics", b"x" * 60)).status == 400
    assert (await asked.ask("POST", "/v1/topics", b"x" * 101)).status == 503


@pytest.mark.parametrize(
    ("host", "is_local", "status"),
    [
        ("localhost:1", True, 200),
        ("app.localhost", True, 200),
        ("127.0.0.1:9080", True, 200),
        ("[::1]:9080", True, 200),
        ("10.1.2.3", True, 200),
        ("evil.example", True, 403),
        ("localhost.evil.example:9080", True, 403),
        ("", True, 403),
        ("broker.example", False, 200),
    ],
)
async def test_names_that_others_may_give_to_this_machine_are_refused_where_it_is_local(
    admin: ScriptedAdmin, host: str, is_local: bool, status: int
) -> None:
    answer = await Asked(admin, is_local=is_local).ask("GET", "/health/live", host=host)
    assert answer.status == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost", 200),
        ("https://localhost", 200),
        ("http://localhost:9080", 403),
        ("http://evil.example", 403),
        ("null", 403),
    ],
)
async def test_pages_of_other_origins_are_refused(
    admin: ScriptedAdmin, origin: str, status: int
) -> None:
    assert (await Asked(admin).ask("GET", "/health/live", origin=origin)).status == status


async def test_an_answer_leaves_in_parts(
    admin: ScriptedAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await Asked(admin).ask("GET", "/v1/openapi.json")
    monkeypatch.setattr(limits, "API_SEND_BYTES", 7)
    parts = await Asked(admin).ask("GET", "/v1/openapi.json")
    assert parts.json == whole.json and len(parts.body) > 1_000


async def test_what_the_servers_end_cuts_short_is_a_503(admin: ScriptedAdmin) -> None:
    began = asyncio.Event()

    async def never_done() -> None:
        began.set()
        await asyncio.Event().wait()

    admin.answers(DescribeCluster, lambda command: never_done())
    asked = Asked(admin)
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(asked.ask("GET", "/v1/cluster"))
        await began.wait()
        asking.cancel()
    start, body = asked.told
    assert start["status"] == 503 and (b"retry-after", b"1") in start["headers"]
    problem = json.loads(body["body"])
    assert (problem["code"], problem["retriable"]) == ("UNAVAILABLE", True)
