"""Twin of streambus/cli/topics.py, configs.py, brokers.py, cluster.py, completion.py."""

import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from streambus.cli import completion, console, main
from tests.unit.cli.scripted_api import Answer, Asked, ScriptedApi, problem

ID = "lhMfBQx8SnWwhF2TnEbqTg"


def entry(name: str, value: str | None, source: str = "default", where: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "source": source,
        "where": where,
        "read_only": False,
        "sensitive": value is None,
        "type": "LONG",
        "doc": "",
        "synonyms": [],
    }


CONFIGS = [
    entry("retention.ms", "5", "topic"),
    entry("retention.bytes", "6", "prefix", "app.*"),
    entry("segment.ms", "7"),
    entry("secret.word", None, "file"),
]
SUMMARY = {
    "name": "app.a",
    "topic_id": ID,
    "partitions": 2,
    "replication_factor": 1,
    "internal": False,
}
TOPIC = {
    "name": "app.a",
    "topic_id": ID,
    "internal": False,
    "partition_count": 2,
    "replication_factor": 1,
    "configs": CONFIGS,
}


def partition(number: int, start: int = 0, end: int = 10, size: int = 2048) -> dict[str, Any]:
    return {
        "partition": number,
        "leader": 1,
        "leader_epoch": 3,
        "replicas": [1],
        "isr": [1],
        "log_start": start,
        "high_watermark": end,
        "last_stable": end,
        "bytes": size,
        "role": "leading",
    }


PARTITIONS = [partition(0), partition(1, 4, 9, -1)]
GONE = {"name": "app.a", "topic_id": ID, "partitions": 2}
ANSWERS: dict[str, Any] = {
    "GET /v1/topics": {"topics": [SUMMARY], "next": ""},
    "POST /v1/topics": TOPIC,
    "GET /v1/topics/app.a": TOPIC,
    "GET /v1/topics/app.a/partitions": {"partitions": PARTITIONS, "next": None},
    "POST /v1/topics/app.a/partitions": TOPIC,
    "PATCH /v1/topics/app.a/configs": {
        "kind": "topic",
        "name": "app.a",
        "configs": {"retention.ms": "5"},
    },
    "GET /v1/topics/app.*/configs": {"kind": "topic", "name": "app.*", "configs": CONFIGS[:1]},
    "PATCH /v1/topics/app.*/configs": {"kind": "topic", "name": "app.*", "configs": {}},
    "DELETE /v1/topics/app.a": {"topics": [GONE]},
    "DELETE /v1/topics/app.*": {"topics": [GONE]},
    "DELETE /v1/topics/app.a/records": {"partitions": [{"partition": 0, "log_start": 5}]},
    "GET /v1/brokers": {
        "brokers": [
            {
                "broker_id": 1,
                "rack": None,
                "incarnation": 1,
                "endpoints": [{"listener": "plain", "host": "h", "port": 9}],
            }
        ]
    },
    "GET /v1/brokers/1": {
        "broker_id": 1,
        "rack": "r",
        "incarnation": 1,
        "endpoints": [{"listener": "plain", "host": "h", "port": 9}],
    },
    "GET /v1/brokers/1/configs": {"kind": "broker", "name": "1", "configs": CONFIGS},
    "GET /v1/brokers/default/configs": {"kind": "broker", "name": "", "configs": []},
    "PATCH /v1/brokers/default/configs": {
        "kind": "broker",
        "name": "",
        "configs": {"log.retention.ms": "5"},
    },
    "GET /v1/brokers/1/log-directories": {
        "directories": [
            {
                "path": "/data",
                "total_bytes": 1 << 40,
                "usable_bytes": 1 << 30,
                "replicas": [
                    {"topic": "a", "topic_id": ID, "partition": 0, "bytes": 1024, "lag": 0}
                ],
                "failure": None,
            }
        ]
    },
    "GET /v1/quorum": {
        "leader_id": 1,
        "leader_epoch": 2,
        "high_watermark": 9,
        "voters": [
            {
                "broker_id": 1,
                "log_end": 9,
                "last_fetch_ms": -1,
                "last_caught_up_ms": 1_750_000_000_000,
            }
        ],
        "observers": [],
    },
}
ANSWERS["GET /v1/cluster"] = {
    "cluster_id": "c",
    "controller_id": 1,
    "brokers": ANSWERS["GET /v1/brokers"]["brokers"],
    "topics": 1,
    "partitions": 2,
    "level": 2,
    "version": "0.1.0",
}  # fmt: skip


