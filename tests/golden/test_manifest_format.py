"""The bytes of facts and of the journal, held still, and read by a reader written from the docs.

The samples were made once and may not change: what is on disks must stay readable. A new version
of a fact adds a sample. `manifest_level_1` is a whole directory that StreamBus of level 1 left.
"""

import json
import shutil
from pathlib import Path

import pytest

from app.core.manifest import facts
from app.core.manifest.config_changes import ConfigChange, ConfigsChanged
from app.core.manifest.decide import MorePartitions
from app.core.manifest.entries import Entry, split
from app.core.manifest.facts import (
    FEATURE_LEVEL,
    BrokerConfigsSet,
    BrokerRegistered,
    ClusterFormed,
    Fact,
    FeatureRaised,
    PartitionsAdded,
    PrefixConfigsSet,
    ProducerIdsReserved,
    Stamp,
    TopicConfigsSet,
    TopicCreated,
    TopicDeleted,
)
from app.core.manifest.manifest import LEVEL_NAME
from app.errors import StreamBusError
from app.model import BrokerId, ControllerTerm, Endpoint, Incarnation, ProducerId, TopicId
from app.raft.consensus import Position
from app.raft.controller import Controller
from app.raft.journal import Journal
from app.raft.single_node import SingleNode
from app.world.files import DiskFiles
from app.world.real import RealWorld

GOLDEN = Path(__file__).with_name("manifest_format.json")
LEVEL_1 = Path(__file__).with_name("manifest_level_1")
STAMP = Stamp(ControllerTerm(7), b"proposal-no1" + bytes(4), 1_700_000_000_123)
TOPIC = TopicId(bytes(range(16)))
ONE, TWO = BrokerId(1), BrokerId(2)
FACTS: dict[str, Fact] = {
    "ClusterFormed v1": ClusterFormed("q83vEjRWeJq83vEjRWeJqw"),
    "FeatureRaised v1": FeatureRaised(1),
    "BrokerRegistered v1": BrokerRegistered(
        ONE,
        Incarnation(3),
        (Endpoint("plain", "127.0.0.1", 9092), Endpoint("tls", "örtlich", 9093)),
        "rack-a",
    ),
    "BrokerRegistered v1 without rack": BrokerRegistered(
        TWO, Incarnation(1), (Endpoint("plain", "::1", 1),), None
    ),
    "TopicCreated v1": TopicCreated(
        TOPIC, "orders", ((ONE, TWO), (TWO, ONE), (TWO, ONE)), (("retention.ms", "-1"),)
    ),
    "TopicDeleted v1": TopicDeleted(TOPIC),
    "ProducerIdsReserved v1": ProducerIdsReserved(ProducerId(1000), ProducerId(2000), ONE),
    "PartitionsAdded v1": PartitionsAdded(TOPIC, 3, ((ONE, TWO), (ONE, TWO), (TWO, ONE))),
    "TopicConfigsSet v1": TopicConfigsSet(
        TOPIC, (("cleanup.policy", "compact,delete"), ("retention.ms", "-1"))
    ),
    "PrefixConfigsSet v1": PrefixConfigsSet("app.service.*", (("retention.ms", "5"),)),
    "PrefixConfigsSet v1 of none": PrefixConfigsSet("app.service.*", ()),
    "BrokerConfigsSet v1": BrokerConfigsSet(TWO, (("max.connections", "5"),)),
    "BrokerConfigsSet v1 of all": BrokerConfigsSet(-1, (("log.retention.ms", "5"),)),
}
JOURNAL_ID = bytes(range(16, 32))


def golden() -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = json.loads(GOLDEN.read_text())
    return content


def test_facts_are_written_as_ever() -> None:
    written = {name: facts.encode([fact], STAMP).hex() for name, fact in FACTS.items()}
    assert written == golden()["facts"]


def test_facts_are_read_as_ever() -> None:
    for name, text in golden()["facts"].items():
        assert list(facts.decode(bytes.fromhex(text))) == [(FACTS[name], STAMP)]


def entries() -> list[Entry]:
    """Two small proposals, and one in two parts; under terms 1 and 2."""
    small = split([FACTS["ClusterFormed v1"], FACTS["FeatureRaised v1"]], STAMP)
    wide = split(
        [FACTS["TopicCreated v1"]], Stamp(ControllerTerm(2), b"proposal-no2" + bytes(4), 9), 120
    )
    assert (len(small), len(wide)) == (1, 2)
    terms = (1, 2, 2)
    return [
        Entry(index, ControllerTerm(terms[index - 1]), *proposed)
        for index, proposed in enumerate([*small, *wide], 1)
    ]


def journal(directory: Path) -> Journal:
    return Journal(DiskFiles(), str(directory), JOURNAL_ID)


NOTHING = Position(bytes(16), 0, 0)


def test_a_journal_is_written_as_ever(tmp_path: Path) -> None:
    one, two, three = entries()
    first = journal(tmp_path)
    first.open(NOTHING)
    first.append([one])
    first.close()
    second = journal(tmp_path)
    second.open(NOTHING)
    second.append([two, three])
    second.close()
    assert (tmp_path / "journal").read_bytes().hex() == golden()["journal"]["two terms"]


