"""The HTTP plane under attack: every bound holds, says so, and costs only who broke it."""

import base64
import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import limits
from tests.integration.rest import RestBroker, rest_broker

BODY_BYTES, REQUEST_MS, CONNECTIONS = 100_000, 1_500, 8
HEAD = b"POST /v1/topics/t/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\n"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestBroker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "API_HEAD_MS_MAX", 400)
        with rest_broker(
            tmp_path_factory.mktemp("bounds") / "data",
            body_bytes=BODY_BYTES,
            request_ms=REQUEST_MS,
            connections=CONNECTIONS,
        ) as running:
            assert running.ask("POST", "/v1/topics", {"name": "t"}).status == 201
            yield running


@pytest.fixture(autouse=True)
def is_well_afterwards(broker: RestBroker) -> Iterator[None]:
    yield
    assert broker.ask("GET", "/health/live").status == 200


def raw(broker: RestBroker) -> socket.socket:
    host, port = broker.address.split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """(status, body) of what comes until the other side closes."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        assert received, "reset before an answer"
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(broker: RestBroker) -> None:
    with raw(broker) as connection:
        connection.sendall(HEAD + b"content-length: 100001\r\n\r\n")
        status, body = answer(connection)
    assert status == 413 and json.loads(body)["code"] == "BODY_TOO_LARGE"


def test_a_body_in_chunks_is_refused_where_it_grows_too_large(broker: RestBroker) -> None:
    with raw(broker) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
        try:
            for _ in range(10_000):
                connection.sendall(chunk)
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            pass  # it was told to stop
        else:
            pytest.fail("40 MB were taken")
    assert broker.ask("GET", "/v1/topics/t/records").json["records"] == []


def test_the_largest_body_is_taken(broker: RestBroker) -> None:
    written = broker.ask("POST", "/v1/topics/t/records", b"x" * BODY_BYTES, "text/plain")
    assert written.status == 200
    broker.ask("POST", "/v1/topics/t/records", b"x" * (BODY_BYTES + 1), "text/plain").problem(
        413, "BODY_TOO_LARGE"
    )


def test_a_body_that_does_not_come_is_408(broker: RestBroker) -> None:
    with raw(broker) as connection:
        connection.sendall(HEAD + b"content-length: 10\r\n\r\nhalf")
        status, body = answer(connection)
    assert status == 408 and json.loads(body)["retriable"]


@pytest.mark.parametrize("sent", [b"", b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: "])
def test_a_head_that_does_not_come_ends_its_connection(broker: RestBroker, sent: bytes) -> None:
    with raw(broker) as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""


def test_a_head_that_drips_in_ends_its_connection(broker: RestBroker) -> None:
    with raw(broker) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\n")
        connection.settimeout(0.05)
        for _ in range(400):
            try:
                connection.sendall(b"x: y\r\n")
                if connection.recv(100) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    pytest.fail("20 s were not too long")


def test_a_head_that_is_too_large_is_431(broker: RestBroker) -> None:
    with raw(broker) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"a: b\r\n" * 5_000)
        status, body = answer(connection)
    assert status == 431 and json.loads(body)["code"] == "HEAD_TOO_LARGE"


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        bytes.fromhex("0000000e00120000000000010004") + b"wait\r\n\r\n",  # a Kafka client
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n",
        HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        HEAD + b"content-length: -1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_a_400_problem(broker: RestBroker, sent: bytes) -> None:
    with raw(broker) as connection:
        connection.sendall(sent)
        status, body = answer(connection)
    assert status == 400 and json.loads(body)["code"] == "MALFORMED_REQUEST"


def test_a_body_with_broken_chunks_ends_its_connection(broker: RestBroker) -> None:
    with raw(broker) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n")
        status, body = answer(connection)
    assert status == 400 and json.loads(body)["code"] == "MALFORMED_REQUEST"


def test_more_connections_than_allowed_are_told_so_and_many_more_are_closed(
    broker: RestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "API_HEAD_MS_MAX", 20_000)
    monkeypatch.setattr(limits, "API_CONNECTIONS_REFUSED_MAX", 4)
    idle = [raw(broker) for _ in range(CONNECTIONS)]
    try:
        with raw(broker) as one_more:
            one_more.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
            status, body = answer(one_more)
            assert status == 503 and json.loads(body)["code"] == "TOO_MANY_CONNECTIONS"
        idle += [raw(broker) for _ in range(4)]
        with raw(broker) as far_too_many:
            try:
                assert far_too_many.recv(100) == b""
            except ConnectionResetError:
                pass
    finally:
        for connection in idle:
            connection.close()


@pytest.mark.parametrize("path", ["/v1/topics", "/v1/topics/t/records", "/v1/topics/t/partitions"])
@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"[" * 90_000, {400, 422}),
        (b'{"name":' * 9_000 + b"1" + b"}" * 9_000, {400, 422}),
        (b'{"records":[{"value":' + b"[" * 40_000 + b"]" * 40_000 + b"}]}", {400, 422}),
        (b'{"name":"a","partitions":' + b"9" * 90_000 + b"}", {400, 422}),
        (b'{"name":"a","partitions":1e999}', {400, 422}),
        (b'{"name":"a","partitions":NaN}', {400, 422}),
        (b'{"total":9223372036854775808}', {400, 422}),
        (b'{"records":[{"value":1,"partition":9223372036854775808}]}', {400, 422}),
        (b'{"records":[{"value":1,"timestamp_ms":-1}]}', {400, 422}),
        (b'{"name":"\xff\xfe"}', {400}),
        (b'{"records":[{"value":"\xff"}]}', {400}),
        (b'{"name":"\\ud800","records":[{"value":"\\ud800"}]}', {400, 422}),
        (b'{"name":"a\\u0000b"}', {422}),
        (b"null", {400, 422}),
        (b"", {400, 422}),
        (b'{"records":[]}', {422}),
        (b'{"records":[{"value":{"base64":"*"}}]}', {422}),
        (b'{"records":[{"value":{"base64":7}}]}', {422}),
        (b'{"records":[{"value":{"base64":"AA==","more":1}}]}', {422}),
    ],
)
def test_hostile_json_is_refused(
    broker: RestBroker, path: str, body: bytes, statuses: set[int]
) -> None:
    refused = broker.ask("POST", path, body, "application/json")
    assert refused.status in statuses, refused
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("line", [b"[" * 90_000, b"{", b'"\xff"', b'"\\ud800"', b"7 8"])
def test_hostile_ndjson_is_refused(broker: RestBroker, line: bytes) -> None:
    refused = broker.ask("POST", "/v1/topics/t/records", b"1\n" + line, "application/x-ndjson")
    assert refused.status in (400, 422), refused


def test_more_records_than_one_request_may_write_are_413(
    broker: RestBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_RECORDS_MAX", 10)
    body = {"records": [{"value": 1}] * 11}
    broker.ask("POST", "/v1/topics/t/records", body).problem(413, "BODY_TOO_LARGE")
    lines = b"1\n" * 11
    refused = broker.ask("POST", "/v1/topics/t/records", lines, "application/x-ndjson")
    refused.problem(413, "BODY_TOO_LARGE")


def test_what_takes_too_long_is_504_and_may_be_tried_again(broker: RestBroker) -> None:
    asked = broker.ask("GET", "/v1/topics/t/records?offset=latest&wait_ms=30000")
    problem = asked.problem(504, "REQUEST_TIMED_OUT")
    assert problem["retriable"] and "api.request_ms" in problem["detail"]


def test_who_does_not_read_the_answer_loses_it(broker: RestBroker) -> None:
    value = base64.b64encode(b"x" * 70_000).decode()
    for _ in range(100):
        assert (
            broker.ask("POST", "/v1/topics/t/records", value.encode(), "text/plain").status == 200
        )
    with raw(broker) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(
            b"GET /v1/topics/t/records?records=1000&bytes=100000000 HTTP/1.1\r\n"
            b"host: localhost\r\naccept: application/x-ndjson\r\n\r\n"
        )
        connection.settimeout(20)
        received = 0
        _wait_until_closed(connection)
        try:
            while part := connection.recv(65536):
                received += len(part)
        except ConnectionResetError:
            pass
    assert received < 100 * len(value)


def _wait_until_closed(connection: socket.socket) -> None:
    """Until the peer has ended the connection, without taking what it sent."""
    poller = select.poll()
    poller.register(connection, select.POLLRDHUP if hasattr(select, "POLLRDHUP") else 0)
    assert poller.poll(15_000), "the connection was not ended"


def test_bodies_of_all_requests_together_are_bounded(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "API_BUFFERED_BYTES_MAX", 60_000)
        with rest_broker(tmp_path / "data") as crowded:
            crowded.ask("POST", "/v1/topics", {"name": "t"})
            with raw(crowded) as slow:
                slow.sendall(HEAD + b"content-length: 59001\r\n\r\n" + b"x" * 59_000)
                # Taken once the broker has read it: until then the next one still fits.
                for _ in range(1_000):
                    refused = crowded.ask(
                        "POST", "/v1/topics/t/records", b"y" * 2_000, "text/plain"
                    )
                    if refused.status == 503:
                        break
                problem = refused.problem(503, "SERVER_BUSY")
                assert problem["retriable"] and refused.headers["retry-after"] == "1"
                assert crowded.ask("GET", "/health/live").status == 200
            for _ in range(1_000):
                again = crowded.ask("POST", "/v1/topics/t/records", b"y" * 2_000, "text/plain")
                if again.status == 200:
                    break
            assert again.status == 200
