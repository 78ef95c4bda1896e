"""What the Kafka port shows of itself: requests, connections, parked fetches, memory.

Owns    the names of these metrics.
Never   counts: listener, doors and connections do; this reads them when asked.
"""

from collections import Counter
from collections.abc import Iterator

from app.kafka.connection import LOG, MUTE, OUTBOUND
from app.kafka.listener import Listener
from app.limits import METRIC_LINES_AT_ONCE
from app.telemetry.counts import SECONDS
from app.telemetry.metrics import Family, Metric

_APIS = "one per API that was asked for"

REQUESTS = Metric(
    "streambus_requests_total",
    "counter",
    "Requests answered (a Produce that wants no answer: done).",
    ("api",),
    _APIS,
)
ERRORS = Metric(
    "streambus_request_errors_total",
    "counter",
    "Error codes in answers, one for each partition, topic or resource that got it.",
    ("api", "error"),
    "one per API and code that was given",
)
REQUEST_BYTES = Metric(
    "streambus_request_bytes_total",
    "counter",
    "Bytes of requests taken, length prefixes included.",
    ("api",),
    _APIS,
)
RESPONSE_BYTES = Metric(
    "streambus_response_bytes_total",
    "counter",
    "Bytes of answers, length prefixes included.",
    ("api",),
    _APIS,
)
TOOK = Metric(
    "streambus_request_seconds",
    "histogram",
    "From a request's last byte parsed to its answer handed to the socket. A Produce's wait for "
    "the log is in it, a Fetch's wait for records is not: see streambus_fetch_wait_seconds.",
    ("api",),
    _APIS,
    SECONDS,
)
FETCH_WAIT = Metric(
    "streambus_fetch_wait_seconds",
    "histogram",
    "How long fetches were parked, waiting for records; those that did not wait are not here.",
    bounds=SECONDS,
)
IN_FLIGHT = Metric(
    "streambus_requests_in_flight",
    "gauge",
    "Requests taken and not answered yet, parked fetches included.",
    ("api",),
    "one per API with any",
)
IN_FLIGHT_BYTES = Metric(
    "streambus_produce_in_flight_bytes", "gauge", "Bytes of Produce requests not answered yet."
)
PARKED = Metric("streambus_fetches_parked", "gauge", "Fetches that wait for records.")
OPEN = Metric(
    "streambus_connections",
    "gauge",
    "Open connections.",
    ("listener",),
    "one per listener",
)
ACCEPTED = Metric(
    "streambus_connections_accepted_total",
    "counter",
    "Connections accepted.",
    ("listener",),
    "one per listener",
)
REFUSED = Metric(
    "streambus_connections_refused_total",
    "counter",
    "Connections closed at once: `limits.connections` are open, or descriptors are short.",
    ("reason",),
    "2",
)
CLOSED = Metric(
    "streambus_connections_closed_total",
    "counter",
    "Connections that the broker closed: idle too long, or refused for what they sent (event "
    "`connection.refused`).",
    ("reason",),
    "2",
)
HELD = Metric(
    "streambus_connections_held",
    "gauge",
    "Connections that are not read on: until the log has room, until the peer reads its answers, "
    "or since a quota was exceeded.",
    ("until",),
    "3",
)
POOL = Metric(
    "streambus_receive_pool_bytes",
    "gauge",
    "Memory of receive buffers: lent to connections, or kept for the next.",
    ("state",),
    "2",
)
POOL_MAX = Metric(
    "streambus_receive_pool_max_bytes", "gauge", "What the receive pool may take in all."
)
SESSIONS = Metric("streambus_fetch_sessions", "gauge", "Fetch sessions that are kept.")
DECLARED = (
    REQUESTS, ERRORS, REQUEST_BYTES, RESPONSE_BYTES, TOOK, FETCH_WAIT, IN_FLIGHT, IN_FLIGHT_BYTES,
    PARKED, OPEN, ACCEPTED, REFUSED, CLOSED, HELD, POOL, POOL_MAX, SESSIONS,
)  # fmt: skip

_HOLDS = ((LOG, "log"), (OUTBOUND, "peer"), (MUTE, "quota"))


class KafkaMetrics:
    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def collect(self) -> Iterator[Family | None]:
        yield from self._requests()
        yield from self._connections()
        listener = self._listener
        yield FETCH_WAIT.of([((), listener.fetches_parked.shown())])
        yield PARKED.value(len(listener.broker.registry.parked))
        yield SESSIONS.value(len(listener.broker.sessions))
        short = listener.refused_descriptors
        yield REFUSED.by([("connections", listener.refused - short), ("descriptors", short)])
        yield CLOSED.by([("idle", listener.idled), ("refused", listener.cut)])
        pool = listener.pool
        yield POOL.by([("lent", pool.lent_bytes), ("kept", pool.kept_bytes)])
        yield POOL_MAX.value(pool.bytes_max)

    def _requests(self) -> Iterator[Family]:
        asked = [each for each in self._listener.counts.values() if each.request_bytes]
        yield REQUESTS.by([(each.api, each.took.count) for each in asked])
        yield REQUEST_BYTES.by([(each.api, each.request_bytes) for each in asked])
        yield RESPONSE_BYTES.by([(each.api, each.response_bytes) for each in asked])
        yield TOOK.of([((each.api,), each.took.shown()) for each in asked])
        yield ERRORS.of(
            [
                ((each.api, _name_of(code)), [count])
                for each in asked
                for code, count in each.errors.items()
            ]
        )

    def _connections(self) -> Iterator[Family | None]:
        listener = self._listener
        in_flight: Counter[str] = Counter()
        opened: Counter[str] = Counter({door.name: 0 for door in listener.doors})
        accepted: Counter[str] = Counter()
        held: Counter[int] = Counter()
        in_flight_bytes = 0
        for number, connection in enumerate(list(listener.connections)):
            if number % METRIC_LINES_AT_ONCE == 0:
                yield None
            opened[connection.door.name] += 1
            busy_with = connection.busy_with
            if busy_with is not None:
                in_flight[busy_with.api] += 1
            if connection.in_flight:
                in_flight[listener.produced.api] += len(connection.in_flight)
                in_flight_bytes += connection.in_flight_bytes
            if connection.holds:
                for hold, _ in _HOLDS:
                    held[hold] += bool(connection.holds & hold)
        for door in listener.doors:
            accepted[door.name] += door.accepted
        yield IN_FLIGHT.by(in_flight.items())
        yield IN_FLIGHT_BYTES.value(in_flight_bytes)
        yield OPEN.by(opened.items())
        yield ACCEPTED.by(accepted.items())
        yield HELD.by([(name, held[hold]) for hold, name in _HOLDS])


def _name_of(code: int) -> str:
    """As Kafka calls it."""
    from kio.schema.errors import ErrorCode

    try:
        return ErrorCode(code).name.upper()
    except ValueError:
        return str(code)
