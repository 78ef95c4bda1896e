"""Which old bytes of a partition its retention lets go: a decision over extents.

Owns    the rule of retention.ms and retention.bytes.
Never   deletes: it says where the log should start.
Trusts  that extents are given oldest first and do not overlap.
"""

from collections.abc import Sequence

from app.core.topic_policy import NO_LIMIT

Extent = tuple[int, int, int, int]
"""(start, end, bytes, max_timestamp); max_timestamp -1 where no record has one."""


def decide_start(
    extents: Sequence[Extent],
    start: int,
    high_watermark: int,
    now_ms: int,
    retention_ms: int,
    retention_bytes: int,
) -> int:
    """The new log start: `start`, or the end of the last extent that may go.

    As in Kafka extents go oldest first and whole, while the newest record of the oldest one is
    older than `retention_ms`, or what would remain without it still has `retention_bytes`. Nothing
    that is not committed goes. An extent without timestamps is never too old: only size takes it.
    """
    live = [extent for extent in extents if extent[1] > start]
    remaining = sum(extent[2] for extent in live)
    for _, extent_end, extent_bytes, max_timestamp in live:
        is_old = retention_ms > NO_LIMIT and 0 <= max_timestamp < now_ms - retention_ms
        is_excess = retention_bytes > NO_LIMIT and remaining - extent_bytes >= retention_bytes
        if extent_end > high_watermark or not (is_old or is_excess):
            break
        start = extent_end
        remaining -= extent_bytes
    return start
