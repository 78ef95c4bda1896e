"""Every bound in one place: what a queue, buffer, request or wait may grow to. Over it is a clear
error.

Values are defaults; those that an operator may change are fields of `app.config.Limits` and start
from here. Units are in the names.
"""

KIB = 1024
MIB = 1024 * KIB

# Kafka port
CONNECTIONS_MAX = 10_000
DESCRIPTORS_MIN = 64  # below it a broker does not start
DESCRIPTORS_UNBOUNDED = 2**31
DESCRIPTORS_RESERVED = 256  # for files: connections never take the last (half, where there are few)
REQUEST_BYTES_MAX = 100 * MIB  # Kafka's socket.request.max.bytes
CONNECTION_IDLE_MS_MAX = 600_000  # Kafka's connections.max.idle.ms
CONNECTION_IN_FLIGHT_BYTES_MAX = 16 * MIB  # produced, not yet answered, per connection
CONNECTION_PIPELINE_MAX = 1_000  # produce requests decided, not yet answered, per connection
RECEIVE_BUFFER_IDLE_BYTES = 8 * KIB
RECEIVE_POOL_BYTES_MAX = 256 * MIB
LEASED_BATCH_BYTES_MIN = 32 * KIB  # a shorter one costs less to copy than to keep where it lies
DECODED_AT_ONCE_BYTES_MAX = 8 * KIB  # of a control request; a larger one is decoded on a lane
REQUEST_ARRIVAL_MS_MAX = 10_000  # of one that holds a pooled buffer, while others wait for one
FETCH_RESPONSE_BYTES_MAX = 50 * MIB  # Kafka's fetch.max.bytes
FETCH_COPIED_BYTES_MAX = 1 * MIB  # of one answer; what `sendfile` sends costs no memory
FETCH_PARTITIONS_PER_TURN = 1_000  # of one request, then the loop gets a turn
FETCH_WAIT_MS_MAX = 300_000
FETCH_SESSIONS_MAX = 1_000
FETCH_SESSION_PARTITIONS_MAX = 1_000_000  # of all sessions together, and of large requests
METADATA_ANSWERS_KEPT = 256
METADATA_ANSWERS_BYTES_MAX = 8 * MIB
DESCRIBED_PARTITIONS_MAX = 2_000  # Kafka's max.request.partition.size.limit
CONFIG_RESOURCES_PER_TURN = 64  # of one DescribeConfigs, then the loop gets a turn
CONFIG_ANSWER_BYTES_MAX = 64 * MIB
CONNECTION_PINS_MAX = 4_096  # ranges lent to one connection and not yet known to be read
PARKED_FETCHES_MAX = 200_000
PARKED_WAITS_MAX = 1_000_000  # partitions of all parked fetches together
SEND_BUFFER_BYTES = 384 * KIB  # of a socket (SO_SNDBUF; Linux doubles it): see ADR 4
SEND_TURN_BYTES = 512 * KIB  # one turn of sendfile on the loop: more than a socket takes at once
TLS_TURN_BYTES = 256 * KIB  # one turn of reading and encrypting on the loop
SMALL_READ_BYTES = 64 * KIB  # below this a read is a copy, above it a file range
OUTBOUND_BYTES_MAX = 256 * KIB  # copied bytes queued to a peer; above it no request of it is begun
OUTBOUND_PARTS_MAX = 128  # buffers and file ranges queued to a peer, likewise

# Records
BATCH_BYTES_MAX = 1_048_588  # Kafka's message.max.bytes
DECOMPRESSED_BYTES_MAX = 128 * MIB

# WAL
SEGMENT_BYTES = 64 * MIB
SEGMENT_BYTES_MIN = 1 * MIB
SEGMENT_BYTES_MAX = 1024 * MIB
BLOCK_BYTES_MAX = 4 * MIB  # a block closes at this size; a single larger batch makes a larger block
BLOCK_FRAMES_MAX = 4_096
WAL_PENDING_BYTES_MAX = 64 * MIB  # appended, not yet synced; above it connections are not read
INDEX_EVERY_BYTES = 4 * KIB
CHECKPOINT_DELTAS_MAX = 16
SEGMENTS_FREE_MAX = 16  # retired files kept for their next life
SEGMENTS_FREE_MIN = 4  # of them stay when none was needed for SEGMENTS_FREE_MS
SEGMENTS_FREE_MS = 600_000
SIDECAR_ROWS_BYTES_MAX = 8 * MIB  # index rows of sealed segments kept in memory

# Producers
PRODUCER_BATCHES_KEPT = 5  # Kafka's ProducerStateEntry.NUM_BATCHES_TO_RETAIN
PRODUCER_EXPIRATION_MS = 86_400_000  # producer.id.expiration.ms
PRODUCERS_PER_PARTITION_MAX = 100_000
PRODUCER_ID_BLOCK = 1_000

