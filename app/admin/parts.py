"""The parts of the broker that operations may use.

Owns    the bundle, and what only administration remembers: whose turn it is, and the order of
        names.
Never   constructs a part: main does, and joins them here.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.core.manifest.image import Image, Topic
from app.model import BrokerId
from app.partitions.registry import Registry
from app.partitions.replica import Replica
from app.raft.controller import Controller
from app.security.ports import Authorizer
from app.telemetry.metrics import Collectors
from app.world.ports import World

_LAST = "\U0010ffff"


class SortedNames:
    """Names of topics in order, sorted once for each picture of what exists."""

    __slots__ = ("_names", "_topics")

    def __init__(self) -> None:
        self._topics: Mapping[str, Topic] | None = None
        self._names: list[str] = []

    def beginning_with(self, beginning: str, image: Image, after: str = "") -> Sequence[str]:
        """The names that begin so and come after `after`."""
        if self._topics is not image.topics_by_name:
            self._topics, self._names = image.topics_by_name, sorted(image.topics_by_name)
        names = self._names
        start = bisect_left(names, beginning)
        if after:
            start = max(start, bisect_right(names, after))
        return names[start : bisect_right(names, beginning + _LAST)]


@dataclass(slots=True, kw_only=True)
class Parts:
    """`directory` is where this broker keeps everything, `file` its settings by Kafka's names as
    its file, environment and flags give them."""

    broker_id: BrokerId
    world: World
    registry: Registry
    controller: Controller
    authorizer: Authorizer
    directory: str
    file: Mapping[str, str] = field(default_factory=dict)
    collectors: Collectors = field(default_factory=Collectors)
    is_serving: bool = False
    """The doors are open."""
    names: SortedNames = field(default_factory=SortedNames)
    turn: int = 0
    """Which partition gets the next record that has neither key nor partition."""

    @property
    def image(self) -> Image:
        return self.controller.image

    def replica(self, topic: Topic, partition: int) -> Replica | None:
        """This broker's copy of a partition, whatever its role; None if it has none."""
        route = self.registry.topics_by_id.get(topic.topic_id)
        if route is None or not 0 <= partition < len(route.replicas):
            return None
        return route.replicas[partition]
