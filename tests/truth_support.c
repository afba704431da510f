/* SPDX-License-Identifier: MIT */
/*
 * Other code that reaps, and what an event must say after it. What this back
 * end can know is asked once, before the test changes anything.
 */
#include "truth_support.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

static int recorded = -1;

void learn_what_is_recorded(void)
{
    if (recorded < 0)
        recorded = have_exit_record();
    tracks_by_pidfd();
}

struct exitfd *open_for_truth(void)
{
    learn_what_is_recorded();
    return open_exitfd();
}

bool tracks_by_pidfd(void)
{
    return backend_is("pidfd") || backend_is("io_uring");
}

void skip_without_pidfds(void)
{
    if (!tracks_by_pidfd())
        SKIP("this back end opens no pidfds");
}

bool reports_stolen_status(void)
{
    learn_what_is_recorded();
    return recorded && tracks_by_pidfd();
}

static void expect_no_rusage(const struct exitfd_event *event)
{
    static const struct rusage none;
    CHECK_EQ(memcmp(&event->rusage, &none, sizeof(none)), 0, "an rusage that nobody can know");
}

void expect_stolen(const struct exitfd_event *event, pid_t pid, int code, int status, const void *data)
{
    if (!reports_stolen_status()) {
        expect_unknown(event, pid, data);
        return;
    }
    expect_event(event, pid, code, status, EXITFD_RECORDED, data);
    expect_no_rusage(event);
}

void expect_unknown(const struct exitfd_event *event, pid_t pid, const void *data)
{
    expect_event(event, pid, 0, 0, EXITFD_UNKNOWN, data);
    expect_no_rusage(event);
}

void expect_peeked(struct exitfd *x, pid_t pid, int code, int status)
{
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, code, status, EXITFD_PEEKED, x);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
}

void expect_all_exited(struct exitfd *x, const pid_t *pids, int count, int first_status)
{
    enum {
        MOST = 64
    };
    bool seen[MOST] = { false };
    struct exitfd_event events[MOST];
    CHECK(count <= MOST);
    wait_events(x, events, count);
    for (int n = 0; n < count; n++) {
        ptrdiff_t i = (const pid_t *)events[n].data - pids;
        CHECK(!seen[i], "two events of child %td", i);
        seen[i] = true;
        expect_exited(&events[n], pids[i], first_status + (int)i, &pids[i]);
    }
    expect_quiet(x);
}

struct exitfd_event wait_event_by_calling(struct exitfd *x, int *epipes)
{
    struct exitfd_event event;
    long long end = now_ms() + DEADLINE_MS;
    for (;;) {
        int ret = exitfd_wait(x, &event, 1, 0);
        if (ret == 1)
            return event;
        CHECK(ret == 0 || ret == -EPIPE, "exitfd_wait: %s", strerror(-ret));
        *epipes += ret == -EPIPE;
        CHECK(now_ms() < end, "no event within %d ms", DEADLINE_MS);
        poll(NULL, 0, 1);
    }
}

int count_wakes(struct exitfd *x, int window_ms)
{
    struct pollfd item = { .fd = exitfd_get_fd(x), .events = POLLIN };
    long long end = now_ms() + window_ms;
    int wakes = 0;
    for (long long left; (left = end - now_ms()) > 0;) {
        if (poll(&item, 1, (int)left) != 1)
            continue;
        wakes++;
        expect_no_event(x);
    }
    return wakes;
}

void expect_no_spin(struct exitfd *x)
{
    const int window_ms = 250, timer_ms = 100, moments = 4;
    int wakes = count_wakes(x, window_ms);
    CHECK(wakes <= moments + window_ms / timer_ms, "%d wake-ups in %d ms without an event", wakes, window_ms);
}

int steal(pid_t pid)
{
    int status;
    pid_t ret;
    do
        ret = waitpid(pid, &status, 0);
    while (ret < 0 && errno == EINTR);
    return ret > 0 ? status : -1;
}

struct reaper {
    pthread_t thread;
    pid_t pid;
    int status;
    int tid_pipe[2];
};

static void *steal_in_thread(void *arg)
{
    struct reaper *reaper = arg;
    pid_t tid = own_tid();
    if (write(reaper->tid_pipe[1], &tid, sizeof(tid)) == sizeof(tid))
        reaper->status = steal(reaper->pid);
    return NULL;
}

struct reaper *start_reaper(pid_t pid)
{
    struct reaper *reaper = malloc(sizeof(*reaper));
    CHECK(reaper != NULL);
    *reaper = (struct reaper){ .pid = pid, .status = -1 };
    CHECK_EQ(pipe(reaper->tid_pipe), 0);
    CHECK_EQ(pthread_create(&reaper->thread, NULL, steal_in_thread, reaper), 0);
    pid_t tid;
    CHECK_EQ(read(reaper->tid_pipe[0], &tid, sizeof(tid)), (ssize_t)sizeof(tid));
    CHECK(wait_until_asleep(tid));
    return reaper;
}

int join_reaper(struct reaper *reaper)
{
    CHECK_EQ(pthread_join(reaper->thread, NULL), 0);
    int status = reaper->status;
    close(reaper->tid_pipe[0]);
    close(reaper->tid_pipe[1]);
    free(reaper);
    return status;
}

void wait_until_dead(pid_t pid)
{
    char stat_path[64];
    snprintf(stat_path, sizeof(stat_path), "/proc/%d/stat", (int)pid);
    for (long long end = now_ms() + DEADLINE_MS; state_in(stat_path) != 'Z' && now_ms() < end;)
        poll(NULL, 0, 1);
}

unsigned long long status_field(pid_t pid, const char *name, int base)
{
    char path[64], line[256];
    unsigned long long value = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name), NULL, base);
    fclose(file);
    return value;
}

void report(int fd, char byte)
{
    if (write(fd, &byte, 1) != 1)
        _exit(97);
}

char next_report(int fd)
{
    char byte = '\0';
    wait_readable(fd);
    CHECK_EQ(read(fd, &byte, 1), 1, "no report");
    return byte;
}

void unblock_sigchld(void)
{
    sigset_t sigchld;
    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &sigchld, NULL), 0);
}

void set_sigchld(void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
    sigemptyset(&action.sa_mask);
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
}

atomic_int host_calls;

void host_handler(int sig)
{
    (void)sig;
    atomic_fetch_add(&host_calls, 1);
}

void run_in_process(void (*body)(void), const char *skip_reason)
{
    pid_t pid = fork_guarded();
    if (pid == 0) {
        body();
        _exit(0);
    }
    int status = reap(pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIPPED)
        SKIP("%s", skip_reason);
    CHECK_EQ(status, 0, "the process of the test ended with wait status %#x: see stderr", status);
}
