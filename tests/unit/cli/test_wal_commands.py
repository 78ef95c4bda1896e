"""Twin of app/cli/wal.py: the log of a directory from a person's side."""

import base64
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streambus.cli import main
from tests.unit.tiers.nvme.arrange import A, B, Scribe, records

ID_OF_A = base64.urlsafe_b64encode(A.topic_id).decode().rstrip("=")


def run(*words: str) -> Result:
    return CliRunner().invoke(main.build(), ["wal", *words])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two blocks: batches of A and B, then of A."""
    scribe = Scribe().begin()
    scribe.write((A, records()), (B, records()), epoch=5)
    scribe.write((A, records()), epoch=5)
    (tmp_path / "wal").mkdir()
    for name, content in scribe.files.names.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_inspect_lists_segments(directory: Path) -> None:
    shown = run("inspect", str(directory))
    assert shown.exit_code == 0
    assert re.search(r"^ *0{15}1\.segment +open +2 +1 +2 +3 ", shown.stdout, re.M)
    found = json.loads(run("inspect", str(directory), "--json").stdout)
    (one,) = found["segments"]
    assert (one["state"], one["blocks"], one["frames"], one["last_block"]) == ("open", 2, 3, 2)


@pytest.mark.parametrize("segment", ["1", "0x1", "0000000000000001", "0000000000000001.segment"])
def test_inspect_lists_the_blocks_of_a_segment(directory: Path, segment: str) -> None:
    shown = run("inspect", str(directory), "--segment", segment, "--json")
    blocks = json.loads(shown.stdout)["blocks"]
    assert [(one["block"], len(one["frames"])) for one in blocks] == [(1, 2), (2, 1)]
    shown = run("inspect", str(directory), "--segment", segment)
    assert re.search(r"^ *1 +4096 +\d+ +\d+ +2 *$", shown.stdout, re.M)


@pytest.mark.parametrize("topic", [ID_OF_A, A.topic_id.hex()])
def test_inspect_lists_the_frames_of_a_partition(directory: Path, topic: str) -> None:
    shown = run("inspect", str(directory), "--partition", f"{topic}/0")
    rows = [line.split() for line in shown.stdout.splitlines() if line.split()[0] == "0x1"]
    assert [row[3:7] for row in rows] == [["batches", "0", "1", "5"], ["batches", "1", "2", "5"]]
    shown = run("inspect", str(directory), "--partition", f"{topic}/0", "--json")
    blocks = json.loads(shown.stdout)["blocks"]
    assert [one["frames"][0]["base_offset"] for one in blocks] == [0, 1]
    assert blocks[0]["frames"][0]["topic_id"] == ID_OF_A


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--segment", "x"], 2, "--segment x: give its number"),
        (["--segment", "9"], 3, "no block of segment 9 is there"),
        (["--partition", "x/0"], 2, "--partition x/0: give the topic's id"),
        (["--partition", f"{ID_OF_A}/x"], 2, "give the topic's id"),
        (["--partition", ID_OF_A], 2, "give the topic's id"),
    ],
)
def test_what_is_not_there_is_said(
    directory: Path, words: list[str], code: int, message: str
) -> None:
    refused = run("inspect", str(directory), *words)
    assert refused.exit_code == code and message in refused.stderr


def test_verify_counts_what_is_whole(directory: Path) -> None:
    whole = run("verify", str(directory))
    assert whole.exit_code == 0
    assert whole.stdout.endswith(
        "1 segments, 2 blocks, 3 frames (234 B) of 2 partitions, 0 checkpoints: nothing is "
        "damaged\n"
    )


def test_verify_fails_where_something_is_damaged(directory: Path) -> None:
    segment = directory / "wal/0000000000000001.segment"
    content = bytearray(segment.read_bytes())
    content[4096 + 64 + 2 * 104 + 30] ^= (
        1  # in the first frame; the second block says it was synced
    )
    segment.write_bytes(content)
    before = {path: path.read_bytes() for path in directory.rglob("*.*")}
    damaged = run("verify", str(directory))
    assert damaged.exit_code == 1
    assert damaged.stdout.startswith(f"damaged: {segment} at ")
    assert damaged.stdout.endswith("1 damaged\n")
    found = run("verify", str(directory), "--json")
    assert found.exit_code == 1 and len(json.loads(found.stdout)["damaged"]) == 1
    assert {path: path.read_bytes() for path in directory.rglob("*.*")} == before


def test_a_directory_without_a_log_is_refused(tmp_path: Path) -> None:
    for command in ("inspect", "verify"):
        refused = run(command, str(tmp_path))
        assert refused.exit_code == 3 and "there is no log in" in refused.stderr
