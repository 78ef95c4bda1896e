"""What the manifest shows of itself.

Owns    the names of these metrics.
Never   counts: the controller does; this reads it and its image when asked.
"""

from collections.abc import Iterator

from app.raft.controller import Controller
from app.telemetry.metrics import Family, Metric

INDEX = Metric(
    "streambus_manifest_index", "gauge", "The newest entry of the manifest's log applied here."
)
TERM = Metric("streambus_manifest_term", "gauge", "The controller's term.")
LEADER = Metric("streambus_manifest_leader", "gauge", "1 if this broker is the controller, else 0.")
PROPOSALS = Metric(
    "streambus_manifest_proposals_total", "counter", "Changes that this controller decided on."
)
WAITING = Metric(
    "streambus_manifest_waiting", "gauge", "Changes that wait for their turn to be decided."
)
TOPICS = Metric("streambus_topics", "gauge", "Topics in the cluster.")
BROKERS = Metric("streambus_brokers", "gauge", "Brokers registered in the cluster.")
DECLARED = (INDEX, TERM, LEADER, PROPOSALS, WAITING, TOPICS, BROKERS)


class ManifestMetrics:
    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def collect(self) -> Iterator[Family]:
        controller, image = self._controller, self._controller.image
        yield INDEX.value(image.index)
        yield TERM.value(controller.term)
        yield LEADER.value(int(controller.is_leader))
        yield PROPOSALS.value(controller.proposals)
        yield WAITING.value(controller.waiting)
        yield TOPICS.value(len(image.topics_by_id))
        yield BROKERS.value(len(image.brokers))
