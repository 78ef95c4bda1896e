"""Topics of a subscription, against an encoder that we did not write."""

from importlib import import_module
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kio.serial import entity_writer

from app.core.groups.subscription import topics


def encoded(version: int, *names: str) -> bytes:
    """With everything that later versions say: what is owned (KIP-429), as of when (KIP-792)."""
    data = import_module(f"kio.schema.consumer_protocol_subscription.v{version}.data")
    given: dict[str, Any] = {"topics": names, "user_data": b"anything"}
    if version >= 1:
        given["owned_partitions"] = (data.TopicPartition(topic="owned", partitions=(1, 2)),)
    if version >= 2:
        given["generation_id"] = 7
    body = BytesIO()
    entity = data.ConsumerProtocolSubscription(**given)
    entity_writer(type(entity))(body, entity)
    return version.to_bytes(2, "big") + body.getvalue()


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_the_topics_of_every_version_are_found(version: int) -> None:
    assert topics(encoded(version, "orders", "bills")) == {"orders", "bills"}


def test_versions_to_come_begin_with_their_topics_too() -> None:
    assert topics(b"\x00\x09" + encoded(3, "orders")[2:] + b"more") == {"orders"}


@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"\x00",
        b"\x00\x00",
        b"\xff\xff\x00\x00\x00\x00",
        b"\x00\x00\x7f\xff\xff\xff",
        b"\x00\x00\x00\x00\x00\x01\x00\x02\xff\xfe",
        encoded(0, "orders")[:9],
    ],
)
def test_what_is_no_subscription_is_not_known(metadata: bytes) -> None:
    assert topics(metadata) is None


@given(st.binary(max_size=60))
def test_bytes_of_anybody_are_read_without_harm(metadata: bytes) -> None:
    found = topics(metadata)
    assert found is None or all(isinstance(each, str) for each in found)


@given(st.integers(0, 3), st.lists(st.text(max_size=20), max_size=5))
def test_every_topic_is_found(version: int, names: list[str]) -> None:
    assert topics(encoded(version, *names)) == set(names)
