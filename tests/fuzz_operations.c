/* SPDX-License-Identifier: MIT */
/* What may be done to children and to exitfds, and what each call must
   return. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sigaction set_aside;
static unsigned births;

/* Of those that have had its pid, the latest that this exitfd watches. */
struct child *named(struct child *c, int x)
{
    struct child *found = NULL;

    for (struct child *other = children; other < children + CHILDREN; other++)
        if (other->state != NONE && other->pid == c->pid && other->watching[x])
            if (!found || found->born < other->born)
                found = other;
    return found ? found : c;
}

void be_child(int go)
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

/* A child of ours that has not run a program yet may be made to lead a
   group. */
void started(struct child *c, int go)
{
    c->state = ALIVE;
    c->go = go;
    c->born = ++births;
    c->leads_group = setpgid(c->pid, c->pid) == 0;
}

void watched(struct child *c, int x, enum watching how, unsigned jobs)
{
    c->watching[x] = how;
    c->holds[x] = false;
    c->age[x] = 0;
    c->jobs[x] = jobs;
    c->job_must[x] = false;
    c->job_may[x] = jobs != 0; /* it may be stopped, or have been continued, already */
    c->has_pidfd[x] = named(c, x) == c && exitfd_get_pidfd(exitfds[x], c->pid) >= 0;
    if (jobs)
        no_job_must();
}

/* How: by exitfd_spawn, exitfd_fork and observed, exitfd_start, exitfd_fork;
   any other number: by fork. */
