"""Twin of streambus/cli/rest.py: one question, one answer or one line that says what to do."""

import json
import socket

import pytest
import typer

from streambus.cli import rest
from tests.unit.cli.scripted_api import Answer, ScriptedApi, problem


def test_an_answer_is_decoded_and_the_question_is_what_was_asked() -> None:
    with ScriptedApi({"POST /v1/topics": {"name": "a"}}) as api:
        query: rest.Query = {"validate_only": True, "prefix": None, "limit": 5}
        answer = rest.Api(api.address, 5).ask("POST", "/topics", query, {"name": "a"})
        assert answer == {"name": "a"}
        (asked,) = api.asked
        assert asked.query == {"validate_only": "true", "limit": "5"}
        assert asked.body == {"name": "a"}


def test_pages_follow_names_and_numbers() -> None:
    pages = {
        None: {"items": [1], "next": "a b"},
        "a b": {"items": [2], "next": ""},
    }
    rows = {None: {"rows": [1], "next": 7}, "7": {"rows": [2], "next": None}}
    with ScriptedApi(
        {
            "GET /v1/names": lambda asked: pages[asked.query.get("after")],
            "GET /v1/numbers": lambda asked: rows[asked.query.get("start")],
        }
    ) as api:
        client = rest.Api(api.address, 5)
        assert list(client.pages("/names", "items")) == [1, 2]
        assert list(client.pages("/numbers", "rows", {"limit": 1})) == [1, 2]
        assert {asked.query["limit"] for asked in api.asked} == {"1000", "1"}


def test_a_stream_gives_its_events_and_ends_with_the_problem_that_ended_it() -> None:
    text = (
        b": lives\n\nid: 1\nevent: topics\ndata: [1]\n\n"
        b"event: topics\ndata: [2]\n\nevent: problem\n"
        b'data: {"status": 503, "detail": "the broker stops"}\n\n'
    )
    with ScriptedApi({"GET /v1/watch": Answer(text, kind="text/event-stream")}) as api:
        events = rest.Api(api.address, 5).events("/watch")
        assert [next(events), next(events)] == [[1], [2]]
        with pytest.raises(rest.Problem, match="the broker stops"):
            next(events)


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (problem(404, "UNKNOWN_TOPIC_OR_PARTITION", 3, "no topic a"), 3, "no topic a"),
        (problem(409, "TOPIC_ALREADY_EXISTS", 36, "topic a exists"), 1, "topic a exists"),
        (problem(503, "REQUEST_TIMED_OUT", 7, "try again"), 4, "try again"),
        (problem(429, "THROTTLING_QUOTA_EXCEEDED", 89, "slower"), 4, "slower"),
        (Answer(b"<html>", 502), 4, "answered with status 502"),
        (Answer(b"<html>", 500), 1, "answered with status 500"),
        (Answer(b"[1]", 400), 1, "answered with status 400"),
        (Answer(b"<html>", 200), 4, "did not answer in JSON: is it a StreamBus broker?"),
    ],
)
def test_each_refusal_is_a_message_and_an_exit_code(
    answer: Answer, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedApi({"GET /v1/x": answer}) as api:
        for as_json in (False, True):
            with (
                pytest.raises(typer.Exit) as ended,
                rest.session(api.address, 5, as_json=as_json) as asked,
            ):
                asked.get("/x")
            assert ended.value.exit_code == code
            out, error = capsys.readouterr()
            assert error.startswith("streambus: ") and message in error
            assert error.count("\n") == 1
            if as_json:
                assert json.loads(out)["detail"] in error
            else:
                assert out == ""


def test_nobody_there_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        pytest.raises(typer.Exit) as ended,
        rest.session(f"127.0.0.1:{port}", 5, as_json=True) as asked,
    ):
        asked.get("/topics")
    assert ended.value.exit_code == 4
    out, error = capsys.readouterr()
    assert error == (
        f"streambus: the API at 127.0.0.1:{port} cannot be reached: Connection refused. Is a "
        "broker running there? `streambus dev` starts one on this machine; --api or STREAMBUS_API "
        "name another\n"
    )
    assert json.loads(out)["error_code"] == 8


def test_silence_and_nonsense_end_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(rest.Problem, match=r"did not answer within 0\.2 s"):
            rest.Api(address, 0.2).get("/topics")


def test_an_answer_above_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "ANSWER_BYTES_MAX", 10)
    monkeypatch.setattr(rest, "EVENT_BYTES_MAX", 10)
    stream = Answer(b"data: [1, 2, 3, 4]\n\n", kind="text/event-stream")
    with ScriptedApi({"GET /v1/x": ["long enough"], "GET /v1/y": stream}) as api:
        with pytest.raises(rest.Problem, match="more than 10 bytes"):
            rest.Api(api.address, 5).get("/x")
        with pytest.raises(rest.Problem, match="a line of more than 10 bytes"):
            list(rest.Api(api.address, 5).events("/y"))


@pytest.mark.parametrize(
    "address", ["", "ftp://a", "http://", "http://a:b", "a/b", "http://a?x=1", "http://a:99999"]
)
def test_an_address_that_is_none_is_a_usage_error(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        rest.Api(address, 1).get("/x")
    assert ended.value.exit_code == 2
    assert f"--api {address}: give its address" in capsys.readouterr().err


def test_pairs_are_names_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert rest.pairs("--config", ["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    assert rest.pairs("--config", None) == {}
    with pytest.raises(typer.Exit):
        rest.pairs("--config", ["a"])
    assert capsys.readouterr().err == "streambus: --config a: give name=value\n"


def test_names_are_safe_in_paths() -> None:
    assert rest.segment("a/b?c d") == "a%2Fb%3Fc%20d"
    assert rest.segment("app.*") == "app.*"