class Run:
    """A command against the scripted API."""

    def __init__(self, *words: str, **answers: Any) -> None:
        with ScriptedApi(ANSWERS | answers.pop("answers", {})) as api:
            result = CliRunner().invoke(main.build(), [*words, "--api", api.address])
        self.code, self.out, self.error = result.exit_code, result.stdout, result.stderr
        self.asked: list[Asked] = api.asked

    @property
    def changed(self) -> list[Asked]:
        return [one for one in self.asked if one.method != "GET"]


def test_a_list_is_a_table_or_the_document() -> None:
    run = Run("topics", "list", "--prefix", "app.*", "--internal")
    assert (run.code, run.error) == (0, "")
    assert re.search(r"^ *app\.a +2 +1$", run.out, re.M)
    assert run.asked[0].query == {"limit": "1000", "prefix": "app.*", "internal": "true"}
    found = json.loads(Run("topics", "list", "--json").out)
    assert found == {"topics": [SUMMARY], "next": ""}
    nothing = {"GET /v1/topics": {"topics": [], "next": ""}}
    assert Run("topics", "list", answers=nothing).out == "no topics\n"


def test_a_watch_shows_what_comes_and_goes() -> None:
    states: list[list[dict[str, Any]]] = [
        [SUMMARY],
        [SUMMARY, SUMMARY | {"name": "b"}],
        [SUMMARY | {"partitions": 5}, SUMMARY | {"name": "b", "topic_id": "other"}],
        [SUMMARY | {"partitions": 5}],
    ]
    text = b"".join(
        b"event: topics\ndata: %s\n\n" % json.dumps({"topics": state, "next": ""}).encode()
        for state in states
    )
    stream = {"GET /v1/watch/topics": Answer(text, kind="text/event-stream")}
    lines = Run("topics", "list", "--watch", answers=stream).out.splitlines()
    assert [line[9:] for line in lines if line[2:3] == ":"] == [
        "+ b (2 partitions)",
        "~ app.a (5 partitions)",
        "± b (made anew, 2 partitions)",
        "- b",
    ]
    lines = Run("topics", "list", "--watch", "--json", answers=stream).out.splitlines()
    assert [json.loads(line)["topics"] for line in lines] == states


def test_create_says_what_was_made_and_sends_what_was_asked() -> None:
    run = Run(
        "topics", "create", "app.a", "--partitions", "2", "--replication-factor", "1",
        "--config", "a=1", "--config", "b=x=y",
    )  # fmt: skip
    assert run.out == "created app.a: 2 partitions, 1 replicas of each\n"
    assert run.changed[0].body == {
        "name": "app.a",
        "configs": {"a": "1", "b": "x=y"},
        "partitions": 2,
        "replication_factor": 1,
    }
    assert run.changed[0].query == {}
    run = Run("topics", "create", "app.a", "--validate-only")
    assert run.out.startswith("would create app.a")
    assert run.changed[0].query == {"validate_only": "true"}
    assert run.changed[0].body == {"name": "app.a", "configs": {}}
    assert json.loads(Run("topics", "create", "app.a", "--json").out) == TOPIC


def test_a_topic_that_exists_is_refused_in_the_brokers_words() -> None:
    refused = {"POST /v1/topics": problem(409, "TOPIC_ALREADY_EXISTS", 36, "app.a exists")}
    run = Run("topics", "create", "app.a", answers=refused)
    assert (run.code, run.out, run.error) == (1, "", "streambus: app.a exists\n")
    run = Run("topics", "create", "app.a", "--json", answers=refused)
    assert json.loads(run.out)["error_code"] == 36


