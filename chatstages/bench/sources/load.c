/* The load: many members of a chat in one thread (Linux: epoll). It knows no protocol.
 *
 *     load mode=closed port=30005 members=100 seconds=2 pids=4711 hello=… joined=… before=… after=…
 *
 * What a protocol needs is given as templates, in hexadecimal: what a member sends first (hello), what it waits
 * for then (joined), and what stands before and after the payload of a message. In each of them @@@@@ becomes the
 * member's number. The payload is 64 bytes, and begins with a character that no template and no server uses:
 *
 *     |00042,00001f3a5c7e9b10,xxxxxxxx…xxx.
 *      speaker, time at which it was sent (nanoseconds, CLOCK_MONOTONIC), padding, and a full stop
 *
 * So whatever the server puts around it, and wherever the network cuts it: who looks for the character finds every
 * message, sees whether it is whole, whose it is, and how long it took.
 *
 * Modes:
 *   closed  each member sends its next message when its last one has come back
 *   paced   `rate` messages a second in all, the members in turn
 *   pour    each member sends as fast as it can, and expects nothing back; then it says "no more" (FIN) and waits
 *           for the server to close. For servers that only hear.
 *
 * In the first two, everybody has joined when everybody has heard a message of member 0 (a probe: it is not
 * counted). After `warmup` seconds the window opens; after `seconds` more it is closed; then nobody speaks any more
 * and we wait, `drain` seconds at most, until everybody has heard everything. One line of JSON is the result.
 * `deadline` seconds after the start the system ends us, whatever we wait for.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    PAYLOAD = 64,        /* bytes */
    TEMPLATE = 512,      /* bytes of a template, at most */
    READ_SIZE = 1 << 20, /* bytes asked of one recv */
    BATCH = 64,          /* members that join at once: fewer than any server's queue of connections holds */
    SECOND = 1000000000,
};
static const char MARKER = '|', PLACE[] = "@@@@@", PROBE[] = "-----";

typedef struct {
    int fd, joined, open;
    char number[12];
    long heard;           /* messages */
    char message[TEMPLATE];
    size_t size, unsent;  /* bytes of `message`: all, and those that the socket has not taken yet */
    char kept[PAYLOAD];   /* the beginning of a payload whose end has not come yet */
    size_t kept_size;
} Member;

typedef struct { long deliveries, sent; double time, server_cpu, own_cpu; } Mark;

static char **arguments;
static Member *members;
static int member_count, speaker_count, poll_fd;
static int closed_loop, speaking, all_latencies, in_window;
static size_t payload_at; /* where in a message the payload stands */
static long sent, deliveries, heard_by_open, damaged, lost, stalled;
static char buffer[PAYLOAD + READ_SIZE];

/* Latencies: 32 buckets for each power of two of nanoseconds. */
static long histogram[64 * 32], latency_count;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static const char *option(const char *name, const char *otherwise) {
    size_t size = strlen(name);
    for (char **argument = arguments; *argument; argument++)
        if (!strncmp(*argument, name, size) && (*argument)[size] == '=') return *argument + size + 1;
    return otherwise;
}

/* Write the template `name` for `number` into `out`; return its size. */
static size_t template(const char *name, const char *number, char *out) {
    const char *hex = option(name, "");
    size_t size = 0;
    for (unsigned byte; size < TEMPLATE - 1 && sscanf(hex + 2 * size, "%2x", &byte) == 1;) out[size++] = (char)byte;
    for (char *place = out; (place = memmem(place, size - (place - out), PLACE, 5)); place += 5)
        memcpy(place, number, 5);
    return size;
}

static long nanoseconds(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now)) return 0; /* the process has ended */
    return now.tv_sec * (long)SECOND + now.tv_nsec;
}

static double seconds(void) { return nanoseconds(CLOCK_MONOTONIC) / 1e9; }

static double server_cpu(void) {
    double sum = 0;
    for (const char *pid = option("pids", ""); *pid; pid += *pid == ',') {
        clockid_t clock;
        if (!clock_getcpuclockid((pid_t)strtol(pid, (char **)&pid, 10), &clock)) sum += nanoseconds(clock) / 1e9;
    }
    return sum;
}

static Mark mark(void) {
    return (Mark){deliveries, sent, seconds(), server_cpu(), nanoseconds(CLOCK_PROCESS_CPUTIME_ID) / 1e9};
}

static void note_latency(const char *payload, long now) {
    unsigned long then = 0;
    for (int i = 7; i < 23; i++) then = then << 4 | (unsigned)(payload[i] <= '9' ? payload[i] - '0' : payload[i] - 'a' + 10);
    unsigned long took = now > (long)then ? now - then : 1;
    int power = 63 - __builtin_clzl(took);
    histogram[power * 32 + (power < 5 ? 0 : took >> (power - 5) & 31)]++;
    latency_count++;
}

