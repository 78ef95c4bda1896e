"""Metadata answers, kept encoded while nothing that they show has changed.

Owns    the kept frames, valid for one image and one set of verdicts, and their bounds.
Never   encodes an answer: the metadata handler does, and asks here first.
Trusts  that an image is replaced, never changed, when anything in it changes.
"""

import asyncio
from collections.abc import Hashable
from struct import Struct

from app import limits
from app.core.manifest.image import Image

_CORRELATION = Struct(">i").pack
_LENGTH_BYTES, _HEAD_BYTES = 4, 8


class MetadataCache:
    """Frames by whatever makes one differ from another; the least recently used go first."""

    def __init__(
        self,
        answers_max: int = limits.METADATA_ANSWERS_KEPT,
        bytes_max: int = limits.METADATA_ANSWERS_BYTES_MAX,
    ) -> None:
        self._answers_max = answers_max
        self._bytes_max = bytes_max
        self._image: Image | None = None
        self._verdicts = -1
        self._frames: dict[Hashable, bytes] = {}
        self.bytes = 0
        self.hits = 0
        self.making: dict[Hashable, asyncio.Event] = {}
        """Large answers that somebody makes right now: whoever wants the same waits."""

    def find(self, key: Hashable, correlation_id: int, image: Image, verdicts: int) -> bytes | None:
        """The whole frame with this correlation id, if it is kept and still true."""
        if image is not self._image or verdicts != self._verdicts:
            self._frames.clear()
            self.bytes = 0
            self._image, self._verdicts = image, verdicts
            return None
        frame = self._frames.pop(key, None)
        if frame is None:
            return None
        self._frames[key] = frame
        self.hits += 1
        return frame[:_LENGTH_BYTES] + _CORRELATION(correlation_id) + frame[_HEAD_BYTES:]

    def keep(self, key: Hashable, frame: bytes, image: Image, verdicts: int) -> None:
        """Nothing happens if the image moved on while the answer was made, or it is too large."""
        if image is not self._image or verdicts != self._verdicts or len(frame) > self._bytes_max:
            return
        if key not in self._frames:
            self._frames[key] = frame
            self.bytes += len(frame)
        while len(self._frames) > self._answers_max or self.bytes > self._bytes_max:
            self.bytes -= len(self._frames.pop(next(iter(self._frames))))
