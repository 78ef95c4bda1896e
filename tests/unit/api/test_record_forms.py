"""The one rule for keys and values, both ways."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.admin.commands.records import ReadRecord
from app.api import record_forms
from app.api.problems import Refused

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def stored(text: bytes) -> bytes | None:
    return record_forms.stored("value", msgspec.Raw(text))


@given(st.none() | st.binary())
def test_what_is_shown_can_be_sent_again_and_is_the_same_bytes(value: bytes | None) -> None:
    for as_base64 in (False, True):
        shown = record_forms.shown(value, as_base64=as_base64)
        assert stored(json.dumps(shown).encode()) == value


@given(JSON_VALUES)
def test_other_json_is_stored_as_it_was_written(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return  # no JSON text: a lone surrogate
    if isinstance(value, dict) and "base64" in value:
        return
    if value is None:
        assert stored(encoded) is None
    elif isinstance(value, str):
        assert stored(encoded) == value.encode()
    else:
        assert stored(b" " + encoded + b"\n") == encoded


@pytest.mark.parametrize(
    "text", [b'{"base64":7}', b'{"base64":"*"}', b'{"base64":"AA"}', b'{"base64":"","x":1}']
)
def test_base64_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(Refused) as refused:
        stored(text)
    assert refused.value.status_code == 422 and "value" in refused.value.detail


def test_an_object_that_only_mentions_base64_is_stored_as_it_is() -> None:
    assert stored(b'{"a":"base64","base64":"x"}') == b'{"a":"base64","base64":"x"}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"records":[]}', 422),
        (b'{"records":[{"valu":1}]}', 422),
        (b'{"records":[{"partition":-1}]}', 422),
        (b'{"records":[{"partition":2147483648}]}', 422),
        (b'{"records":[{"timestamp_ms":-1}]}', 422),
        (b'{"records":[{"value":' + b"[" * 5_000 + b"]" * 5_000 + b"}]}", 400),
        (b'{"records":[{"value":"\xff"}]}', 400),
        (b'{"records":[{"value":01}]}', 400),
    ],
)
def test_bodies_that_are_wrong_are_refused(body: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        record_forms.records_of_json(body)
    assert refused.value.status_code == status


def test_lines_are_values_and_empty_ones_are_none() -> None:
    values = record_forms.records_of_lines(b'"a"\n\n {"b": 1} \r\nnull\n7')
    assert values == [b"a", b'{"b": 1}', None, b"7"]


@pytest.mark.parametrize("body", [b"", b"\n\n", b"{", b"1 2", b'"\xff"', b"nul"])
def test_lines_that_are_wrong_are_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        record_forms.records_of_lines(body)


def test_a_record_is_one_line_whatever_is_in_it() -> None:
    record = ReadRecord(1, 2, b"a\nb", "é\r\n\u2028".encode(), (("h", None), ("h", b"\xff")))
    (line,) = record_forms.shown_lines([record], as_base64=False).rstrip(b"\n").split(b"\n")
    assert json.loads(line) == {
        "offset": 1,
        "timestamp_ms": 2,
        "key": "a\nb",
        "value": "é\r\n\u2028",
        "headers": [{"name": "h", "value": None}, {"name": "h", "value": {"base64": "/w=="}}],
    }
