/* SPDX-License-Identifier: MIT */
/* What may be done to children and to exitfds, and what it must give. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sigaction before_ignored;

static struct child *some_child(void)
{
    return &children[below(CHILDREN)];
}

static void be_child(int go)
{
    char status;
    alarm(300);
    while (read(go, &status, 1) < 0 && errno == EINTR)
        ;
    _exit(status);
}

static unsigned some_jobs(int x)
{
    const unsigned jobs[] = { 0, 0, 0, EXITFD_STOPPED, EXITFD_CONTINUED, EXITFD_STOPPED | EXITFD_CONTINUED };
    return without_signals[x] ? 0 : jobs[below(sizeof(jobs) / sizeof(*jobs))];
}

static void watched(struct child *c, int x, enum watching how, unsigned jobs)
{
    c->watching[x] = how;
    c->jobs[x] = jobs;
    c->job_must[x] = false;
    c->job_may[x] = jobs != 0; /* it may be stopped, or have been continued, already */
    c->has_pidfd[x] = exitfd_get_pidfd(exitfds[x], c->pid) >= 0;
    if (jobs)
        no_job_must();
}

static void start(struct child *c)
{
    int ends[2], how = (int)below(8), x = (int)below(2);
    char *argv[] = { "sh", "-c", "read s; exit $s", NULL };
    unsigned jobs = some_jobs(x);

    if (c->state != NONE)
        return;
    *c = (struct child){ .state = ALIVE };
    CHECK(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    if (how == 0) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
        int error = exitfd_spawn(exitfds[x], &c->pid, "/bin/sh", &actions, NULL, argv, NULL, jobs, c);
        CHECK(error == 0, "exitfd_spawn: %d", error);
        posix_spawn_file_actions_destroy(&actions);
    } else if (how == 2) {
        const struct exitfd_action action = { .type = EXITFD_DUP2, .fd = ends[0], .target = 0 };
        const struct exitfd_command command = {
            .size = sizeof(command), .file = "sh", .argv = argv, .actions = &action, .action_count = 1
        };
        int error = exitfd_start(exitfds[x], &c->pid, &command, jobs, c);
        CHECK(error == 0, "exitfd_start: %d", error);
    } else {
        c->pid = how < 4 ? exitfd_fork(exitfds[x], jobs | (how == 1 ? EXITFD_OBSERVE : 0), c) : fork();
        if (c->pid == 0)
            be_child(ends[0]);
        CHECK(c->pid > 0, "fork: %d", (int)c->pid);
    }
    close(ends[0]);
    c->go = ends[1];
    c->code = how == 0 || how == 2; /* a shell reads a line */
    SAY("start %d: pid %d, how %d, exitfd %d, jobs 0x%x", number(c), (int)c->pid, how, x, jobs);
    if (how < 4)
        watched(c, x, how == 1 ? OBSERVED : OWNED, jobs);
}

/* By an exitfd that watches it, if one does. */
static void send_signal(const struct child *c, int sig)
{
    int x = (int)below(2);
    if (c->watching[x] == NO)
        CHECK(kill(c->pid, sig) == 0, "kill");
    else
        CHECK(exitfd_kill(exitfds[x], c->pid, sig) == 0, "exitfd_kill");
}

static void wait_until_dead(struct child *c)
{
    siginfo_t info;
    int ret;

    while ((ret = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT)) < 0 && errno == EINTR)
        ;
    c->state = ret == 0 ? ZOMBIE : GONE;
    close(c->go);
}

static void *reap_in_thread(void *argument)
{
    waitpid(*(pid_t *)argument, NULL, 0);
    return NULL;
}