# Groups
GROUPS_MAX = 200_000  # of one coordinator
GROUP_MEMBERS_MAX = 10_000  # Kafka's group.max.size, which has no bound there
GROUP_PENDING_MEMBERS_MAX = 10_000  # told their id, not yet back with it (KIP-394)
GROUP_PROTOCOLS_MAX = 100  # that one member offers
GROUP_STRING_CHARACTERS_MAX = 8_191  # names and ids: fits a record's field in any alphabet
GROUP_SESSION_MS_MIN = 6_000  # Kafka's group.min.session.timeout.ms
GROUP_SESSION_MS_MAX = 1_800_000  # Kafka's group.max.session.timeout.ms
GROUP_INITIAL_REBALANCE_DELAY_MS = 3_000  # Kafka's group.initial.rebalance.delay.ms
GROUP_NEW_MEMBER_JOIN_MS_MAX = 300_000  # a new member waits no longer for its first generation
GROUP_JOIN_WAIT_MS_MIN = 100  # before a phase that nobody joined is looked at again
OFFSET_METADATA_CHARACTERS_MAX = 4_096  # Kafka's offset.metadata.max.bytes
OFFSETS_RETENTION_MS = 604_800_000  # Kafka's offsets.retention.minutes
OFFSETS_EXPIRY_CHECK_MS = 600_000  # Kafka's offsets.retention.check.interval.ms
OFFSETS_EXPIRED_PER_TURN = 2_000  # looked at in one tick, then the loop gets a turn
REBALANCES_KEPT = 100  # of each group, so that it can be asked why it rebalanced

# Manifest
TOPICS_MAX = 100_000
PARTITIONS_MAX = 200_000  # of all topics together: about 5 KB of memory each
PARTITIONS_PER_TOPIC_MAX = 100_000
TOPIC_NAME_BYTES_MAX = 249
FACT_BYTES_MAX = 48 * KIB  # one entry of the log (ADR 7); larger proposals travel in parts
PROPOSALS_IN_FLIGHT_MAX = 10_000
PROPOSAL_PARTS_MAX = 256  # entries that one proposal may take (12 MiB)
PROPOSED_PARTITIONS_MAX = 2_000  # of several topics in one proposal: they come or go in one turn
PROPOSALS_KEPT = 1_024  # taken proposals remembered, so that a repeated one is known
PROPOSE_TIMEOUT_MS = 30_000
CONFIGS_BYTES_MAX = 32_767  # values of one resource together: Kafka's old answers have no more room
PREFIXES_MAX = 10_000  # prefixes of topic names that have configs
POLICIES_KEPT = 1_000  # topics with equal configs share one policy

# Configuration
CONFIG_FILE_BYTES_MAX = 1 * MIB
CONFIG_FILE_VALUES_MAX = 10_000

# Administration
ADMIN_PAGE_MAX = 1_000  # topics, or whatever a list has, in one page
ADMIN_MESSAGE_BYTES_MAX = 64 * MIB  # one command or reply on the sibling's socket
ADMIN_ASKED_MAX = 1_000  # commands under way on the sibling's socket
WATCHES_MAX = 100
ADMIN_ITEMS_PER_TURN = 256  # topics, partitions or items of one command, then the loop gets a turn
ADMIN_ASK_MS_MAX = 300_000  # every command ends by then, whatever it waits for
ERROR_CHARACTERS_MAX = 2_000  # of an error's message: it may repeat what a client sent
ADMIN_HELLO_MS_MAX = 30_000  # for the token: the sibling has to start first
API_BODY_BYTES_MAX = 10 * MIB
API_REQUEST_MS_MAX = 60_000
API_CONNECTIONS_MAX = 500
API_CONNECTIONS_REFUSED_MAX = 50  # above API_CONNECTIONS_MAX, told so; one more is closed at once
API_HEAD_BYTES_MAX = 16 * KIB  # request line and headers
API_HEAD_MS_MAX = 10_000  # until a connection's next request line and headers are there
API_DRAINED_BYTES_MAX = 1 * MIB  # of a body that nobody wants any more, so that its answer is read
API_SEND_BYTES = 64 * KIB  # of an answer at once: the next part waits for its client
API_KEEP_ALIVE_MS_MAX = 10_000
API_BUFFERED_BYTES_MAX = 64 * MIB  # bodies and pages of records of all requests together
API_CLOSE_MS_MAX = 5_000  # requests under way when the broker ends
API_SEND_MS_MAX = 30_000  # until a client has taken a part of a watch, or the rest of an answer
API_WATCH_BEAT_MS = 15_000  # a watch without news says so, or proxies would close it
API_STREAM_RECORDS_MAX = 100_000  # of one NDJSON answer
API_STREAM_BYTES_MAX = 100 * MIB
API_START_MS_MAX = 30_000  # of the sibling process, until it serves
API_RESTART_MS_MIN = 200  # between two starts of a sibling that ended, doubled each time
API_RESTART_MS_MAX = 30_000
READ_RECORDS_MAX = 1_000
WRITE_RECORDS_MAX = 10_000  # of one WriteRecords
READ_BYTES_MAX = 10 * MIB
READ_WAIT_MS_MAX = 30_000
PARK_RETRY_MS = 100  # how often a read looks again where too many wait already

# Metrics
METRIC_TOPICS_MAX = 1_000  # with series of their own; all others are counted together
METRIC_PARTITIONS_MAX = 10_000  # likewise; of the others there are none
METRIC_TURN_NS = 2_000_000  # of collecting, before the loop gets a turn
METRIC_LINES_AT_ONCE = 500  # rows collected, or lines rendered, between two looks at the clock

# Lanes
LANE_QUEUE_MAX = 10_000
READER_THREADS = 4

# Sockets
LISTEN_BACKLOG = 1_024
CLOSE_FLUSH_MS_MAX = 5_000  # what a closing connection still has to send is dropped after this
TLS_HANDSHAKE_MS_MAX = 10_000
WARM_BYTES = 1 * MIB  # read ahead at once on the `reader` lane when a range to send is not cached