void start_as(struct child *c, unsigned how, int x)
{
    int ends[2];
    char *argv[] = { "sh", "-c", "read s; exit $s", NULL };
    unsigned jobs = some_jobs(x);

    if (c->state != NONE)
        return;
    *c = (struct child){ 0 };
    CHECK(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    if (how >= 4 && !may_fork_by_hand())
        how -= 4;
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
    started(c, ends[1]);
    c->code = how == 0 || how == 2; /* a shell reads a line */
    say("start %d: pid %d, how %u, exitfd %d, jobs 0x%x", number(c), (int)c->pid, how, x, jobs);
    if (how < 4)
        watched(c, x, how == 1 ? OBSERVED : OWNED, jobs);
}

void start(struct child *c)
{
    unsigned how = below(8);

    start_as(c, how, (int)below(2));
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

void wait_until_dead(struct child *c)
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
    reap(*(pid_t *)argument);
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
    say("end %d%s%s%s", number(c), by_signal ? " by SIGKILL" : "", stolen ? " before a reaper" : "",
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

void add(struct child *c)
{
    int x = (int)below(2), error;
    bool observe = below(3) == 0, by_pidfd = below(4) == 0;
    unsigned jobs = some_jobs(x), flags = jobs | (observe ? EXITFD_OBSERVE : 0);

    if (c->state == NONE || c->state == GONE)
        return;
    int pidfd = by_pidfd ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
    say("add %d to %d%s%s, jobs 0x%x", number(c), x, observe ? ", observed" : "", pidfd >= 0 ? ", by pidfd" : "", jobs);
    error = pidfd >= 0 ? exitfd_add_pidfd(exitfds[x], pidfd, flags, c) : -ENOTSUP;
    if (pidfd < 0 || error == -ENOTSUP)
        error = exitfd_add(exitfds[x], c->pid, flags, c);
    if (pidfd >= 0)
        close(pidfd);
    CHECK(error == (c->watching[x] ? -EEXIST : 0) || (error == -EEXIST && is_watched_by_pid(c, x)), "exitfd_add: %d",
          error);
    if (error == 0)
        watched(c, x, observe ? OBSERVED : OWNED, jobs);
}

/* Not one that may be reported at the same time, nor one that a thread may take
   for an orphan. */
static void add_a_living_one(void)
{
    struct child *c = &children[below(CHILDREN)];
    if (c->state == ALIVE || c->state == STOPPED)
        add(c);
}

static void end_watch(struct child *c, bool discard)
{
    int x = (int)below(2);

    if (c->state == NONE || c->pid == 0)
        return;
    c = named(c, x);
    if (c->watching[x] == DISCARDED &&
        is_watched_by_pid(c, x)) /* it may have been reaped, and the pid names the other */
        return;
    say("%s %d of %d", discard ? "discard" : "remove", number(c), x);
    int error = discard ? exitfd_discard(exitfds[x], c->pid) : exitfd_remove(exitfds[x], c->pid);
    /* A discarded one may have been taken off by any wait since. */
    CHECK(error == (c->watching[x] ? 0 : -ENOENT) || (error == -ENOENT && c->watching[x] == DISCARDED),
          "%d, watching %d", error, (int)c->watching[x]);
    c->jobs[x] = 0;
    c->job_may[x] = c->job_must[x] = false;
    bool reaps = discard && c->watching[x] != OBSERVED && c->watching[x] != NO && error == 0;
    bool is_held = c->watching[x] == HELD;
    c->watching[x] = reaps && !is_held ? DISCARDED : NO;
    if (reaps && c->state == ZOMBIE) {
        c->state = GONE;
        c->watching[x] = NO;
    }
}

void let_go(struct child *c)
{
    end_watch(c, false);
}

void discard(struct child *c)
{
    end_watch(c, true);
}

struct child *to_signal(struct child *c, int x)
{
    if (c->state == NONE || c->pid == 0)
        return NULL;
    c = named(c, x);
    return c->watching[x] == DISCARDED ? NULL : c;
}

void kill_child(struct child *c)
{
    int x = (int)below(2);
    c = to_signal(c, x);
    if (c == NULL)
        return;
    say("kill %d by %d", number(c), x);
    int error = exitfd_kill(exitfds[x], c->pid, 0);
    CHECK(error == (!c->watching[x] ? -ENOENT : c->state == GONE ? -ESRCH : 0), "exitfd_kill: %d", error);
}

void steal(struct child *c)
{
    if (c->state != ZOMBIE)
        return;
    say("steal %d", number(c));
    CHECK(waitpid(c->pid, NULL, WNOHANG) == c->pid, "a zombie was reaped that nobody watches, or too early");
    c->state = GONE;
}

void stop_or_continue(struct child *c)
{
    siginfo_t info;
    bool stop = c->state == ALIVE;

    if (c->state != ALIVE && c->state != STOPPED)
        return;
    say("%s %d", stop ? "stop" : "continue", number(c));
    send_signal(c, stop ? SIGSTOP : SIGCONT);
    while (waitid(P_PID, (id_t)c->pid, &info, (stop ? WSTOPPED : WCONTINUED) | WNOWAIT) < 0 && errno == EINTR)
        ;
    c->state = stop ? STOPPED : ALIVE;
    job_changed(c);
}

/* Or SIG_DFL, as code does around system(3): until it is put back no handler
   runs. */
void set_aside_or_restore(void (*disposition)(int))
{
    struct sigaction aside = { .sa_handler = disposition };

    say(ignored ? "restore SIGCHLD" : disposition == SIG_IGN ? "ignore SIGCHLD" : "SIGCHLD is SIG_DFL for a while");
    sigaction(SIGCHLD, ignored ? &set_aside : &aside, ignored ? NULL : &set_aside);
    ignored = !ignored;
    no_job_must();
    signal_lost[0] = signal_lost[1] = true;
}

/* One that is gone stops no more, and its pid may name a later child. */
void stop_watching_stops(struct child *c, int x)
{
    if (!c->watching[x] || !c->jobs[x] || c->state == GONE)
        return;
    say("remove %d of %d", number(c), x);
    CHECK(exitfd_remove(exitfds[x], c->pid) == 0, "exitfd_remove");
    c->watching[x] = NO;
    c->jobs[x] = 0;
    c->job_may[x] = c->job_must[x] = false;
}

void ignore_or_restore(void)
{
    set_aside_or_restore(SIG_IGN);
}

void now_and_then_ignore(void)
{
    if (below(6) == 0)
        ignore_or_restore();
}

void close_for_reopening(int x)
{
    say("close %d and open it again", x);
    exitfd_close(exitfds[x]);
    for (struct child *c = children; c < children + CHILDREN; c++) {
        c->watching[x] = NO;
        c->jobs[x] = 0;
    }
    no_job_must();
    if (any_child == x)
        any_child = -1;
}

void open_again(int x)
{
    without_signals[x] = below(2) == 0 && exitfd_open(&exitfds[x], EXITFD_NO_SIGNALS) == 0;
    CHECK(without_signals[x] || exitfd_open(&exitfds[x], 0) == 0, "exitfd_open");
    signal_lost[x] = true;
}

static void reopen(int x)
{
    if (ignored)
        ignore_or_restore();
    close_for_reopening(x);
    open_again(x);
}

void now_and_then_reopen(void)
{
    if (below(10) == 0)
        reopen((int)below(2));
}

static void watch_any_child(int x)
{
    int error = exitfd_add(exitfds[x], -1, 0, &any_child);

    say("add -1 to %d: %d", x, error);
    CHECK(error == (without_signals[x] ? -ENOTSUP : any_child >= 0 ? -EBUSY : 0), "exitfd_add of -1: %d", error);
    if (error == 0)
        any_child = x;
}

static void end_the_catch_all_watch(int x)
{
    int error = exitfd_remove(exitfds[x], -1);

    say("remove -1 of %d: %d", x, error);
    CHECK(error == (any_child == x ? 0 : -ENOENT), "exitfd_remove of -1: %d", error);
    if (error == 0)
        any_child = -1;
}

void begin_or_end_a_catch_all_watch(void)
{
    if (below(4) == 0)
        watch_any_child((int)below(2));
    else
        end_the_catch_all_watch((int)below(2));
}

void wait_for_either(void)
{
    wait_once((int)below(2));
}

void wait_beside_a_thread(void)
{
    wait_in_two_threads(add_a_living_one);
}
