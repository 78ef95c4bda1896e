"""`streambus wal`: the log of a directory, read without a broker. Nothing here writes."""

import base64
import binascii
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from streambus.cli import console, tables

if TYPE_CHECKING:
    from app.model import PartitionKey
    from app.offline import BlockSeen, FrameSeen, Verdict
    from app.world.ports import Files

commands = typer.Typer(
    help="The write-ahead log of a directory, read without a broker.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Directory = Annotated[
    str, typer.Argument(help="A broker's data directory, or its wal/.", metavar="DIR")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of tables.")]


@commands.command()
def inspect(
    directory: Directory,
    segment: Annotated[
        str | None,
        typer.Option("--segment", help="The blocks of this one: 31, 0x1f, or its file's name."),
    ] = None,
    partition: Annotated[
        str | None,
        typer.Option(
            "--partition",
            help="The frames of this one: its topic's id, then its number.",
            metavar="TOPIC-ID/NUMBER",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List segments, the blocks of one, or the frames of a partition. A broker may be running."""
    sequence = None if segment is None else _sequence(segment)
    key = None if partition is None else _key(partition)
    with options.ending_well():
        from app import offline
        from app.world.files import DiskFiles

        files = DiskFiles()
        log = _log_of(files, directory)
        if sequence is None and key is None:
            _show_segments(log, offline.inspect_segments(files, log), as_json=as_json)
            return
        found = list(offline.inspect_blocks(files, log, sequence, key))
    if sequence is not None and not found and key is None:
        console.fail(f"{log}: no block of segment {segment} is there", console.EXIT_NOT_FOUND)
    if as_json:
        blocks = [{"segment": at, **_block(block)} for at, block in found]
        console.show_json({"directory": log, "blocks": blocks})
    elif key is None:
        _show_blocks([block for _, block in found])
    else:
        _show_frames([frame for _, block in found for frame in block.frames])


def _log_of(files: "Files", directory: str) -> str:
    from app import offline

    try:
        return offline.wal_directory(files, directory)
    except offline.NoLog as missing:
        console.fail(str(missing), console.EXIT_NOT_FOUND)


def _sequence(text: str) -> int:
    """As a number, as hexadecimal, or as a segment file is named."""
    digits = text.removesuffix(".segment")
    try:
        return int(digits, 16 if len(digits) == 16 else 0)
    except ValueError:
        console.fail(
            f"--segment {text}: give its number (31 or 0x1f) or its file's name", console.EXIT_USAGE
        )


def _key(text: str) -> "PartitionKey":
    topic, slash, number = text.rpartition("/")
    try:
        raw = bytes.fromhex(topic) if len(topic) == 32 else base64.urlsafe_b64decode(topic + "==")
    except (binascii.Error, ValueError):
        raw = b""
    if not slash or len(raw) != 16 or not number.isdecimal():
        console.fail(
            f"--partition {text}: give the topic's id (`streambus topics describe` shows it) and a "
            "number, like lhMfBQx8SnWwhF2TnEbqTg/0",
            console.EXIT_USAGE,
        )
    with options.ending_well():
        from app.model import PartitionKey, TopicId

        return PartitionKey(TopicId(raw), int(number))


def _topic_id(key: "PartitionKey") -> str:
    return base64.urlsafe_b64encode(key.topic_id).decode().rstrip("=")


def _show_segments(log: str, segments: list[Any], *, as_json: bool) -> None:
    if as_json:
        console.show_json({"directory": log, "segments": [asdict(one) for one in segments]})
        return
    tables.show(
        ("file", "state", "blocks", "from", "to", "frames", "used", "size", "sidecar", "damage"),
        [
            (
                one.name,
                one.state,
                str(one.blocks or ""),
                str(one.first_block or ""),
                str(one.last_block or ""),
                str(one.frames or ""),
                tables.size(one.end) if one.blocks else "",
                tables.size(one.file_bytes),
                one.sidecar,
                one.damage,
            )
            for one in segments
        ],
        numbers=("blocks", "from", "to", "frames", "used", "size"),
    )


def _block(block: "BlockSeen") -> dict[str, Any]:
    return {
        "block": block.block,
        "position": block.position,
        "bytes": block.bytes,
        "synced_through": block.synced_through,
        "frames": [_frame(frame) for frame in block.frames],
    }


def _frame(frame: "FrameSeen") -> dict[str, Any]:
    return {
        "topic_id": _topic_id(frame.key),
        "partition": frame.key.partition,
        "kind": frame.kind,
        "base_offset": frame.base_offset,
        "end_offset": frame.end_offset,
        "leader_epoch": frame.leader_epoch,
        "append_ms": frame.append_ms,
        "batches": frame.batches,
        "position": frame.position,
        "bytes": frame.bytes,
        "is_whole": frame.is_whole,
    }


def _show_blocks(blocks: "list[BlockSeen]") -> None:
    tables.show(
        ("block", "position", "bytes", "synced through", "frames", "damaged"),
        [
            (
                str(one.block),
                str(one.position),
                str(one.bytes),
                str(one.synced_through),
                str(len(one.frames)),
                str(sum(not frame.is_whole for frame in one.frames) or ""),
            )
            for one in blocks
        ],
        numbers=("block", "position", "bytes", "synced through", "frames", "damaged"),
    )


def _show_frames(frames: "list[FrameSeen]") -> None:
    tables.show(
        (
            "segment",
            "block",
            "position",
            "kind",
            "from",
            "to",
            "epoch",
            "batches",
            "bytes",
            "appended",
            "",
        ),
        [
            (
                f"{one.segment:#x}",
                str(one.block),
                str(one.position),
                one.kind,
                str(one.base_offset),
                str(one.end_offset),
                str(one.leader_epoch),
                str(one.batches),
                str(one.bytes),
                _time(one.append_ms),
                "" if one.is_whole else "damaged",
            )
            for one in frames
        ],
        numbers=("block", "position", "from", "to", "epoch", "batches", "bytes"),
    )


def _time(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    except (ValueError, OverflowError, OSError):
        return str(ms)


@commands.command()
def verify(directory: Directory, as_json: Json = False) -> None:
    """Read everything and check every checksum, sidecar and checkpoint. Exit code 1 if anything
    that was acknowledged is damaged; a torn end is not damage."""
    with options.ending_well():
        from app import offline
        from app.world.files import DiskFiles

        files = DiskFiles()
        verdict = offline.verify(files, _log_of(files, directory))
    if as_json:
        console.show_json(asdict(verdict))
    else:
        _say(verdict)
    if verdict.damaged:
        raise typer.Exit(console.EXIT_FAILED)


def _say(verdict: "Verdict") -> None:
    if verdict.is_in_use:
        console.note(
            f"a broker uses {verdict.directory}: the end of the log moves while it is read, and "
            "what it holds in memory is not judged"
        )
    for kind, lines in (
        ("damaged", verdict.damaged),
        ("torn", verdict.torn),
        ("mendable", verdict.mendable),
    ):
        for line in lines:
            console.say(f"{kind}: {line}")
    console.say(
        f"{verdict.directory}: {verdict.segments} segments, {verdict.blocks} blocks, "
        f"{verdict.frames} frames ({tables.size(verdict.bytes)}) of {verdict.partitions} "
        f"partitions, {verdict.checkpoints} checkpoints: "
        + (f"{len(verdict.damaged)} damaged" if verdict.damaged else "nothing is damaged")
    )
