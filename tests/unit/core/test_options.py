"""Config options: texts become typed values, and wrong ones are refused in Kafka's words."""

import pytest

from app.core.options import Kind, Option
from app.errors import InvalidConfig


def option(kind: Kind, **bounds: object) -> Option:
    return Option("x", kind, None, "A test.", **bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.INT, " 2147483647 ", 2**31 - 1),
        (Kind.LONG, "-9223372036854775808", -(2**63)),
        (Kind.DOUBLE, ".5", 0.5),
        (Kind.BOOLEAN, "TRUE", True),
        (Kind.STRING, " a b ", "a b"),
        (Kind.LIST, "a, b", ("a", "b")),
        (Kind.LIST, "", ()),
    ],
)
def test_a_text_becomes_a_value_of_its_kind(kind: Kind, text: str, value: object) -> None:
    assert option(kind).parse(text) == value


@pytest.mark.parametrize(
    ("one", "text", "message"),
    [
        (option(Kind.INT), "2147483648", "Not a number of type INT"),
        (option(Kind.LONG), "1.5", "Not a number of type LONG"),
        (option(Kind.DOUBLE), "nan", "Not a number of type DOUBLE"),
        (option(Kind.BOOLEAN), "1", "Expected value to be either true or false"),
        (option(Kind.STRING, allowed=("a", "b")), "A", "String must be one of: a, b"),
        (option(Kind.INT, minimum=1), "0", "Value must be at least 1"),
        (option(Kind.INT, maximum=9), "10", "Value must be no more than 9"),
        (option(Kind.INT, minimum=-1, gap=0), "0", "Value must not be 0"),
    ],
)
def test_a_wrong_text_is_refused_in_the_words_of_kafka(
    one: Option, text: str, message: str
) -> None:
    with pytest.raises(InvalidConfig) as caught:
        one.parse(text)
    assert str(caught.value) == f"Invalid value {text} for configuration x: {message}"


def test_a_list_names_the_item_that_is_wrong() -> None:
    with pytest.raises(InvalidConfig, match=r"^Invalid value c for configuration x: String must"):
        option(Kind.LIST, allowed=("a", "b")).parse("a,c")


def test_a_wrong_text_is_shown_only_so_far() -> None:
    with pytest.raises(InvalidConfig) as caught:
        option(Kind.INT).parse("y" * 1_000_000)
    assert len(str(caught.value)) < 200
