/* SPDX-License-Identifier: MIT */
/*
 * epoll-jobs - a small daemon that runs command lines for its clients, on one
 * epoll loop of its own
 *
 * Who may talk to it: its own user and root. The mode of the socket and the
 * credentials of each peer are checked.
 * Limits: MAX_CLIENTS, MAX_JOBS in all, JOBS_PER_CLIENT, HOLD_BACK_BYTES of
 * unsent output per client.
 * Inherited by a job: fds 0 to 2 and the working directory. The environment,
 * unless --clean-environment is given. Signals that were ignored when the
 * daemon was started, and the umask, limits and priority of the daemon.
 * At the end: SIGTERM, SIGINT and SIGHUP kill all jobs and remove the socket.
 * SIGKILL of the daemon leaves the socket behind. The kernel then kills the
 * first process of each job, not what that has started.
 *
 * A client connects to the Unix socket and sends lines, each answered in turn:
 *
 *   COMMAND LINE   "started PID", then "output PID BYTES" with that many bytes
 *                  of its standard output and error, as often as there are
 *                  some, and last, once, "ended PID ..." with how it ended, its
 *                  CPU time and its peak memory (which is at least the daemon's
 *                  own: the kernel counts what it was spawned from)
 *   kill PID       "killing PID": SIGTERM to the process group of one of this
 *                  connection's own jobs. What is left of it KILL_AFTER_MS
 *                  later gets SIGKILL
 *   other input    "error: ..."
 *
 * A client that has only stopped sending (half-closed) is served until its last
 * job has ended. One that goes away takes its jobs with it. One that does not
 * read is waited for: at HOLD_BACK_BYTES unsent its lines and the output of its
 * jobs are left where they are, which delays only its own jobs.
 *
 * A job is a process group, and it ends with its first process. What was
 * written by then is sent. What is left of the group is killed. After a "kill
 * PID" it may go on until it closes the output or KILL_AFTER_MS are over.
 *
 * Jobs are known by their watches, never by pid alone. EXITFD_HOLD keeps the
 * zombie of the first process until exitfd_discard. So neither its pid nor its
 * group can be another's while the job is in the list.
 *
 * SIGTERM, SIGINT and SIGHUP kill all jobs. Their clients have FLUSH_MS to read
 * the rest of the output and how each ended.
 */
#include "epoll-jobs.h"
#include "example.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACCEPT_AGAIN_MS = 100,
    KILL_AFTER_MS = 2000,
    FLUSH_MS = 5000
};

struct job {
    struct source source; /* the read end of its output, until end of file */
    struct client *client;
    pid_t pid;
    bool exited; /* its first process, whose zombie is held */
    bool ended;  /* its group has been killed too, and only output is left to send */
    struct exitfd_event end;
    size_t n_unread;      /* once ended */
    long long kill_at_ms; /* 0: never */
};

static struct exitfd *exits;
static struct source listener, exits_source, signals_source;
static const char *socket_path;
static char *const *job_environment; /* NULL: the daemon's */
static struct source *clients;
static int n_jobs;    /* of all clients */
static int n_to_kill; /* of these, with a kill_at_ms */
static bool accepting = true, stopping;

static int must(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "epoll-jobs: %s: %s\n", what, strerror(-r));
        exit(1);
    }
    return r;
}

/* EPOLLONESHOT: a pipe without writers reports EPOLLHUP whatever is asked for,
   and must be silent while held back. */
static void want_output(struct job *job)
{
    rewatch(&job->source, EPOLLIN | EPOLLONESHOT);
}

void resume_output(struct client *client)
{
    for (struct source *source = client->jobs; source != NULL; source = source->next)
        if (source->fd >= 0)
            want_output((struct job *)source);
}

static void set_kill_at(struct job *job, long long ms)
{
    n_to_kill += (ms != 0) - (job->kill_at_ms != 0);
    job->kill_at_ms = ms;
}