void end(struct child *c)
{
    bool is_shell = c->code == 1, by_signal = c->state == STOPPED || below(3) == 0;
    char text[3] = { (char)(1 + below(9)), '\n', 0 };
    pthread_t reaper;
    bool stolen = below(6) == 0;

    if (c->state != ALIVE && c->state != STOPPED)
        return;
    SAY("end %d%s%s%s", number(c), by_signal ? " by SIGKILL" : "", stolen ? " before a reaper" : "",
        ignored ? ", ignored" : "");
    c->job_may[0] = c->job_may[1] = c->job_must[0] = c->job_must[1] = false;
    c->code = by_signal ? CLD_KILLED : CLD_EXITED;
    c->status = by_signal ? SIGKILL : text[0];
    if (stolen) {
        sigset_t all, mask;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &mask);
        CHECK(pthread_create(&reaper, NULL, reap_in_thread, &c->pid) == 0, "pthread_create");
        pthread_sigmask(SIG_SETMASK, &mask, NULL);
    }
    if (is_shell)
        text[0] = (char)(text[0] + '0');
    if (by_signal)
        send_signal(c, SIGKILL);
    else
        CHECK(write(c->go, text, is_shell ? 2 : 1) > 0, "write");
    if (stolen) {
        pthread_join(reaper, NULL);
        c->state = GONE;
        close(c->go);
    } else {
        wait_until_dead(c);
    }
    if (ignored)
        signal_lost[0] = signal_lost[1] = true;
}

static void add(struct child *c)
{
    int x = (int)below(2), error;
    bool observe = below(3) == 0, by_pidfd = below(4) == 0;
    unsigned jobs = some_jobs(x), flags = jobs | (observe ? EXITFD_OBSERVE : 0);

    if (c->state == NONE || c->state == GONE)
        return;
    int pidfd = by_pidfd ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
    SAY("add %d to %d%s%s, jobs 0x%x", number(c), x, observe ? ", observed" : "", pidfd >= 0 ? ", by pidfd" : "", jobs);
    error = pidfd >= 0 ? exitfd_add_pidfd(exitfds[x], pidfd, flags, c) : -ENOTSUP;
    if (pidfd < 0 || error == -ENOTSUP)
        error = exitfd_add(exitfds[x], c->pid, flags, c);
    if (pidfd >= 0)
        close(pidfd);
    CHECK(error == (c->watching[x] ? -EEXIST : 0), "exitfd_add: %d", error);
    if (error == 0)
        watched(c, x, observe ? OBSERVED : OWNED, jobs);
}

/* Not one that may be told of at the same time, nor one that a thread may take for an orphan. */
static void add_a_living_one(void)
{
    struct child *c = some_child();
    if (c->state == ALIVE || c->state == STOPPED)
        add(c);
}

static void let_go(struct child *c, bool discard)
{
    int x = (int)below(2);

    if (c->state == NONE)
        return;
    SAY("%s %d of %d", discard ? "discard" : "remove", number(c), x);
    int error = discard ? exitfd_discard(exitfds[x], c->pid) : exitfd_remove(exitfds[x], c->pid);
    /* A discarded one may have been taken off by any wait since. */
    CHECK(error == (c->watching[x] ? 0 : -ENOENT) || (error == -ENOENT && c->watching[x] == DISCARDED),
          "%d, watching %d", error, (int)c->watching[x]);
    c->jobs[x] = 0;
    c->job_may[x] = c->job_must[x] = false;
    bool reaps = discard && c->watching[x] != OBSERVED && c->watching[x] != NO && error == 0;
    c->watching[x] = reaps ? DISCARDED : NO;
    if (reaps && c->state == ZOMBIE) {
        c->state = GONE;
        c->watching[x] = NO;
    }
}

static void kill_child(struct child *c)
{
    int x = (int)below(2);
    if (c->state == NONE || c->watching[x] == DISCARDED)
        return;
    SAY("kill %d by %d", number(c), x);
    int error = exitfd_kill(exitfds[x], c->pid, 0);
    CHECK(error == (!c->watching[x] ? -ENOENT : c->state == GONE ? -ESRCH : 0), "exitfd_kill: %d", error);
}

void steal(struct child *c)
{
    if (c->state != ZOMBIE)
        return;
    SAY("steal %d", number(c));
    CHECK(waitpid(c->pid, NULL, WNOHANG) == c->pid, "a zombie was reaped that nobody watches, or too early");
    c->state = GONE;
}

