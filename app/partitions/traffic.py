"""What went through the topics of a broker: a few ints for each, shared by its partitions.

Owns    how many topics are counted by themselves; all others share one count, named "".
Never   forgets what the shared count has seen: it only grows, whatever is created and deleted.
Trusts  that a topic is forgotten when it is deleted, which frees its place for one to come.
"""

from app import limits


class Traffic:
    """Counters of one topic. Appends count when they are durable as `wal.sync` promises."""

    __slots__ = ("appended_batches", "appended_bytes", "appended_records", "fetched_bytes")

    def __init__(self) -> None:
        self.appended_batches = 0
        self.appended_records = 0
        self.appended_bytes = 0
        self.fetched_bytes = 0


class TopicTraffic:
    """Topics by name as far as there is room: `of` for a topic that appears, `forget` for one that
    goes."""

    def __init__(self, topics_max: int = limits.METRIC_TOPICS_MAX) -> None:
        self.by_name: dict[bytes, Traffic] = {}
        self.others = Traffic()
        self._topics_max = topics_max

    def of(self, name: bytes) -> Traffic:
        if len(self.by_name) >= self._topics_max:
            return self.others
        traffic = self.by_name[name] = Traffic()
        return traffic

    def forget(self, name: bytes) -> None:
        self.by_name.pop(name, None)
