"""The HTTP plane over real sockets: what every noun answers, and how errors look."""

import base64
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.integration.rest import RestBroker, rest_broker


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestBroker]:
    with rest_broker(tmp_path_factory.mktemp("rest") / "data") as running:
        yield running


@pytest.fixture
def topic(broker: RestBroker, request: pytest.FixtureRequest) -> str:
    """A topic of one test's own, with three partitions."""
    name = "t." + re.sub("[^a-z0-9]+", ".", request.node.name)[:200].rstrip(".")
    made = broker.ask("POST", "/v1/topics", {"name": name, "partitions": 3})
    assert made.status == 201, made
    return name


def write(broker: RestBroker, topic: str, *values: Any, **more: Any) -> list[dict[str, int]]:
    body = {"records": [{"value": value, "partition": 0, **more} for value in values]}
    answer = broker.ask("POST", f"/v1/topics/{topic}/records", body)
    assert answer.status == 200, answer
    records: list[dict[str, int]] = answer.json["records"]
    return records


def read(broker: RestBroker, topic: str, query: str = "") -> Any:
    answer = broker.ask("GET", f"/v1/topics/{topic}/records?{query}")
    assert answer.status == 200, answer
    return answer.json


# Topics


def test_a_topic_is_created_described_listed_and_deleted(broker: RestBroker) -> None:
    made = broker.ask(
        "POST",
        "/v1/topics",
        {"name": "made.once", "partitions": 2, "configs": {"retention.ms": "1000000"}},
    )
    assert made.status == 201 and made.headers["location"] == "/v1/topics/made.once"
    found = broker.ask("GET", "/v1/topics/made.once").json
    assert (found["partition_count"], found["replication_factor"]) == (2, 1)
    assert found["topic_id"] == made.json["topic_id"]
    assert len(base64.urlsafe_b64decode(found["topic_id"] + "==")) == 16
    configs = {each["name"]: each for each in found["configs"]}
    assert configs["retention.ms"]["value"] == "1000000"
    assert configs["retention.ms"]["source"] == "topic"
    listed = broker.ask("GET", "/v1/topics?prefix=made.").json
    assert [each["name"] for each in listed["topics"]] == ["made.once"]
    gone = broker.ask("DELETE", "/v1/topics/made.once").json
    assert gone["topics"] == [{"name": "made.once", "topic_id": found["topic_id"], "partitions": 2}]
    broker.ask("GET", "/v1/topics/made.once").problem(404, "UNKNOWN_TOPIC_OR_PARTITION")


def test_validate_only_changes_nothing(broker: RestBroker, topic: str) -> None:
    could = broker.ask("POST", "/v1/topics?validate_only=true", {"name": "not.made"})
    assert could.status == 201 and "location" not in could.headers
    broker.ask("GET", "/v1/topics/not.made").problem(404, "UNKNOWN_TOPIC_OR_PARTITION")
    assert broker.ask("DELETE", f"/v1/topics/{topic}?validate_only=true").status == 200
    more = broker.ask("POST", f"/v1/topics/{topic}/partitions?validate_only=true", {"total": 9})
    assert more.json["partition_count"] == 9
    changes = {"changes": [{"name": "retention.ms", "change": "set", "value": "1"}]}
    path = f"/v1/topics/{topic}/configs?validate_only=true"
    assert broker.ask("PATCH", path, changes).status == 200
    found = broker.ask("GET", f"/v1/topics/{topic}").json
    assert found["partition_count"] == 3
    assert "topic" not in {each["source"] for each in found["configs"]}


def test_of_several_topics_each_is_made_or_fails_alone(broker: RestBroker, topic: str) -> None:
    asked = {"topics": [{"name": "several.a"}, {"name": topic}, {"name": "no/name"}]}
    answer = broker.ask("POST", "/v1/topics", asked)
    assert answer.status == 207
    made, taken, misnamed = answer.json["topics"]
    assert made["name"] == "several.a"
    assert taken["error"]["code"] == "TOPIC_ALREADY_EXISTS" and taken["error"]["error_code"] == 36
    assert misnamed["error"]["code"] == "INVALID_TOPIC_EXCEPTION"


