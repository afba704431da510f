/* SPDX-License-Identifier: MIT */
/*
 * Random operations on two exitfds and their children against a model of what must be reported: for each watch exactly one
 * exit event, with the true status or EXITFD_UNKNOWN, and EXITFD_RECORDED where there is a record; nothing for what was
 * removed or discarded; nothing reaped that is not watched; and the fd readable whenever an event is due.
 *
 * Children do what a pipe or a signal tells them, and each change is waited for, so the model knows their states. An
 * episode is a process of its own, with a seed of its own.
 */
#include <errno.h>
#include <exitfd.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 12
#define EPISODE 250

enum state {
    NONE,
    ALIVE,
    STOPPED,
    ZOMBIE,
    GONE
};
enum watching {
    NO,
    OWNED,
    OBSERVED,
    DISCARDED
};

static struct child {
    enum state state;
    pid_t pid;
    int go, code, status;
    enum watching watching[2];
    bool has_pidfd[2];
} children[CHILDREN];

static struct exitfd *exitfds[2];
static bool deaf[2]; /* SIGCHLD was ignored: the fd need not tell at once */
static bool ignored, has_records;
static struct sigaction before_ignored;
static uint64_t seed, random_state;
static char operations[EPISODE * 2][80];
static unsigned operation_count;

static unsigned below(unsigned limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % limit;
}

#define SAY(...) snprintf(operations[operation_count++ % (EPISODE * 2)], sizeof(operations[0]), __VA_ARGS__)
#define MUST(condition, ...) ((condition) ? (void)0 : fail(#condition, __VA_ARGS__))

__attribute__((noreturn, format(printf, 2, 3))) static void fail(const char *condition, const char *format, ...)
{
    char text[200];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    for (unsigned i = 0; i < operation_count && i < EPISODE * 2; i++)
        printf("# %s\n", operations[i]);
    printf("# not so: %s: %s\n# repeat with --seed %llu --operations %d\n", condition, text, (unsigned long long)seed,
           EPISODE);
    for (int i = 0; i < CHILDREN; i++)
        if (children[i].state == ALIVE || children[i].state == STOPPED)
            kill(children[i].pid, SIGKILL);
    fflush(stdout);
    _exit(1);
}

static struct child *some_child(void)
{
    return &children[below(CHILDREN)];
}

static int number(const struct child *c)
{
    return (int)(c - children);
}

static void be_child(int go)
{
    char status;
    alarm(300);
    while (read(go, &status, 1) < 0 && errno == EINTR)
        ;
    _exit(status);
}

static void start(struct child *c)
{
    int ends[2], how = (int)below(8), x = (int)below(2);
    char *argv[] = { "sh", "-c", "read s; exit $s", NULL };

    if (c->state != NONE)
        return;
    *c = (struct child){ .state = ALIVE };
    MUST(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    if (how == 0) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
        int error = exitfd_spawn(exitfds[x], &c->pid, "/bin/sh", &actions, NULL, argv, NULL, 0, c);
        MUST(error == 0, "exitfd_spawn: %d", error);
        posix_spawn_file_actions_destroy(&actions);
    } else {
        c->pid = how < 4 ? exitfd_fork(exitfds[x], how == 1 ? EXITFD_OBSERVE : 0, c) : fork();
        if (c->pid == 0)
            be_child(ends[0]);
        MUST(c->pid > 0, "fork: %d", (int)c->pid);
    }
    close(ends[0]);
    c->go = ends[1];
    c->code = how == 0; /* a shell reads a line */
    c->watching[x] = how >= 4 ? NO : how == 1 ? OBSERVED : OWNED;
    c->has_pidfd[x] = exitfd_get_pidfd(exitfds[x], c->pid) >= 0;
    SAY("start %d: pid %d, how %d, exitfd %d", number(c), (int)c->pid, how, x);
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

static void end(struct child *c)
{
    bool is_shell = c->code == 1, by_signal = c->state == STOPPED || below(3) == 0;
    char text[3] = { (char)(1 + below(9)), '\n', 0 };
    pthread_t thief;
    bool stolen = below(6) == 0;

    if (c->state != ALIVE && c->state != STOPPED)
        return;
    SAY("end %d%s%s%s", number(c), by_signal ? " by SIGKILL" : "", stolen ? " before a thief" : "",
        ignored ? ", ignored" : "");
    c->code = by_signal ? CLD_KILLED : CLD_EXITED;
    c->status = by_signal ? SIGKILL : text[0];
    if (stolen) {
        sigset_t all, mask;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &mask);
        MUST(pthread_create(&thief, NULL, reap_in_thread, &c->pid) == 0, "pthread_create");
        pthread_sigmask(SIG_SETMASK, &mask, NULL);
    }
    if (is_shell)
        text[0] = (char)(text[0] + '0');
    if (by_signal)
        kill(c->pid, SIGKILL);
    else
        MUST(write(c->go, text, is_shell ? 2 : 1) > 0, "write");
    if (stolen) {
        pthread_join(thief, NULL);
        c->state = GONE;
        close(c->go);
    } else {
        wait_until_dead(c);
    }
    if (ignored)
        deaf[0] = deaf[1] = true;
}