static void stop_or_continue(struct child *c)
{
    siginfo_t info;
    bool stop = c->state == ALIVE;

    if (c->state != ALIVE && c->state != STOPPED)
        return;
    SAY("%s %d", stop ? "stop" : "continue", number(c));
    send_signal(c, stop ? SIGSTOP : SIGCONT);
    while (waitid(P_PID, (id_t)c->pid, &info, (stop ? WSTOPPED : WCONTINUED) | WNOWAIT) < 0 && errno == EINTR)
        ;
    c->state = stop ? STOPPED : ALIVE;
    job_changed(c);
}

void ignore_or_restore(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    SAY(ignored ? "restore SIGCHLD" : "ignore SIGCHLD");
    sigaction(SIGCHLD, ignored ? &before_ignored : &ignore, ignored ? NULL : &before_ignored);
    ignored = !ignored;
    no_job_must();
    signal_lost[0] = signal_lost[1] = true;
}

static void fork_and_close(void)
{
    int ends[2];
    char answer = 'x';

    SAY("fork, and close the copies");
    CHECK(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    pid_t pid = fork();
    if (pid == 0) {
        struct exitfd_event event;
        answer = exitfd_wait(exitfds[0], &event, 1, 0) == -ESTALE ? 'y' : 'n';
        exitfd_close(exitfds[0]);
        exitfd_close(exitfds[1]);
        _exit(write(ends[1], &answer, 1) != 1);
    }
    close(ends[1]);
    CHECK(read(ends[0], &answer, 1) == 1 && answer == 'y', "the copy is not stale: %c", answer);
    close(ends[0]);
    waitpid(pid, NULL, 0);
}

static void reopen(int x)
{
    SAY("close %d and open it again", x);
    if (ignored)
        ignore_or_restore();
    exitfd_close(exitfds[x]);
    for (struct child *c = children; c < children + CHILDREN; c++) {
        c->watching[x] = NO;
        c->jobs[x] = 0;
    }
    no_job_must();
    if (any_child == x)
        any_child = -1;
    without_signals[x] = below(2) == 0 && exitfd_open(&exitfds[x], EXITFD_NO_SIGNALS) == 0;
    CHECK(without_signals[x] || exitfd_open(&exitfds[x], 0) == 0, "exitfd_open");
    signal_lost[x] = true;
}

static void watch_any_child(int x)
{
    int error = exitfd_add(exitfds[x], -1, 0, &any_child);

    SAY("add -1 to %d: %d", x, error);
    CHECK(error == (without_signals[x] ? -ENOTSUP : any_child >= 0 ? -EBUSY : 0), "exitfd_add of -1: %d", error);
    if (error == 0)
        any_child = x;
}

static void watch_no_other_child(int x)
{
    int error = exitfd_remove(exitfds[x], -1);

    SAY("remove -1 of %d: %d", x, error);
    CHECK(error == (any_child == x ? 0 : -ENOENT), "exitfd_remove of -1: %d", error);
    if (error == 0)
        any_child = -1;
}

void operate(void)
{
    switch (below(26)) {
    case 0:
    case 1:
    case 2:
    case 3:
        start(some_child());
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        add(some_child());
        break;
    case 8:
    case 9:
    case 10:
        end(some_child());
        break;
    case 11:
        let_go(some_child(), false);
        break;
    case 12:
        let_go(some_child(), true);
        break;
    case 13:
        kill_child(some_child());
        break;
    case 14:
        steal(some_child());
        break;
    case 15:
        stop_or_continue(some_child());
        break;
    case 16:
        if (below(6) == 0)
            ignore_or_restore();
        break;
    case 17:
        if (below(6) == 0)
            fork_and_close();
        break;
    case 18:
        if (below(10) == 0)
            reopen((int)below(2));
        break;
    case 19:
        clear();
        break;
    case 20:
        if (below(4) == 0)
            watch_any_child((int)below(2));
        else
            watch_no_other_child((int)below(2));
        break;
    case 21:
        wait_in_two_threads(add_a_living_one);
        break;
    default:
        wait_once((int)below(2));
    }
}
