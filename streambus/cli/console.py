"""Where the command talks to a person or a pipe: the one home of printing and of exit codes.

Owns    stdout, stderr, and what becomes of an error that reaches the top of a command.
Never   shows a traceback for what a person can mend.
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

import typer

from streambus.errors import StreamBusError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells expect
EXIT_PIPE_CLOSED = 141  # 128 + SIGPIPE


def write(chunk: bytes) -> None:
    sys.stdout.buffer.write(chunk)


def flush() -> None:
    sys.stdout.buffer.flush()


def note(message: str) -> None:
    """For a person, beside the output."""
    print(message, file=sys.stderr)


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    note(f"streambus: {message}")
    raise typer.Exit(code)


def run(command: Coroutine[Any, Any, None]) -> None:
    """Runs a command to its end and turns what stops it into one line and an exit code."""
    try:
        asyncio.run(command)
        flush()
    except BrokenPipeError:
        # Whoever read us is gone, like `head`. Leave without Python's last flush, which would
        # find the pipe closed as well and complain.
        os._exit(EXIT_PIPE_CLOSED)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (StreamBusError, OSError) as error:
        fail(_advised(error))


def _advised(error: Exception) -> str:
    from streambus.client.errors import ConnectionLost

    if isinstance(error, ConnectionLost):
        return f"{error}. Is a broker running there? `streambus dev` starts one on this machine."
    return str(error)
