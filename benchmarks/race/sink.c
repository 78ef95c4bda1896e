/* A broker that costs next to nothing, to see what a load generator can do at most on a machine.
 *
 *   sink PORT
 *
 * One thread on 127.0.0.1:PORT takes Produce requests, looks at their lengths and acknowledges
 * them: no CRC, no checks, no storage. A topic exists as soon as it is named; one whose name ends
 * in -N has N partitions, any other has one, and this broker leads them all. Base offsets count up
 * over all partitions together. Bytes that are no request of a served version close the connection.
 *
 * librdkafka goes by what is advertised: without Fetch v4 it would not send record batches, and
 * without FindCoordinator v0 and Produce v0 (KAFKA-18659; not served) it does not compress. Fetch
 * says at once that there is nothing new.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 64 << 10, /* what is received at once, but for the rest of a longer request */
    REQUEST_BYTES_MAX = 16 << 20,
    ANSWERS_BYTES_MAX = 1 << 20, /* to the requests of one chunk */
    PARTITIONS_MAX = 1000,
    EVENTS = 64,
    NODE = 1,
    UNSUPPORTED_VERSION = 35,
};

static const char HOST[] = "127.0.0.1";
static int port;
static int64_t next_offset;

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Bytes that come in: past their end everything is 0, and `is_bad` says so. */

struct input {
    const uint8_t *at, *end;
    int is_bad;
};

struct text {
    const uint8_t *bytes;
    int size; /* -1: null */
};

static const uint8_t *take(struct input *in, size_t count) {
    if ((size_t)(in->end - in->at) < count) in->is_bad = 1;
    if (in->is_bad) return NULL;
    in->at += count;
    return in->at - count;
}

static int64_t number_at(const uint8_t *bytes, int count) {
    int64_t value = (int8_t)bytes[0];
    for (int i = 1; i < count; i++) value = (int64_t)((uint64_t)value << 8 | bytes[i]);
    return value;
}

static int64_t number(struct input *in, int count) {
    const uint8_t *bytes = take(in, (size_t)count);
    return bytes ? number_at(bytes, count) : 0;
}

static struct text text(struct input *in) {
    struct text read = {.size = (int)number(in, 2)};
    if (read.size > 0 && !(read.bytes = take(in, (size_t)read.size))) read.size = 0;
    return read;
}

/* Bytes that go out: what does not fit is left away, and `is_full` says so. */

struct output {
    uint8_t *bytes;
    size_t used;
    int is_full;
};

static void put(struct output *out, const void *bytes, size_t count) {
    if (ANSWERS_BYTES_MAX - out->used < count) out->is_full = 1;
    if (out->is_full) return;
    memcpy(out->bytes + out->used, bytes, count);
    out->used += count;
}

static void put_number(struct output *out, int64_t value, int count) {
    uint8_t bytes[8];
    for (int i = count - 1; i >= 0; i--, value >>= 8) bytes[i] = (uint8_t)value;
    put(out, bytes, (size_t)count);
}

static void put_text(struct output *out, struct text given) {
    put_number(out, given.size, 2);
    if (given.size > 0) put(out, given.bytes, (size_t)given.size);
}

static void put_node(struct output *out) {
    put_number(out, NODE, 4);
    put_text(out, (struct text){(const uint8_t *)HOST, sizeof HOST - 1});
    put_number(out, port, 4);
}

/* The length of an array of the request, which the answer repeats; a null array counts as empty. */
static int64_t repeat_length(struct input *in, struct output *out) {
    int64_t length = number(in, 4);
    if (length < 0) length = 0;
    put_number(out, length, 4);
    return length;
}

static int goes_on(const struct input *in, const struct output *out) {
    return !in->is_bad && !out->is_full;
}

/* A function for each API reads the body of a request and writes its answer; 0: none is wanted. */

/* A producer sends one batch for a partition: its records are counted by its last offset delta. */
static int64_t records_in(const uint8_t *batch, int64_t size) {
    int64_t last = batch && size >= 27 ? number_at(batch + 23, 4) : -1;
    return last < 0 ? 0 : last + 1;
}