def test_a_journal_is_read_as_ever(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(bytes.fromhex(golden()["journal"]["two terms"]))
    again = journal(tmp_path)
    opened = again.open(NOTHING)
    again.close()
    assert opened.entries == entries()
    assert (opened.journal_id, again.term) == (JOURNAL_ID, 3)


# A directory of level 1: a topic of three partitions with a config, one of two, one that was
# deleted, a thousand producer ids given away, under the first incarnation of broker 1.


@pytest.mark.parametrize("has_state", [True, False], ids=["state", "journal alone"])
async def test_a_directory_of_level_1_opens_is_raised_and_works(
    tmp_path: Path, has_state: bool
) -> None:
    directory = tmp_path / "manifest"
    shutil.copytree(LEVEL_1, directory)
    if not has_state:
        (directory / "state.sqlite").unlink()
    world = RealWorld()
    try:
        controller = Controller(world, SingleNode(world, str(directory)), str(directory))
        await controller.start()
        assert controller.image.features == {LEVEL_NAME: 1}
        assert await controller.register_broker(ONE, [Endpoint("plain", "host", 1)]) == 2
        assert controller.image.features == {LEVEL_NAME: FEATURE_LEVEL}
        (added,) = await controller.add_partitions([MorePartitions("orders", 4)])
        changes = (ConfigChange("retention.bytes", "set", "7"),)
        answers = await controller.alter_configs(
            [
                ConfigsChanged("topic", "orders", changes),
                ConfigsChanged("topic", "app.service.*", changes),
                ConfigsChanged("broker", "", (ConfigChange("max.connections", "set", "5"),)),
            ]
        )
        assert not isinstance(added, StreamBusError) and len(added.partitions) == 4
        assert answers[0] == {"retention.bytes": "7", "retention.ms": "1000"}
        await controller.close()

        again = Controller(world, SingleNode(world, str(directory)), str(directory))
        await again.start()
        topics = again.image.topics_by_name
        assert set(topics) == {"orders", "app.service.event"}
        assert [state.leader_epoch for state in topics["orders"].partitions] == [1, 1, 1, 0]
        assert topics["orders"].configs == answers[0]
        assert topics["app.service.event"].policy.retention_bytes == 7
        assert again.image.broker_configs == {-1: {"max.connections": "5"}}
        assert (await again.reserve_producer_ids(ONE)).start == 1000
        await again.close()
    finally:
        await world.close()


# The reader of docs/manifest-format.md, with nothing of ours in it.


def crc32c(content: bytes, seed: int = 0) -> int:
    crc = seed ^ 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def number(content: bytes, at: int, count: int) -> int:
    return int.from_bytes(content[at : at + count], "little")


def test_the_documented_layout_is_the_layout() -> None:
    content = bytes.fromhex(golden()["journal"]["two terms"])
    assert content[:8] == b"SBMANIF\0"
    assert [number(content, *where) for where in ((8, 2), (10, 2), (12, 4), (16, 4), (20, 4))] == [
        1,
        96,
        0,
        0,
        0,
    ]
    assert content[24:40] == JOURNAL_ID
    assert number(content, 92, 4) == crc32c(content[:92])
    at, seen, parts = 96, [], []
    while at < len(content):
        assert content[at : at + 4] == b"SBfj"
        end = at + 64 + number(content, at + 44, 4)
        assert number(content, at + 4, 4) == crc32c(content[at + 8 : end], crc32c(JOURNAL_ID))
        sequence, synced, index, term = (number(content, at + 8 * n, 8) for n in range(1, 5))
        kind, proposal, payload = (
            number(content, at + 40, 4),
            content[at + 48 : at + 64],
            content[at + 64 : end],
        )
        seen.append((sequence, synced, index, term, kind, proposal[:12], number(proposal, 12, 4)))
        parts.append(payload)
        at = end
    nobody, no1, no2 = bytes(12), b"proposal-no1", b"proposal-no2"
    assert seen == [
        (1, 0, 0, 1, 1, nobody, 0),
        (2, 1, 1, 1, 0, no1, 0),
        (3, 1, 1, 2, 1, nobody, 0),
        (4, 3, 2, 2, 0, no2, 1),
        (5, 3, 3, 2, 0, no2, 2),
    ]
    assert parts[1][0] == 0 and [fact[0] for fact in envelopes(parts[1][1:])] == [1, 2]
    assert [(part[0], number(part, 1, 2), number(part, 3, 2)) for part in parts[3:]] == [
        (1, 0, 2),
        (1, 1, 2),
    ]
    assert envelopes(parts[3][5:] + parts[4][5:]) == [
        (
            4,
            1,
            2,
            no2 + bytes(4),
            9,
            {
                "topic_id": "000102030405060708090a0b0c0d0e0f",
                "name": "orders",
                "replicas": [[1, [1, 2]], [2, [2, 1]]],
                "configs": {"retention.ms": "-1"},
            },
        )
    ]


def envelopes(content: bytes) -> list[tuple[int, int, int, bytes, int, dict[str, object]]]:
    found = []
    at = 0
    while at < len(content):
        end = at + 40 + number(content, at + 4, 4)
        found.append(
            (
                number(content, at, 2),
                number(content, at + 2, 2),
                number(content, at + 8, 8),
                content[at + 16 : at + 32],
                number(content, at + 32, 8),
                json.loads(content[at + 40 : end]),
            )
        )
        at = end
    return found
