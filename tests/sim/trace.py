"""The trace of a simulated run: every observable step, folded into one hash.

Two runs of one seed have the same hash; where they differ, determinism has rotted. The newest
lines are kept as text, so that a failed seed can be read.
"""

import hashlib
from collections import deque
from collections.abc import Iterator

Field = str | int | bool | bytes | None

LINES_KEPT = 2_000


class Trace:
    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.steps = 0
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.kinds: dict[str, int] = {}

    def record(self, now_us: int, machine: str, kind: str, *fields: Field) -> None:
        line = " ".join((str(now_us), machine, kind, *_texts(fields)))
        self._hash.update(line.encode() + b"\n")
        self.lines.append(line)
        self.steps += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()


def _texts(fields: tuple[Field, ...]) -> Iterator[str]:
    for field in fields:
        yield field.hex() if isinstance(field, bytes) else str(field)


def digest(content: bytes | bytearray | memoryview) -> bytes:
    """A short name for bytes that are too long for a line."""
    return hashlib.blake2b(content, digest_size=6).digest()