static void forget_job(struct job *job)
{
    set_kill_at(job, 0);
    job->client->n_jobs--;
    n_jobs--;
    retire(&job->source);
}

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void finish_job(struct job *job)
{
    const struct exitfd_event *end = &job->end;
    char how[64], used[64] = "";

    if (end->origin == EXITFD_UNKNOWN)
        snprintf(how, sizeof how, "unknown");
    else if (end->code == CLD_EXITED)
        snprintf(how, sizeof how, "exited %d", end->status);
    else
        snprintf(how, sizeof how, "%s %d (%s)", end->code == CLD_DUMPED ? "dumped" : "killed", end->status,
                 strsignal(end->status));
    if (end->origin == EXITFD_PEEKED)
        snprintf(used, sizeof used, ", cpu %.3f s, memory %ld kB",
                 seconds(&end->rusage.ru_utime) + seconds(&end->rusage.ru_stime), end->rusage.ru_maxrss);
    reply(job->client, "ended %d %s%s", (int)job->pid, how, used);
    exitfd_discard(exits, job->pid); /* from now on the pid may be another's */
    forget_job(job);
}

/* Its first process has exited, and now the rest of its group ends too. */
static void end_job(struct job *job)
{
    exitfd_kill(exits, -job->pid, SIGKILL);
    set_kill_at(job, 0);
    int n_unread = 0;
    if (job->source.fd >= 0)
        ioctl(job->source.fd, FIONREAD, &n_unread);
    job->ended = true;
    job->n_unread = (size_t)n_unread;
    if (n_unread == 0)
        finish_job(job);
}

static void output_ready(struct source *source, uint32_t events)
{
    (void)events;
    struct job *job = (struct job *)source;
    if (job->client->held_back)
        return;

    char output[OUTPUT_BYTES];
    ssize_t n = read(source->fd, output, job->ended && job->n_unread < sizeof output ? job->n_unread : sizeof output);
    if (n > 0) {
        reply(job->client, "output %d %zd", (int)job->pid, n);
        queue(job->client, output, (size_t)n);
        job->n_unread -= job->ended ? (size_t)n : 0;
    } else if (n == 0) {
        close_source(source);
        job->n_unread = 0;
    }

    if (job->ended && job->n_unread == 0)
        finish_job(job);
    else if (job->exited && !job->ended && source->fd < 0)
        end_job(job);
    else if (source->fd >= 0)
        want_output(job);
}

static void job_exited(struct job *job, const struct exitfd_event *end)
{
    job->exited = true;
    job->end = *end;
    if (job->kill_at_ms == 0 || job->source.fd < 0)
        end_job(job);
}

static void exits_ready(struct source *source, uint32_t events)
{
    (void)source, (void)events;
    struct exitfd_event ends[64];
    int n = exitfd_wait(exits, ends, 64, 0);
    if (n != -EPIPE) /* on self-pipe, a handler that was replaced: events still come */
        must(n, "exitfd_wait");
    for (int i = 0; i < n; i++)
        job_exited(ends[i].data, &ends[i]);
}

static int start_shell(struct job *job, char *command_line, int output_fd)
{
    const struct exitfd_action actions[] = {
        { .type = EXITFD_OPEN, .fd = 0, .path = "/dev/null", .flags = O_RDONLY },
        { .type = EXITFD_DUP2, .fd = output_fd, .target = 1 },
        { .type = EXITFD_DUP2, .fd = output_fd, .target = 2 },
        { .type = EXITFD_CLOSE_FROM, .fd = 3 },
    };
    struct exitfd_command command = {
        .size = sizeof command,
        .file = "/bin/sh",
        .argv = (char *[]){ "sh", "-c", command_line, NULL },
        .envp = job_environment,
        .actions = actions,
        .action_count = sizeof actions / sizeof *actions,
        .options = EXITFD_NEW_GROUP,
        .death_signal = SIGKILL,
    };
    int r = exitfd_start(exits, &job->pid, &command, EXITFD_HOLD, job);
    if (r == -ENOTSUP) { /* the jobs then outlive a SIGKILL of the daemon */
        command.death_signal = 0;
        r = exitfd_start(exits, &job->pid, &command, EXITFD_HOLD, job);
    }
    return r;
}

