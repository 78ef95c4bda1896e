/* Load through librdkafka, the client under most of Kafka's client libraries.
 *
 *   librdkafka_load produce SERVER TOPIC SPREAD RECORDS BYTES constant|json [NAME=VALUE ...]
 *   librdkafka_load consume SERVER TOPIC PARTITIONS PASSES [NAME=VALUE ...]
 *
 * produce: RECORDS records with values of BYTES, acks=all, linger 5 ms, large queues. SPREAD 0
 *          leaves the partition to librdkafka, as a producer without keys does; SPREAD n sends
 *          record i to partition i % n, as many keys do. json: lines of an invented event stream,
 *          which compress as such lines do.
 * consume: all that the partitions hold now, from their beginning, PASSES times.
 * NAME=VALUE are librdkafka's own settings.
 * Prints one JSON object; for consume, one a pass. Seconds are from the first record handed over to
 * the last acknowledged, or from the first request to the last record read.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUES = 4096, SERVE_EVERY = 1000, DEADLINE_S = 120, TEXT = 512 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
    char error[TEXT];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) die(name, error);
}

static void set_given(rd_kafka_conf_t *conf, int count, char **given) {
    for (int i = 0; i < count; i++) {
        char *equals = strchr(given[i], '=');
        if (!equals) die(given[i], "give NAME=VALUE");
        *equals = 0;
        set(conf, given[i], equals + 1);
    }
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
    char error[TEXT];
    rd_kafka_t *made = rd_kafka_new(type, conf, error, sizeof error);
    if (!made) die("librdkafka", error);
    return made;
}

static rd_kafka_topic_t *topic_of(rd_kafka_t *rk, const char *name) {
    rd_kafka_topic_t *made = rd_kafka_topic_new(rk, name, NULL);
    if (!made) die(name, rd_kafka_err2str(rd_kafka_last_error()));
    return made;
}

/* produce */

static long refused;

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
    (void)rk, (void)opaque;
    if (!message->err) return;
    if (!refused++) fprintf(stderr, "not acknowledged: %s\n", rd_kafka_err2str(message->err));
}

/* Values made before the clock runs; the records point into them. */
static char *values_of(const char *kind, size_t bytes) {
    char *values = malloc(VALUES * bytes);
    if (!values) die("values", "no memory");
    if (!strcmp(kind, "constant")) return memset(values, 'x', VALUES * bytes);
    if (strcmp(kind, "json")) die(kind, "give constant or json");
    static const char *events[] = {"viewed", "added to basket", "paid", "shipped", "returned"};
    static const char *cities[] = {"Lisbon", "Osaka", "Leeds", "Quito", "Turin", "Accra", "Bergen"};
    unsigned long long random = 88172645463325252ull;
    for (size_t i = 0; i < VALUES; i++) {
        char *value = values + i * bytes;
        size_t filled = 0;
        while (filled < bytes) {
            char line[TEXT];
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            int length = snprintf(
                line, sizeof line,
                "{\"event\":\"%s\",\"customer\":\"%016llx\",\"order\":%llu,\"city\":\"%s\","
                "\"amount\":%llu.%02llu,\"at\":\"2026-01-%02lluT%02llu:%02llu:%02llu.%03lluZ\"}\n",
                events[random % 5], random, random % 10000000, cities[random % 7], random % 900,
                random % 100, random % 28 + 1, random % 24, random / 3 % 60, random / 7 % 60, random % 1000);
            size_t taken = (size_t)length < bytes - filled ? (size_t)length : bytes - filled;
            memcpy(value + filled, line, taken);
            filled += taken;
        }
    }
    return values;
}

