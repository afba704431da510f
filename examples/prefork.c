/* SPDX-License-Identifier: MIT */
/*
 * A TCP server on loopback that keeps a number of worker processes ready: one
 * that dies is replaced.
 *
 * Who may talk to it: every user of this machine. It listens on 127.0.0.1 only,
 * reads nothing, and tells a pid. Limits: MAX_WORKERS, one connection per
 * worker. Further ones wait in the kernel's queue.
 * Inherited by a worker: all of the server but its exitfd and its signal
 * handlers. Workers are forked, not executed. At the end: SIGTERM and SIGINT
 * stop the workers with SIGTERM. A SIGKILL of the server does the same, by the
 * kernel.
 */
#include "example.h"

#include <arpa/inet.h>
#include <exitfd.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static const char help[] = "usage: prefork [-n WORKERS] [-p PORT] [-r REQUESTS]\n"
                           "Serve 127.0.0.1:PORT from WORKERS processes. Each answers a connection with its\n"
                           "pid and closes it.\n"
                           "\n"
                           "  -n, --workers=WORKERS     processes to keep, 1 to 1000. Default: 4\n"
                           "  -p, --port=PORT           where to listen. Default: 0, which is any free port\n"
                           "  -r, --requests=REQUESTS   replace a worker after so many. Default: 0, never\n"
                           "  -h, --help                show this\n"
                           "\n"
                           "The first line of output is the port. A worker that fails is replaced a second\n"
                           "later. SIGTERM and SIGINT stop all workers.\n"
                           "\n"
                           "Exit status: 0 if it was stopped, 1 if it could not work, 2 for wrong usage.\n";

enum {
    MAX_WORKERS = 1000,
    AFTER_FAILURE_MS = 1000
};

struct server {
    struct exitfd *x;
    int listener, caught_signals;
    int wanted, running;
    pid_t workers[MAX_WORKERS]; /* 0: none there */
    int requests_per_worker;
    long long fork_again_at_ms;
    bool stopping;
};

static void serve(const struct server *s)
{
    for (int served = 0; !s->requests_per_worker || served < s->requests_per_worker; served++) {
        int connection = accept(s->listener, NULL, NULL);
        if (connection < 0 && errno != ECONNABORTED)
            _exit(1);
        dprintf(connection, "%d\n", (int)getpid());
        close(connection);
    }
    _exit(0);
}

/* The server's handler, that is: what it found ignored it has left so. All is
   blocked, so none slips through between. */
static void stop_catching(int sig)
{
    if (signal(sig, SIG_DFL) == SIG_IGN)
        signal(sig, SIG_IGN);
}

static void become_worker(struct server *s, pid_t server_pid, const sigset_t *mask)
{
    exitfd_close(s->x);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != server_pid)
        _exit(1);
    stop_catching(SIGTERM);
    stop_catching(SIGINT);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, mask, NULL);
    serve(s);
}

/* No signal reaches a worker that has the server's handlers still: a SIGTERM of
   its own would stop the server. */
static bool add_worker(struct server *s, pid_t *worker)
{
    sigset_t all, mask;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &mask);
    pid_t server_pid = getpid();
    pid_t pid = exitfd_fork(s->x, 0, worker);
    if (pid == 0)
        become_worker(s, server_pid, &mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);

    if (pid < 0) {
        fprintf(stderr, "prefork: cannot fork a worker: %s\n", strerror(-pid));
        s->fork_again_at_ms = now_ms() + AFTER_FAILURE_MS;
        return false;
    }
    *worker = pid;
    s->running++;
    return true;
}

static void take_exits(struct server *s)
{
    struct exitfd_event events[64];
    int n = exitfd_wait(s->x, events, 64, 0);
    if (n < 0 && n != -EPIPE) { /* on self-pipe, a handler that was replaced: events still come */
        fprintf(stderr, "prefork: cannot wait for the workers: %s\n", strerror(-n));
        exit(1);
    }
    for (int i = 0; i < n; i++) {
        const struct exitfd_event *event = &events[i];
        *(pid_t *)event->data = 0;
        s->running--;
        if (s->stopping || (event->code == CLD_EXITED && event->status == 0))
            continue;
        fprintf(stderr, "prefork: worker %d failed: %s %d\n", (int)event->pid,
                event->code == CLD_EXITED ? "exit status" : "signal", event->status);
        s->fork_again_at_ms = now_ms() + AFTER_FAILURE_MS;
    }
}

/* The time until a worker may be forked again, for poll. */
static int keep_workers(struct server *s)
{
    for (int i = 0; i < s->wanted && !s->stopping; i++) {
        if (s->workers[i])
            continue;
        long long left_ms = s->fork_again_at_ms - now_ms();
        if (left_ms > 0)
            return (int)left_ms;
        if (!add_worker(s, &s->workers[i]))
            return AFTER_FAILURE_MS;
    }
    return -1;
}

/* A worker that is stopped acts on SIGTERM when it goes on. */
static void stop(struct server *s)
{
    s->stopping = true;
    for (int i = 0; i < s->wanted; i++)
        if (s->workers[i]) {
            exitfd_kill(s->x, s->workers[i], SIGTERM);
            exitfd_kill(s->x, s->workers[i], SIGCONT);
        }
}

static void run(struct server *s)
{
    struct pollfd fds[] = { { .fd = exitfd_get_fd(s->x), .events = POLLIN },
                            { .fd = s->caught_signals, .events = POLLIN } };
    for (;;) {
        int timeout_ms = keep_workers(s);
        if (s->stopping && !s->running)
            return;
        poll(fds, 2, timeout_ms);
        take_exits(s);
        while (next_caught_signal(s->caught_signals))
            stop(s);
    }
}

static int listen_on_loopback(int port, int *ret_listener)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
        bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, SOMAXCONN) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        return -errno;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    *ret_listener = listener;
    return 0;
}

int main(int argc, char *argv[])
{
    static const struct option options[] = { { "workers", required_argument, NULL, 'n' },
                                             { "port", required_argument, NULL, 'p' },
                                             { "requests", required_argument, NULL, 'r' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    static struct server s = { .wanted = 4 };
    int port = 0;
    for (int option; (option = getopt_long(argc, argv, "n:p:r:h", options, NULL)) != -1;) {
        if (option == 'h')
            return fputs(help, stdout) < 0;
        if (option == '?')
            return wrong_usage("prefork", "unknown option or missing value", NULL);
        if ((option == 'n' && !parse_number(optarg, 1, MAX_WORKERS, &s.wanted)) ||
            (option == 'p' && !parse_number(optarg, 0, 65535, &port)) ||
            (option == 'r' && !parse_number(optarg, 0, INT_MAX, &s.requests_per_worker)))
            return wrong_usage("prefork", "out of range, see --help", optarg);
    }
    if (optind < argc)
        return wrong_usage("prefork", "takes no arguments", argv[optind]);

    int r = s.caught_signals = catch_signals((int[]){ SIGTERM, SIGINT, 0 });
    if (r >= 0)
        r = exitfd_open(&s.x, 0);
    if (r >= 0)
        r = listen_on_loopback(port, &s.listener);
    if (r < 0) {
        fprintf(stderr, "prefork: cannot serve: %s\n", strerror(-r));
        return 1;
    }
    run(&s);
    exitfd_close(s.x);
    return 0;
}
