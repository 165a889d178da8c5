/* The limit: stage 5's algorithm in C. One log, one lock, and a pool of threads that wait for their members at once.
 *
 *     epoll_server [threads]      prints "host port" when it listens
 *
 * It does less than stage 5: it puts no names on lines, decodes no UTF-8, cleans nothing, tells nobody why it was
 * cut off, and never stops. That is in its favour.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The numbers of stage 5, in bytes. */
enum {
    MAX_LINE = 4096,
    RECV_SIZE = 2048,
    SEND_BUFFER = 131072,
    SEND_SIZE = 256 << 10,
    LOG_SIZE = 4 << 20, /* at least; twice as many at most */
    BACKLOG = 1024,
    EVENTS = 1024, /* taken in one turn, at most */
};

typedef struct Member {
    struct Member *next;
    int fd, full, skipping; /* full: its socket takes no more; skipping: inside a line that is too long */
    long position;          /* up to here it has been sent the log */
    size_t kept;
    char line[MAX_LINE];    /* the beginning of a line whose end has not come yet */
} Member;

typedef struct {
    int poll, bell;
    Member *members, *arrivals;
} Worker;

/* Guards the log, its two positions, and everybody's arrivals. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char log_bytes[2 * LOG_SIZE + EVENTS * (RECV_SIZE + MAX_LINE)]; /* always whole lines */
static long log_start, log_end;

static Worker *crew;
static int crew_size;

static void ring(Worker *worker) { eventfd_write(worker->bell, 1); }

static void say(const char *lines, size_t size) {
    pthread_mutex_lock(&lock);
    memcpy(log_bytes + (log_end - log_start), lines, size);
    log_end += size;
    if (log_end - log_start > 2 * LOG_SIZE) {
        char *keep = memchr(log_bytes + (log_end - log_start) - LOG_SIZE - 1, '\n', LOG_SIZE + 1);
        long forgotten = keep + 1 - log_bytes;
        memmove(log_bytes, keep + 1, log_end - log_start - forgotten);
        log_start += forgotten;
    }
    pthread_mutex_unlock(&lock);
}

static void watch(Worker *worker, Member *member, int how, int operation) {
    struct epoll_event event = {.events = how, .data.ptr = member};
    epoll_ctl(worker->poll, operation, member->fd, &event);
}

/* Add the whole lines among `size` bytes from `member` to `said`; return how many bytes were added. */
static size_t cut(Member *member, const char *data, size_t size, char *said) {
    char *to = said;
    for (const char *end = data + size, *newline; data < end; data = newline + 1) {
        newline = memchr(data, '\n', end - data);
        size_t piece = (newline ? newline : end) - data;
        if (member->kept + piece > MAX_LINE) member->skipping = 1;
        if (!newline) {
            if (!member->skipping) memcpy(member->line + member->kept, data, piece);
            member->kept = member->skipping ? 0 : member->kept + piece;
            break;
        }
        if (!member->skipping && member->kept + piece) {
            to = mempcpy(mempcpy(to, member->line, member->kept), data, piece + 1);
        }
        member->kept = member->skipping = 0;
    }
    return to - said;
}

/* Receive once from `member`; return how many bytes of lines were added to `said`, or -1 when it has gone. */
static ssize_t hear(Member *member, char *said) {
    char data[RECV_SIZE];
    ssize_t size = recv(member->fd, data, sizeof data, 0);
    if (size < 0 && errno == EAGAIN) return 0;
    return size > 0 ? (ssize_t)cut(member, data, size, said) : -1;
}

