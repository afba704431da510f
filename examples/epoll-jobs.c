/* SPDX-License-Identifier: MIT */
/*
 * epoll-jobs - a small daemon that runs command lines for its clients, on one epoll loop of its own
 *
 * Who may talk to it: its own user and root. The mode of the socket and the credentials of each peer are checked.
 * Limits: MAX_CLIENTS, MAX_JOBS in all, JOBS_PER_CLIENT, HOLD_BACK_BYTES of unsent output per client.
 * Inherited by a job: fds 0 to 2, the environment, the working directory. No other fd and no signal setting.
 * At the end: SIGTERM, SIGINT and SIGHUP kill all jobs and remove the socket. SIGKILL leaves both behind.
 *
 * A client connects to the Unix socket and sends lines, each answered in turn:
 *
 *   COMMAND LINE   "started PID", then "output PID BYTES" with that many bytes of its standard output and error, as often
 *                  as there are some, and last, once, "ended PID ..." with how it ended, its CPU time and its peak memory
 *                  (which is at least the daemon's own: the kernel counts what it was spawned from)
 *   kill PID       "killing PID": SIGTERM to one of this connection's own jobs, with its process group
 *   other input    "error: ..."
 *
 * A client that has only stopped sending (half-closed) is served until its last job has ended. One that goes away takes
 * its jobs with it. One that does not read is waited for: at HOLD_BACK_BYTES unsent its lines and the output of its jobs
 * are left where they are, which holds up its own jobs and nobody else.
 *
 * A job is its process, not its pipe: what was written before it exited is sent, what a background process that outlives
 * it writes later is not.
 *
 * SIGTERM, SIGINT and SIGHUP kill all jobs. Their clients have FLUSH_MS to read the rest of the output and how each ended.
 */
#include "epoll-jobs.h"
#include "example.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

enum {
    ACCEPT_AGAIN_MS = 100,
    FLUSH_MS = 5000
};

struct job {
    struct source source; /* the read end of its output, until end of file */
    struct client *client;
    pid_t pid;
    bool ended;
    struct exitfd_event end;
    size_t n_unread; /* once ended */
};

static struct exitfd *exits;
static struct source listener, exits_source, signals_source;
static const char *socket_path;
static posix_spawnattr_t job_attributes;
static struct source *clients;
static int n_jobs; /* of all clients */
static bool accepting = true, stopping;

static int must(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "epoll-jobs: %s: %s\n", what, strerror(-r));
        exit(1);
    }
    return r;
}

/* EPOLLONESHOT: a pipe without writers reports EPOLLHUP whatever is asked for, and must be silent while held back. */
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

static void forget_job(struct job *job)
{
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
    if (end->origin == EXITFD_REAPED)
        snprintf(used, sizeof used, ", cpu %.3f s, memory %ld kB",
                 seconds(&end->rusage.ru_utime) + seconds(&end->rusage.ru_stime), end->rusage.ru_maxrss);
    reply(job->client, "ended %d %s%s", (int)job->pid, how, used);
    forget_job(job);
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
    else if (source->fd >= 0)
        want_output(job);
}

static void job_exited(struct job *job, const struct exitfd_event *end)
{
    int n_unread = 0;
    if (job->source.fd >= 0)
        ioctl(job->source.fd, FIONREAD, &n_unread);
    job->ended = true;
    job->end = *end;
    job->n_unread = (size_t)n_unread;
    if (n_unread == 0)
        finish_job(job);
}

static void exits_ready(struct source *source, uint32_t events)
{
    (void)source, (void)events;
    struct exitfd_event ends[64];
    int n = must(exitfd_wait(exits, ends, 64, 0), "exitfd_wait");
    for (int i = 0; i < n; i++)
        job_exited(ends[i].data, &ends[i]);
}

static int spawn_shell(struct job *job, char *command_line, int output_fd)
{
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    int r = -ENOMEM;
    if (posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) == 0 &&
        posix_spawn_file_actions_adddup2(&actions, output_fd, 1) == 0 &&
        posix_spawn_file_actions_adddup2(&actions, output_fd, 2) == 0) {
        char *arguments[] = { "sh", "-c", command_line, NULL };
        r = exitfd_spawn(exits, &job->pid, "/bin/sh", &actions, &job_attributes, arguments, environ, 0, job);
    }
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

