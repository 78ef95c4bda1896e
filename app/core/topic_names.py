"""Which topic names exist, by Kafka's rules (`org.apache.kafka.common.internals.Topic`).

Owns    the character set, the length, the two forbidden names and the '.' / '_' collision.
Never   knows which topics exist: the manifest asks for the collision key and compares.
Trusts  that names come as text that was decoded from UTF-8 already.
"""

import re
from collections.abc import Iterator

from app.errors import InvalidTopic
from app.limits import TOPIC_NAME_BYTES_MAX

_LEGAL = re.compile(r"[a-zA-Z0-9._-]+\Z", re.ASCII)

INTERNAL = frozenset({"__consumer_offsets", "__share_group_state", "__transaction_state"})
"""Topics that the broker itself writes; clients see the `is_internal` flag."""


def check(name: str) -> None:
    """Raise InvalidTopic, saying which rule the name breaks."""
    if not name:
        raise InvalidTopic("Topic name is invalid: the empty string is not allowed")
    if name in {".", ".."}:
        raise InvalidTopic(f"Topic name is invalid: '{name}' is not allowed")
    if len(name) > TOPIC_NAME_BYTES_MAX:
        raise InvalidTopic(
            f"Topic name is invalid: the length of '{name[:32]}…' is {len(name)}, "
            f"more than {TOPIC_NAME_BYTES_MAX} characters"
        )
    if not _LEGAL.match(name):
        raise InvalidTopic(
            f"Topic name is invalid: '{name}' has a character other than "
            "ASCII letters, digits, '.', '_' and '-'"
        )


def collision_key(name: str) -> str:
    """Two different names with the same key collide.

    Kafka's metric names turn '.' into '_', so it refuses 'a.b' beside 'a_b'. We name no metric so,
    but a topic that Kafka would refuse could never be moved there.
    """
    return name.replace(".", "_")


PREFIX_END = ".*"
"""How a prefix of topic names ends, which no name can: `app.service.*` is every topic whose name
begins with `app.service.`."""


def is_prefix(name: str) -> bool:
    return name.endswith(PREFIX_END)


def check_prefix(prefix: str) -> None:
    """Raise InvalidTopic, saying which rule the prefix breaks."""
    stem = prefix.removesuffix(PREFIX_END)
    if stem == prefix or not all(stem.split(".")):
        raise InvalidTopic(
            f"Topic prefix is invalid: '{prefix[:64]}' is not one or more segments of a name "
            "between dots and then '.*', for example 'app.service.*'"
        )
    check(stem)
    if len(prefix) > TOPIC_NAME_BYTES_MAX:
        raise InvalidTopic(
            f"Topic prefix is invalid: '{prefix[:32]}…' has {len(prefix)} characters, and no name "
            f"of {TOPIC_NAME_BYTES_MAX} can be under it"
        )


def prefixes(name: str) -> Iterator[str]:
    """The prefixes that a topic, or a longer prefix, of that name is under, the longest first."""
    end = len(name) - len(PREFIX_END) if is_prefix(name) else len(name)
    while (end := name.rfind(".", 0, end)) > 0:
        yield f"{name[:end]}{PREFIX_END}"