/* Send `member` all that lies ahead of it, as far as its socket takes it; return whether it is still there. */
static int deliver(Worker *worker, Member *member) {
    static __thread char chunk[SEND_SIZE];
    static __thread long from, size; /* what `chunk` holds: most members are at the same position */
    while (!member->full) {
        pthread_mutex_lock(&lock);
        if (member->position < log_start) return pthread_mutex_unlock(&lock), 0;
        long ahead = log_end - member->position;
        if (ahead > SEND_SIZE) ahead = SEND_SIZE;
        if (ahead && (from != member->position || size != ahead))
            memcpy(chunk, log_bytes + (member->position - log_start), ahead);
        if (ahead) from = member->position, size = ahead;
        pthread_mutex_unlock(&lock);
        if (!ahead) return 1;
        ssize_t taken = send(member->fd, chunk, ahead, MSG_NOSIGNAL);
        if (taken < 0 && errno != EAGAIN) return 0;
        if (taken > 0) member->position += taken;
        if (taken == ahead && ahead < SEND_SIZE) return 1;
        if (taken < ahead) {
            member->full = 1;
            watch(worker, member, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
        }
    }
    return 1;
}

static void welcome(Worker *worker) {
    pthread_mutex_lock(&lock);
    while (worker->arrivals) {
        Member *member = worker->arrivals;
        worker->arrivals = member->next;
        member->next = worker->members;
        worker->members = member;
        watch(worker, member, EPOLLIN, EPOLL_CTL_ADD);
    }
    pthread_mutex_unlock(&lock);
}

static void deliver_all(Worker *worker) {
    for (Member **at = &worker->members; *at;) {
        Member *member = *at;
        if (member->fd >= 0 && deliver(worker, member)) {
            at = &member->next;
            continue;
        }
        if (member->fd >= 0) close(member->fd);
        *at = member->next;
        free(member);
    }
}

static void *work(void *argument) {
    Worker *worker = argument;
    char *said = malloc(EVENTS * (RECV_SIZE + MAX_LINE));
    struct epoll_event events[EVENTS];
    for (;;) {
        size_t size = 0;
        int count = epoll_wait(worker->poll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            Member *member = events[i].data.ptr;
            if (!member) {
                eventfd_read(worker->bell, &(eventfd_t){0});
                continue;
            }
            if (events[i].events & EPOLLOUT) {
                member->full = 0;
                watch(worker, member, EPOLLIN, EPOLL_CTL_MOD);
            }
            if (events[i].events & ~EPOLLOUT) {
                ssize_t added = hear(member, said + size);
                if (added < 0) close(member->fd), member->fd = -1; /* `deliver_all` lets it go */
                if (added > 0) size += added;
            }
        }
        if (size) {
            say(said, size);
            for (int i = 0; i < crew_size; i++)
                if (crew + i != worker) ring(crew + i);
        }
        welcome(worker);
        deliver_all(worker);
    }
    return NULL;
}

static int listen_somewhere(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (struct sockaddr *)&address, size) || listen(server, BACKLOG)) exit(1);
    getsockname(server, (struct sockaddr *)&address, &size);
    printf("127.0.0.1 %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return server;
}

static void adopt(Worker *worker, int fd) {
    int one = 1, send_buffer = SEND_BUFFER;
    Member *member = calloc(1, sizeof *member);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    member->fd = fd;
    pthread_mutex_lock(&lock);
    member->position = log_end;
    member->next = worker->arrivals;
    worker->arrivals = member;
    pthread_mutex_unlock(&lock);
    ring(worker);
}

int main(int argc, char **argv) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    crew_size = argc > 1 ? atoi(argv[1]) : 2;
    crew = calloc(crew_size, sizeof *crew);
    for (int i = 0; i < crew_size; i++) {
        crew[i].poll = epoll_create1(0);
        crew[i].bell = eventfd(0, EFD_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN};
        epoll_ctl(crew[i].poll, EPOLL_CTL_ADD, crew[i].bell, &event);
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, crew + i)) exit(1);
    }
    int server = listen_somewhere();
    for (int next = 0;; next = (next + 1) % crew_size) {
        int fd = accept4(server, NULL, NULL, SOCK_NONBLOCK);
        if (fd >= 0) adopt(crew + next, fd);
        else usleep(10000); /* no descriptor is free, or the client has gone again */
    }
}
