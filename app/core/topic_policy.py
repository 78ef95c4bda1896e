"""What a topic's configuration means to a batch, to the log and to retention: typed values.

Owns    the one typed form of a topic's configs, with Kafka's defaults.
Never   parses or validates texts: core/topic_config.py does, and builds this.
Trusts  that the values were checked where the topic was created or altered.
"""

from dataclasses import dataclass

from app import limits

NO_LIMIT = -1
INT64_MAX = 9_223_372_036_854_775_807
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS

CREATE_TIME = "CreateTime"
LOG_APPEND_TIME = "LogAppendTime"
PRODUCER_CODEC = "producer"


@dataclass(frozen=True, slots=True)
class TopicPolicy:
    """Defaults are those of Kafka 4.x (`LogConfig`); `NO_LIMIT` (-1) means unlimited."""

    max_message_bytes: int = limits.BATCH_BYTES_MAX
    timestamp_type: str = CREATE_TIME  # or LOG_APPEND_TIME
    timestamp_before_max_ms: int = INT64_MAX  # how far behind the broker's clock a record may be
    timestamp_after_max_ms: int = HOUR_MS  # and how far ahead (KIP-937, one hour since 4.0)
    compression: str = PRODUCER_CODEC  # or uncompressed, gzip, snappy, lz4, zstd
    gzip_level: int = -1  # the codec's own default
    lz4_level: int = 9  # Kafka's default, which means its fast compressor
    zstd_level: int = 3
    cleanup_compact: bool = False
    cleanup_delete: bool = True  # both may hold: `compact,delete`
    min_insync_replicas: int = 1
    retention_ms: int = WEEK_MS
    retention_bytes: int = NO_LIMIT
    segment_ms: int = WEEK_MS
    segment_bytes: int = 1_073_741_824
    delete_retention_ms: int = DAY_MS  # how long a tombstone of a compacted topic stays readable
    min_compaction_lag_ms: int = 0
    max_compaction_lag_ms: int = INT64_MAX


DEFAULT = TopicPolicy()
