"""One small file of each kind that the WAL persists, made from fixed values.

    python -m tests.golden.wal_samples > tests/golden/wal_format.json

Write the golden file anew only together with a new format version: disks out there have these
bytes.
"""

import json

from app.tiers.nvme import checkpoint, sidecar
from app.tiers.nvme.block import FrameKind
from app.tiers.nvme.checkpoint import Checkpoint, Entry
from tests.unit.tiers.nvme.arrange import DIRECTORY, A, B, C, Scribe, recover


def batch(n: int) -> bytes:
    """A batch that no later change of the record codec can change."""
    return bytes.fromhex(
        "0000000000000000" "0000003b" "ffffffff" "02" "00000000" "0000" "00000000"
        "00000000000003e8" "00000000000003e8" "ffffffffffffffff" "ffff" "ffffffff" "00000001"
        f"1400000001{n:02x}000000000000"
    )[:71]  # fmt: skip


def files() -> dict[str, bytes]:
    scribe = Scribe().begin()
    scribe.write((A, batch(1)), (B, batch(2)), (A, batch(3)), epoch=5)
    scribe.write((B, (FrameKind.TRUNCATED, 0)), (C, (FrameKind.START_MOVED, 7)), epoch=6)
    scribe.write()
    outcome, _ = recover(scribe.files.copy())
    segment = outcome.segments[0]
    sidecar.write(scribe.files, DIRECTORY, segment, segment.live_extents(), {C})
    full = {A: Entry(b"state of A", 0), C: Entry(b"", 7, "damaged")}
    checkpoint.write(scribe.files, DIRECTORY, Checkpoint(1, 3, 1_005, full), checkpoint.FULL)
    delta = Checkpoint(2, 9, 2_000, {A: Entry(b"later", 1), B: Entry(None)}, previous=1)
    checkpoint.write(scribe.files, DIRECTORY, delta, checkpoint.DELTA)
    return {
        name.removeprefix(f"{DIRECTORY}/"): bytes(content)
        for name, content in scribe.files.names.items()
    }


if __name__ == "__main__":
    print(json.dumps({name: content.hex() for name, content in files().items()}, indent=1))
