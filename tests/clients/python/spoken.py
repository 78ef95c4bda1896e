"""What every Python program of this folder shares: commands come in as lines, answers go out.

The commands are described in tests/clients/README.md. Nothing here knows a client library.
"""

import base64
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Command = dict[str, Any]
Answer = dict[str, Any]
MESSAGE_BYTES_MAX = 4_000_000
WAIT_S = 20


class Refused(Exception):
    """The broker, or the client in its place, said no: Kafka's error code and what was said."""

    def __init__(self, code: int, text: object) -> None:
        super().__init__(str(text))
        self.code = code


class Lacking(Exception):
    """The client has no way to say this."""


@dataclass(frozen=True)
class Record:
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int | None


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def records(command: Command) -> list[Record]:
    """The records that a `produce` names."""
    return [
        Record(
            _bytes(each["key"]),
            _bytes(each["value"]),
            [(name, _bytes(value)) for name, value in each["headers"]],
            each["timestamp"],
        )
        for each in command["records"]
    ]


def read(partition: int, offset: int, record: Record) -> dict[str, Any]:
    """One record as an answer to `read`."""
    return {
        "partition": partition,
        "offset": offset,
        "timestamp": record.timestamp,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": [[name, _text(value)] for name, value in record.headers],
    }


def commands() -> Iterator[Command]:
    for line in sys.stdin:
        yield json.loads(line)


def answer(said: Answer) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def refusal(error: Refused | Lacking) -> Answer:
    if isinstance(error, Lacking):
        return {"lacking": str(error)}
    return {"error": error.code, "text": str(error)}


def speak(verbs: Mapping[str, Callable[[Command], Answer]]) -> None:
    """Answer commands until standard input ends."""
    for command in commands():
        try:
            if command["do"] not in verbs:
                raise Lacking(f"no {command['do']}")
            said = verbs[command["do"]](command)
        except (Refused, Lacking) as error:
            said = refusal(error)
        answer(said)
