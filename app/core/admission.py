"""Whether a client's batch may be appended, as far as its header alone can say.

Owns    Kafka's checks of a batch header that need no state, their order and their codes.
Never   opens a batch, keeps state, or raises: it is on the path of every batch.
Trusts  that the header was unpacked from bytes that hold the whole batch; the CRC is checked
        between `check_frame` and `check_header`, as in Kafka.

Sources: Kafka's `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords` and
`LogValidator`. A broker that never opens batches differs in this (docs/protocol.md says so too):
record timestamps and the record count are the producer's word, bounded here; and headers that Kafka
would rewrite or let pass are refused: the LogAppendTime bit, the delete-horizon bit, a producer
id without an epoch, a transactional batch without a producer id.
"""

from app import limits
from app.core.topic_policy import CREATE_TIME, TopicPolicy
from streambus.protocol.batch import HEADER_BYTES, LENGTH_PREFIX, Attributes, BatchHeader

ADMITTED = 0
CORRUPT_MESSAGE = -2
MESSAGE_TOO_LARGE = -10
INVALID_TIMESTAMP = -32
INVALID_PRODUCER_EPOCH = -47
INVALID_TXN_STATE = -48
UNSUPPORTED_COMPRESSION_TYPE = -76
INVALID_RECORD = -87

MAGIC = 2
CODEC_MAX = 4  # zstd
NO_TIMESTAMP = -1
RECORD_BYTES_MIN = 7  # length, attributes, two deltas, key and value length, header count
_LENGTH_MIN = HEADER_BYTES - LENGTH_PREFIX
_NOT_FROM_CLIENTS = Attributes.CONTROL | Attributes.DELETE_HORIZON
RECORDS_MAX = limits.DECOMPRESSED_BYTES_MAX // RECORD_BYTES_MIN
_CODEC = Attributes.CODEC
_LOG_APPEND_TIME = Attributes.LOG_APPEND_TIME
_TRANSACTIONAL = Attributes.TRANSACTIONAL


def check_frame(header: BatchHeader, policy: TopicPolicy) -> int:
    """What can be said before the bytes are summed: as `check_header`, which begins with it."""
    base_offset, length, _, magic, *_ = header
    if length < _LENGTH_MIN:
        return CORRUPT_MESSAGE
    if magic != MAGIC:
        # 0 and 1 are formats of another time; anything else is no format at all.
        return INVALID_RECORD if magic in (0, 1) else CORRUPT_MESSAGE
    if base_offset != 0:
        return INVALID_RECORD
    if length + LENGTH_PREFIX > policy.max_message_bytes:
        return MESSAGE_TOO_LARGE
    return ADMITTED


def check_header(header: BatchHeader, policy: TopicPolicy, now_ms: int) -> int:
    """ADMITTED (0), or the negative Kafka error code of the first check that fails."""
    refusal = check_frame(header, policy)
    if refusal:
        return refusal
    (
        _,
        length,
        _,
        _,
        _,
        attributes,
        last_offset_delta,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        count,
    ) = header
    codec = attributes & _CODEC
    if codec > CODEC_MAX:
        return UNSUPPORTED_COMPRESSION_TYPE
    if count <= 0 or last_offset_delta != count - 1:
        return INVALID_RECORD
    if attributes & _NOT_FROM_CLIENTS:
        return INVALID_RECORD
    if producer_id >= 0 and base_sequence < 0:
        return INVALID_RECORD
    # More records than the bytes can hold would use up offsets, or run round the sequence numbers.
    if count > (RECORDS_MAX if codec else (length - _LENGTH_MIN) // RECORD_BYTES_MIN):
        return INVALID_RECORD
    if attributes & _LOG_APPEND_TIME:
        return INVALID_TIMESTAMP
    if policy.timestamp_type == CREATE_TIME:
        # Some clients leave maxTimestamp at -1, so the first record's timestamp counts as well.
        newest = max_timestamp if max_timestamp > base_timestamp else base_timestamp
        if newest - now_ms > policy.timestamp_after_max_ms:
            return INVALID_TIMESTAMP
        if (
            base_timestamp != NO_TIMESTAMP
            and now_ms - base_timestamp > policy.timestamp_before_max_ms
        ):
            return INVALID_TIMESTAMP
    if attributes & _TRANSACTIONAL:
        # No transaction can be open before there is a coordinator that opens one.
        return INVALID_RECORD if producer_id < 0 else INVALID_TXN_STATE
    if producer_id >= 0 and producer_epoch < 0:
        return INVALID_PRODUCER_EPOCH
    return ADMITTED
