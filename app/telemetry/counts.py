"""Counts of the hot path: plain ints and flat lists that their owner changes in place.

Owns    how a duration becomes a bucket, and which bounds a reader is shown.
Never   locks, allocates or looks anything up while it counts: a scrape reads what is there.
Trusts  that counting and reading both run on the loop.
"""

_FIRST, _LAST = 16, 36
SECONDS = tuple(2**power / 1_000_000_000 for power in range(_FIRST, _LAST + 1))
"""Upper bounds of the buckets that are shown: 66 microseconds to 69 seconds, each twice the one
before. A quantile read from them is right within a factor of two."""

_BUCKETS = 64


class Durations:
    """A histogram of nanoseconds. Bucket `i` counts those with `bit_length() == i`: at least
    2**(i-1), below 2**i. Hot paths do what `observe` does themselves."""

    __slots__ = ("buckets", "sum_ns")

    def __init__(self) -> None:
        self.buckets = [0] * _BUCKETS
        self.sum_ns = 0

    def observe(self, ns: int) -> None:
        self.buckets[ns.bit_length()] += 1
        self.sum_ns += ns

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def shown(self) -> list[float]:
        """Counts up to each of `SECONDS`, then the sum in seconds and the count."""
        total = sum(self.buckets[:_FIRST])
        numbers: list[float] = []
        for count in self.buckets[_FIRST : _LAST + 1]:
            total += count
            numbers.append(total)
        return [*numbers, self.sum_ns / 1_000_000_000, self.count]


class RequestCounts:
    """Requests of one API. How many were answered is the count of `took`."""

    __slots__ = ("api", "errors", "request_bytes", "response_bytes", "took")

    def __init__(self, api: str) -> None:
        self.api = api
        self.took = Durations()
        """From a request's last byte parsed to its answer handed to the socket, less what a fetch
        was parked."""
        self.request_bytes = 0
        self.response_bytes = 0
        self.errors: dict[int, int] = {}
        """By Kafka's code; how often answers carried it."""

    def failed(self, code: int, times: int = 1) -> None:
        self.errors[code] = self.errors.get(code, 0) + times
