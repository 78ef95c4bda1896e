"""An HTTP API that answers what a test says, and keeps what it was asked."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    body: Any


class Answer(NamedTuple):
    body: Any
    status: int = 200
    kind: str = "application/json"


def problem(status: int, code: str, error_code: int, detail: str) -> Answer:
    document = {
        "type": f"urn:kafka:{code}",
        "title": code,
        "status": status,
        "detail": detail,
        "code": code,
        "error_code": error_code,
        "retriable": status == 503,
        "request_id": "r1",
    }
    return Answer(document, status, "application/problem+json")


class ScriptedApi:
    """`answers` by "METHOD /path"; a function is called with what was asked."""

    def __init__(self, answers: dict[str, Answer | Any | Callable[[Asked], Any]]) -> None:
        self.answers = answers
        self.asked: list[Asked] = []
        api = self

        class Handling(BaseHTTPRequestHandler):
            def answer(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), body)
                api.asked.append(asked)
                missing = problem(404, "UNKNOWN_TOPIC_OR_PARTITION", 3, f"no {parts.path}")
                found = api.answers.get(f"{self.command} {parts.path}", missing)
                found = found(asked) if callable(found) else found
                answer = found if isinstance(found, Answer) else Answer(found)
                content = answer.body
                if not isinstance(content, bytes):
                    content = json.dumps(content).encode()
                self.send_response(answer.status)
                self.send_header("content-type", answer.kind)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                """Tests say what is wrong."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handling)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "ScriptedApi":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
