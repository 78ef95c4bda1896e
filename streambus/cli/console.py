"""Where the command talks to a person or a pipe: the one home of printing and of exit codes.

Owns    stdout, stderr, and what becomes of an error that reaches the top of a command.
Never   shows a traceback for what a person can mend.
"""

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

import typer

from streambus.errors import StreamBusError, Unavailable

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_UNAVAILABLE = 4  # nobody answers, or not now: the same command may succeed later
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells expect
EXIT_PIPE_CLOSED = 141  # 128 + SIGPIPE


def write(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)


def flush() -> None:
    sys.stdout.buffer.flush()


def say(message: str) -> None:
    """The output itself, a line of it."""
    print(message)


def show_json(value: Any) -> None:
    """For programs: one document."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def say_json_line(value: Any) -> None:
    """For programs that read a stream: one document, one line."""
    say(json.dumps(value, ensure_ascii=False))


def is_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def note(message: str) -> None:
    """For a person, beside the output."""
    print(message, file=sys.stderr)


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    note(f"streambus: {message}")
    raise typer.Exit(code)


def require_person() -> None:
    """Ends the command where nobody can be asked."""
    if not sys.stdin.isatty():
        fail("this deletes, and there is nobody to ask here: say --yes, or --dry-run", EXIT_USAGE)


def confirm(word: str, what: str) -> None:
    """Ends the command unless the person types `word`."""
    note(f"{what}.")
    print(f"Type {word} to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != word:
        fail("nothing was changed")


def run(command: Coroutine[Any, Any, None]) -> None:
    """Runs a command to its end and turns what stops it into one line and an exit code."""
    try:
        asyncio.run(command)
        flush()
    except BrokenPipeError:
        leave_closed_pipe()
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (StreamBusError, OSError) as error:
        fail(_advised(error), _exit_code(error))


def _exit_code(error: Exception) -> int:
    from streambus.client.errors import UNKNOWN_TOPIC_OR_PARTITION, Refused

    if isinstance(error, Unavailable):
        return EXIT_UNAVAILABLE
    if isinstance(error, Refused) and error.error_code == UNKNOWN_TOPIC_OR_PARTITION:
        return EXIT_NOT_FOUND
    return EXIT_FAILED


def leave_closed_pipe() -> NoReturn:
    """Whoever read us is gone, like `head`. Leave without Python's last flush, which would find the
    pipe closed as well and complain."""
    os._exit(EXIT_PIPE_CLOSED)


def _advised(error: Exception) -> str:
    from streambus.client.errors import ConnectionLost

    if isinstance(error, ConnectionLost):
        return f"{error}. Is a broker running there? `streambus dev` starts one on this machine."
    return str(error)