def test_describe_shows_partitions_and_what_someone_set() -> None:
    run = Run("topics", "describe", "app.a")
    assert run.out.startswith(f"app.a  id {ID}, 2 partitions, 1 replicas of each, 2.0 KiB\n")
    assert re.search(r"^ *0 +1 +3 +1 +1 +0 +10 +2\.0 KiB +leading$", run.out, re.M)
    assert re.search(r"^ *retention\.ms +5 +topic$", run.out, re.M)
    assert re.search(r"^ *retention\.bytes +6 +prefix app\.\*$", run.out, re.M)
    assert re.search(r"^ *secret\.word +\(secret\) +file$", run.out, re.M)
    assert "segment.ms" not in run.out
    assert "segment.ms" in Run("topics", "describe", "app.a", "--all").out
    found = json.loads(Run("topics", "describe", "app.a", "--json").out)
    assert found == TOPIC | {"partitions": PARTITIONS}


def test_describe_of_a_prefix_shows_what_topics_inherit_and_which() -> None:
    run = Run("topics", "describe", "app.*")
    assert "retention.ms" in run.out and "app.a" in run.out
    found = json.loads(Run("topics", "describe", "app.*", "--json").out)
    assert (found["name"], found["topics"]) == ("app.*", [SUMMARY])


def test_a_topic_that_does_not_exist_is_exit_code_3() -> None:
    run = Run("topics", "describe", "nope")
    assert (run.code, run.error) == (3, "streambus: no /v1/topics/nope\n")


