"""Events are logs, metrics and marks: one constant name, noun.past-verb, with data as fields.

Owns    the event logger `streambus` and its two renderings, human and JSON lines.
Never   holds broker state: two brokers in one process tell themselves apart by their fields; nor
        writes more lines of one event than LINES_PER_SECOND_MAX, whoever causes them: the next one
        that is written says how many were `suppressed`.

    events.emit("segment.sealed", segment=7, bytes=67_108_864)

What is said while a request is worked on carries its fields:

    with events.bound(request="12-7"):
        ...
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TextIO

LINES_PER_SECOND_MAX = 20  # of one event, from INFO up; who asks for DEBUG gets all of it

LOGGER = logging.getLogger("streambus")
DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

_BOUND: ContextVar[Mapping[str, Any]] = ContextVar("bound", default=MappingProxyType({}))


def emit(event: str, level: int = INFO, **fields: Any) -> None:
    """Say that `event` happened. Cheap where its level is off; never raises for a field's type."""
    if LOGGER.isEnabledFor(level):
        fields = {**_BOUND.get(), **fields}
        LOGGER.log(level, event, extra={"event": event, "fields": fields})


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Every event of this block, and of the tasks that it starts, has `fields` too."""
    token = _BOUND.set({**_BOUND.get(), **fields})
    try:
        yield
    finally:
        _BOUND.reset(token)


def bound_fields() -> Mapping[str, Any]:
    """What is bound here: for whoever carries a request to another process."""
    return _BOUND.get()


def configure(rendering: str = "human", level: str = "info", stream: TextIO | None = None) -> None:
    """Send events to `stream` (stderr if None) as `human` or `json` lines. For the process's entry
    point."""
    output = logging.StreamHandler(stream or sys.stderr)
    output.addFilter(_Flood())
    output.setFormatter(_Json() if rendering == "json" else _Human())
    LOGGER.handlers[:] = [output]
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False


class _Flood(logging.Filter):
    """Lets so many lines of one event through in a second: a hostile client must not fill the
    disk with its refusals, nor a broken disk with its errors."""

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, list[int]] = {}  # event: [second, lines, suppressed]

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < INFO:
            return True
        second = int(record.created)
        window = self._windows.setdefault(record.getMessage(), [second, 0, 0])
        if window[0] != second:
            window[:2] = second, 0
        window[1] += 1
        if window[1] > LINES_PER_SECOND_MAX:
            window[2] += 1
            return False
        if window[2]:
            record.fields = {**getattr(record, "fields", {}), "suppressed": window[2]}
            window[2] = 0
        return True


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        words = " ".join(f"{name}={_plain(value)}" for name, value in fields.items())
        clock = self.formatTime(record, "%H:%M:%S")
        return f"{clock} {record.levelname.lower():7} {record.getMessage()}  {words}".rstrip()


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line, default=_plain, ensure_ascii=False)


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    text = str(value)
    return text if text and not any(c in text for c in ' "\n\r\t') else json.dumps(text)