static void add(struct child *c)
{
    int x = (int)below(2), error;
    bool observe = below(3) == 0, by_pidfd = below(4) == 0;

    if (c->state == NONE || c->state == GONE)
        return;
    int pidfd = by_pidfd ? (int)syscall(SYS_pidfd_open, c->pid, 0) : -1;
    SAY("add %d to %d%s%s", number(c), x, observe ? ", observed" : "", pidfd >= 0 ? ", by pidfd" : "");
    error = pidfd >= 0 ? exitfd_add_pidfd(exitfds[x], pidfd, observe ? EXITFD_OBSERVE : 0, c) : -ENOTSUP;
    if (pidfd < 0 || error == -ENOTSUP)
        error = exitfd_add(exitfds[x], c->pid, observe ? EXITFD_OBSERVE : 0, c);
    if (pidfd >= 0)
        close(pidfd);
    MUST(error == (c->watching[x] ? -EEXIST : 0), "exitfd_add: %d", error);
    if (error)
        return;
    c->watching[x] = observe ? OBSERVED : OWNED;
    c->has_pidfd[x] = exitfd_get_pidfd(exitfds[x], c->pid) >= 0;
}

static void let_go(struct child *c, bool discard)
{
    int x = (int)below(2);

    if (c->state == NONE)
        return;
    SAY("%s %d of %d", discard ? "discard" : "remove", number(c), x);
    int error = discard ? exitfd_discard(exitfds[x], c->pid) : exitfd_remove(exitfds[x], c->pid);
    /* A discarded one may have been taken off by any wait since. */
    MUST(error == (c->watching[x] ? 0 : -ENOENT) || (error == -ENOENT && c->watching[x] == DISCARDED),
         "%d, watching %d", error, (int)c->watching[x]);
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
    MUST(error == (!c->watching[x] ? -ENOENT : c->state == GONE ? -ESRCH : 0), "exitfd_kill: %d", error);
}

static void steal(struct child *c)
{
    if (c->state != ZOMBIE)
        return;
    SAY("steal %d", number(c));
    MUST(waitpid(c->pid, NULL, WNOHANG) == c->pid, "a zombie was reaped that nobody watches, or too early");
    c->state = GONE;
}

static void stop_or_continue(struct child *c)
{
    siginfo_t info;
    bool stop = c->state == ALIVE;

    if (c->state != ALIVE && c->state != STOPPED)
        return;
    SAY("%s %d", stop ? "stop" : "continue", number(c));
    kill(c->pid, stop ? SIGSTOP : SIGCONT);
    while (waitid(P_PID, (id_t)c->pid, &info, (stop ? WSTOPPED : WCONTINUED)) < 0 && errno == EINTR)
        ;
    c->state = stop ? STOPPED : ALIVE;
}

static void ignore_or_restore(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    SAY(ignored ? "restore SIGCHLD" : "ignore SIGCHLD");
    sigaction(SIGCHLD, ignored ? &before_ignored : &ignore, ignored ? NULL : &before_ignored);
    ignored = !ignored;
    deaf[0] = deaf[1] = true;
}

static bool is_due_of(const struct child *c, int x)
{
    return (c->watching[x] == OWNED || c->watching[x] == OBSERVED) && (c->state == ZOMBIE || c->state == GONE);
}

static bool is_due(int x)
{
    for (int i = 0; i < CHILDREN; i++)
        if (is_due_of(&children[i], x))
            return true;
    return false;
}

