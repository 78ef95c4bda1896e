"""A client's program, while it runs: commands in, answers out, and an end to every wait."""

import json
import os
import select
import subprocess
import tempfile
import time
from typing import Any

from tests.clients.clients import ROOT, Client

ANSWER_S = 60


class Refused(Exception):
    """The client said no: Kafka's error code, and its words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Lacks(Exception):
    """The client cannot say this, as clients.py lists."""


class Conversation:
    """One process per client, started when it is first asked, and again if it ended."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.process: subprocess.Popen[bytes] | None = None
        self.complaints = tempfile.TemporaryFile()  # noqa: SIM115 (as long as this)
        self.unread = b""

    def ask(self, verb: str, broker: str, **command: Any) -> dict[str, Any]:
        """The answer; raises what the client said no with."""
        process = self._running()
        assert process.stdin is not None
        asked = {"do": verb, "broker": broker, **command}
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
        said: dict[str, Any] = json.loads(self._line(process))
        if "lacking" in said:
            assert said["lacking"] in self.client.lacks, f"not in clients.py: {said['lacking']}"
            raise Lacks(said["lacking"])
        if "error" in said:
            raise Refused(said["error"], said["text"])
        return said

    def close(self) -> None:
        if self.process is None:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            self.unread = b""
            self.process = subprocess.Popen(
                self.client.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.complaints,
                cwd=ROOT,
                env={**os.environ, **self.client.environment},
            )
        return self.process

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        deadline = time.monotonic() + ANSWER_S
        pieces = [self.unread]
        while b"\n" not in pieces[-1]:
            left = max(deadline - time.monotonic(), 0)
            ready, _, _ = select.select([process.stdout], [], [], left)
            piece = os.read(process.stdout.fileno(), 1 << 20) if ready else b""
            if not piece:
                process.kill()
                self.close()
                why = "ended" if ready else f"did not answer within {ANSWER_S} s"
                raise AssertionError(f"{self.client.title} {why}:\n{self._complained()}")
            pieces.append(piece)
        line, _, self.unread = b"".join(pieces).partition(b"\n")
        return line

    def _complained(self) -> str:
        self.complaints.seek(0)
        return self.complaints.read().decode(errors="replace")[-4_000:]