def test_a_list_comes_in_pages_that_miss_and_repeat_nothing(broker: RestBroker) -> None:
    names = [f"page.{number:02}" for number in range(23)]
    broker.ask("POST", "/v1/topics", {"topics": [{"name": name} for name in names]})
    seen, after, pages = [], "", 0
    while True:
        page = broker.ask("GET", f"/v1/topics?prefix=page.*&limit=5&after={after}").json
        seen += [each["name"] for each in page["topics"]]
        after, pages = page["next"], pages + 1
        if not after:
            break
    assert seen == names and pages == 5


def test_a_prefix_is_deleted_only_when_it_is_repeated(broker: RestBroker) -> None:
    broker.ask("POST", "/v1/topics", {"topics": [{"name": "gone.a"}, {"name": "gone.b"}]})
    refused = broker.ask("DELETE", "/v1/topics/gone.*").problem(422, "INVALID_REQUEST")
    assert "confirm=gone.*" in refused["detail"]
    broker.ask("DELETE", "/v1/topics/gone.*?confirm=other.*").problem(422, "INVALID_REQUEST")
    would = broker.ask("DELETE", "/v1/topics/gone.*?validate_only=true").json
    assert [each["name"] for each in would["topics"]] == ["gone.a", "gone.b"]
    assert len(broker.ask("GET", "/v1/topics?prefix=gone.").json["topics"]) == 2
    assert broker.ask("DELETE", "/v1/topics/gone.*?confirm=gone.*").status == 200
    assert broker.ask("GET", "/v1/topics?prefix=gone.").json["topics"] == []


def test_partitions_come_in_pages_and_can_be_added(broker: RestBroker, topic: str) -> None:
    path = f"/v1/topics/{topic}/partitions"
    assert broker.ask("POST", path, {"total": 5}).json["partition_count"] == 5
    first = broker.ask("GET", f"{path}?limit=3").json
    rest = broker.ask("GET", f"{path}?limit=3&start={first['next']}").json
    assert [each["partition"] for each in first["partitions"] + rest["partitions"]] == [*range(5)]
    assert rest["next"] is None
    assert first["partitions"][0]["leader"] == 1
    broker.ask("POST", path, {"total": 4}).problem(422, "INVALID_PARTITIONS")


# Records


def test_a_value_is_stored_by_the_one_rule_and_shown_so_that_it_can_be_sent_again(
    broker: RestBroker, topic: str
) -> None:
    every_byte = base64.b64encode(bytes(range(256))).decode()
    body = b'{"records":[{"value":"text \\u00e9","partition":0},{"value":{"n": 1.50},"partition":0}'
    body += b',{"value":[1,2],"partition":0},{"value":7,"partition":0},{"key":"k","partition":0},'
    body += b'{"value":{"base64":"%s"},"partition":0}]}' % every_byte.encode()
    path = f"/v1/topics/{topic}/records"
    written = broker.ask("POST", path, body, "application/json").json["records"]
    assert [each["offset"] for each in written] == [*range(6)]
    page = read(broker, topic)
    assert [each["value"] for each in page["records"]] == [
        "text é",
        '{"n": 1.50}',
        "[1,2]",
        "7",
        None,
        {"base64": every_byte},
    ]
    assert page["records"][4]["key"] == "k"
    shown = [
        {"key": each["key"], "value": each["value"], "partition": 0} for each in page["records"]
    ]
    broker.ask("POST", path, {"records": shown})
    again = read(broker, topic, "offset=6")["records"]
    assert [each["value"] for each in again] == [each["value"] for each in page["records"]]


