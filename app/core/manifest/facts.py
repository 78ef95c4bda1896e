"""Facts: what happened to the cluster, in past tense; the only way the manifest changes.

Owns    the kinds of fact, their stable numbers, and the bytes of the envelope around each.
Never   decides whether a fact may happen (decide.py) or what it does (manifest.py).
Trusts  that bytes to decode passed a CRC (raft/journal.py): what does not parse is newer or rotten.

docs/manifest-format.md describes the bytes; tests/golden keeps one of each.
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from app.errors import Corrupt, UpgradeNeeded
from app.model import BrokerId, ControllerTerm, Endpoint, Incarnation, ProducerId, TopicId

FEATURE_LEVEL = 2
"""The newest level that this code reads. Facts and migrations of level n may be used once
FeatureRaised(n) is applied; code that cannot read n refuses to start."""


@dataclass(frozen=True, slots=True)
class ClusterFormed:
    """The first fact of every manifest."""

    cluster_id: str


@dataclass(frozen=True, slots=True)
class FeatureRaised:
    """From here on, facts of this level may follow."""

    level: int


@dataclass(frozen=True, slots=True)
class BrokerRegistered:
    """A broker started. It leads on, but in a new epoch of every partition that it leads."""

    broker_id: BrokerId
    incarnation: Incarnation
    endpoints: tuple[Endpoint, ...]  # one per listener, by name
    rack: str | None


@dataclass(frozen=True, slots=True)
class TopicCreated:
    """`replicas` has one row per partition: its brokers, the first leader first."""

    topic_id: TopicId
    name: str
    replicas: tuple[tuple[BrokerId, ...], ...]
    configs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TopicDeleted:
    topic_id: TopicId


@dataclass(frozen=True, slots=True)
class ProducerIdsReserved:
    """Ids `start <= x < end` are that broker's; handed out or not, nobody gets them again."""

    start: ProducerId
    end: ProducerId
    broker_id: BrokerId


@dataclass(frozen=True, slots=True)
class PartitionsAdded:
    """A topic has more partitions: `start` is the first new one, `replicas` has a row for each."""

    topic_id: TopicId
    start: int
    replicas: tuple[tuple[BrokerId, ...], ...]


@dataclass(frozen=True, slots=True)
class TopicConfigsSet:
    """These and no others are the topic's own configs now, by name."""

    topic_id: TopicId
    configs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PrefixConfigsSet:
    """These and no others are the configs of a prefix of topic names (`app.service.*`) now."""

    prefix: str
    configs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class BrokerConfigsSet:
    """These and no others are the running settings of a broker now, or of all if it is -1."""

    broker_id: int
    configs: tuple[tuple[str, str], ...]


Fact = (
    ClusterFormed
    | FeatureRaised
    | BrokerRegistered
    | TopicCreated
    | TopicDeleted
    | ProducerIdsReserved
    | PartitionsAdded
    | TopicConfigsSet
    | PrefixConfigsSet
    | BrokerConfigsSet
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all facts of one proposal share: who decided them, under which id, and when."""

    term: ControllerTerm
    proposal: bytes  # 16 bytes
    at_ms: int  # strictly growing from one proposal to the next


Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of fact is written: its stable numbers and its payload."""

    number: int
    version: int
    level: int  # the feature level that allows it
    kind: type[Any]
    save: Callable[[Any], Payload]
    load: Callable[[Payload], Fact]


def _save_broker(fact: BrokerRegistered) -> Payload:
    return {
        "broker_id": fact.broker_id,
        "incarnation": fact.incarnation,
        "endpoints": [
            {"name": each.name, "host": each.host, "port": each.port} for each in fact.endpoints
        ],
        "rack": fact.rack,
    }


def _load_broker(payload: Payload) -> BrokerRegistered:
    endpoints = tuple(Endpoint(**each) for each in payload["endpoints"])
    return BrokerRegistered(**{**payload, "endpoints": endpoints})


def _save_topic(fact: TopicCreated) -> Payload:
    return {
        "topic_id": fact.topic_id.hex(),
        "name": fact.name,
        "replicas": _runs(fact.replicas),
        "configs": dict(fact.configs),
    }


def _load_topic(payload: Payload) -> TopicCreated:
    return TopicCreated(
        _topic_id(payload), payload["name"], _rows(payload["replicas"]), _configs(payload)
    )


def _save_added(fact: PartitionsAdded) -> Payload:
    return {
        "topic_id": fact.topic_id.hex(),
        "start": fact.start,
        "replicas": _runs(fact.replicas),
    }


def _load_added(payload: Payload) -> PartitionsAdded:
    return PartitionsAdded(_topic_id(payload), payload["start"], _rows(payload["replicas"]))


def _runs(replicas: tuple[tuple[BrokerId, ...], ...]) -> list[list[Any]]:
    """Neighbours with equal replicas share a row: one broker's topic is one row, however wide."""
    return [[len(list(run)), list(row)] for row, run in groupby(replicas)]


def _rows(runs: list[list[Any]]) -> tuple[tuple[BrokerId, ...], ...]:
    rows: list[tuple[BrokerId, ...]] = []
    for count, row in runs:
        rows.extend([tuple(row)] * count)
    return tuple(rows)


def _topic_id(payload: Payload) -> TopicId:
    return TopicId(bytes.fromhex(payload["topic_id"]))


def _configs(payload: Payload) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(payload["configs"].items()))


