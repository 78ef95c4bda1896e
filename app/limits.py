"""Every bound in one place: what a queue, buffer, request or wait may grow to. Over it is a clear
error.

Values are defaults; those that an operator may change are fields of `app.config.Limits` and start
from here. Units are in the names.
"""

KIB = 1024
MIB = 1024 * KIB

# Kafka port
CONNECTIONS_MAX = 10_000
REQUEST_BYTES_MAX = 100 * MIB  # Kafka's socket.request.max.bytes
CONNECTION_IDLE_MS_MAX = 600_000  # Kafka's connections.max.idle.ms
CONNECTION_IN_FLIGHT_BYTES_MAX = 16 * MIB  # produced, not yet answered, per connection
CONNECTION_PIPELINE_MAX = 1_000  # produce requests decided, not yet answered, per connection
RECEIVE_BUFFER_IDLE_BYTES = 8 * KIB
RECEIVE_POOL_BYTES_MAX = 256 * MIB
FETCH_RESPONSE_BYTES_MAX = 50 * MIB  # Kafka's fetch.max.bytes
FETCH_WAIT_MS_MAX = 300_000
FETCH_SESSIONS_MAX = 1_000
FETCH_SESSION_PARTITIONS_MAX = 1_000_000  # of all sessions together
METADATA_ANSWERS_KEPT = 256
METADATA_ANSWERS_BYTES_MAX = 8 * MIB
CONNECTION_PINS_MAX = 4_096  # ranges lent to one connection and not yet known to be read
PARKED_FETCHES_MAX = 200_000
SEND_TURN_BYTES = 256 * KIB  # one turn of sendfile on the loop (ADR 4)
SMALL_READ_BYTES = 64 * KIB  # below this a read is a copy, above it a file range
OUTBOUND_BYTES_MAX = 64 * MIB  # small buffers queued to a peer that does not read

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
SEGMENTS_FREE_MAX = 4
SIDECAR_ROWS_BYTES_MAX = 8 * MIB  # index rows of sealed segments kept in memory

# Producers
PRODUCER_BATCHES_KEPT = 5  # Kafka's ProducerStateEntry.NUM_BATCHES_TO_RETAIN
PRODUCER_EXPIRATION_MS = 86_400_000  # producer.id.expiration.ms
PRODUCERS_PER_PARTITION_MAX = 100_000
PRODUCER_ID_BLOCK = 1_000

# Manifest
TOPICS_MAX = 100_000
PARTITIONS_PER_TOPIC_MAX = 100_000
TOPIC_NAME_BYTES_MAX = 249
FACT_BYTES_MAX = 48 * KIB  # one entry of the log (ADR 7); larger proposals travel in parts
PROPOSALS_IN_FLIGHT_MAX = 10_000
PROPOSAL_PARTS_MAX = 256  # entries that one proposal may take (12 MiB)
PROPOSALS_KEPT = 1_024  # taken proposals remembered, so that a repeated one is known
PROPOSE_TIMEOUT_MS = 30_000

# Lanes
LANE_QUEUE_MAX = 10_000
READER_THREADS = 4

# Sockets
LISTEN_BACKLOG = 1_024
CLOSE_FLUSH_MS_MAX = 5_000  # what a closing connection still has to send is dropped after this
TLS_HANDSHAKE_MS_MAX = 10_000
WARM_BYTES = 1 * MIB  # read ahead at once on the `reader` lane when a range to send is not cached