def test_kafka_clients_read_what_was_posted_and_http_reads_what_they_wrote(
    broker: RestBroker, topic: str
) -> None:
    address = "{}:{}".format(*broker.kafka)
    more = {"key": "key", "headers": [{"name": "h", "value": {"base64": "/w=="}}]}
    (posted,) = write(broker, topic, {"base64": "AAH/"}, **more)
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "unused", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, 0, posted["offset"])])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None and message.error() is None
    assert (message.key(), message.value()) == (b"key", b"\0\1\xff")
    assert message.headers() == [("h", b"\xff")]
    assert message.timestamp()[1] == posted["timestamp_ms"]
    producer = Producer({"bootstrap.servers": address, "compression.type": "zstd"})
    for number in range(50):
        producer.produce(topic, f"from kafka {number}", partition=0)
    assert producer.flush(20) == 0
    records = read(broker, topic, "offset=1&records=50")["records"]
    assert [each["value"] for each in records] == [f"from kafka {n}" for n in range(50)]


@pytest.mark.parametrize(
    ("media", "body", "values"),
    [
        ("text/plain", b"a text", ["a text"]),
        ("text/plain; charset=utf-8", b"a text", ["a text"]),
        ("application/octet-stream", b"\xff\0", [{"base64": "/wA="}]),
        ("application/x-ndjson", b'"a"\n\n{"b": 1}\r\nnull\n', ["a", '{"b": 1}', None]),
    ],
)
def test_bodies_of_other_media_types_are_records(
    broker: RestBroker, topic: str, media: str, body: bytes, values: list[Any]
) -> None:
    path = f"/v1/topics/{topic}/records?partition=1&key=k&timestamp_ms=1700000000000"
    answer = broker.ask("POST", path, body, media)
    assert answer.status == 200, answer
    records = read(broker, topic, "partition=1")["records"]
    assert [each["value"] for each in records] == values
    assert {each["key"] for each in records} == {"k"}
    assert {each["timestamp_ms"] for each in records} == {1700000000000}


def test_a_page_is_bounded_by_count_bytes_and_where_it_begins(
    broker: RestBroker, topic: str
) -> None:
    for number in range(10):
        write(broker, topic, f"{number}" * 1_000, timestamp_ms=1_700_000_000_000 + number)
    three = read(broker, topic, "records=3")
    assert len(three["records"]) == 3 and three["next_offset"] == 3
    few = read(broker, topic, "bytes=2500")
    assert 1 <= len(few["records"]) <= 3
    late = read(broker, topic, "timestamp_ms=1700000000007")
    assert [each["offset"] for each in late["records"]] == [7, 8, 9]
    assert read(broker, topic, "offset=latest")["records"] == []
    broker.ask("GET", f"/v1/topics/{topic}/records?offset=99").problem(422, "OFFSET_OUT_OF_RANGE")


def test_a_read_that_waits_is_answered_when_a_record_comes(broker: RestBroker, topic: str) -> None:
    got: list[Any] = []
    waiting = threading.Thread(
        target=lambda: got.append(read(broker, topic, "offset=latest&wait_ms=20000"))
    )
    waiting.start()
    write(broker, topic, "awaited")
    waiting.join(30)
    # The write may have come first: then the read began after it and waits for the next one.
    if waiting.is_alive() or not got[0]["records"]:
        write(broker, topic, "awaited")
        waiting.join(30)
    assert [each["value"] for each in got[0]["records"]] == ["awaited"]


def test_ndjson_streams_more_than_a_page(broker: RestBroker, topic: str) -> None:
    lines = "\n".join(str(number) for number in range(3_000)).encode()
    path = f"/v1/topics/{topic}/records"
    broker.ask("POST", f"{path}?partition=0", lines, "application/x-ndjson")
    answer = broker.ask("GET", f"{path}?records=2500&bytes=10000000", accept="application/x-ndjson")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    values = [json.loads(line)["value"] for line in answer.body.splitlines()]
    assert values == [str(number) for number in range(2_500)]


