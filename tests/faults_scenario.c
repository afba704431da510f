/* SPDX-License-Identifier: MIT */
/*
 * What each step must give is known. It may fail only where a call was made to
 * fail inside it, with a documented errno, with its outputs untouched and
 * nothing changed: then it is done again and succeeds.
 */
#include "faults.h"
#include "faults_calls.h"
#include "faults_reports.h"

#include <errno.h>
#include <exitfd.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOBS (EXITFD_STOPPED | EXITFD_CONTINUED)
#define UNTOUCHED ((void *)&fault_world)

struct child {
    pid_t pid;
    int go;
};

static void run_child(int go)
{
    char status;
    alarm(120);
    while (read(go, &status, 1) != 1)
        ;
    _exit(status);
}

static struct child start(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        abort();
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0)
        run_child(ends[0]);
    close(ends[0]);
    return (struct child){ pid, ends[1] };
}

static void end(struct child *c, int status)
{
    siginfo_t info;
    char byte = (char)status;

    if (write(c->go, &byte, 1) != 1)
        abort();
    close(c->go);
    while (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
}

static struct exitfd *open_one(void)
{
    struct exitfd *x = UNTOUCHED;
    int error;
    do {
        enter();
        error = exitfd_open(&x, fault_world == WORLD_WITHOUT_SIGNALS ? EXITFD_NO_SIGNALS : 0);
        if (error == -ENOTSUP && fault_count() > 0 && !failed_inside()) {
            fault_leave(); /* what the kernel cannot do is asked once only */
            return NULL;
        }
    } while (failed("exitfd_open", error, x == UNTOUCHED));
    return error == 0 ? x : NULL;
}

/* False if other code reaped it before it was watched. */
static bool add(struct exitfd *x, pid_t pid, unsigned flags, void *data)
{
    int error;
    do {
        enter();
        error = exitfd_add(x, pid, flags, data);
    } while (failed("exitfd_add", error, true) && error != -ESRCH);
    faults_expect(error != -ESRCH || somebody_steals(), "ESRCH for a child of ours");
    return error == 0;
}

static bool add_report(struct exitfd *x, pid_t pid, unsigned flags, int status)
{
    struct report *t =
        expect_report(x, pid, CLD_EXITED, status, flags & EXITFD_OBSERVE ? EXITFD_PEEKED : EXITFD_REAPED);
    bool added = add(x, pid, flags, t);
    if (!added)
        t->due = 0;
    return added;
}

static void add_pidfd(struct exitfd *x, pid_t pid, int status)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), error;
    struct report *t = expect_report(x, pid, CLD_EXITED, status, EXITFD_REAPED);

    if (pidfd < 0)
        abort();
    do {
        enter();
        error = exitfd_add_pidfd(x, pidfd, 0, t);
        if (error == -ENOTSUP) /* a build without */
            error = exitfd_add(x, pid, 0, t);
    } while (failed("exitfd_add_pidfd", error, true) && error != -ESRCH);
    if (error != 0)
        t->due = 0;
    close(pidfd);
}

static void spawn(struct exitfd *x)
{
    char *argv[] = { "sh", "-c", "exit 5", NULL };
    struct report *t = expect_report(x, -7, CLD_EXITED, 5, EXITFD_REAPED);
    int error;
    do {
        enter();
        error = exitfd_spawn(x, &t->pid, "/bin/sh", NULL, NULL, argv, NULL, 0, t);
    } while (failed("exitfd_spawn", error, t->pid == -7));
}

/* Actions are libc's: so it is posix_spawnp. */
static void spawn_by_libc(struct exitfd *x)
{
    char *argv[] = { "sh", "-c", "exit 8", NULL };
    posix_spawn_file_actions_t none;
    struct report *t = expect_report(x, -7, CLD_EXITED, 8, EXITFD_REAPED);
    int error;
    posix_spawn_file_actions_init(&none);
    do {
        enter();
        error = exitfd_spawn(x, &t->pid, "/bin/sh", &none, NULL, argv, NULL, 0, t);
    } while (failed("exitfd_spawn", error, t->pid == -7));
    posix_spawn_file_actions_destroy(&none);
}

static void start_command(struct exitfd *x)
{
    char *argv[] = { "sh", "-c", "exit 7", NULL };
    const struct exitfd_command command = { .size = sizeof(command), .file = "sh", .argv = argv };
    struct report *t = expect_report(x, -7, CLD_EXITED, 7, EXITFD_REAPED);
    int error;
    do {
        enter();
        error = exitfd_start(x, &t->pid, &command, 0, t);
    } while (failed("exitfd_start", error, t->pid == -7));
}

static void fork_one(struct exitfd *x)
{
    struct report *t = expect_report(x, 0, CLD_EXITED, 6, EXITFD_REAPED);
    do {
        enter();
        t->pid = exitfd_fork(x, 0, t);
        if (t->pid == 0)
            _exit(6);
    } while (failed("exitfd_fork", t->pid, true));
}

static void send(struct exitfd *x, pid_t pid, int signum)
{
    int error;
    do {
        enter();
        error = exitfd_kill(x, pid, signum);
    } while (failed("exitfd_kill", error, true) && error != -ESRCH);
}

static void succeed(int result, const char *call)
{
    fault_leave();
    faults_expect(result == 0, "%s: %s", call, strerror(-result));
}
#define SUCCEED(call) (enter(), succeed(call, #call))