/* Return the latency, in microseconds, that `share` of all deliveries did not exceed. */
static double percentile(double share) {
    long left = (long)(share * latency_count);
    for (int i = 0; i < 64 * 32; i++)
        if ((left -= histogram[i]) < 0) return (double)(1UL << i / 32) * (1 + (i % 32 + 1) / 32.0) / 1e3;
    return 0;
}

static void watch(Member *member, int how) {
    struct epoll_event event = {.events = how, .data.ptr = member};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, member->fd, &event);
}

static void leave(Member *member, int is_loss) {
    close(member->fd);
    member->open = 0;
    heard_by_open -= member->heard;
    lost += is_loss;
}

/* Send what is left of the message. */
static void push(Member *member) {
    const char *rest = member->message + member->size - member->unsent;
    ssize_t taken = send(member->fd, rest, member->unsent, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) return leave(member, 1);
    size_t before = member->unsent;
    if (taken > 0) member->unsent -= taken;
    if (member->unsent && before == member->size) watch(member, EPOLLIN | EPOLLOUT);
}

static void speak(Member *member, const char *number) {
    if (!member->open) return;
    if (member->unsent) { stalled++; return; }
    char time[18];
    snprintf(time, sizeof time, "%016lx,", nanoseconds(CLOCK_MONOTONIC));
    memcpy(member->message + payload_at + 1, number, 5);
    memcpy(member->message + payload_at + 7, time, 17);
    member->unsent = member->size;
    sent += number == member->number;
    push(member);
}

