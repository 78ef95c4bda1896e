"""What partitions and topics show of themselves.

Owns    the names of these metrics, and for how many topics and partitions there are series.
Never   counts: replicas, their topics' traffic and the WAL do; this reads them when asked.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from app import limits
from app.partitions import replica as roles
from app.partitions.registry import Registry
from app.partitions.replica import Replica
from app.partitions.traffic import Traffic
from app.telemetry.metrics import Family, Metric, Row

ROLES = (
    roles.LEADING, roles.FOLLOWING, roles.LOADING, roles.FENCED, roles.QUARANTINED, roles.FAILED,
)  # fmt: skip

_PER_TOPIC = f'up to {limits.METRIC_TOPICS_MAX:,} topics; all others together as topic=""'
_PER_PARTITION = f"up to {limits.METRIC_PARTITIONS_MAX:,} partitions; none for the others"

APPENDED_RECORDS = Metric(
    "streambus_topic_appended_records_total",
    "counter",
    "Records appended and durable as `wal.sync` promises.",
    ("topic",),
    _PER_TOPIC,
)
APPENDED_BATCHES = Metric(
    "streambus_topic_appended_batches_total",
    "counter",
    "Batches appended and durable.",
    ("topic",),
    _PER_TOPIC,
)
APPENDED_BYTES = Metric(
    "streambus_topic_appended_bytes_total",
    "counter",
    "Bytes of these batches, as they are stored.",
    ("topic",),
    _PER_TOPIC,
)
FETCHED_BYTES = Metric(
    "streambus_topic_fetched_bytes_total",
    "counter",
    "Bytes of batches sent to consumers.",
    ("topic",),
    _PER_TOPIC,
)
START = Metric(
    "streambus_partition_start_offset",
    "gauge",
    "The first offset that can be read.",
    ("topic", "partition"),
    _PER_PARTITION,
)
END = Metric(
    "streambus_partition_end_offset",
    "gauge",
    "The high watermark: the offset behind the newest that consumers see.",
    ("topic", "partition"),
    _PER_PARTITION,
)
BYTES = Metric(
    "streambus_partition_bytes",
    "gauge",
    "What the partition takes in the log.",
    ("topic", "partition"),
    _PER_PARTITION,
)
UNSHOWN = Metric(
    "streambus_partitions_without_series",
    "gauge",
    "Partitions that are too many to have series of their own.",
)
PARTITIONS = Metric(
    "streambus_partitions",
    "gauge",
    "Partitions on this broker by role. `quarantined` ones may have lost records, `failed` ones "
    "wait for the log.",
    ("role",),
    str(len(ROLES)),
)
REPLIES_WAITING = Metric(
    "streambus_appends_waiting",
    "gauge",
    "Appends that wait to be durable or committed before they are answered.",
)
GENERATION = Metric(
    "streambus_manifest_generation",
    "gauge",
    "How many images of the manifest this broker has applied since it started.",
)
DECLARED = (
    APPENDED_RECORDS, APPENDED_BATCHES, APPENDED_BYTES, FETCHED_BYTES, START, END, BYTES, UNSHOWN,
    PARTITIONS, REPLIES_WAITING, GENERATION,
)  # fmt: skip


class PartitionMetrics:
    def __init__(
        self, registry: Registry, partitions_max: int = limits.METRIC_PARTITIONS_MAX
    ) -> None:
        self._registry = registry
        self._partitions_max = partitions_max

    def collect(self) -> Iterator[Family | None]:
        yield GENERATION.value(self._registry.generation)
        yield from self._topics()
        yield from self._partitions()

    def _topics(self) -> Iterator[Family]:
        traffic = self._registry.traffic
        counted = [(name.decode(), each) for name, each in traffic.by_name.items()]
        others = traffic.others
        if others.appended_batches or others.fetched_bytes:
            counted.append(("", others))
        for start in range(0, len(counted), limits.METRIC_LINES_AT_ONCE):
            yield from _traffic(counted[start : start + limits.METRIC_LINES_AT_ONCE])

    def _partitions(self) -> Iterator[Family | None]:
        """In pieces: a replica that goes meanwhile is counted where it was."""
        registry = self._registry
        by_role: Counter[str] = Counter(dict.fromkeys(ROLES, 0))
        waiting = shown = 0
        every = _named(registry)
        while piece := list(islice(every, limits.METRIC_LINES_AT_ONCE)):
            room = self._partitions_max - shown
            yield from self._offsets(piece[:room])
            shown += min(len(piece), room)
            for _, replica in piece:
                by_role[replica.role] += 1
                waiting += len(replica.syncing.entries) + len(replica.committing.entries)
            yield None
        yield UNSHOWN.value(by_role.total() - shown)
        yield PARTITIONS.by(by_role.items())
        yield REPLIES_WAITING.value(waiting)

    def _offsets(self, piece: "list[tuple[str, Replica]]") -> Iterator[Family]:
        wal = self._registry.wal
        starts: list[Row] = []
        ends: list[Row] = []
        sizes: list[Row] = []
        for topic, replica in piece:
            labels = (topic, str(replica.key.partition))
            starts.append((labels, [replica.log_start]))
            ends.append((labels, [replica.high_watermark]))
            sizes.append((labels, [wal.bytes_of(replica.key)]))
        yield START.of(starts)
        yield END.of(ends)
        yield BYTES.of(sizes)


def _named(registry: Registry) -> "Iterator[tuple[str, Replica]]":
    """Every replica with its topic's name, in the order in which topics were made: those that have
    series keep them."""
    for route in list(registry.topics_by_id.values()):
        name = route.name.decode()
        for replica in list(route.replicas):
            if replica is not None and replica.role != roles.DROPPED:
                yield name, replica


def _traffic(counted: list[tuple[str, Traffic]]) -> Iterator[Family]:
    yield APPENDED_RECORDS.by([(name, each.appended_records) for name, each in counted])
    yield APPENDED_BATCHES.by([(name, each.appended_batches) for name, each in counted])
    yield APPENDED_BYTES.by([(name, each.appended_bytes) for name, each in counted])
    yield FETCHED_BYTES.by([(name, each.fetched_bytes) for name, each in counted])