static int produce(struct input *in, struct output *out, int version) {
    text(in); /* transactional id */
    int64_t acks = number(in, 2);
    number(in, 4); /* timeout */
    for (int64_t topics = repeat_length(in, out); topics > 0 && goes_on(in, out); topics--) {
        put_text(out, text(in));
        for (int64_t rest = repeat_length(in, out); rest > 0 && goes_on(in, out); rest--) {
            put_number(out, number(in, 4), 4); /* partition */
            int64_t size = number(in, 4);
            const uint8_t *batch = size > 0 ? take(in, (size_t)size) : NULL;
            put_number(out, 0, 2);                   /* error */
            put_number(out, next_offset, 8);
            put_number(out, -1, 8);                  /* append time */
            if (version >= 5) put_number(out, 0, 8); /* log start */
            next_offset += records_in(batch, size);
        }
    }
    put_number(out, 0, 4); /* throttle */
    return acks != 0;
}

static int fetch(struct input *in, struct output *out, int version) {
    in->at = in->end;      /* whatever is asked for */
    put_number(out, 0, 8); /* throttle, no topics */
    return 1;
}

static int partitions_of(struct text topic) {
    int count = 0, factor = 1, at = topic.size - 1;
    for (; at >= 0 && topic.bytes[at] >= '0' && topic.bytes[at] <= '9'; at--, factor *= 10) {
        if (factor >= PARTITIONS_MAX) return PARTITIONS_MAX;
        count += (topic.bytes[at] - '0') * factor;
    }
    return at >= 0 && topic.bytes[at] == '-' && count ? count : 1;
}

static int metadata(struct input *in, struct output *out, int version) {
    put_number(out, 1, 4); /* brokers */
    put_node(out);
    put_number(out, -1, 2);   /* rack */
    put_number(out, NODE, 4); /* controller */
    for (int64_t topics = repeat_length(in, out); topics > 0 && goes_on(in, out); topics--) {
        struct text name = text(in);
        int count = in->is_bad ? 0 : partitions_of(name);
        put_number(out, 0, 2); /* error */
        put_text(out, name);
        put_number(out, 0, 1); /* internal */
        put_number(out, count, 4);
        for (int partition = 0; partition < count; partition++) {
            put_number(out, 0, 2); /* error */
            put_number(out, partition, 4);
            put_number(out, NODE, 4); /* leader */
            for (int list = 0; list < 2; list++) /* replicas, in sync: one, this */
                put_number(out, 1, 4), put_number(out, NODE, 4);
        }
    }
    return 1;
}

static int find_coordinator(struct input *in, struct output *out, int version) {
    text(in);              /* group */
    put_number(out, 0, 2); /* error */
    put_node(out);
    return 1;
}

/* What is advertised and what is answered. */
static int api_versions(struct input *in, struct output *out, int version);
enum { PRODUCE = 0 };
static const struct api {
    int key, least, most;
    int (*answer)(struct input *, struct output *, int version);
} APIS[] = {
    {PRODUCE, 3, 7, produce},
    {1, 4, 4, fetch},
    {3, 1, 1, metadata},
    {10, 0, 0, find_coordinator},
    {18, 0, 3, api_versions},
};
enum { APIS_COUNT = sizeof APIS / sizeof *APIS, API_VERSIONS = 18, FLEXIBLE = 3 };

/* A version that we do not know is answered in v0, so that every client can read it (KIP-511). */
static int api_versions(struct input *in, struct output *out, int version) {
    in->at = in->end; /* who asks does not matter */
    int is_known = version <= 3, is_flexible = is_known && version >= FLEXIBLE;
    put_number(out, is_known ? 0 : UNSUPPORTED_VERSION, 2);
    put_number(out, APIS_COUNT + is_flexible, is_flexible ? 1 : 4);
    for (const struct api *api = APIS; api < APIS + APIS_COUNT; api++) {
        put_number(out, api->key, 2);
        put_number(out, api->key == PRODUCE ? 0 : api->least, 2);
        put_number(out, api->most, 2);
        if (is_flexible) put_number(out, 0, 1); /* tagged fields */
    }
    if (is_known && version >= 1) put_number(out, 0, 4); /* throttle */
    if (is_flexible) put_number(out, 0, 1);              /* tagged fields */
    return 1;
}

