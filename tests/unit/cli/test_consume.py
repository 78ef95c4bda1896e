"""Twin of streambus/cli/consume.py."""

import json

import pytest
import typer

from streambus.cli import consume
from streambus.client.consumer import ConsumedRecord

RECORD = ConsumedRecord(
    "orders", 3, 42, 1_750_000_000_123, b"key", b"\xffvalue", (("a", b"1"), ("b", None))
)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", ("timestamp", -2)),
        ("end", ("timestamp", -1)),
        ("0", ("offset", 0)),
        ("123", ("offset", 123)),
        ("@1750000000000", ("timestamp", 1_750_000_000_000)),
        ("2025-06-15T15:06:40Z", ("timestamp", 1_750_000_000_000)),
        ("2025-06-15T17:06:40.5+02:00", ("timestamp", 1_750_000_000_500)),
    ],
)
def test_a_start_is_read_in_each_of_its_forms(text, start):
    assert consume._start_of(text) == start


@pytest.mark.parametrize("text", ["", "soon", "-5", "@", "2025-06-15T15:06:40", "12h"])
def test_a_start_that_means_nothing_is_refused_with_what_would(text, capsys):
    with pytest.raises(typer.Exit) as stopped:
        consume._start_of(text)
    assert stopped.value.exit_code == 2
    assert "--from" in capsys.readouterr().err


def test_a_time_without_a_zone_is_refused_with_one_that_is_taken(capsys):
    with pytest.raises(typer.Exit):
        consume._start_of("2025-06-15")
    advised = capsys.readouterr().err.split()[-1]
    assert consume._start_of(advised) == ("timestamp", 1_749_945_600_000)


def test_a_template_puts_bytes_where_its_fields_are():
    form = consume._formatter(r"{partition}:{offset}\t{key}={value} {headers} {timestamp}")
    assert form(RECORD) == b"3:42\tkey=\xffvalue a=1,b= 2025-06-15T15:06:40.123Z\n"


def test_a_template_of_an_unknown_field_is_refused(capsys):
    with pytest.raises(typer.Exit):
        consume._formatter("{offset} {colour}")
    assert "{colour}" in capsys.readouterr().err


def test_json_says_which_values_are_not_text():
    line = json.loads(consume._as_json(RECORD))
    assert line == {
        "topic": "orders",
        "partition": 3,
        "offset": 42,
        "timestamp": "2025-06-15T15:06:40.123Z",
        "timestamp_ms": 1_750_000_000_123,
        "key": "key",
        "value": {"base64": "/3ZhbHVl"},
        "headers": [["a", "1"], ["b", None]],
    }


def test_a_time_beyond_the_calendar_is_shown_as_its_number():
    assert consume._time_of(2**62) == str(2**62)
