"""Topic names, by Kafka's rules."""

import pytest

from app.core import topic_names
from app.errors import InvalidTopic


@pytest.mark.parametrize("name", ["a", "A-b_c.9", "...", "-", "x" * 249, "__consumer_offsets"])
def test_a_legal_name_is_taken(name: str) -> None:
    topic_names.check(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        (".", "not allowed"),
        ("..", "not allowed"),
        ("x" * 250, "249"),
        ("no/slash", "character"),
        ("ü", "character"),
        ("٣", "character"),
        ("a b", "character"),
        ("line\n", "character"),
        ("nul\0", "character"),
    ],
)
def test_an_illegal_name_is_refused_with_the_rule_that_it_breaks(name: str, why: str) -> None:
    with pytest.raises(InvalidTopic, match=why) as caught:
        topic_names.check(name)
    assert caught.value.code == 17


def test_names_that_differ_in_dots_and_underscores_alone_collide() -> None:
    assert topic_names.collision_key("a.b_c") == topic_names.collision_key("a_b.c")
    assert topic_names.collision_key("ab") != topic_names.collision_key("a.b")


@pytest.mark.parametrize(
    "prefix", ["app.*", "app.service.*", "a_b-c.*", "a.b.c.d.*", "x" * 247 + ".*"]
)
def test_a_prefix_is_whole_segments_and_a_star(prefix: str) -> None:
    topic_names.check_prefix(prefix)
    assert topic_names.is_prefix(prefix)
    with pytest.raises(InvalidTopic):
        topic_names.check(prefix)


@pytest.mark.parametrize(
    "prefix",
    ["", "*", ".*", "app", "app.", "app*", "app..*", ".app.*", "a/b.*", "..*", "x" * 248 + ".*"],
)
def test_what_is_not_whole_segments_or_too_long_for_a_name_is_no_prefix(prefix: str) -> None:
    with pytest.raises(InvalidTopic):
        topic_names.check_prefix(prefix)


@pytest.mark.parametrize(
    ("name", "prefixes"),
    [
        ("app", []),
        ("app.service.event", ["app.service.*", "app.*"]),
        ("app.service.*", ["app.*"]),
        ("app.*", []),
        ("a..b", ["a..*", "a.*"]),
        (".a", []),
        ("a.", ["a.*"]),
    ],
)
def test_a_name_is_under_each_prefix_that_it_begins_with(name: str, prefixes: list[str]) -> None:
    assert list(topic_names.prefixes(name)) == prefixes