/* Not where the other exitfd has reaped a child that has no pidfd here: that is found by some later wait only. */
static bool must_be_readable(int x)
{
    for (int i = 0; i < CHILDREN; i++) {
        const struct child *c = &children[i];
        if (is_due_of(c, x))
            return !deaf[x];
    }
    return false;
}

static bool is_readable(int x, int timeout)
{
    struct pollfd readable = { .fd = exitfd_get_fd(exitfds[x]), .events = POLLIN };
    int ret;
    while ((ret = poll(&readable, 1, timeout)) < 0 && errno == EINTR)
        ;
    return ret == 1;
}

static void take(int x, const struct exitfd_event *event)
{
    struct child *c = event->data;

    SAY("  event of %d: pid %d code %d status %d origin %d", number(c), (int)event->pid, event->code, event->status,
        event->origin);
    MUST(c->watching[x] == OWNED || c->watching[x] == OBSERVED, "nobody asked, or it is told twice");
    MUST(event->pid == c->pid, "pid %d instead of %d", (int)event->pid, (int)c->pid);
    MUST(c->state == ZOMBIE || c->state == GONE, "it lives");
    bool is_true = event->code == c->code && event->status == c->status;
    if (event->origin == EXITFD_UNKNOWN)
        MUST(c->state == GONE && !(c->has_pidfd[x] && has_records) && event->code == 0, "not unknown");
    else
        MUST(is_true, "code %d status %d instead of %d %d", event->code, event->status, c->code, c->status);
    if (c->state == ZOMBIE)
        MUST(event->origin == (c->watching[x] == OWNED ? EXITFD_REAPED : EXITFD_PEEKED), "origin %d", event->origin);
    else
        MUST(event->origin == EXITFD_RECORDED || event->origin == EXITFD_UNKNOWN, "origin %d", event->origin);
    if (event->origin == EXITFD_REAPED)
        c->state = GONE;
    c->watching[x] = NO;
}