static int run_job(struct job *job, char *command_line)
{
    int output[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        return -errno;
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    int r = watch(&job->source, output[0], output_ready, EPOLLIN | EPOLLONESHOT);
    if (r == 0)
        r = start_shell(job, command_line, output[1]);
    close(output[1]);
    return r;
}

static struct job *new_job(struct client *client)
{
    struct job *job = calloc(1, sizeof *job);
    if (job != NULL) {
        job->source.fd = -1;
        job->client = client;
        client->n_jobs++;
        n_jobs++;
        list_add(&client->jobs, &job->source);
    }
    return job;
}

void start_job(struct client *client, char *command_line)
{
    if (stopping) {
        reply(client, "error: shutting down, not run");
        return;
    }
    if (client->n_jobs == JOBS_PER_CLIENT) {
        reply(client, "error: %d jobs of this connection are running, not run: wait for one to end", JOBS_PER_CLIENT);
        return;
    }
    if (n_jobs == MAX_JOBS) {
        reply(client, "error: %d jobs of all connections are running, not run: wait for one to end", MAX_JOBS);
        return;
    }
    struct job *job = new_job(client);
    int r = job == NULL ? -ENOMEM : run_job(job, command_line);
    if (r == 0) {
        reply(client, "started %d", (int)job->pid);
    } else {
        if (job != NULL)
            forget_job(job);
        reply(client, "error: cannot start a job: %s", strerror(-r));
    }
}

void kill_job(struct client *client, long pid)
{
    struct source *source = client->jobs;
    while (source != NULL && (((struct job *)source)->ended || ((struct job *)source)->pid != pid))
        source = source->next;
    struct job *job = (struct job *)source;
    int r = job == NULL ? -ENOENT : exitfd_kill(exits, -job->pid, SIGTERM);
    if (r == 0) {
        exitfd_kill(exits, -job->pid, SIGCONT); /* what is stopped acts on it, too */
        if (job->kill_at_ms == 0)
            set_kill_at(job, now_ms() + KILL_AFTER_MS);
    }
    if (r == -ENOENT)
        reply(client, "error: no job %ld is running on this connection", pid);
    else if (r < 0)
        reply(client, "error: cannot kill %ld: %s", pid, strerror(-r));
    else
        reply(client, "killing %ld", pid);
}

void abandon_jobs(struct client *client)
{
    while (client->jobs != NULL) {
        struct job *job = (struct job *)client->jobs;
        exitfd_kill(exits, -job->pid, SIGKILL);
        exitfd_discard(exits, job->pid);
        forget_job(job);
    }
}

static void kill_if_due(struct job *job, long long now)
{
    if (job->kill_at_ms == 0 || job->kill_at_ms > now)
        return;
    set_kill_at(job, 0);
    if (job->exited)
        end_job(job);
    else
        exitfd_kill(exits, -job->pid, SIGKILL);
}

/* Does what is due. Returns the time until more is, at most most_ms, for
   epoll_wait. -1: none. */
static int kill_what_is_due(int most_ms)
{
    long long now = now_ms(), next = most_ms < 0 ? LLONG_MAX : now + most_ms;
    for (struct source *client = clients; client != NULL && n_to_kill > 0; client = client->next)
        for (struct source *source = ((struct client *)client)->jobs, *after; source != NULL; source = after) {
            after = source->next; /* the job may be forgotten */
            struct job *job = (struct job *)source;
            kill_if_due(job, now);
            if (job->kill_at_ms != 0 && job->kill_at_ms < next)
                next = job->kill_at_ms;
        }
    return next == LLONG_MAX ? -1 : (int)(next - now);
}

static int count_clients(void)
{
    int n = 0;
    for (struct source *client = clients; client != NULL; client = client->next)
        n++;
    return n;
}

static void listener_ready(struct source *source, uint32_t events)
{
    (void)events;
    int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        if (count_clients() == MAX_CLIENTS)
            refuse_client(fd, "error: too many clients are connected, try again later\n");
        else if (!may_command(fd))
            refuse_client(fd, "error: only the user of this daemon and root may use it\n");
        else if (!open_client(&clients, fd))
            refuse_client(fd, "error: out of memory\n");
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        /* Out of fds or memory, and the listener stays readable: the client
           waits in the backlog, we try again later. */
        rewatch(source, 0);
        accepting = false;
    }
}

