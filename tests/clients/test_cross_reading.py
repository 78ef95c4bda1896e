"""Every client reads what every other wrote, and sees the same records."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.clients import CLIENTS, Client
from tests.clients.conftest import Ask
from tests.clients.conversation import Conversation
from tests.clients.records import CODECS, ODD_HEADERS, RECORDS, Sent, as_json, digest

pytestmark = pytest.mark.clients

NewTopic = Callable[..., str]
# Of all records; a change of it is a change of what clients have agreed on.
GOLDEN = "3718ca43afea121cab2fe972fc562e0826aaa2bdf5f853140f976170fda1f8c2"
# A partition for each codec, then one for each record with odd headers.
ODD = len(CODECS)


def test_the_golden_digest_is_that_of_the_records() -> None:
    assert digest([as_json(each) for each in (*RECORDS, *ODD_HEADERS)]) == GOLDEN


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """Topics by the client that wrote them: each writes once, at its first reader."""
    return {}


def partitions_of(writer: Client) -> dict[int, tuple[str, tuple[Sent, ...]]]:
    """What a client writes where: partition to codec and records."""
    plain: dict[int, tuple[str, tuple[Sent, ...]]] = {
        at: (codec, RECORDS)
        for at, codec in enumerate(CODECS)
        if not any(lack.startswith(f"no {codec} ") for lack in writer.lacks)
    }
    odd: dict[int, tuple[str, tuple[Sent, ...]]] = {
        ODD + at: ("none", (each,))
        for at, each in enumerate(ODD_HEADERS)
        if each.name not in writer.cannot_write
    }
    return plain | odd


def write_all(writer: Client, conversation: Conversation, broker: str, topic: str) -> None:
    for partition, (codec, records) in partitions_of(writer).items():
        conversation.ask(
            "produce",
            broker,
            topic=topic,
            partition=partition,
            codec=codec,
            acks="all",
            idempotent=False,
            records=[as_json(each) for each in records],
        )


@pytest.mark.step("reads what every other client wrote")
@pytest.mark.parametrize("writer", CLIENTS, ids=lambda each: f"by {each.name}")
def test_every_client_reads_the_same(
    client: Client,
    writer: Client,
    ask: Ask,
    conversations: dict[str, Conversation],
    written: dict[str, str],
    new_topic: NewTopic,
    broker: Any,
) -> None:
    if (missing := writer.missing()) is not None:
        pytest.skip(missing)
    if writer.name not in written:
        topic = new_topic(ODD + len(ODD_HEADERS))
        write_all(writer, conversations[writer.name], broker.address, topic)
        written[writer.name] = topic
    expected = {
        partition: digest([as_json(each) for each in records])
        for partition, (_, records) in partitions_of(writer).items()
        if not client.cannot_read & {each.name for each in records}
    }
    command: dict[str, Any] = {"partitions": list(expected), "from": "earliest"}
    found = ask("read", topic=written[writer.name], **command)["records"]
    told = {
        partition: digest([each for each in found if each["partition"] == partition])
        for partition in expected
    }
    assert told == expected
