/* Load for one broker: sends one prepared Kafka Produce frame over many connections.
 *
 *   loadgen PORT FRAME CONNECTIONS closed IN_FLIGHT SECONDS ERROR_AT ERRORS STRIDE
 *   loadgen PORT FRAME CONNECTIONS open   RATE      SECONDS ERROR_AT ERRORS STRIDE
 *
 * closed: IN_FLIGHT requests per connection, each sent when one is answered.
 * open:   RATE requests per second in all; latency counts from the time a request was due, so a
 *         stall of the broker is felt by every request that it delayed.
 * The first fifth of SECONDS (at most 1 s) warms up and is not counted.
 * An answer carries ERRORS error codes (int16), the first at byte ERROR_AT, STRIDE bytes apart.
 * Prints one JSON object; latencies are in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 65536, ANSWER_BYTES = 65536, SAMPLES_MAX = 20000000 };

struct connection {
    int fd;
    long sent, answered;
    double *due; /* when request i was due, at i % WINDOW */
    char *answer;
    size_t answer_bytes;
    char *rest; /* what the socket did not take of the last frame */
    size_t rest_bytes;
};

static char *frame;
static size_t frame_bytes;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void load_frame(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    frame_bytes = (size_t)ftell(file);
    rewind(file);
    frame = malloc(frame_bytes);
    if (!frame || fread(frame, 1, frame_bytes, file) != frame_bytes) die(path);
    fclose(file);
}

static void connect_to(struct connection *c, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&address, sizeof address)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->due = malloc(WINDOW * sizeof *c->due);
    c->answer = malloc(ANSWER_BYTES);
    c->rest = malloc(frame_bytes);
    if (!c->due || !c->answer || !c->rest) die("malloc");
}

/* Sends the frame (perhaps in part, the rest later); 0 if the connection cannot take it now. */
static int put(struct connection *c, double due) {
    if (c->rest_bytes || c->sent - c->answered >= WINDOW) return 0;
    uint32_t correlation = htonl((uint32_t)c->sent);
    memcpy(frame + 8, &correlation, 4);
    ssize_t taken = send(c->fd, frame, frame_bytes, MSG_NOSIGNAL);
    if (taken < 0) {
        if (errno == EAGAIN) return 0;
        die("send");
    }
    c->rest_bytes = frame_bytes - (size_t)taken;
    memcpy(c->rest, frame + taken, c->rest_bytes);
    c->due[c->sent++ % WINDOW] = due;
    return 1;
}

static void put_rest(struct connection *c) {
    ssize_t taken = send(c->fd, c->rest, c->rest_bytes, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) die("send");
    if (taken > 0) {
        c->rest_bytes -= (size_t)taken;
        memmove(c->rest, c->rest + taken, c->rest_bytes);
    }
}

struct tally {
    float *latency;
    long counted, errors, answered;
    double from; /* requests due earlier are warm-up */
    int error_at, error_count, stride;
};

static void take_answers(struct connection *c, struct tally *t) {
    ssize_t got = recv(c->fd, c->answer + c->answer_bytes, ANSWER_BYTES - c->answer_bytes, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        fprintf(stderr, "the broker closed a connection\n");
        exit(1);
    }
    c->answer_bytes += (size_t)got;
    size_t at = 0;
    double when = now();
    while (c->answer_bytes - at >= 4) {
        uint32_t length;
        memcpy(&length, c->answer + at, 4);
        length = ntohl(length);
        if (c->answer_bytes - at < 4 + (size_t)length) break;
        for (int i = 0; i < t->error_count; i++) {
            int16_t code;
            memcpy(&code, c->answer + at + t->error_at + i * t->stride, 2);
            t->errors += code != 0;
        }
        double due = c->due[c->answered++ % WINDOW];
        if (due >= t->from && t->counted < SAMPLES_MAX)
            t->latency[t->counted++] = (float)((when - due) * 1e6);
        t->answered++;
        at += 4 + length;
    }
    c->answer_bytes -= at;
    memmove(c->answer, c->answer + at, c->answer_bytes);
}

int main(int argc, char **argv) {
    if (argc != 10) {
        fprintf(stderr, "usage: see the top of loadgen.c\n");
        return 2;
    }
    int port = atoi(argv[1]), count = atoi(argv[3]), is_open = !strcmp(argv[4], "open");
    double pace = atof(argv[5]), seconds = atof(argv[6]);
    struct tally t = {.error_at = atoi(argv[7]), .error_count = atoi(argv[8]), .stride = atoi(argv[9])};
    load_frame(argv[2]);
    struct connection *all = calloc((size_t)count, sizeof *all);
    struct pollfd *polled = calloc((size_t)count, sizeof *polled);
    t.latency = malloc(SAMPLES_MAX * sizeof *t.latency);
    if (!all || !polled || !t.latency) die("malloc");
    for (int i = 0; i < count; i++) {
        connect_to(&all[i], port);
        polled[i].fd = all[i].fd;
    }
    double start = now(), warm = seconds * 0.2 < 1 ? seconds * 0.2 : 1, end = start + warm + seconds;
    long sent = 0;
    t.from = start + warm;
    for (;;) {
        double at = now();
        if (at >= end && t.answered == sent) break;
        if (at >= end + 20) break;
        if (at < end && is_open)
            while (start + sent / pace <= now() && put(&all[sent % count], start + sent / pace)) sent++;
        if (at < end && !is_open)
            for (int i = 0; i < count; i++)
                while (all[i].sent - all[i].answered < (long)pace && put(&all[i], now())) sent++;
        for (int i = 0; i < count; i++)
            polled[i].events = (short)(POLLIN | (all[i].rest_bytes ? POLLOUT : 0));
        double wait = is_open ? start + sent / pace - now() : 0.1;
        if (wait < 0) wait = 0;
        if (wait > 0.1 || at >= end) wait = 0.1;
        struct timespec timeout = {0, (long)(wait * 1e9)};
        if (ppoll(polled, (nfds_t)count, &timeout, NULL) <= 0) continue;
        for (int i = 0; i < count; i++) {
            if (polled[i].revents & POLLOUT && all[i].rest_bytes) put_rest(&all[i]);
            if (polled[i].revents & (POLLIN | POLLHUP)) take_answers(&all[i], &t);
        }
    }
    if (!t.counted) {
        puts("{\"requests\": 0}");
        return 1;
    }
    qsort(t.latency, (size_t)t.counted, sizeof *t.latency, ascending);
    printf("{\"requests\": %ld, \"answered\": %ld, \"per_second\": %.0f, \"mb_per_second\": %.1f, "
           "\"p50_us\": %.0f, \"p99_us\": %.0f, \"p999_us\": %.0f, \"max_us\": %.0f, "
           "\"errors\": %ld, \"unanswered\": %ld}\n",
           t.counted, t.answered, t.counted / seconds, (double)frame_bytes * t.counted / seconds / 1e6,
           t.latency[t.counted / 2], t.latency[(long)(t.counted * .99)],
           t.latency[(long)(t.counted * .999)], t.latency[t.counted - 1], t.errors, sent - t.answered);
    return 0;
}