def test_alter_sends_all_changes_at_once() -> None:
    run = Run(
        "topics", "alter", "app.a", "--set", "a=1", "--append", "b=2", "--subtract", "c=3",
        "--delete", "d", "--validate-only",
    )  # fmt: skip
    assert re.search(r"^ *retention\.ms +5$", run.out, re.M)
    assert run.changed[0].query == {"validate_only": "true"}
    assert run.changed[0].body == {
        "changes": [
            {"name": "a", "change": "set", "value": "1"},
            {"name": "b", "change": "append", "value": "2"},
            {"name": "c", "change": "subtract", "value": "3"},
            {"name": "d", "change": "delete", "value": None},
        ]
    }
    assert "would be set here" in run.out and "now" not in run.out
    assert Run("topics", "alter", "app.*", "--delete", "d").out == "nothing is set here now\n"
    tried = Run("topics", "alter", "app.*", "--delete", "d", "--validate-only")
    assert tried.out == "nothing would be set here now\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["topics", "alter", "app.a"], "say what to change: --set, --delete, --append or "
         "--subtract"),
        (["topics", "alter", "app.a", "--set", "a"], "--set a: give name=value"),
        (["topics", "delete", "app.a"], "this deletes, and there is nobody to ask here: say "
         "--yes, or --dry-run"),
        (["topics", "delete-records", "app.a", "--before", "end"], "this deletes, and there is "
         "nobody to ask here: say --yes, or --dry-run"),
        (["topics", "delete-records", "app.a", "--before", "0:5", "--yes"], "--before 0:5: give "
         "PARTITION=OFFSET like 0=1000, 0=end, or end for all of it"),
        (["topics", "alter", "app.a", "--append", "a=1", "--append", "a=2"], "--append a: given "
         "twice"),
        (["brokers", "describe", "\u0661"], "\u0661: give a broker's id, or `default` for all of "
         "them"),
        (["brokers", "describe", "one"], "one: give a broker's id, or `default` for all of them"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_exit_code_2_and_asks_nothing(
    words: list[str], message: str
) -> None:
    run = Run(*words)
    assert (run.code, run.error, run.changed) == (2, f"streambus: {message}\n", [])


def test_partitions_are_added() -> None:
    run = Run("topics", "add-partitions", "app.a", "--total", "5")
    assert (run.out, run.changed[0].body) == ("app.a has 5 partitions\n", {"total": 5})
    assert Run("topics", "add-partitions", "app.a").code == 2


def test_a_dry_run_deletes_nothing() -> None:
    run = Run("topics", "delete", "app.a", "app.*", "--dry-run")
    assert run.out == "would delete app.a (2 partitions)\n" * 2
    assert [one.query for one in run.changed] == [{"validate_only": "true"}] * 2


def test_yes_deletes_and_a_prefix_is_confirmed_in_its_own_words() -> None:
    run = Run("topics", "delete", "app.a", "--yes")
    assert (run.out, [one.query for one in run.changed]) == ("deleted app.a (2 partitions)\n", [{}])
    run = Run("topics", "delete", "app.*", "--yes", "--json")
    assert json.loads(run.out) == {"topics": [GONE]}
    assert run.changed[0].query == {"confirm": "app.*"}


def test_what_could_not_be_deleted_is_said_and_is_a_failure() -> None:
    refusal = problem(403, "TOPIC_AUTHORIZATION_FAILED", 29, "app.b: not yours").body
    answers = {"DELETE /v1/topics/app.*": {"topics": [GONE, {"error": refusal}]}}
    run = Run("topics", "delete", "app.*", "--yes", answers=answers)
    assert (run.code, run.out) == (1, "deleted app.a (2 partitions)\n")
    assert run.error == "streambus: app.b: not yours\n"


def test_who_names_several_hears_of_each() -> None:
    words = ("topics", "delete", "app.a", "gone", "app.*", "--yes")
    answers = {"DELETE /v1/topics/gone": problem(404, "UNKNOWN_TOPIC_OR_PARTITION", 3, "no gone")}
    run = Run(*words, answers=answers)
    assert (run.code, run.out) == (1, "deleted app.a (2 partitions)\n" * 2)
    assert run.error == "streambus: no gone\n"
    told = json.loads(Run(*words, "--json", answers=answers).out)["topics"]
    assert [each.get("error", {}).get("error_code") for each in told] == [None, 3, None]
    assert Run("topics", "delete", "gone", "--yes", answers=answers).code == 3


def typed(text: str, *words: str) -> tuple[int, str, list[Asked]]:
    """A person at a terminal types `text`."""
    ours, theirs = pty.openpty()
    with ScriptedApi(ANSWERS) as api:
        process = subprocess.Popen(
            [sys.executable, "-m", "streambus.cli.main", *words, "--api", api.address],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(theirs)
        os.write(ours, text.encode())
        _, error = process.communicate(timeout=30)
        os.close(ours)
    return process.returncode, error, [one for one in api.asked if one.method != "GET"]


def test_a_person_types_the_name_of_what_goes() -> None:
    code, error, changed = typed("app.*\n", "topics", "delete", "app.*")
    assert code == 0
    assert "  app.a\nthis deletes 1 topics with 2 partitions and every record in them.\n" in error
    assert [one.query for one in changed] == [{"validate_only": "true"}, {"confirm": "app.*"}]


def test_another_word_changes_nothing() -> None:
    code, error, changed = typed("yes\n", "topics", "delete", "app.a")
    assert code == 1 and error.endswith("streambus: nothing was changed\n")
    assert [one.query for one in changed] == [{"validate_only": "true"}]
    code, error, changed = typed("app.a\nno\n", "topics", "delete", "app.a", "app.*")
    assert code == 1 and error.endswith("streambus: nothing was changed\n")
    assert [one.query for one in changed] == [{"validate_only": "true"}] * 2
    code, error, changed = typed("no\n", "topics", "delete-records", "app.a", "--before", "end")
    assert (code, changed) == (1, [])
    assert "this deletes 15 offsets of app.a." in error


def test_records_are_deleted_before_offsets() -> None:
    words = ("topics", "delete-records", "app.a")
    run = Run(*words, "--before", "0=5", "--before", "1=end", "--yes")
    assert run.out == "app.a 0 begins at 5\n"
    assert run.changed[0].body == {
        "partitions": [{"partition": 0, "offset": 5}, {"partition": 1, "offset": -1}]
    }
    run = Run(*words, "--before", "end", "--yes")
    assert run.changed[0].body == {
        "partitions": [{"partition": 0, "offset": -1}, {"partition": 1, "offset": -1}]
    }


def test_a_dry_run_says_which_offsets_would_go() -> None:
    words = ("topics", "delete-records", "app.a", "--before", "0=7", "--before", "1=2")
    run = Run(*words, "--dry-run", "--json")
    assert run.changed == []
    assert json.loads(run.out)["partitions"] == [
        {"partition": 0, "log_start": 0, "offset": 7},
        {"partition": 1, "log_start": 4, "offset": 4},
    ]
    assert re.search(r"^ *0 +0 +7$", Run(*words, "--dry-run").out, re.M)


def test_a_partition_whose_records_stay_is_a_failure() -> None:
    refusal = problem(400, "OFFSET_OUT_OF_RANGE", 1, "app.a-0: 99 is beyond its end").body
    path = "DELETE /v1/topics/app.a/records"
    words = ("topics", "delete-records", "app.a", "--yes", "--before", "0=99")
    run = Run(*words, "--json", answers={path: {"partitions": [{"error": refusal}]}})
    assert run.code == 1 and json.loads(run.out) == refusal
    both = {"partitions": [{"error": refusal}, {"partition": 1, "log_start": 3}]}
    run = Run(*words, "--before", "1=3", answers={path: both})
    assert (run.code, run.out) == (1, "app.a 1 begins at 3\n")
    assert run.error == "streambus: app.a-0: 99 is beyond its end\n"


def test_brokers_are_listed_described_and_altered() -> None:
    assert "plain://h:9" in Run("brokers", "list").out
    run = Run("brokers", "describe", "1")
    assert re.search(r"^ *1 +r +plain://h:9$", run.out, re.M) and "retention.ms" in run.out
    found = json.loads(Run("brokers", "describe", "1", "--json").out)
    assert (found["broker_id"], len(found["configs"])) == (1, 4)
    assert Run("brokers", "describe", "default").out == "every config is at its default\n"
    run = Run("brokers", "alter", "default", "--set", "log.retention.ms=5")
    assert re.search(r"^ *log\.retention\.ms +5$", run.out, re.M)
    assert run.changed[0].path == "/v1/brokers/default/configs"


def test_a_cluster_is_one_page() -> None:
    run = Run("cluster", "describe")
    assert run.out.startswith(
        "cluster c: StreamBus 0.1.0, 1 topics, 2 partitions, broker 1 controls\n"
    )
    assert re.search(r"^ *1 +/data +1 +1\.0 KiB +1\.0 GiB +1\.0 TiB$", run.out, re.M)
    assert re.search(r"^ *1 +leader +9 +2025-06-15 15:06:40Z$", run.out, re.M)
    found = json.loads(Run("cluster", "describe", "--json").out)
    assert found["quorum"]["leader_id"] == 1
    (directory,) = found["brokers"][0]["log_directories"]
    assert (directory["replica_count"], directory["replica_bytes"]) == (1, 1024)


def test_the_shell_is_offered_names_and_never_a_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        params: dict[str, str] = {}

    with ScriptedApi(ANSWERS) as api:
        Context.params = {"api": api.address}
        assert completion.topics(Context, "ap") == ["app.a"]  # type: ignore[arg-type]
        assert api.asked[0].query == {"prefix": "ap", "limit": "100"}
    assert completion.topics(Context, "ap") == []  # type: ignore[arg-type]


def test_a_shell_completes_commands_options_and_names() -> None:
    def offered(line: str, address: str) -> str:
        variables = {
            "_STREAMBUS_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
            "STREAMBUS_API": address,
        }
        code = "from streambus.cli.main import build; build()(prog_name='streambus')"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    with ScriptedApi(ANSWERS) as api:
        assert "add-partitions" in offered("streambus topics a", api.address)
        assert "app.a" in offered("streambus topics describe ap", api.address)


def test_colours_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in Run("topics", "list").out
    monkeypatch.setattr(console, "is_terminal", lambda: True)
    assert "\x1b" in Run("topics", "list").out
