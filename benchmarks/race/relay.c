/* From produce to consume: how long until a reader that waits has what was written.
 *
 *   relay PORT TOPIC FRAME RATE SECONDS ERROR_AT
 *
 * One connection sends a prepared Produce frame of one record to partition 0 of TOPIC, which must
 * be empty, RATE times a second; another has one Fetch (v4) waiting at all times. Latency is from
 * the time that a record was due to the arrival of the Fetch answer that holds it. The first fifth
 * of SECONDS (at most 1 s) is not counted. ERROR_AT is where a Produce answer has its error code.
 * Prints one JSON object; latencies are in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_BYTES = 4 << 20, BATCH_HEADER = 61, WAIT_MS = 500, PARTITION_BYTES = 1 << 20 };

struct answers {
    int fd;
    char *bytes;
    size_t have;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static struct answers connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct answers c = {.fd = socket(AF_INET, SOCK_STREAM, 0), .bytes = malloc(ANSWER_BYTES)};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!c.bytes || connect(c.fd, (void *)&address, sizeof address)) die("connect");
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return c;
}

static void send_all(int fd, const char *bytes, size_t count) {
    while (count) {
        ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0) die("send");
        bytes += sent;
        count -= (size_t)sent;
    }
}

static int32_t int32_at(const char *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return (int32_t)ntohl(value);
}

static int64_t int64_at(const char *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return (int64_t)be64toh(value);
}

static int16_t int16_at(const char *at) {
    uint16_t value;
    memcpy(&value, at, 2);
    return (int16_t)ntohs(value);
}

static char *put32(char *at, uint32_t value) {
    value = htonl(value);
    memcpy(at, &value, 4);
    return at + 4;
}

static char *put64(char *at, uint64_t value) {
    value = htobe64(value);
    memcpy(at, &value, 8);
    return at + 8;
}

static char *put16(char *at, uint16_t value) {
    value = htons(value);
    memcpy(at, &value, 2);
    return at + 2;
}

static void ask_for(int fd, const char *topic, int64_t offset) {
    char request[512], *at = request + 4;
    uint16_t name = (uint16_t)strlen(topic);
    at = put16(put16(at, 1), 4);
    at = put32(at, 0);
    at = put16(at, 0xffff);
    at = put32(put32(put32(put32(at, 0xffffffff), WAIT_MS), 1), 50 << 20);
    *at++ = 0;
    at = put16(put32(at, 1), name);
    memcpy(at, topic, name);
    at = put32(put32(at + name, 1), 0);
    at = put32(put64(at, (uint64_t)offset), PARTITION_BYTES);
    put32(request, (uint32_t)(at - request - 4));
    send_all(fd, request, (size_t)(at - request));
}

/* Bytes of the next whole answer at the front, 0 if it is not all there. */
static size_t whole(const struct answers *c) {
    if (c->have < 4) return 0;
    size_t length = 4 + (size_t)int32_at(c->bytes);
    return c->have >= length ? length : 0;
}

static void receive(struct answers *c) {
    ssize_t got = recv(c->fd, c->bytes + c->have, ANSWER_BYTES - c->have, 0);
    if (got <= 0) die("the broker closed a connection");
    c->have += (size_t)got;
}

static void drop(struct answers *c, size_t count) {
    c->have -= count;
    memmove(c->bytes, c->bytes + count, c->have);
}

/* The offset behind the last record of a Fetch v4 answer. */
static int64_t end_of(const char *answer, size_t name, int64_t offset) {
    const char *partition = answer + 4 + 4 + 4 + 4 + 2 + name + 4 + 4;
    if (int16_at(partition)) {
        fprintf(stderr, "Fetch: error %d\n", int16_at(partition));
        exit(1);
    }
    const char *aborted = partition + 2 + 8 + 8;
    int32_t transactions = int32_at(aborted);
    const char *records = aborted + 4 + (transactions > 0 ? transactions * 16 : 0);
    const char *at = records + 4, *end = at + int32_at(records);
    while (end - at >= BATCH_HEADER && end - at >= 12 + int32_at(at + 8)) {
        offset = int64_at(at) + int32_at(at + 23) + 1;
        at += 12 + int32_at(at + 8);
    }
    return offset;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: see the top of relay.c\n");
        return 2;
    }
    int port = atoi(argv[1]), error_at = atoi(argv[6]);
    double rate = atof(argv[4]), seconds = atof(argv[5]), warm = seconds * 0.2 < 1 ? seconds * 0.2 : 1;
    FILE *file = fopen(argv[3], "rb");
    char frame[65536];
    size_t frame_bytes = file ? fread(frame, 1, sizeof frame, file) : 0;
    if (!frame_bytes) die(argv[3]);
    long total = (long)((warm + seconds) * rate), first = (long)(warm * rate);
    float *latency = malloc((size_t)total * sizeof *latency);
    if (!latency) die("malloc");
    struct answers writer = connect_to(port), reader = connect_to(port);
    long sent = 0, acknowledged = 0, errors = 0;
    int64_t read = 0;
    ask_for(reader.fd, argv[2], 0);
    double start = now() + 0.05;
    while (read < total || acknowledged < total) {
        if (now() > start + warm + seconds + 20) break;
        while (sent < total && start + sent / rate <= now()) {
            put32(frame + 8, (uint32_t)sent++);
            send_all(writer.fd, frame, frame_bytes);
        }
        double wait = sent < total ? start + sent / rate - now() : 0.1;
        struct timespec timeout = {0, (long)((wait < 0 ? 0 : wait > 0.1 ? 0.1 : wait) * 1e9)};
        struct pollfd polled[2] = {{.fd = writer.fd, .events = POLLIN}, {.fd = reader.fd, .events = POLLIN}};
        if (ppoll(polled, 2, &timeout, NULL) <= 0) continue;
        if (polled[1].revents) {
            receive(&reader);
            double when = now();
            for (size_t length; (length = whole(&reader)); drop(&reader, length)) {
                int64_t end = end_of(reader.bytes, strlen(argv[2]), read);
                for (; read < end && read < total; read++)
                    latency[read] = (float)((when - start - read / rate) * 1e6);
                ask_for(reader.fd, argv[2], read);
            }
        }
        if (polled[0].revents) {
            receive(&writer);
            for (size_t length; (length = whole(&writer)); drop(&writer, length), acknowledged++)
                errors += int16_at(writer.bytes + error_at) != 0;
        }
    }
    long counted = (long)read - first;
    if (counted <= 0) {
        fprintf(stderr, "nothing was read\n");
        return 1;
    }
    qsort(latency + first, (size_t)counted, sizeof *latency, ascending);
    float *from = latency + first;
    printf("{\"sent\": %ld, \"acknowledged\": %ld, \"errors\": %ld, \"read\": %lld, \"p50_us\": %.0f, "
           "\"p99_us\": %.0f, \"p999_us\": %.0f, \"max_us\": %.0f}\n",
           sent, acknowledged, errors, (long long)read, from[counted / 2], from[(long)(counted * .99)],
           from[(long)(counted * .999)], from[counted - 1]);
    return 0;
}
