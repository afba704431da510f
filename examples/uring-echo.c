/* SPDX-License-Identifier: MIT */
/*
 * A TCP server in one io_uring: a child for each connection, whose exit is one
 * more completion.
 *
 * Who may talk to it: every user of this machine, who then uses COMMAND as the
 * user of the server. It listens on 127.0.0.1 only. COMMAND has to be one that
 * is fit for that.
 * Limits: the number of connections. Further ones wait in the kernel's queue.
 * Inherited by a child: its connection as fds 0 and 1, the server's fd 2, the
 * environment, the working directory, ignored signals except SIGPIPE.
 * At the end: SIGTERM and SIGINT send SIGTERM to the children, the second one
 * SIGKILL. A SIGKILL of the server leaves them to their clients.
 */
#include "example.h"

#include <exitfd/uring.h>
#include <getopt.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const char help[] = "usage: uring-echo [-p PORT] [-n CONNECTIONS] [COMMAND [ARGUMENT]...]\n"
                           "Run COMMAND for each TCP connection to 127.0.0.1, with the connection as its input\n"
                           "and output. The default COMMAND is cat.\n"
                           "\n"
                           "  -p, --port=PORT         where to listen. Default: 0, which is any free port\n"
                           "  -n, --most=CONNECTIONS  serve so many at once, others wait. Default: 100\n"
                           "  -h, --help              show this\n"
                           "\n"
                           "The first line of output is the port. One follows for each child that has ended.\n"
                           "SIGTERM or SIGINT sends SIGTERM to the children, and a second one SIGKILL. The\n"
                           "server ends when they have ended.\n"
                           "\n"
                           "Exit status: 0 if it was stopped, 1 if it could not work, 2 for wrong usage.\n";

/* What a completion is about: its user_data. */
enum {
    CONNECTION = 1,
    CHILDREN,
    SIGNALS
};

struct server {
    struct io_uring ring;
    struct exitfd *x;
    char **command;
    pid_t *pids; /* most of them, 0 where there is no child: the data of each child is its place here */
    int most, running;
    int listener, signals;
    bool accepting, stopping, failed;
};

static struct io_uring_sqe *get_sqe(struct server *s)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
    if (!sqe) {
        io_uring_submit(&s->ring);
        sqe = io_uring_get_sqe(&s->ring);
    }
    return sqe;
}

static void poll_children(struct server *s)
{
    struct io_uring_sqe *sqe = get_sqe(s);
    exitfd_uring_prep_poll(sqe, s->x);
    sqe->user_data = CHILDREN;
}

static void poll_signals(struct server *s)
{
    struct io_uring_sqe *sqe = get_sqe(s);
    io_uring_prep_poll_add(sqe, s->signals, POLLIN);
    sqe->user_data = SIGNALS;
}

static void accept_next(struct server *s)
{
    if (s->accepting || s->failed || s->stopping || s->running == s->most)
        return;
    struct io_uring_sqe *sqe = get_sqe(s);
    io_uring_prep_accept(sqe, s->listener, NULL, NULL, SOCK_CLOEXEC);
    sqe->user_data = CONNECTION;
    s->accepting = true;
}

static void serve(struct server *s, int connection)
{
    const struct exitfd_action actions[] = {
        { .type = EXITFD_DUP2, .fd = connection, .target = STDIN_FILENO },
        { .type = EXITFD_DUP2, .fd = connection, .target = STDOUT_FILENO },
        { .type = EXITFD_CLOSE_FROM, .fd = 3 },
    };
    const struct exitfd_command command = {
        .size = sizeof command,
        .file = s->command[0],
        .argv = s->command,
        .actions = actions,
        .action_count = sizeof actions / sizeof *actions,
    };
    pid_t *pid = s->pids;
    while (*pid)
        pid++;
    int error = exitfd_start(s->x, pid, &command, 0, pid);
    if (error < 0)
        fprintf(stderr, "uring-echo: cannot run %s: %s\n", s->command[0], strerror(-error));
    else
        s->running++;
    close(connection);
}

static void take_connection(struct server *s, int result)
{
    s->accepting = false;
    if (result >= 0 && s->stopping)
        close(result);
    else if (result >= 0)
        serve(s, result);
    else if (!s->stopping && result != -ECONNABORTED && result != -EINTR) {
        fprintf(stderr, "uring-echo: accept: %s\n", strerror(-result));
        /* Out of fds, as a rule: the next child that ends gives some back. */
        s->failed = s->running == 0;
        return;
    }
    accept_next(s);
}