def test_text_shows_values_alone(broker: RestBroker, topic: str) -> None:
    write(broker, topic, "one", {"base64": "/w=="}, None, "two")
    answer = broker.ask("GET", f"/v1/topics/{topic}/records?format=text")
    assert answer.body == b'one\n{"base64":"/w=="}\n\ntwo\n'
    assert answer.headers["x-next-offset"] == "4"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    all_bytes = read(broker, topic, "format=base64")["records"]
    assert all_bytes[0]["value"] == {"base64": base64.b64encode(b"one").decode()}


def test_the_oldest_records_are_deleted(broker: RestBroker, topic: str) -> None:
    write(broker, topic, "a", "b", "c")
    asked = {"partitions": [{"partition": 0, "offset": 2}, {"partition": 9, "offset": 0}]}
    answer = broker.ask("DELETE", f"/v1/topics/{topic}/records", asked)
    assert answer.status == 207
    assert answer.json["partitions"][0] == {"partition": 0, "log_start": 2}
    assert answer.json["partitions"][1]["error"]["code"] == "UNKNOWN_TOPIC_OR_PARTITION"
    page = read(broker, topic)
    assert page["log_start"] == 2 and [each["value"] for each in page["records"]] == ["c"]


def test_a_record_that_is_too_large_for_its_topic_is_413(broker: RestBroker, topic: str) -> None:
    path = f"/v1/topics/{topic}/records"
    answer = broker.ask("POST", path, b"x" * 2_000_000, "text/plain")
    assert answer.problem(413, "MESSAGE_TOO_LARGE")["error_code"] == 10


def test_producers_of_a_partition_are_shown(broker: RestBroker, topic: str) -> None:
    address = "{}:{}".format(*broker.kafka)
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True})
    producer.produce(topic, "x", partition=2)
    assert producer.flush(20) == 0
    (one,) = broker.ask("GET", f"/v1/topics/{topic}/producers?partition=2").json["producers"]
    assert one["last_sequence"] == 0 and one["transaction_start"] == -1


# Configs, brokers, cluster


def test_configs_of_a_topic_show_where_each_is_set(broker: RestBroker, topic: str) -> None:
    prefix = topic.rpartition(".")[0] + ".*"
    changes = {"changes": [{"name": "retention.ms", "change": "set", "value": "5000000"}]}
    assert broker.ask("PATCH", f"/v1/topics/{prefix}/configs", changes).status == 200
    found = broker.ask("GET", f"/v1/topics/{topic}/configs?synonyms=true&docs=true").json
    one = next(each for each in found["configs"] if each["name"] == "retention.ms")
    assert (one["value"], one["source"], one["where"]) == ("5000000", "prefix", prefix)
    assert one["doc"] and one["synonyms"][0]["source"] == "prefix"
    drop = {"changes": [{"name": "retention.ms", "change": "delete"}]}
    assert broker.ask("PATCH", f"/v1/topics/{prefix}/configs", drop).json["configs"] == {}
    wrong = {"changes": [{"name": "retention.msx", "change": "set", "value": "1"}]}
    broker.ask("PATCH", f"/v1/topics/{topic}/configs", wrong).problem(422, "INVALID_CONFIG")


def test_brokers_and_the_cluster_are_described(broker: RestBroker) -> None:
    cluster = broker.ask("GET", "/v1/cluster").json
    assert cluster["controller_id"] == 1 and cluster["cluster_id"]
    assert broker.ask("GET", "/v1/brokers").json["brokers"] == cluster["brokers"]
    assert broker.ask("GET", "/v1/brokers/1").json == cluster["brokers"][0]
    unknown = broker.ask("GET", "/v1/brokers/2").problem(404, "BROKER_ID_NOT_REGISTERED")
    assert unknown["error_code"] == 102
    for path in ("2/configs", "2147483647/configs", "2/log-directories"):
        broker.ask("GET", f"/v1/brokers/{path}").problem(404, "BROKER_ID_NOT_REGISTERED")
    (directory,) = broker.ask("GET", "/v1/brokers/1/log-directories").json["directories"]
    assert directory["total_bytes"] > directory["usable_bytes"] > 0
    assert broker.ask("GET", "/v1/quorum").json["leader_id"] == 1
    configs = broker.ask("GET", "/v1/brokers/1/configs").json
    assert configs["kind"] == "broker" and configs["name"] == "1"
    assert broker.ask("GET", "/v1/brokers/default/configs").json["name"] == "default"
    resources = broker.ask("GET", "/v1/configs?kind=broker").json["resources"]
    assert {"kind": "broker", "name": "1"} in resources


