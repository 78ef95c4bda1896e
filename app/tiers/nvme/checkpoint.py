"""Checkpoints: what the partitions were when a segment sealed, so that older ones need no fold.

Owns    the bytes of a checkpoint (docs/wal.md), the chain of a full one and its deltas.
Never   knows what a state means: it keeps what `PartitionLog` saved.
Trusts  that the states are those of exactly the blocks up to `block`, which were durable before.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from crc32c import crc32c

from app.errors import Corrupt
from app.model import PartitionKey, TopicId
from app.tiers.nvme import file_header
from app.tiers.nvme.segment import write_file
from app.world.ports import Files

FULL, DELTA = 0, 1
_KINDS = ("full", "delta")
PREFIX = "checkpoint-"

# topic id, partition, flags, bytes of the state | log start | bytes of the reason, padding
_ENTRY = struct.Struct("<16siIIIq")
_QUARANTINED, _DROPPED = 1, 2


@dataclass(slots=True)
class Entry:
    """One partition. `saved` is None where it was dropped; `start` is the log start that the index
    goes by; `quarantined` says why nothing of it is served."""

    saved: bytes | None
    start: int = 0
    quarantined: str = ""


@dataclass(slots=True)
class Checkpoint:
    sequence: int
    """The segment at whose seal it was taken."""
    block: int
    """The last block of that segment: the entries hold everything up to it."""
    append_ms: int
    entries: dict[PartitionKey, Entry] = field(default_factory=dict)
    previous: int = 0
    """The checkpoint that a delta adds to; 0 for a full one."""
    deltas: int = 0
    """How many deltas this is away from a full one."""


def name_of(sequence: int, kind: int) -> str:
    return f"{PREFIX}{sequence:016x}-{_KINDS[kind]}"


def parse_name(name: str) -> tuple[int, int] | None:
    """(sequence, kind) of a checkpoint's name, None for any other."""
    digits, _, kind = name.removeprefix(PREFIX).partition("-")
    if not name.startswith(PREFIX) or len(digits) != 16 or kind not in _KINDS:
        return None
    try:
        return int(digits, 16), _KINDS.index(kind)
    except ValueError:
        return None


def write(files: Files, directory: str, checkpoint: Checkpoint, kind: int) -> None:
    """Durably, under its name. On the `roll` lane."""
    body = b"".join(_pack(sorted(checkpoint.entries.items())))
    header = file_header.pack(
        file_header.CHECKPOINT,
        kind=kind,
        sequence=checkpoint.sequence,
        count=len(checkpoint.entries),
        a=checkpoint.block,
        b=checkpoint.previous if kind == DELTA else 0,
        c=checkpoint.append_ms,
        body_crc=crc32c(body),
    )
    write_file(files, directory, name_of(checkpoint.sequence, kind), [header, body])


def _pack(entries: Iterable[tuple[PartitionKey, Entry]]) -> Iterable[bytes]:
    for key, entry in entries:
        reason = entry.quarantined.encode()
        saved = entry.saved or b""
        flags = (_QUARANTINED if reason else 0) | (_DROPPED if entry.saved is None else 0)
        yield _ENTRY.pack(key.topic_id, key.partition, flags, len(saved), len(reason), entry.start)
        yield saved
        yield reason


def load(files: Files, directory: str, sequence: int, kind: int) -> Checkpoint | None:
    """One file, None if it is missing or damaged."""
    path = f"{directory}/{name_of(sequence, kind)}"
    try:
        file = files.open(path, writable=False)
    except FileNotFoundError:
        return None
    try:
        raw = file.read(0, file.size())
    finally:
        file.close()
    header = file_header.parse(raw, file_header.CHECKPOINT, path)
    body = memoryview(raw)[file_header.HEADER_BYTES :]
    if header is None or header.sequence != sequence or header.kind != kind:
        return None
    if crc32c(body) != header.body_crc:
        return None
    checkpoint = Checkpoint(sequence, header.a, header.c, previous=header.b)
    at = 0
    for _ in range(header.entries):
        topic_id, partition, flags, saved_bytes, reason_bytes, start = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        saved = None if flags & _DROPPED else bytes(body[at : at + saved_bytes])
        at += saved_bytes
        reason = bytes(body[at : at + reason_bytes]).decode()
        at += reason_bytes
        checkpoint.entries[PartitionKey(TopicId(topic_id), partition)] = Entry(saved, start, reason)
    assert at == len(body), f"{path}: {len(body) - at} bytes after the last entry"
    return checkpoint


def load_chain(files: Files, directory: str, sequence: int) -> Checkpoint | None:
    """The state at checkpoint `sequence`: its full one with all deltas up to it laid over.

    None if any link is missing or damaged."""
    deltas = []
    while (full := load(files, directory, sequence, FULL)) is None:
        delta = load(files, directory, sequence, DELTA)
        if delta is None:
            return None
        deltas.append(delta)
        sequence = delta.previous
    for count, delta in enumerate(reversed(deltas), start=1):
        full.sequence, full.block = delta.sequence, delta.block
        full.append_ms, full.deltas = delta.append_ms, count
        for key, entry in delta.entries.items():
            if entry.saved is None:
                full.entries.pop(key, None)
            else:
                full.entries[key] = entry
    return full


def newest(files: Files, directory: str) -> tuple[Checkpoint | None, list[str]]:
    """The newest state that can be read, and what had to be passed over for it."""
    passed: list[str] = []
    sequences = {found[0] for name in files.list(directory) if (found := parse_name(name))}
    for sequence in sorted(sequences, reverse=True):
        chain = load_chain(files, directory, sequence)
        if chain is not None:
            return chain, passed
        passed.append(f"{directory}/{PREFIX}{sequence:016x}: unreadable, an older one is used")
    return None, passed


def add(files: Files, directory: str, taken: Checkpoint, deltas_max: int) -> int:
    """Write what was taken at a seal, which adds to `taken.previous` (0: to nothing): as the delta
    that `taken.deltas` counts, or as a full one where that makes the chain too long. Gives how many
    deltas the chain has then. Chains before the last two are removed. On the `roll` lane."""
    if taken.previous and taken.deltas < deltas_max:
        write(files, directory, taken, DELTA)
        return taken.deltas
    full = load_chain(files, directory, taken.previous) if taken.previous else Checkpoint(0, 0, 0)
    if full is None:
        raise Corrupt(
            f"{directory}/{PREFIX}{taken.previous:016x}: no longer readable, so nothing can be "
            "added to it: the log is kept from there on, and a restart folds it again"
        )
    full.sequence, full.block, full.append_ms = taken.sequence, taken.block, taken.append_ms
    for key, entry in taken.entries.items():
        if entry.saved is None:
            full.entries.pop(key, None)
        else:
            full.entries[key] = entry
    write(files, directory, full, FULL)
    _prune(files, directory)
    return 0


def _prune(files: Files, directory: str) -> None:
    """Keep the newest full checkpoint and the chain before it: that one is for when it is
    damaged."""
    found = [(parsed, name) for name in files.list(directory) if (parsed := parse_name(name))]
    fulls = sorted(sequence for (sequence, kind), _ in found if kind == FULL)
    if len(fulls) < 2:
        return
    for (sequence, _), name in found:
        if sequence < fulls[-2]:
            files.unlink(f"{directory}/{name}")