static int produce(int argc, char **argv) {
    long spread = atol(argv[4]), records = atol(argv[5]);
    size_t bytes = (size_t)atol(argv[6]);
    char *values = values_of(argv[7], bytes);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[2]);
    set(conf, "acks", "all");
    set(conf, "linger.ms", "5");
    set(conf, "queue.buffering.max.messages", "500000");
    set(conf, "queue.buffering.max.kbytes", "512000");
    set(conf, "delivery.report.only.error", "true");
    set_given(conf, argc - 8, argv + 8);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, conf);
    rd_kafka_topic_t *topic = topic_of(rk, argv[3]);
    const struct rd_kafka_metadata *known;
    rd_kafka_resp_err_t asked = rd_kafka_metadata(rk, 0, topic, &known, 10000);
    if (asked) die("Metadata", rd_kafka_err2str(asked));
    rd_kafka_metadata_destroy(known);

    double began = now();
    for (long i = 0; i < records; i++) {
        int32_t partition = spread ? (int32_t)(i % spread) : RD_KAFKA_PARTITION_UA;
        while (rd_kafka_produce(topic, partition, 0, values + (size_t)(i % VALUES) * bytes, bytes, NULL, 0, NULL)) {
            rd_kafka_resp_err_t error = rd_kafka_last_error();
            if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) die("produce", rd_kafka_err2str(error));
            rd_kafka_poll(rk, 1);
        }
        if (i % SERVE_EVERY == 0) rd_kafka_poll(rk, 0);
    }
    while (rd_kafka_outq_len(rk) > 0 && now() < began + DEADLINE_S) rd_kafka_poll(rk, 1);
    double seconds = now() - began;
    long waiting = rd_kafka_outq_len(rk), acknowledged = records - waiting - refused;
    printf("{\"records\": %ld, \"acknowledged\": %ld, \"seconds\": %.4f, \"per_second\": %.0f, "
           "\"mb_per_second\": %.1f}\n",
           records, acknowledged, seconds, acknowledged / seconds, acknowledged * bytes / seconds / 1e6);
    return acknowledged == records ? 0 : 1;
}

/* consume */

struct reading {
    long records, bytes, errors;
};

static void read_one(rd_kafka_message_t *message, void *opaque) {
    struct reading *reading = opaque;
    if (!message->err) {
        reading->records++;
        reading->bytes += (long)message->len;
    } else if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF && !reading->errors++) {
        fprintf(stderr, "not read: %s\n", rd_kafka_message_errstr(message));
    }
}

static int consume(int argc, char **argv) {
    int partitions = atoi(argv[4]), passes = atoi(argv[5]);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", argv[2]);
    set(conf, "fetch.message.max.bytes", "8388608");
    set(conf, "queued.min.messages", "10000000");
    set(conf, "queued.max.messages.kbytes", "2097151");
    set_given(conf, argc - 6, argv + 6);
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, conf);
    rd_kafka_topic_t *topic = topic_of(rk, argv[3]);
    for (int pass = 0; pass < passes; pass++) {
        long held = 0, end = 0;
        for (int32_t p = 0; p < partitions; p++) {
            int64_t low, high;
            rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(rk, argv[3], p, &low, &high, 10000);
            if (error) die("watermarks", rd_kafka_err2str(error));
            held += high - low;
            end += high;
        }
        struct reading reading = {0};
        rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
        double began = now();
        for (int32_t p = 0; p < partitions; p++)
            if (rd_kafka_consume_start_queue(topic, p, RD_KAFKA_OFFSET_BEGINNING, queue))
                die("consume", rd_kafka_err2str(rd_kafka_last_error()));
        while (reading.records < held && !reading.errors && now() < began + DEADLINE_S)
            rd_kafka_consume_callback_queue(queue, 100, read_one, &reading);
        double seconds = now() - began;
        for (int32_t p = 0; p < partitions; p++) rd_kafka_consume_stop(topic, p);
        rd_kafka_queue_destroy(queue);
        printf("{\"records\": %ld, \"held\": %ld, \"end\": %ld, \"seconds\": %.4f, \"mb_per_second\": %.1f}\n",
               reading.records, held, end, seconds, reading.bytes / seconds / 1e6);
        fflush(stdout);
        if (reading.records != held) return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    int status = 2;
    if (argc >= 8 && !strcmp(argv[1], "produce")) status = produce(argc, argv);
    else if (argc >= 6 && !strcmp(argv[1], "consume")) status = consume(argc, argv);
    else fprintf(stderr, "usage: see the top of librdkafka_load.c\n");
    fflush(stdout);
    _Exit(status); /* librdkafka's orderly end waits for its threads, which nobody needs */
}
