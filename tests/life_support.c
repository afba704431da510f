/* SPDX-License-Identifier: MIT */
/*
 * Orphans, PID 1 of a namespace, chosen pids, threads, and programs with their
 * output.
 */
#include "life_support.h"

#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

extern char **environ;

struct exitfd_event call_until_event(struct exitfd *x)
{
    int epipes = 0;
    return wait_event_by_calling(x, &epipes);
}

struct exitfd_event wait_event_blocked(struct exitfd *x)
{
    struct exitfd_event event;
    int ret;
    while ((ret = exitfd_wait(x, &event, 1, DEADLINE_MS)) == -EINTR)
        ;
    CHECK_EQ(ret, 1);
    return event;
}

void expect_quiet_soon(struct exitfd *x)
{
    int looks = 0;
    do {
        expect_no_event(x);
        CHECK(looks++ < 20, "the fd stays readable without an event");
    } while (is_readable(exitfd_get_fd(x)));
}

pid_t spawn_shell(struct exitfd *x, const char *script, unsigned flags, void *data)
{
    char *argv[] = { "sh", "-c", (char *)script, NULL };
    pid_t pid;
    CHECK_EQ(exitfd_spawn(x, &pid, "sh", NULL, NULL, argv, environ, flags, data), 0);
    return pid;
}

struct output output_of(struct exitfd *x, const posix_spawnattr_t *attr, char *const argv[])
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    pid_t pid;
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (x != NULL)
        CHECK_EQ(exitfd_spawn(x, &pid, argv[0], &actions, attr, argv, environ, 0, &actions), 0);
    else
        CHECK_EQ(posix_spawnp(&pid, argv[0], &actions, attr, argv, environ), 0);
    close(ends[1]);

    struct output output;
    size_t length = 0;
    ssize_t n;
    while ((n = read(ends[0], output.text + length, sizeof(output.text) - 1 - length)) > 0)
        length += (size_t)n;
    CHECK(n == 0 && length < sizeof(output.text) - 1, "%s wrote too much", argv[0]);
    output.text[length] = '\0';
    close(ends[0]);

    if (x != NULL)
        CHECK_EQ(call_until_event(x).data, &actions);
    else
        reap(pid);
    posix_spawn_file_actions_destroy(&actions);
    return output;
}

static unsigned long long mask_in(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    if (line == NULL)
        SKIP("no %s in /proc/self/status", name);
    return strtoull(line + strlen(name), NULL, 16);
}

struct signal_masks masks_in(const char *status)
{
    return (struct signal_masks){ .blocked = mask_in(status, "SigBlk:\t"), .ignored = mask_in(status, "SigIgn:\t") };
}

bool is_in_mask(unsigned long long mask, int signum)
{
    return mask >> (signum - 1) & 1;
}

pid_t start_paused(void)
{
    pid_t pid = fork_guarded();
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

pid_t watch_paused(struct exitfd *x, unsigned flags)
{
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, flags, x), 0);
    return pid;
}

static void signal_and_see(pid_t pid, int sig, int options)
{
    siginfo_t info;
    CHECK_EQ(kill(pid, sig), 0);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, options | WNOWAIT), 0, "waitid(%d): %s", (int)pid, strerror(errno));
}

void stop_child(pid_t pid)
{
    signal_and_see(pid, SIGSTOP, WSTOPPED);
}

void continue_child(pid_t pid)
{
    signal_and_see(pid, SIGCONT, WCONTINUED);
}

void become_subreaper(void)
{
    CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
}

struct exitfd *open_catch_all(void)
{
    become_subreaper();
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    return x;
}

static void live_as_orphan(const struct gate *gate, int ending)
{
    alarm(600); /* some hundreds are started first */
    if (gate != NULL)
        wait_behind(gate);
    if (ending < 0)
        kill(getpid(), -ending);
    _exit(ending);
}

pid_t start_orphan(const struct gate *gate, int ending)
{
    int ends[2];
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_t parent = fork_guarded();
    if (parent == 0) {
        pid_t pid = fork();
        if (pid == 0)
            live_as_orphan(gate, ending);
        _exit(write(ends[1], &pid, sizeof(pid)) == sizeof(pid) ? 0 : 1);
    }
    pid_t pid;
    CHECK_EQ(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
    close(ends[0]);
    close(ends[1]);
    CHECK_EQ(reap(parent), 0);
    return pid;
}

void expect_success(pid_t pid)
{
    int status = reap(pid);
    CHECK_EQ(status, 0, "child %d: wait status %#x: check %d failed", (int)pid, status, WEXITSTATUS(status));
}

static void (*pid_1_body)(void);

static void become_pid_1(void)
{
    if (unshare(CLONE_NEWPID) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
        _exit(CHECK_SKIPPED);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(120);
        CHECK(getpid() == 1);
        pid_1_body();
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

void run_as_pid_1(void (*body)(void), const char *skip_reason)
{
    pid_1_body = body;
    run_in_process(become_pid_1, skip_reason);
}

void run_where_pids_can_be_chosen(void (*body)(void))
{
    exitfd_close(open_exitfd());
    run_as_pid_1(body, "unshare(CLONE_NEWPID) or writing to /proc/sys/kernel/ns_last_pid is not permitted here");
}

void set_next_pid(pid_t pid)
{
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dprintf(fd, "%d", (int)pid - 1) < 0)
        _exit(CHECK_SKIPPED);
    close(fd);
}

struct start {
    void *(*work)(void *);
    void *argument;
    pid_t tid;
    sem_t started;
};

static void *run_helper(void *argument)
{
    struct start *start = argument;
    void *(*work)(void *) = start->work;
    void *work_argument = start->argument;
    start->tid = own_tid();
    sem_post(&start->started);
    return work(work_argument);
}

struct helper start_helper(void *(*work)(void *), void *argument)
{
    struct start start = { .work = work, .argument = argument };
    struct helper helper;
    sem_init(&start.started, 0, 0);
    CHECK_EQ(pthread_create(&helper.thread, NULL, run_helper, &start), 0);
    while (sem_wait(&start.started) < 0)
        ;
    sem_destroy(&start.started);
    helper.tid = start.tid;
    return helper;
}

void *join_helper(struct helper *helper)
{
    void *result = NULL;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += DEADLINE_MS / 1000;
    int error = pthread_timedjoin_np(helper->thread, &result, &end);
    CHECK_EQ(error, 0, "the other thread does not end: %s", strerror(error));
    return result;
}

pid_t fork_without_libc(void)
{
#ifdef SYS_fork
    return (pid_t)syscall(SYS_fork);
#else
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
#endif
}
