"""Twin of streambus/cli/produce.py."""

import asyncio
import os

import pytest
import typer

from streambus.cli import produce
from streambus.client.producer import Record


async def lines_from(*chunks: bytes) -> list[bytes]:
    """What `lines_of` makes of a pipe into which these chunks are written one after another."""
    reading, writing = os.pipe()

    async def feed() -> None:
        for chunk in chunks:
            os.write(writing, chunk)
            await asyncio.sleep(0)
        os.close(writing)

    async def collect() -> list[bytes]:
        return [line async for lines in produce.lines_of(reading) for line in lines]

    try:
        collected, _ = await asyncio.gather(collect(), feed())
    finally:
        os.close(reading)
    return collected


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a\nb"], [b"a", b"b"]),
        ([b"a\r\nb\r\n"], [b"a", b"b"]),
        ([b"\n\na\n"], [b"", b"", b"a"]),
        ([b"long", b"er\nx", b"y", b"z\n"], [b"longer", b"xyz"]),
        ([], []),
    ],
)
async def test_lines_are_whole_however_the_bytes_come(chunks, lines):
    assert await lines_from(*chunks) == lines


async def test_a_file_is_read_as_a_pipe_is(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(b"a\n" + b"x" * 600_000 + b"\nz")
    with path.open("rb") as file:
        lines = [line async for some in produce.lines_of(file.fileno()) for line in some]
    assert lines == [b"a", b"x" * 600_000, b"z"]


def test_a_key_is_what_stands_before_the_first_separator():
    assert produce._record(b"k:v:w", b":", ()) == Record(b"v:w", b"k", ())
    assert produce._record(b"no key", b":", ()) == Record(b"no key", None, ())
    assert produce._record(b"k:v", None, ()) == Record(b"k:v", None, ())


def test_headers_are_names_and_values():
    assert produce._headers(["a=1", "b=x=y", "c="]) == (("a", b"1"), ("b", b"x=y"), ("c", b""))
    for wrong in ("a", "=1"):
        with pytest.raises(typer.Exit) as stopped:
            produce._headers([wrong])
        assert stopped.value.exit_code == 2