/* Answers one request, without its length; 0 if it is none. */
static int answer(struct output *out, const uint8_t *request, size_t size) {
    struct input in = {.at = request, .end = request + size};
    int key = (int)number(&in, 2), version = (int)number(&in, 2);
    int64_t correlation = number(&in, 4);
    text(&in); /* client id */
    for (const struct api *api = APIS; api < APIS + APIS_COUNT; api++) {
        int is_served = version >= api->least && (version <= api->most || key == API_VERSIONS);
        if (api->key != key || !is_served) continue;
        size_t began = out->used;
        put_number(out, 0, 4); /* length, known below */
        put_number(out, correlation, 4);
        int is_wanted = api->answer(&in, out, version);
        if (in.is_bad || out->is_full || in.at != in.end) return 0;
        put_number(&(struct output){.bytes = out->bytes, .used = began}, out->used - began - 4, 4);
        if (!is_wanted) out->used = began;
        return 1;
    }
    return 0;
}

struct connection {
    int fd;
    uint8_t *bytes; /* of requests, perhaps not whole */
    size_t have, room;
    struct output out;
    size_t sent; /* of `out` */
};

/* Answers every whole request that has arrived and keeps the rest; 0 closes the connection. */
static int answer_all(struct connection *c) {
    size_t at = 0;
    for (size_t whole; c->have - at >= 4; at += whole) {
        int64_t size = number_at(c->bytes + at, 4);
        if (size < 0 || size > REQUEST_BYTES_MAX) return 0;
        whole = 4 + (size_t)size;
        if (whole > c->room && !(c->bytes = realloc(c->bytes, c->room = whole))) die("realloc");
        if (c->have - at < whole) break;
        if (!answer(&c->out, c->bytes + at + 4, (size_t)size)) return 0;
    }
    c->have -= at;
    if (at) memmove(c->bytes, c->bytes + at, c->have);
    return 1;
}

/* 0 closes the connection. */
static int send_answers(struct connection *c) {
    if (c->sent == c->out.used) return 1;
    ssize_t taken = send(c->fd, c->out.bytes + c->sent, c->out.used - c->sent, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) return 0;
    if (taken > 0) c->sent += (size_t)taken;
    if (c->sent == c->out.used) c->sent = c->out.used = 0;
    return 1;
}

/* Receives while there is more, up to the end of a long request so that nothing of it is moved. */
static int receive(struct connection *c) {
    size_t wanted;
    ssize_t got;
    do {
        size_t whole = c->have >= 4 ? 4 + (size_t)number_at(c->bytes, 4) : 0;
        wanted = (whole > CHUNK_BYTES ? whole : CHUNK_BYTES) - c->have;
        got = recv(c->fd, c->bytes + c->have, wanted, 0);
        if (got < 0) return errno == EAGAIN;
        c->have += (size_t)got;
        if (!got || !answer_all(c) || !send_answers(c)) return 0;
    } while ((size_t)got == wanted && !c->out.used);
    return 1;
}

static void accept_one(int listener, int poll) {
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *c = calloc(1, sizeof *c);
    if (!c) die("calloc");
    *c = (struct connection){.fd = fd, .bytes = malloc(CHUNK_BYTES), .room = CHUNK_BYTES};
    c->out.bytes = malloc(ANSWERS_BYTES_MAX);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = c};
    if (!c->bytes || !c->out.bytes || epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted)) die("accept");
}

static void serve(struct connection *c, int poll) {
    int waited = c->out.used > 0;
    if (waited ? send_answers(c) : receive(c)) {
        /* Whoever does not take its answers is not heard until it does. */
        int waits = c->out.used > 0;
        struct epoll_event wanted = {.events = waits ? EPOLLOUT : EPOLLIN, .data.ptr = c};
        if (waits != waited && epoll_ctl(poll, EPOLL_CTL_MOD, c->fd, &wanted)) die("epoll_ctl");
        return;
    }
    close(c->fd);
    free(c->bytes);
    free(c->out.bytes);
    free(c);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: see the top of sink.c\n");
        return 2;
    }
    port = atoi(argv[1]);
    int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct epoll_event events[EVENTS], wanted = {.events = EPOLLIN};
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, SOMAXCONN) ||
        epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted)) die("listen");
    for (;;) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr) serve(events[i].data.ptr, poll);
            else accept_one(listener, poll);
        }
    }
}