@pytest.mark.parametrize("what", ["live", "ready", "startup"])
def test_health_is_ok(broker: RestBroker, what: str) -> None:
    answer = broker.ask("GET", f"/health/{what}")
    assert (answer.status, answer.json) == (200, {"status": "ok", "reasons": []})


def test_metrics_are_prometheus_text(broker: RestBroker) -> None:
    answer = broker.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE streambus_" in answer.body


# What every answer has


def test_a_request_id_is_taken_if_it_is_legal_and_made_if_not(broker: RestBroker) -> None:
    answer = broker.ask("GET", "/v1/topics/none", x_request_id="my-id.1")
    assert answer.headers["x-request-id"] == "my-id.1"
    assert answer.json["request_id"] == "my-id.1"
    for illegal in ("", "x" * 65, "with space", 'quote"'):
        made = broker.ask("GET", "/health/live", x_request_id=illegal).headers["x-request-id"]
        assert made != illegal and made
    one, other = (broker.ask("GET", "/health/live").headers["x-request-id"] for _ in range(2))
    assert one != other


def test_no_answer_says_who_serves_it_or_lets_other_origins_in(broker: RestBroker) -> None:
    answer = broker.ask("GET", "/v1/cluster")
    assert "server" not in answer.headers and "date" in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_web_pages_of_other_origins_are_refused(broker: RestBroker, topic: str) -> None:
    path = f"/v1/topics/{topic}/records"
    foreign = broker.ask("POST", path, b"x", "text/plain", origin="http://evil.example")
    foreign.problem(403, "FOREIGN_ORIGIN")
    assert broker.ask("GET", "/v1/topics", origin=f"http://{broker.address}").status == 200
    rebound = broker.ask("GET", "/v1/topics", host="evil.example:9080")
    rebound.problem(403, "FOREIGN_HOST")
    for good in ("localhost", "LOCALHOST:9080", "[::1]:9080", "127.0.0.1"):
        assert broker.ask("GET", "/v1/topics", host=good).status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "media", "status", "code", "says"),
    [
        ("GET", "/nowhere", None, None, 404, "NOT_FOUND", "/nowhere"),
        ("GET", "/v1/topics/", None, None, 404, "NOT_FOUND", "openapi"),
        ("PUT", "/v1/topics", None, None, 405, "METHOD_NOT_ALLOWED", "PUT"),
        ("GET", "/docs", None, None, 404, "NOT_FOUND", "/docs"),
        ("GET", "/v1/topics?limit=0", None, None, 422, "INVALID_REQUEST", "query.limit"),
        ("GET", "/v1/topics?limt=1", None, None, 422, "INVALID_REQUEST", "query.limt"),
        ("GET", "/v1/topics?limit=1&limit=2", None, None, 422, "INVALID_REQUEST", "twice"),
        ("POST", "/v1/topics", b"{}", "application/json", 422, "INVALID_REQUEST", "body"),
        ("POST", "/v1/topics", b"{", "application/json", 400, "MALFORMED_REQUEST", "JSON"),
        ("POST", "/v1/topics", b"{}", "text/html", 415, "UNSUPPORTED_MEDIA_TYPE", "text/html"),
        ("POST", "/v1/topics", b"{}", None, 415, "UNSUPPORTED_MEDIA_TYPE", "application/json"),
        (
            "POST",
            "/v1/topics",
            b'{"name": "a", "partitions": "3"}',
            "application/json",
            422,
            "INVALID_REQUEST",
            "partitions",
        ),
        (
            "POST",
            "/v1/topics",
            b'{"name": "a", "partitons": 3}',
            "application/json",
            422,
            "INVALID_REQUEST",
            "partitons",
        ),
        (
            "POST",
            "/v1/topics",
            b'{"name": "a", "assignments": {"x": [1]}}',
            "application/json",
            422,
            "INVALID_REQUEST",
            "assignments",
        ),
        ("GET", "/v1/brokers/x", None, None, 422, "INVALID_REQUEST", "path.broker_id"),
        ("POST", "/v1/topics/a/records", b"x", "text/css", 415, "UNSUPPORTED_MEDIA_TYPE", "ndjson"),
    ],
)
def test_what_http_refuses_names_what_is_wrong(
    broker: RestBroker,
    method: str,
    path: str,
    body: bytes | None,
    media: str | None,
    status: int,
    code: str,
    says: str,
) -> None:
    problem = broker.ask(method, path, body, media).problem(status, code)
    assert says in problem["detail"]
    assert not problem["retriable"]


