"""Twin of app/config/reading.py: the three languages as trees."""

import pytest

from app.config import reading
from app.errors import InvalidConfig
from app.limits import CONFIG_FILE_BYTES_MAX, CONFIG_FILE_VALUES_MAX


def parse(text: str, suffix: str) -> reading.Tree:
    return reading.parse(text.encode(), suffix, f"broker{suffix}")


SAME = {
    ".yaml": "a:\n  b: 1\nc: [{d: x}]\n",
    ".toml": 'c = [{d = "x"}]\n[a]\nb = 1\n',
    ".json": '{"a": {"b": 1},\n "c": [{"d": "x"}]}',
}


@pytest.mark.parametrize("suffix", SAME)
def test_the_three_languages_give_the_same_tree(suffix: str) -> None:
    assert parse(SAME[suffix], suffix).values == {"a": {"b": 1}, "c": [{"d": "x"}]}


@pytest.mark.parametrize(
    ("suffix", "path", "where"),
    [
        (".yaml", "a.b", "broker.yaml line 2"),
        (".yaml", "c[0].d", "broker.yaml line 3"),
        (".yaml", "c[0].e.f", "broker.yaml line 3"),
        (".yaml", "x", "broker.yaml"),
        (".toml", "a.b", "broker.toml line 3"),
        (".toml", "c", "broker.toml line 1"),
        (".json", "a.b", "broker.json line 1"),
        (".json", "c", "broker.json line 2"),
    ],
)
def test_a_path_is_found_in_the_file(suffix: str, path: str, where: str) -> None:
    assert parse(SAME[suffix], suffix).where(path) == where


def test_a_key_that_stands_in_several_places_has_the_line_of_what_is_above_it() -> None:
    text = '{"a": {"address": 1},\n "b": {\n  "address": 2}}'
    assert parse(text, ".json").where("b.address") == "broker.json line 2"


@pytest.mark.parametrize(
    ("text", "suffix", "complaint"),
    [
        ("a: 1\nb: 2\na: 3", ".yaml", "broker.yaml line 3: a: stands there twice: keep one of "
         "them"),
        ("x: {a: 1, a: 2}", ".yaml", "broker.yaml line 1: x.a: stands there twice: keep one of "
         "them"),
        ('{"a": 1, "a": 2}', ".json", "broker.json: a: stands there twice: keep one of them"),
    ],
)  # fmt: skip
def test_a_key_that_stands_twice_is_a_problem(text: str, suffix: str, complaint: str) -> None:
    assert [str(problem) for problem in parse(text, suffix).problems] == [complaint]


@pytest.mark.parametrize(
    ("text", "suffix", "complaint"),
    [
        ("a: [", ".yaml", "broker.yaml line 2: is not YAML: "),
        ("a: 1\n---\nb: 1", ".yaml", "broker.yaml line 2: is not YAML: "),
        ("a: &x [*x]", ".yaml", "broker.yaml: is nested too deeply, or in itself"),
        ("a: !!python/name:os.system x", ".yaml", "broker.yaml line 1: is not YAML: could not "),
        ("? [a]\n: b", ".yaml", "broker.yaml line 1: a name is one word"),
        ("[1]", ".yaml", "broker.yaml: holds no settings: it must be one object"),
        ("text", ".yaml", "broker.yaml: holds no settings"),
        ("a = 1\na = 2", ".toml", "broker.toml: is not TOML: "),
        ("a = ", ".toml", "broker.toml: is not TOML: "),
        ("{", ".json", "broker.json line 1: is not JSON: "),
        ('{"a": NaN}', ".json", "broker.json: JSON has no NaN"),
        ("[" * 100_000, ".json", "broker.json: is nested too deeply"),
        ("[" * 5_000, ".yaml", "broker.yaml"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(
    text: str, suffix: str, complaint: str
) -> None:
    with pytest.raises(InvalidConfig) as refused:
        parse(text, suffix)
    assert str(refused.value).startswith(complaint)


def test_aliases_and_merges_of_yaml_are_understood() -> None:
    text = "x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}\n"
    tree = parse(text, ".yaml")
    assert tree.values == {"x": {"a": 1, "b": 2}, "y": {"a": 3, "b": 2}}
    assert not tree.problems


def test_aliases_cannot_stand_for_more_than_the_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]" for n in range(9)]
    with pytest.raises(InvalidConfig, match=f"more than {CONFIG_FILE_VALUES_MAX} values"):
        parse("\n".join(lines), ".yaml")


def test_a_file_has_a_bounded_size_and_is_utf_8() -> None:
    with pytest.raises(InvalidConfig, match="has more than"):
        parse("#" * (CONFIG_FILE_BYTES_MAX + 1), ".yaml")
    with pytest.raises(InvalidConfig, match="is not UTF-8 at byte 3"):
        reading.parse(b"a: \xff", ".yaml", "broker.yaml")
    assert reading.parse(b"\xef\xbb\xbfa: 1", ".yaml", "broker.yaml").values == {"a": 1}
