"""The broker's append time: wall time that never goes back, and never behind what peers have seen.

Owns    the newest time given or heard.
Never   reads a clock: wall time comes in.
Trusts  that peers' times come over authenticated connections; one far ahead pulls this clock ahead.
"""


class HybridClock:
    """`latest` is the newest time given or heard (milliseconds since 1970 UTC)."""

    __slots__ = ("latest",)

    def __init__(self, latest: int = 0) -> None:
        """After a restart: `latest` is the newest append_ms that recovery found."""
        self.latest = latest

    def stamp(self, wall_ms: int) -> int:
        """The time of something that happens now. While the wall clock is behind, time stands."""
        latest = self.latest
        if wall_ms <= latest:
            return latest
        self.latest = wall_ms
        return wall_ms

    def observe(self, remote_ms: int) -> None:
        """A peer's message carried this time: nothing stamped after it may be earlier."""
        self.latest = max(self.latest, remote_ms)