static void signals_ready(struct source *source, uint32_t events)
{
    (void)events;
    struct signalfd_siginfo info;
    if (read(source->fd, &info, sizeof info) < 0 || stopping)
        return;
    stopping = true;
    listener.ready = NULL;
    remove_socket(socket_path);
    close_source(&listener);
    for (struct source *client = clients; client != NULL; client = client->next)
        for (struct source *job = ((struct client *)client)->jobs; job != NULL; job = job->next)
            exitfd_kill(exits, -((struct job *)job)->pid, SIGKILL);
}

static int block_signals(void)
{
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    struct sigaction found;
    if (sigaction(SIGHUP, NULL, &found) == 0 && found.sa_handler != SIG_IGN) /* as nohup leaves it */
        sigaddset(&stops, SIGHUP);
    sigprocmask(SIG_BLOCK, &stops, NULL);
    int fd = signalfd(-1, &stops, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? must(-errno, "signalfd") : fd;
}

static void start(void)
{
    settle_fds();
    int signals = block_signals();
    must(open_loop(), "epoll_create1");
    must(exitfd_open(&exits, 0), "exitfd_open");
    must(watch(&signals_source, signals, signals_ready, EPOLLIN), "watching the signals");
    must(watch(&exits_source, exitfd_get_fd(exits), exits_ready, EPOLLIN), "watching the exits");
    must(watch(&listener, listen_on(socket_path), listener_ready, EPOLLIN), "watching the socket");
    printf("epoll-jobs: listening on %s, child exits from %s\n", socket_path, exitfd_get_backend(exits));
    fflush(stdout);
}

static void run(void)
{
    while (!stopping) {
        bool paused = !accepting;
        must(run_round(kill_what_is_due(paused ? ACCEPT_AGAIN_MS : -1)), "epoll_wait");
        if (paused && !stopping)
            accepting = rewatch(&listener, EPOLLIN) == 0;
    }
}

static bool is_anything_owed(void)
{
    for (struct source *source = clients; source != NULL; source = source->next) {
        const struct client *client = (struct client *)source;
        if (client->n_jobs > 0 || client->n_unsent > 0)
            return true;
    }
    return false;
}

static void flush(void)
{
    long long end_ms = now_ms() + FLUSH_MS;
    for (long long left_ms = FLUSH_MS; left_ms > 0 && is_anything_owed(); left_ms = end_ms - now_ms())
        must(run_round(kill_what_is_due((int)left_ms)), "epoll_wait");
}

static void stop(void)
{
    while (clients != NULL)
        close_client((struct client *)clients);
    close_source(&signals_source);
    close_loop();
    exitfd_close(exits);
}

int main(int argc, char **argv)
{
    static const char usage[] =
        "usage: epoll-jobs [-c] SOCKET\n"
        "Runs command lines for the clients of the Unix socket SOCKET until SIGTERM, SIGINT or SIGHUP.\n"
        "\n"
        "  -c, --clean-environment   jobs get PATH=/usr/bin:/bin and no other variable\n"
        "  -h, --help                show this\n";
    static const struct option options[] = { { "clean-environment", no_argument, NULL, 'c' },
                                             { "help", no_argument, NULL, 'h' },
                                             { 0 } };
    static char *const clean[] = { "PATH=/usr/bin:/bin", NULL };
    for (int option; (option = getopt_long(argc, argv, "+ch", options, NULL)) != -1;) {
        if (option == 'h')
            return fputs(usage, stdout) < 0;
        if (option == '?')
            return wrong_usage("epoll-jobs", "unknown option", NULL);
        job_environment = clean;
    }
    if (argc - optind != 1)
        return wrong_usage("epoll-jobs", "the path of one socket is needed", NULL);
    socket_path = argv[optind];
    start();
    run();
    flush();
    stop();
    return 0;
}