static int spawn_job(struct job *job, char *command_line)
{
    int output[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        return -errno;
    fcntl(output[0], F_SETFL, O_NONBLOCK);
    int r = watch(&job->source, output[0], output_ready, EPOLLIN | EPOLLONESHOT);
    if (r == 0)
        r = spawn_shell(job, command_line, output[1]);
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
    int r = job == NULL ? -ENOMEM : spawn_job(job, command_line);
    if (r == 0) {
        reply(client, "started %d", (int)job->pid);
    } else {
        if (job != NULL)
            forget_job(job);
        reply(client, "error: cannot start a job: %s", strerror(-r));
    }
}

/*
 * The whole process group, as safely as exitfd_kill does it for one process: while exitfd_kill finds the leader it has
 * not been reaped, so the number of its group is nobody else's. A job that has ended keeps its place here while its output
 * is held back, but its pid may be another job's by now: it is not looked up any more.
 */
static int signal_job(const struct job *job, int signal_number)
{
    int r = job->ended ? -ENOENT : exitfd_kill(exits, job->pid, 0);
    if (r == 0 && kill(-job->pid, signal_number) < 0)
        r = -errno;
    return r;
}

void kill_job(struct client *client, long pid)
{
    struct source *source = client->jobs;
    while (source != NULL && (((struct job *)source)->ended || ((struct job *)source)->pid != pid))
        source = source->next;
    int r = source == NULL ? -ENOENT : signal_job((struct job *)source, SIGTERM);
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
        if (!job->ended) { /* else the pid may be the watch of another client's job */
            signal_job(job, SIGKILL);
            exitfd_discard(exits, job->pid);
        }
        forget_job(job);
    }
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
        /* Out of fds or memory, and the listener stays readable: the client waits in the backlog, we try again later. */
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
            signal_job((struct job *)job, SIGKILL);
}

/* Of all that this daemon does to its signals a job gets nothing. */
static int block_signals(void)
{
    sigset_t none, all, stops;
    sigemptyset(&none);
    sigfillset(&all);
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    struct sigaction found;
    if (sigaction(SIGHUP, NULL, &found) == 0 && found.sa_handler != SIG_IGN) /* as nohup leaves it */
        sigaddset(&stops, SIGHUP);
    posix_spawnattr_init(&job_attributes);
    posix_spawnattr_setflags(&job_attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&job_attributes, &none);
    posix_spawnattr_setsigdefault(&job_attributes, &all);
    sigprocmask(SIG_BLOCK, &stops, NULL);
    int fd = signalfd(-1, &stops, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? must(-errno, "signalfd") : fd;
}

/* Fds that the daemon was started with are no job's business. One of 0 to 2 that is missing would become a pipe's. */
static void settle_fds(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
        continue;
    if (syscall(SYS_close_range, 3U, ~0U, 0U) < 0) /* Linux 5.9 */
        for (long n = sysconf(_SC_OPEN_MAX); n > 2; n--)
            close((int)n);
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
        must(run_round(paused ? ACCEPT_AGAIN_MS : -1), "epoll_wait");
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
        must(run_round((int)left_ms), "epoll_wait");
}

static void stop(void)
{
    while (clients != NULL)
        close_client((struct client *)clients);
    close_source(&signals_source);
    close_loop();
    exitfd_close(exits);
    posix_spawnattr_destroy(&job_attributes);
}

int main(int argc, char **argv)
{
    static const char usage[] =
        "usage: epoll-jobs SOCKET\n"
        "Runs command lines for the clients of the Unix socket SOCKET until SIGTERM, SIGINT or SIGHUP.\n";
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc != 2 || argv[1][0] == '-') {
        fputs(usage, stderr);
        return 2;
    }
    socket_path = argv[1];
    start();
    run();
    flush();
    stop();
    return 0;
}