static bool is_waitable(pid_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void live_and_be_reported(struct exitfd *x, struct exitfd *observer)
{
    struct child alive = start(), zombie = start(), by_pidfd = start(), observed = start();

    add_report(x, alive.pid, 0, 1);
    end(&zombie, 2);
    add_report(x, zombie.pid, 0, 2);
    add_pidfd(x, by_pidfd.pid, 3);
    add_report(observer, observed.pid, EXITFD_OBSERVE, 4);
    add_report(x, observed.pid, 0, 4);
    spawn(x);
    spawn_by_libc(x);
    start_command(x);
    fork_one(x);
    end(&alive, 1);
    end(&by_pidfd, 3);
    end(&observed, 4);
    collect(observer);
    collect(x);
}

static void be_left_alone(struct exitfd *x)
{
    struct child removed = start(), discarded = start(), discarded_dead = start(), killed = start();

    if (add(x, removed.pid, 0, NULL))
        SUCCEED(exitfd_remove(x, removed.pid));
    if (add(x, discarded.pid, 0, NULL))
        SUCCEED(exitfd_discard(x, discarded.pid));
    if (add(x, discarded_dead.pid, 0, NULL)) {
        end(&discarded_dead, 2);
        SUCCEED(exitfd_discard(x, discarded_dead.pid));
    }
    struct report *t = expect_report(x, killed.pid, CLD_KILLED, SIGKILL, EXITFD_REAPED);
    if (!add(x, killed.pid, 0, t))
        t->due = 0;
    send(x, killed.pid, SIGKILL);
    close(killed.go);
    end(&removed, 1);
    end(&discarded, 3);
    collect(x);
    faults_expect(waitpid(removed.pid, NULL, WNOHANG) == removed.pid, "a removed child was reaped");
    faults_expect(!is_waitable(discarded.pid) && !is_waitable(discarded_dead.pid), "a discarded child was not reaped");
}

static void wait_until(pid_t pid, int options)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, options | WNOWAIT) < 0 && errno == EINTR)
        ;
}

static void stop_and_go_on(struct exitfd *x)
{
    struct child c = start();
    struct report *t = expect_report(x, c.pid, CLD_STOPPED, SIGSTOP, EXITFD_PEEKED);

    if (!add(x, c.pid, JOBS, t))
        abort();
    kill(c.pid, SIGSTOP);
    wait_until(c.pid, WSTOPPED);
    collect(x);
    *t = (struct report){ x, c.pid, CLD_CONTINUED, SIGCONT, EXITFD_PEEKED, 1 };
    kill(c.pid, SIGCONT);
    wait_until(c.pid, WCONTINUED);
    collect(x);
    *t = (struct report){ x, c.pid, CLD_EXITED, 9, EXITFD_REAPED, 1 };
    end(&c, 9);
    collect(x);
}

static bool nobody_lists_children(void)
{
    return fault_is("opendir", 0) || fault_is("fopen", 0) || fault_is("realloc", 0);
}

/* One of them behind a zombie that is watched; where children cannot be listed
   it is found once that is gone. */
static void look_for_orphans(struct exitfd *x, struct exitfd *other)
{
    struct child watched = start(), first = start(), behind = start();
    struct report *t = expect_report(x, first.pid, CLD_EXITED, 1, EXITFD_REAPED);

    SUCCEED(exitfd_add(x, -1, 0, t));
    end(&first, 1);
    collect(x);
    bool is_watched = add_report(other, watched.pid, 0, 2);
    end(&watched, 2);
    *t = (struct report){ x, behind.pid, CLD_EXITED, 3, EXITFD_REAPED, 1 };
    end(&behind, 3);
    if (!nobody_lists_children())
        collect(x);
    wait_for(x, 4, 0);
    if (is_watched)
        collect(other);
    collect(x);
    SUCCEED(exitfd_remove(x, -1));
    t->due = 0;
    for (struct child *c = (struct child[]){ watched, first, behind }, *last = c + 3; c < last; c++)
        waitpid(c->pid, NULL, WNOHANG);
}

static void install(int fd, int *old)
{
    int error, flags = fcntl(fd, F_GETFL);
    do {
        enter();
        *old = -7;
        error = exitfd_install_handler(fd, old);
    } while (failed("exitfd_install_handler", error, *old == -7 && fcntl(fd, F_GETFL) == flags));
}

static void use_the_primitive(void)
{
    int ends[2], old;
    char byte;

    /* The end to write to blocks, until it is registered. */
    if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        abort();
    install(ends[1], &old);
    faults_expect(old == -1, "%d was registered before", old);
    raise(SIGCHLD);
    sigset_t pending;
    sigpending(&pending);
    if (!sigismember(&pending, SIGCHLD))
        faults_expect(read(ends[0], &byte, 1) == 1, "no byte for a SIGCHLD");
    install(-1, &old);
    faults_expect(old == ends[1], "%d instead of %d was registered before", old, ends[1]);
    close(ends[0]);
    close(ends[1]);
}

static void close_in_a_forked_child(struct exitfd *x)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct exitfd_event event;
        int answer = exitfd_wait(x, &event, 1, 0);
        fault_enter();
        exitfd_close(x);
        _exit(answer == -ESTALE ? 0 : 1);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    faults_expect(status == 0, "the copy in a forked child: wait status 0x%x", (unsigned)status);
}

void faults_scenario(void)
{
    struct exitfd *x = open_one(), *observer = x ? open_one() : NULL;

    forget_reports();
    if (observer) {
        faults_expect(exitfd_get_fd(x) >= 0, "no fd");
        live_and_be_reported(x, observer);
        be_left_alone(x);
        use_the_primitive();
        bool by_signals = fault_world != WORLD_WITHOUT_SIGNALS;
        if (by_signals)
            stop_and_go_on(x);
        if (by_signals && !somebody_steals()) /* which is not known of a child without a pid */
            look_for_orphans(x, observer);
        close_in_a_forked_child(x);
        live_and_be_reported(x, observer);
    }
    fault_enter();
    exitfd_close(observer);
    exitfd_close(x);
    fault_leave();
}