def test_an_answer_that_is_not_accepted_is_406(broker: RestBroker, topic: str) -> None:
    answer = broker.ask("GET", f"/v1/topics/{topic}/records", accept="image/png")
    assert "format=text" in answer.problem(406, "NOT_ACCEPTABLE")["detail"]


# Watch


def test_a_watch_tells_the_topics_now_and_whenever_they_change(broker: RestBroker) -> None:
    connection = broker.connect()
    connection.request("GET", "/v1/watch/topics?prefix=watched.")
    answer = connection.getresponse()
    assert answer.getheader("content-type", "").startswith("text/event-stream")
    assert _event(answer) == (1, [])
    broker.ask("POST", "/v1/topics", {"name": "watched.a"})
    assert _event(answer) == (2, ["watched.a"])
    broker.ask("POST", "/v1/topics", {"name": "other.a"})
    broker.ask("DELETE", "/v1/topics/watched.a")
    assert _event(answer) == (3, [])
    connection.close()


def test_watches_end_when_the_broker_does(tmp_path: Path) -> None:
    with rest_broker(tmp_path / "data") as running:
        connection = running.connect()
        connection.request("GET", "/v1/watch/topics")
        answer = connection.getresponse()
        _event(answer)
    assert answer.read() == b""
    connection.close()


def _event(answer: Any) -> tuple[int, list[str]]:
    lines: list[str] = []
    while (line := answer.readline().decode().rstrip("\n")) or not lines:
        assert line or lines, "the watch ended"
        lines.append(line)
    fields = dict(line.split(": ", 1) for line in lines)
    assert fields["event"] == "topics"
    return int(fields["id"]), [each["name"] for each in json.loads(fields["data"])["topics"]]


def test_head_is_get_without_its_body(broker: RestBroker) -> None:
    connection = broker.connect()
    for path, status in (("/health/live", 200), ("/v1/topics/none", 404), ("/nowhere", 404)):
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (status, b"")
        assert int(answer.getheader("content-length", "0")) > 0
    connection.close()


def test_a_coded_body_is_refused_and_not_stored_as_it_is(broker: RestBroker, topic: str) -> None:
    path = f"/v1/topics/{topic}/records"
    refused = broker.ask("POST", path, b"\x1f\x8b", "text/plain", content_encoding="gzip")
    assert "gzip" in refused.problem(415, "UNSUPPORTED_MEDIA_TYPE")["detail"]


def test_a_connection_takes_one_request_after_another(broker: RestBroker) -> None:
    connection = broker.connect()
    ports = set()
    for _ in range(3):
        connection.request("GET", "/health/live")
        assert connection.getresponse().read()
        assert isinstance(connection.sock, socket.socket)
        ports.add(connection.sock.getsockname()[1])
    connection.close()
    assert len(ports) == 1