static void report(const struct exitfd_event *event)
{
    if (event->origin == EXITFD_UNKNOWN)
        printf("%d ended, its status is unknown\n", (int)event->pid);
    else if (event->code == CLD_EXITED)
        printf("%d exited with status %d\n", (int)event->pid, event->status);
    else
        printf("%d was killed by signal %d\n", (int)event->pid, event->status);
    fflush(stdout);
}

static void take_exits(struct server *s, const struct io_uring_cqe *cqe)
{
    struct exitfd_event events[16];
    int n;
    while ((n = exitfd_wait(s->x, events, 16, 0)) > 0)
        for (int i = 0; i < n; i++) {
            report(&events[i]);
            *(pid_t *)events[i].data = 0;
            s->running--;
        }
    if (exitfd_uring_keep_polling(&s->ring, cqe, s->x) < 0)
        poll_children(s);
    accept_next(s);
}

static void take_signal(struct server *s)
{
    while (next_caught_signal(s->signals)) {
        for (int i = 0; i < s->most; i++)
            if (s->pids[i])
                exitfd_kill(s->x, s->pids[i], s->stopping ? SIGKILL : SIGTERM);
        s->stopping = true;
        shutdown(s->listener, SHUT_RDWR); /* which ends the accept */
    }
    poll_signals(s);
}

static void take_completion(struct server *s, const struct io_uring_cqe *cqe)
{
    if (cqe->user_data == CONNECTION)
        take_connection(s, cqe->res);
    else if (cqe->user_data == CHILDREN)
        take_exits(s, cqe);
    else if (cqe->user_data == SIGNALS)
        take_signal(s);
}

static int run(struct server *s)
{
    poll_children(s);
    poll_signals(s);
    accept_next(s);
    while (s->accepting || s->running > 0) {
        struct io_uring_cqe *cqe;
        int error = io_uring_submit_and_wait(&s->ring, 1);
        if (error < 0 && error != -EINTR) {
            fprintf(stderr, "uring-echo: io_uring_enter: %s\n", strerror(-error));
            return 1;
        }
        while (io_uring_peek_cqe(&s->ring, &cqe) == 0) {
            take_completion(s, cqe);
            io_uring_cqe_seen(&s->ring, cqe);
        }
    }
    return s->failed;
}

static int listen_on(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((in_port_t)port) };
    socklen_t length = sizeof address;
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
        fprintf(stderr, "uring-echo: cannot listen on port %d: %s\n", port, strerror(errno));
        return -1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static int start(struct server *s, int port)
{
    s->signals = catch_signals((const int[]){ SIGTERM, SIGINT, 0 });
    int error = io_uring_queue_init(64, &s->ring, 0);
    if (error < 0) {
        fprintf(stderr, "uring-echo: no io_uring: %s. See sysctl kernel.io_uring_disabled, and seccomp filters\n",
                strerror(-error));
        return 1;
    }
    error = exitfd_open(&s->x, 0);
    s->pids = calloc((size_t)s->most, sizeof *s->pids);
    if (error < 0 || s->signals < 0 || !s->pids) {
        fprintf(stderr, "uring-echo: cannot start: %s\n", strerror(error < 0 ? -error : ENOMEM));
        return 1;
    }
    s->listener = listen_on(port);
    int status = s->listener < 0 ? 1 : run(s);
    exitfd_close(s->x);
    io_uring_queue_exit(&s->ring);
    free(s->pids);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "port", required_argument, NULL, 'p' },
                                             { "most", required_argument, NULL, 'n' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    static char *cat[] = { "cat", NULL };
    struct server s = { .most = 100 };
    int option, port = 0;

    while ((option = getopt_long(argc, argv, "+p:n:h", options, NULL)) != -1)
        if (option == 'h')
            return fputs(help, stdout) < 0;
        else if (option == 'p' && !parse_number(optarg, 0, 65535, &port))
            return wrong_usage("uring-echo", "not a port", optarg);
        else if (option == 'n' && !parse_number(optarg, 1, 10000, &s.most))
            return wrong_usage("uring-echo", "not a number of connections from 1 to 10000", optarg);
        else if (option == '?')
            return wrong_usage("uring-echo", "wrong usage", NULL);
    s.command = optind < argc ? argv + optind : cat;
    return start(&s, port);
}
