"""The broker's HTTP API as the command speaks it: one request at a time, bounded in time and size.

Owns    the address of the API, its errors as messages and exit codes, pages, and the options that
        every command over it has.
Never   retries: the person, or the program that called, decides.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

import typer

from streambus.cli import console

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

DEFAULT_API = "http://127.0.0.1:9080"
ANSWER_BYTES_MAX = 256 * 1024 * 1024
EVENT_BYTES_MAX = 64 * 1024 * 1024
PAGE = 1_000
BROKER_NOT_AVAILABLE = 8  # Kafka's code for what this amounts to
_UNAVAILABLE = frozenset([429, 502, 503, 504])

Address = Annotated[
    str,
    typer.Option("--api", envvar="STREAMBUS_API", help="Address of the broker's HTTP API."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON for programs, as the API gives it.")]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1, max=86_400)]
TIMEOUT_S = 60.0

Query = Mapping[str, str | int | bool | None]


class Problem(Exception):
    """What the API answered instead (RFC 9457), or that it did not answer."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        detail = document.get("detail") or document.get("title") or f"status {self.status}"
        super().__init__(str(detail))

    @property
    def status(self) -> int:
        status = self.document.get("status")
        return status if isinstance(status, int) else 500

    @property
    def exit_code(self) -> int:
        if self.status == 404:
            return console.EXIT_NOT_FOUND
        return console.EXIT_UNAVAILABLE if self.status in _UNAVAILABLE else console.EXIT_FAILED


class Api:
    """Asks the API at `address`. Raises `Problem`."""

    def __init__(self, address: str, timeout_s: float | None) -> None:
        self.address = address
        self._timeout_s = timeout_s

    def ask(self, method: str, path: str, query: Query | None = None, body: Any = None) -> Any:
        """The decoded answer; None where it is empty."""
        with self._answer(method, path, query, body) as answer:
            text = answer.read(ANSWER_BYTES_MAX + 1)
            if len(text) > ANSWER_BYTES_MAX:
                raise self._no_answer(f"answered more than {ANSWER_BYTES_MAX} bytes")
            return self._decoded(text) if text else None

    def get(self, path: str, query: Query | None = None) -> Any:
        return self.ask("GET", path, query)

    def pages(self, path: str, items: str, query: Query | None = None) -> Iterator[Any]:
        """Every item of a list, page after page."""
        asked: dict[str, str | int | bool | None] = {"limit": PAGE, **(query or {})}
        while True:
            page = self.get(path, asked)
            yield from page[items]
            if page["next"] in ("", None):
                return
            # A list by names goes on after the last one, a list by numbers at the next.
            asked["after" if isinstance(page["next"], str) else "start"] = page["next"]

    def events(self, path: str, query: Query | None = None) -> Iterator[Any]:
        """The documents of a stream of server-sent events, for as long as it lasts."""
        with self._answer("GET", path, query, None) as answer:
            kind, data = b"", b""
            while line := answer.readline(EVENT_BYTES_MAX + 1):
                if len(line) > EVENT_BYTES_MAX:
                    raise self._no_answer(f"sent a line of more than {EVENT_BYTES_MAX} bytes")
                name, _, value = line.strip().partition(b":")
                if name == b"event":
                    kind = value.strip()
                elif name == b"data":
                    data = value
                elif not line.strip() and data:
                    document = self._decoded(data)
                    if kind == b"problem":
                        raise Problem(document)
                    yield document
                    kind, data = b"", b""

    @contextmanager
    def _answer(
        self, method: str, path: str, query: Query | None, body: Any
    ) -> "Iterator[HTTPResponse]":
        from http.client import HTTPException

        asked = {name: _text(value) for name, value in (query or {}).items() if value is not None}
        target = f"/v1{path}" + (f"?{urlencode(asked)}" if asked else "")
        headers = {"Accept": "application/json, application/problem+json, text/event-stream"}
        sent = None
        if body is not None:
            sent = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = _connection(self.address, self._timeout_s)
        try:
            connection.request(method, target, sent, headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise self._problem(answer.status, answer.read(ANSWER_BYTES_MAX))
            yield answer
        except TimeoutError as error:
            raise self._no_answer(f"did not answer within {self._timeout_s:g} s") from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise self._no_answer(
                f"cannot be reached: {reason}. Is a broker running there? `streambus dev` starts "
                "one on this machine; --api or STREAMBUS_API name another"
            ) from error
        finally:
            connection.close()

    def _decoded(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise self._no_answer("did not answer in JSON: is it a StreamBus broker?") from None

    def _problem(self, status: int, text: bytes) -> Problem:
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            return self._no_answer(f"answered with status {status}", status)
        return Problem({"status": status, **document})

    def _no_answer(self, what: str, status: int = 503) -> Problem:
        return Problem(
            {
                "type": "about:blank",
                "title": "No answer",
                "status": status,
                "detail": f"the API at {self.address} {what}",
                "code": "BROKER_NOT_AVAILABLE",
                "error_code": BROKER_NOT_AVAILABLE,
                "retriable": status in _UNAVAILABLE,
            }
        )


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _connection(address: str, timeout_s: float | None) -> "HTTPConnection":
    from http.client import HTTPConnection, HTTPSConnection

    parts = urlsplit(address if "://" in address else f"http://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query:
        console.fail(f"--api {address}: give its address, like {DEFAULT_API}", console.EXIT_USAGE)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(host, port, timeout=timeout_s)


def segment(name: str | int) -> str:
    """One name as a part of a path."""
    return quote(str(name), safe="*")


@contextmanager
def session(address: str, timeout_s: float | None, *, as_json: bool) -> Iterator[Api]:
    """The API for one command. What it refuses ends the command: one line for people, the problem
    itself on stdout for programs."""
    try:
        yield Api(address, timeout_s)
        console.flush()
    except Problem as problem:
        refuse(problem, as_json=as_json)
    except BrokenPipeError:
        console.leave_closed_pipe()
    except KeyboardInterrupt:
        raise typer.Exit(console.EXIT_INTERRUPTED) from None


def refuse(problem: Problem, *, as_json: bool) -> None:
    if as_json:
        console.show_json(problem.document)
    console.fail(str(problem), problem.exit_code)


def pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    """`name=value` options as a mapping."""
    found = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not name or not equals:
            console.fail(f"{option} {text}: give name=value", console.EXIT_USAGE)
        if name in found:
            console.fail(f"{option} {name}: given twice", console.EXIT_USAGE)
        found[name] = value
    return found