/* Who was discarded is reaped without a word, nobody else is. */
static void look_at_zombies(void)
{
    for (struct child *c = children; c < children + CHILDREN; c++) {
        siginfo_t info;
        if (c->state != ZOMBIE || waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
            continue;
        MUST(c->watching[0] == DISCARDED || c->watching[1] == DISCARDED, "%d was reaped without a right", number(c));
        c->state = GONE;
    }
}

static int wait_once(int x)
{
    struct exitfd_event events[8];
    int max = 1 + (int)below(8);

    MUST(!must_be_readable(x) || is_readable(x, 0), "an event is due in %d and its fd is not readable", x);
    int count = exitfd_wait(exitfds[x], events, max, 0);
    SAY("wait %d: %d of %d", x, count, max);
    MUST(count >= 0 || (count == -EPIPE && deaf[x]), "exitfd_wait: %d", count);
    for (int i = 0; i < count; i++)
        take(x, &events[i]);
    look_at_zombies();
    return count;
}

/* Until all is told; then the fd is quiet. */
static void settle(int x)
{
    for (int rounds = 0; is_due(x); rounds++) {
        MUST(rounds < 4000, "an event in %d is lost", x);
        if (wait_once(x) == 0)
            is_readable(x, 5);
    }
    for (int rounds = 0; is_readable(x, 0); rounds++) {
        MUST(rounds < 2000, "readable with nothing to tell");
        wait_once(x);
        if (rounds > 20)
            poll(NULL, 0, 10);
    }
    deaf[x] = deaf[x] && ignored;
}

static void fork_and_close(void)
{
    int ends[2];
    char answer = 'x';

    SAY("fork, and close the copies");
    MUST(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    pid_t pid = fork();
    if (pid == 0) {
        struct exitfd_event event;
        answer = exitfd_wait(exitfds[0], &event, 1, 0) == -ESTALE ? 'y' : 'n';
        exitfd_close(exitfds[0]);
        exitfd_close(exitfds[1]);
        _exit(write(ends[1], &answer, 1) != 1);
    }
    close(ends[1]);
    MUST(read(ends[0], &answer, 1) == 1 && answer == 'y', "the copy is not stale: %c", answer);
    close(ends[0]);
    waitpid(pid, NULL, 0);
}

static void reopen(int x)
{
    SAY("close %d and open it again", x);
    if (ignored)
        ignore_or_restore();
    exitfd_close(exitfds[x]);
    for (struct child *c = children; c < children + CHILDREN; c++)
        c->watching[x] = NO;
    MUST(exitfd_open(&exitfds[x], 0) == 0, "exitfd_open");
    deaf[x] = true;
}

static void expect_discarded_reaped(struct child *c, int x)
{
    for (int rounds = 0; c->state == ZOMBIE; rounds++) {
        MUST(rounds < 4000, "discarded, and not reaped");
        if (wait_once(x) == 0)
            is_readable(x, 5);
    }
    if (c->state == GONE)
        exitfd_remove(exitfds[x], c->pid); /* where somebody else reaped it, it may be noticed later */
    c->watching[x] = c->state == GONE ? NO : DISCARDED;
}

static void clear(void)
{
    settle(0);
    settle(1);
    for (struct child *c = children; c < children + CHILDREN; c++)
        for (int x = 0; x < 2; x++)
            if (c->watching[x] == DISCARDED)
                expect_discarded_reaped(c, x);
    for (struct child *c = children; c < children + CHILDREN; c++)
        if (c->state == GONE && !c->watching[0] && !c->watching[1])
            c->state = NONE;
}

static void operate(void)
{
    switch (below(24)) {
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
    default:
        wait_once((int)below(2));
    }
}

/* PIDFD_GET_INFO with PIDFD_INFO_EXIT, asked without the library: Linux 6.15. */
static void find_records(void)
{
    uint64_t info[8] = { UINT64_C(1) << 3 };
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    waitpid(pid, NULL, 0);
    has_records = pidfd >= 0 && ioctl(pidfd, _IOWR(0xFF, 11, uint64_t[8]), info) == 0 && info[0] >> 3 & 1;
    close(pidfd);
}

static void run_episode(unsigned count)
{
    alarm(280);
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int x = 0; x < 2; x++)
        MUST(exitfd_open(&exitfds[x], 0) == 0, "exitfd_open");
    find_records();
    while (count-- > 0)
        operate();
    if (ignored)
        ignore_or_restore();
    for (struct child *c = children; c < children + CHILDREN; c++)
        end(c);
    clear();
    for (struct child *c = children; c < children + CHILDREN; c++)
        steal(c);
    for (int x = 0; x < 2; x++)
        exitfd_close(exitfds[x]);
    MUST(waitpid(-1, NULL, WNOHANG) < 0, "a child is left");
    _exit(0);
}

static int explain(const char *name, FILE *output)
{
    fprintf(
        output,
        "usage: %s [--seed N] [--operations N] [--help]\n"
        "Random operations on exitfds against a model of what must be reported; prints TAP. EXITFD_BACKEND chooses\n"
        "what is tested. What fails prints its own seed and what was done.\n",
        name);
    return output == stderr ? 2 : 0;
}

int main(int argc, char *argv[])
{
    const char *backend = getenv("EXITFD_BACKEND");
    unsigned long count = 4000, done = 0;
    struct exitfd *x;
    int status = 0;

    seed = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return explain(argv[0], stdout);
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--operations") == 0 && i + 1 < argc)
            count = strtoul(argv[++i], NULL, 0);
        else
            return explain(argv[0], stderr);
    }
    if (backend && strcmp(backend, "signalfd") == 0) {
        sigset_t sigchld;
        sigemptyset(&sigchld);
        sigaddset(&sigchld, SIGCHLD);
        sigprocmask(SIG_BLOCK, &sigchld, NULL);
    }
    if (exitfd_open(&x, 0) == -ENOTSUP) {
        printf("1..0 # SKIP EXITFD_BACKEND=%s is not in this kernel or this build\n", backend ? backend : "");
        return 0;
    }
    printf("# back end %s, seed %llu, %lu operations\n", exitfd_get_backend(x), (unsigned long long)seed, count);
    exitfd_close(x);
    for (; done < count && status == 0; done += EPISODE, seed++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            run_episode(count - done < EPISODE ? (unsigned)(count - done) : EPISODE);
        waitpid(pid, &status, 0);
    }
    if (status != 0)
        printf("# seed %llu: wait status 0x%x\n", (unsigned long long)seed - 1, (unsigned)status);
    printf("%sok 1 - %lu operations\n1..1\n", status ? "not " : "", done);
    return status != 0;
}
