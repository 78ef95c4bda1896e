"""Topic names, by Kafka's rules."""

import pytest

from app.core import topic_names
from app.errors import InvalidTopic


@pytest.mark.parametrize("name", ["a", "A-b_c.9", "...", "-", "x" * 249, "__consumer_offsets"])
def test_a_legal_name_is_taken(name: str) -> None:
    topic_names.check(name)
    assert topic_names.is_valid(name)


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
    assert not topic_names.is_valid(name)


def test_names_that_differ_in_dots_and_underscores_alone_collide() -> None:
    assert topic_names.collision_key("a.b_c") == topic_names.collision_key("a_b.c")
    assert topic_names.collision_key("ab") != topic_names.collision_key("a.b")
