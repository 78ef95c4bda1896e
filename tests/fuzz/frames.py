"""Mutated frames of every API: whatever comes, nothing but Malformed may come out.

    python -m tests.fuzz.frames N SEED

Starts from the golden frames. An input that breaks the rule is printed as hex with its API: put it
into `test_frames.py` as a case of its own before mending the code.
"""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

from streambus.errors import Malformed
from streambus.protocol import api, frames
from streambus.protocol.messages import control, fetch, list_offsets, produce
from tests.golden.test_messages import GOLDEN

HAND_CODED = {api.PRODUCE: produce, api.FETCH: fetch, api.LIST_OFFSETS: list_offsets}
# Values that lengths and counts are most easily wrong at, in each encoding.
NASTY = [
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\xff\xff\xff\xfe",
    b"\x00\x00\x00\x00",
    b"\x00\x03\x0d\x40",
    b"\xff\xff",
    b"\x7f\xff",
    b"\x80\x00",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\x07",
    b"\xff\xff\xff\xff\xff\x01",
    b"\x80\x80\x80\x80\x80\x80",
    b"\x00",
    b"\x01",
    b"\x7f",
    b"\x80\x01",
    b"\xff",
]


@dataclass(frozen=True)
class Seed:
    name: str
    key: int
    version: int
    is_request: bool
    frame: bytes


SEEDS = [
    Seed(entry.id, entry.key, entry.version, entry.is_request, entry.frame[4:]) for entry in GOLDEN
]


def mutated(frame: bytes, rng: random.Random) -> bytes:
    data = bytearray(frame)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                data[at : at + 1] = bytes((rng.randrange(256),))
            case 1:
                nasty = rng.choice(NASTY)
                data[at : at + len(nasty)] = nasty
            case 2:
                data[at:at] = rng.choice(NASTY)
            case 3:
                del data[at : at + rng.choice((1, 2, 4, 16))]
            case 4:
                del data[at:]
            case _:
                data[at:at] = data[at : at + rng.randrange(1, 40)]
    return bytes(data)


def read_request(frame: bytes) -> None:
    """What a broker does with a frame. The view is longer than the frame, as a buffer's is."""
    view = memoryview(frame + b"\xff" * 64)
    header = frames.read_request_header(view, 0, len(frame))
    if not api.is_served(header.api_key, header.api_version):
        return
    hand_coded = HAND_CODED.get(header.api_key)
    if hand_coded is None:
        control.decode(header.api_key, header.api_version, view, header.body, len(frame))
        return
    decoded = hand_coded.decode_request(view, header.body, len(frame), header.api_version)
    if header.api_key == api.PRODUCE:
        for _, _, partitions in decoded[3]:
            for _, start, end in partitions:
                assert (start, end) == (-1, -1) or header.body <= start <= end <= len(frame)


def read_response(seed: Seed, frame: bytes) -> None:
    """What a client does with a frame."""
    view = memoryview(frame)
    flexible = frames.has_flexible_response_header(seed.key, seed.version)
    _, body = frames.read_response_header(view, 0, len(view), flexible=flexible)
    hand_coded = HAND_CODED.get(seed.key)
    if hand_coded is None:
        control.decode_response(seed.key, seed.version, view, body)
    else:
        hand_coded.decode_response(view, body, len(view), seed.version)


def attempt(seed: Seed, frame: bytes) -> bool:
    """Whether the frame was understood; anything but Malformed is raised on."""
    try:
        if seed.is_request:
            read_request(frame)
        else:
            read_response(seed, frame)
    except Malformed:
        return False
    return True


def fuzz(count: int, seed: int, report: Callable[[str], object] = lambda text: None) -> int:
    """Tries `count` frames; returns how many were understood in spite of all."""
    rng = random.Random(seed)
    understood = 0
    for _ in range(count):
        start = rng.choice(SEEDS)
        frame = mutated(start.frame, rng)
        try:
            understood += attempt(start, frame)
        except BaseException:
            report(f"{start.name}: {frame.hex()}")
            raise
    return understood


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    understood = fuzz(count, seed, report=print)
    print(f"{count} frames from seed {seed}: {understood} understood, the rest Malformed")


if __name__ == "__main__":
    main()