/* Receive once, and look for messages in what has come. */
static void hear(Member *member) {
    memcpy(buffer, member->kept, member->kept_size);
    ssize_t size = recv(member->fd, buffer + member->kept_size, READ_SIZE, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return leave(member, 1);
    char *end = buffer + member->kept_size + size, *at = buffer;
    long now = nanoseconds(CLOCK_MONOTONIC), own = 0, heard = 0;
    while ((at = memchr(at, MARKER, end - at)) && end - at >= PAYLOAD) {
        if (at[6] != ',' || at[23] != ',' || at[PAYLOAD - 2] != 'x' || at[PAYLOAD - 1] != '.') { /* it was cut */
            damaged++;
            at++;
            continue;
        }
        if (!memcmp(at + 1, PROBE, 5)) {
            member->joined = 1;
        } else {
            int is_own = !memcmp(at + 1, member->number, 5);
            own += is_own;
            heard++;
            if (in_window && (is_own || all_latencies)) note_latency(at, now);
        }
        at += PAYLOAD;
    }
    member->kept_size = at ? end - at : 0;
    if (at) memcpy(member->kept, at, member->kept_size);
    member->heard += heard;
    heard_by_open += heard;
    deliveries += heard;
    if (closed_loop && speaking && own) speak(member, member->number);
}

/* Wait for what comes, `milliseconds` at most; return how many sockets had something. */
static int turn(int milliseconds) {
    static struct epoll_event events[1024];
    int count = epoll_wait(poll_fd, events, 1024, milliseconds);
    for (int i = 0; i < count; i++) {
        Member *member = events[i].data.ptr;
        if (member->open && events[i].events & EPOLLOUT) {
            if (member->unsent) push(member);
            if (member->open && !member->unsent) watch(member, EPOLLIN);
        }
        if (member->open && events[i].events & ~EPOLLOUT) hear(member);
    }
    return count;
}

/* --- joining --- */

static void connect_member(Member *member, int number) {
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(option("port", "")))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(member->number, sizeof member->number, "%05d", number);
    member->size = template("before", member->number, member->message);
    payload_at = member->size;
    memset(member->message + payload_at, 'x', PAYLOAD);
    member->message[payload_at] = MARKER;
    member->message[payload_at + 6] = ',';
    member->message[payload_at + PAYLOAD - 1] = '.';
    member->size += PAYLOAD;
    char after[TEMPLATE];
    size_t after_size = template("after", member->number, after);
    memcpy(member->message + member->size, after, after_size);
    member->size += after_size;
    if ((member->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0) die("socket");
    if (connect(member->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(member->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    member->open = 1;
    char hello[TEMPLATE];
    size_t hello_size = template("hello", member->number, hello);
    if (hello_size && send(member->fd, hello, hello_size, MSG_NOSIGNAL) != (ssize_t)hello_size) die("hello");
}

/* Receive until the server's sign of having joined has come; then belong to the event loop. */
static void greet_member(Member *member) {
    char sign[TEMPLATE];
    size_t sign_size = template("joined", member->number, sign);
    for (size_t size = 0; sign_size && !memmem(buffer, size, sign, sign_size);) {
        ssize_t more = recv(member->fd, buffer + size, READ_SIZE - size, 0);
        if (more <= 0) die("joining");
        size += more;
    }
    fcntl(member->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, member->fd, &event);
}

/* Let member 0 speak until everybody of the first `count` has heard it. */
static void wait_until_joined(int count) {
    static double delay = 0.002; /* until it speaks again: as long as it took the last time, or longer */
    double spoken = 0;
    for (int joined = 0; joined < count;) {
        if (!spoken || seconds() >= spoken + delay) {
            delay *= spoken ? 2 : 1;
            spoken = seconds();
            speak(members, PROBE);
        }
        turn((int)(delay * 1000));
        while (joined < count && (members[joined].joined || !members[joined].open)) joined++;
    }
    delay = seconds() - spoken < 0.002 ? 0.002 : seconds() - spoken;
}

static void join(int with_echo) {
    for (int first = 0; first < member_count; first += BATCH) {
        int end = first + BATCH < member_count ? first + BATCH : member_count;
        for (int i = first; i < end; i++) connect_member(members + i, i);
        for (int i = first; i < end; i++) greet_member(members + i);
        if (with_echo) wait_until_joined(end);
    }
}

/* --- the loads --- */

static void run_closed(double until) {
    for (double left; (left = until - seconds()) > 0;) turn((int)(left * 1000) + 1);
}

static void run_paced(double until, double *due, double interval) {
    static int next;
    for (double now; (now = seconds()) < until;) {
        for (; *due <= now; *due += interval) {
            speak(members + next, members[next].number);
            next = (next + 1) % speaker_count;
        }
        double wake = *due < until ? *due : until;
        struct timespec wait = {.tv_nsec = (long)((wake - now) * 1e9) % SECOND, .tv_sec = (long)(wake - now)};
        struct pollfd events = {.fd = poll_fd, .events = POLLIN}; /* epoll_wait itself knows milliseconds only */
        if (ppoll(&events, 1, &wait, NULL) > 0) turn(0);
    }
}

static int drain(double limit) {
    double end = seconds() + limit;
    speaking = 0;
    while (seconds() < end) {
        if (heard_by_open == sent * (member_count - lost)) return 1;
        if (!turn(500)) return 1; /* nothing comes any more */
    }
    return 0;
}

static void report(Mark begin, Mark end, long missing, int drained) {
    printf("{\"deliveries\": %ld, \"messages\": %ld, \"seconds\": %.6f, \"server_cpu\": %.6f, \"own_cpu\": %.6f, "
           "\"p50\": %.1f, \"p99\": %.1f, \"lost\": %ld, \"damaged\": %ld, \"stalled\": %ld, \"missing\": %ld, "
           "\"drained\": %s}\n",
           end.deliveries - begin.deliveries, end.sent - begin.sent, end.time - begin.time,
           end.server_cpu - begin.server_cpu, end.own_cpu - begin.own_cpu, percentile(0.5), percentile(0.99), lost,
           damaged, stalled, missing, drained ? "true" : "false");
}

static void converse(void) {
    double warmup = atof(option("warmup", "0.3")), length = atof(option("seconds", "1"));
    double interval = 1 / atof(option("rate", "300")), due = seconds();
    join(1);
    closed_loop = !all_latencies;
    speaking = 1;
    due = seconds();
    for (int i = 0; closed_loop && i < speaker_count; i++) speak(members + i, members[i].number);
    closed_loop ? run_closed(due + warmup) : run_paced(due + warmup, &due, interval);
    in_window = 1;
    Mark begin = mark();
    closed_loop ? run_closed(begin.time + length) : run_paced(begin.time + length, &due, interval);
    Mark end = mark();
    in_window = 0;
    int drained = drain(atof(option("drain", "5")));
    report(begin, end, sent * (member_count - lost) - heard_by_open, drained);
}

static void pour(void) {
    join(0);
    Mark begin = mark();
    double until = begin.time + atof(option("seconds", "1"));
    int open = member_count;
    for (int i = 0; i < member_count; i++) watch(members + i, EPOLLOUT);
    while (open) {
        static struct epoll_event events[1024];
        int count = epoll_wait(poll_fd, events, 1024, -1), is_over = seconds() >= until;
        for (int i = 0; i < count; i++) {
            Member *member = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                if (!member->unsent && is_over) {
                    shutdown(member->fd, SHUT_WR);
                    watch(member, EPOLLIN);
                } else if (member->unsent) {
                    push(member);
                } else {
                    speak(member, member->number);
                }
            } else {
                ssize_t size = recv(member->fd, buffer, READ_SIZE, 0);
                if (size <= 0) leave(member, size < 0 && errno != EAGAIN);
            }
            open -= !member->open;
        }
    }
    deliveries = sent;
    report(begin, mark(), 0, 1);
}

int main(int argc, char **argv) {
    arguments = argv + (argc > 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm((unsigned)atoi(option("deadline", "60")));
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    member_count = atoi(option("members", "10"));
    speaker_count = atoi(option("speakers", option("members", "10")));
    members = calloc(member_count, sizeof *members);
    poll_fd = epoll_create1(0);
    all_latencies = !strcmp(option("mode", ""), "paced");
    strcmp(option("mode", ""), "pour") ? converse() : pour();
    return 0;
}