# Every persisted kind of fact. A number is never used again; a changed payload is a new version
# with a row of its own, and the old row stays readable. Written by the controller alone.
FORMS: tuple[Form, ...] = (
    Form(
        1, 1, 1, ClusterFormed, lambda f: {"cluster_id": f.cluster_id}, lambda p: ClusterFormed(**p)
    ),
    Form(2, 1, 1, FeatureRaised, lambda f: {"level": f.level}, lambda p: FeatureRaised(**p)),
    Form(3, 1, 1, BrokerRegistered, _save_broker, _load_broker),
    Form(4, 1, 1, TopicCreated, _save_topic, _load_topic),
    Form(
        5,
        1,
        1,
        TopicDeleted,
        lambda f: {"topic_id": f.topic_id.hex()},
        lambda p: TopicDeleted(_topic_id(p)),
    ),
    Form(
        6,
        1,
        1,
        ProducerIdsReserved,
        lambda f: {"start": f.start, "end": f.end, "broker_id": f.broker_id},
        lambda p: ProducerIdsReserved(**p),
    ),
    Form(7, 1, 2, PartitionsAdded, _save_added, _load_added),
    Form(
        8,
        1,
        2,
        TopicConfigsSet,
        lambda f: {"topic_id": f.topic_id.hex(), "configs": dict(f.configs)},
        lambda p: TopicConfigsSet(_topic_id(p), _configs(p)),
    ),
    Form(
        9,
        1,
        2,
        PrefixConfigsSet,
        lambda f: {"prefix": f.prefix, "configs": dict(f.configs)},
        lambda p: PrefixConfigsSet(p["prefix"], _configs(p)),
    ),
    Form(
        10,
        1,
        2,
        BrokerConfigsSet,
        lambda f: {"broker_id": f.broker_id, "configs": dict(f.configs)},
        lambda p: BrokerConfigsSet(p["broker_id"], _configs(p)),
    ),
)

_TO_READ: Mapping[tuple[int, int], Form] = {(form.number, form.version): form for form in FORMS}
_TO_WRITE: Mapping[type[Any], Form] = {form.kind: form for form in FORMS}
LEVEL_OF: Mapping[type[Any], int] = {form.kind: form.level for form in FORMS}
"""The level that each kind of fact needs."""

ENVELOPE = struct.Struct("<HHIQ16sq")
"""type, version, payload bytes, controller term, proposal, at_ms; then the payload: JSON with
sorted keys and no spaces, in UTF-8."""


def encode(facts: Iterable[Fact], stamp: Stamp) -> bytes:
    """The facts of one proposal, one envelope after another."""
    assert len(stamp.proposal) == 16, stamp
    pieces: list[bytes] = []
    for fact in facts:
        form = _TO_WRITE[type(fact)]
        text = json.dumps(
            form.save(fact), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()
        pieces.append(
            ENVELOPE.pack(
                form.number, form.version, len(text), stamp.term, stamp.proposal, stamp.at_ms
            )
        )
        pieces.append(text)
    return b"".join(pieces)


def encoded_bytes(fact: Fact) -> int:
    """How much room the fact takes in a proposal."""
    return len(encode((fact,), Stamp(ControllerTerm(0), bytes(16), 0)))


def decode(encoded: bytes) -> Iterator[tuple[Fact, Stamp]]:
    """The facts with their stamps. UpgradeNeeded for a kind that this code does not know."""
    position = 0
    while position < len(encoded):
        if len(encoded) - position < ENVELOPE.size:
            raise Corrupt(f"a fact's envelope is cut short at byte {position}")
        number, version, length, term, proposal, at_ms = ENVELOPE.unpack_from(encoded, position)
        position += ENVELOPE.size
        form = _TO_READ.get((number, version))
        if form is None:
            raise UpgradeNeeded(
                f"the manifest has a fact of type {number} version {version}, which this version "
                "of StreamBus does not know: upgrade StreamBus"
            )
        if len(encoded) - position < length:
            raise Corrupt(f"the payload of a {form.kind.__name__} is cut short at byte {position}")
        try:
            fact = form.load(json.loads(encoded[position : position + length]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Corrupt(
                f"the payload of a {form.kind.__name__} does not parse: {error}"
            ) from error
        yield fact, Stamp(ControllerTerm(term), proposal, at_ms)
        position += length
