/* SPDX-License-Identifier: MIT */
/* The contract once through, for systems that have no Criterion: build it with
   tap.c, run it with EXITFD_BACKEND. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY 200

static const char *own_path;
static char tag[MANY]; /* &tag[i] is the data of child i */

static void an_exit_is_reported_once_and_reaped(void)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_exit(7);
    SOFT_CHECK(exitfd_add(x, pid, 0, &tag[1]) == 0);
    struct exitfd_event event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 7, EXITFD_REAPED));
    SOFT_CHECK(event.data == &tag[1]);
    SOFT_CHECK(!is_child(pid));
    SOFT_CHECK(exitfd_remove(x, pid) == -ENOENT);
    SOFT_CHECK(is_quiet(x));
    exitfd_close(x);
}

static void an_exit_before_the_add_is_reported(void)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_exit(0);
    wait_until_zombie(pid);
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    struct exitfd_event event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 0, EXITFD_REAPED));
    exitfd_close(x);
}

static bool is_of_a_short_life(const struct rusage *usage)
{
    return usage->ru_utime.tv_sec >= 0 && usage->ru_utime.tv_sec < 60 && usage->ru_utime.tv_usec >= 0 &&
           usage->ru_utime.tv_usec < 1000000 && usage->ru_maxrss >= 0 && usage->ru_maxrss < 1 << 30 &&
           usage->ru_minflt >= 0 && usage->ru_minflt < 1 << 20;
}

/* An older qemu-user does not fill the fifth argument of waitid. The rusage is
   0 then. */
static void the_rusage_is_the_childs_or_nothing(void)
{
    struct exitfd *x = open_exitfd();
    for (int i = 0; i < 10; i++) {
        pid_t pid = start_exit(i);
        SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
        struct exitfd_event event = next_event(x);
        SOFT_CHECK(is_event(&event, pid, CLD_EXITED, i, EXITFD_REAPED));
        SOFT_CHECK(is_of_a_short_life(&event.rusage));
    }
    exitfd_close(x);
}

static void a_death_by_signal_is_told_apart(void)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_sleeper();
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    SOFT_CHECK(is_quiet(x));
    SOFT_CHECK(exitfd_kill(x, pid, 0) == 0);
    SOFT_CHECK(exitfd_kill(x, pid, SIGKILL) == 0);
    struct exitfd_event event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED));
    SOFT_CHECK(exitfd_kill(x, pid, SIGKILL) == -ENOENT);
    exitfd_close(x);
}

static void many_at_once_each_come_once(void)
{
    struct exitfd *x = open_exitfd();
    int go[2], counts[MANY] = { 0 };
    CHECK(pipe(go) == 0);
    for (int i = 0; i < MANY; i++) {
        pid_t pid = fork_guarded();
        if (pid == 0) {
            char byte;
            close(go[1]);
            while (read(go[0], &byte, 1) < 0 && errno == EINTR)
                ;
            _exit(i % 100);
        }
        SOFT_CHECK(exitfd_add(x, pid, 0, &tag[i]) == 0);
    }
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < MANY; i++) {
        struct exitfd_event event = next_event(x);
        if (event.pid == 0)
            break;
        int child = (int)((char *)event.data - tag);
        SOFT_CHECK(event.origin == EXITFD_REAPED && event.status == child % 100);
        counts[child]++;
    }
    for (int i = 0; i < MANY; i++)
        SOFT_CHECK(counts[i] == 1);
    SOFT_CHECK(is_quiet(x));
    exitfd_close(x);
}

static void the_fd_stays_readable_until_the_event_is_taken(void)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_event event;
    pid_t pid = start_exit(4);
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    wait_until_zombie(pid); /* on a slow machine the fd may be readable for a look before */
    SOFT_CHECK(is_readable(x, DEADLINE_MS));
    SOFT_CHECK(is_readable(x, 0));
    SOFT_CHECK(is_zombie(pid));
    SOFT_CHECK(exitfd_wait(x, &event, 1, -1) == 1);
    SOFT_CHECK(is_quiet(x));
    exitfd_close(x);
}

static void nobody_elses_child_is_reaped(void)
{
    struct exitfd *x = open_exitfd();
    pid_t other = start_exit(1), pid = start_exit(2);
    wait_until_zombie(other);
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    struct exitfd_event event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 2, EXITFD_REAPED));
    SOFT_CHECK(is_zombie(other));
    kill_and_reap(other);
    exitfd_close(x);
}

static void a_removed_child_is_the_callers_again(void)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_exit(3);
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    wait_until_zombie(pid);
    SOFT_CHECK(exitfd_remove(x, pid) == 0);
    SOFT_CHECK(is_zombie(pid));
    SOFT_CHECK(is_quiet(x));
    kill_and_reap(pid);
    exitfd_close(x);
}

static void a_discarded_child_is_reaped_and_not_reported(void)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_event event;
    pid_t pid = start_exit(3), later = start_sleeper();
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    SOFT_CHECK(exitfd_add(x, later, 0, NULL) == 0);
    wait_until_zombie(pid);
    SOFT_CHECK(exitfd_discard(x, pid) == 0);
    SOFT_CHECK(!is_child(pid));
    SOFT_CHECK(exitfd_discard(x, later) == 0);
    SOFT_CHECK(exitfd_kill(x, later, SIGKILL) == 0);
    wait_until_zombie(later);
    SOFT_CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    SOFT_CHECK(!is_child(later));
    exitfd_close(x);
}

static void closing_leaves_the_children(void)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_exit(3);
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    wait_until_zombie(pid);
    SOFT_CHECK(exitfd_close(x) == NULL);
    SOFT_CHECK(is_zombie(pid));
    kill_and_reap(pid);
}

static void an_observer_sees_and_does_not_reap(void)
{
    struct exitfd *owner = open_exitfd(), *observer = open_exitfd();
    pid_t pid = start_exit(6);
    SOFT_CHECK(exitfd_add(owner, pid, 0, NULL) == 0);
    SOFT_CHECK(exitfd_add(observer, pid, EXITFD_OBSERVE, NULL) == 0);
    struct exitfd_event event = next_event(observer);
    SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 6, EXITFD_PEEKED));
    event = next_event(owner);
    SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 6, EXITFD_REAPED));
    SOFT_CHECK(is_quiet(observer));
    exitfd_close(observer);
    exitfd_close(owner);
}

static void a_stolen_status_is_true_or_unknown(void)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_exit(5);
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    wait_until_zombie(pid);
    kill_and_reap(pid);
    struct exitfd_event event = next_event(x);
    if (event.origin == EXITFD_RECORDED)
        SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 5, EXITFD_RECORDED));
    else
        SOFT_CHECK(is_event(&event, pid, 0, 0, EXITFD_UNKNOWN));
    SOFT_CHECK(is_quiet(x));
    exitfd_close(x);
}

static void stops_and_continues_are_reported_in_order(void)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_sleeper();
    SOFT_CHECK(exitfd_add(x, pid, EXITFD_STOPPED | EXITFD_CONTINUED, NULL) == 0);
    kill(pid, SIGSTOP);
    struct exitfd_event event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_STOPPED, status_of_a_stop(), EXITFD_PEEKED));
    kill(pid, SIGCONT);
    event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_CONTINUED, SIGCONT, EXITFD_PEEKED));
    kill(pid, SIGKILL);
    event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED));
    exitfd_close(x);
}

static void a_child_is_reported_by_the_catch_all_watch(void)
{
    struct exitfd *x = open_exitfd(), *second = open_exitfd();
    SOFT_CHECK(exitfd_add(x, -1, 0, &tag[2]) == 0);
    SOFT_CHECK(exitfd_add(second, -1, 0, NULL) == -EBUSY);
    pid_t pid = start_exit(8);
    struct exitfd_event event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 8, EXITFD_REAPED));
    SOFT_CHECK(event.data == &tag[2]);
    SOFT_CHECK(exitfd_remove(x, -1) == 0);
    exitfd_close(second);
    exitfd_close(x);
}

static void spawn_starts_and_watches(void)
{
    struct exitfd *x = open_exitfd();
    char *arguments[] = { (char *)own_path, "--exit", "9", NULL };
    pid_t pid = 0;
    SOFT_CHECK(exitfd_spawn(x, &pid, own_path, NULL, NULL, arguments, NULL, 0, NULL) == 0);
    struct exitfd_event event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 9, EXITFD_REAPED));
    SOFT_CHECK(exitfd_spawn(x, &pid, "/there/is/no/such/file", NULL, NULL, arguments, NULL, 0, NULL) == -ENOENT);
    SOFT_CHECK(is_quiet(x));
    exitfd_close(x);
}

static void fork_watches_and_the_child_is_stale(void)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_event event;
    fflush(stdout);
    pid_t pid = exitfd_fork(x, 0, NULL);
    if (pid == 0) {
        bool stale = exitfd_add(x, getppid(), 0, NULL) == -ESTALE && exitfd_wait(x, &event, 1, 0) == -ESTALE;
        exitfd_close(x);
        _exit(stale ? 11 : 1);
    }
    SOFT_CHECK(pid > 0);
    event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 11, EXITFD_REAPED));
    exitfd_close(x);
}

static void each_errno_has_its_cause(void)
{
    struct exitfd *x = open_exitfd(), *none = NULL;
    struct exitfd_event event;
    pid_t pid = start_sleeper(), gone = start_exit(0);
    kill_and_reap(gone);
    SOFT_CHECK(exitfd_open(NULL, 0) == -EINVAL);
    SOFT_CHECK(exitfd_open(&none, 1U << 30) == -EINVAL);
    SOFT_CHECK(exitfd_open(&none, EXITFD_PIDFD | EXITFD_SELFPIPE) == -EINVAL);
    SOFT_CHECK(none == NULL);
    SOFT_CHECK(exitfd_add(x, 0, 0, NULL) == -EINVAL);
    SOFT_CHECK(exitfd_add(x, gone, 0, NULL) == -ESRCH);
    SOFT_CHECK(exitfd_add(x, getpid(), 0, NULL) == -ECHILD);
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == -EEXIST);
    SOFT_CHECK(exitfd_wait(x, &event, 0, 0) == -EINVAL);
    SOFT_CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    SOFT_CHECK(exitfd_wait(x, &event, 1, 1) == 0);
    SOFT_CHECK(exitfd_remove(x, pid) == 0);
    SOFT_CHECK(exitfd_remove(x, pid) == -ENOENT);
    kill_and_reap(pid);
    exitfd_close(x);
    SOFT_CHECK(exitfd_close(NULL) == NULL);
}

static void the_primitive_writes_a_byte_per_sigchld(void)
{
    int wakeup[2], old_fd = 0;
    char bytes[8];
    sigset_t sigchld, before;
    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    CHECK(pipe(wakeup) == 0);
    sigprocmask(SIG_UNBLOCK, &sigchld, &before);
    SOFT_CHECK(exitfd_is_default_handler() == 1);
    SOFT_CHECK(exitfd_install_handler(wakeup[1], &old_fd) == 0 && old_fd == -1);
    SOFT_CHECK(exitfd_is_default_handler() == 0);
    kill(getpid(), SIGCHLD);
    SOFT_CHECK(read(wakeup[0], bytes, sizeof(bytes)) == 1);
    SOFT_CHECK(exitfd_install_handler(-1, &old_fd) == 0 && old_fd == wakeup[1]);
    SOFT_CHECK(exitfd_is_default_handler() == 1);
    SOFT_CHECK(exitfd_install_handler(wakeup[0], NULL) == -EBADF);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(wakeup[0]);
    close(wakeup[1]);
}

static void its_fd_is_close_on_exec(void)
{
    struct exitfd *x = open_exitfd();
    SOFT_CHECK(fcntl(exitfd_get_fd(x), F_GETFD) & FD_CLOEXEC);
    exitfd_close(x);
}

static void a_pidfd_is_there_unless_the_back_end_lives_on_sigchld(void)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_sleeper();
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    int pidfd = exitfd_get_pidfd(x, pid);
    const char *backend = exitfd_get_backend(x);
    if (strcmp(backend, "signalfd") == 0 || strcmp(backend, "self-pipe") == 0)
        SOFT_CHECK(pidfd == -ENOTSUP);
    else
        SOFT_CHECK(pidfd >= 0);
    SOFT_CHECK(exitfd_remove(x, pid) == 0);
    kill_and_reap(pid);
    exitfd_close(x);
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
static const struct tap_case cases[] = {
    CASE(an_exit_is_reported_once_and_reaped),
    CASE(an_exit_before_the_add_is_reported),
    CASE(the_rusage_is_the_childs_or_nothing),
    CASE(a_death_by_signal_is_told_apart),
    CASE(many_at_once_each_come_once),
    CASE(the_fd_stays_readable_until_the_event_is_taken),
    CASE(nobody_elses_child_is_reaped),
    CASE(a_removed_child_is_the_callers_again),
    CASE(a_discarded_child_is_reaped_and_not_reported),
    CASE(closing_leaves_the_children),
    CASE(an_observer_sees_and_does_not_reap),
    CASE(a_stolen_status_is_true_or_unknown),
    CASE(stops_and_continues_are_reported_in_order),
    CASE(a_child_is_reported_by_the_catch_all_watch),
    CASE(spawn_starts_and_watches),
    CASE(fork_watches_and_the_child_is_stale),
    CASE(each_errno_has_its_cause),
    CASE(the_primitive_writes_a_byte_per_sigchld),
    CASE(its_fd_is_close_on_exec),
    CASE(a_pidfd_is_there_unless_the_back_end_lives_on_sigchld),
};

int main(int argc, char *argv[])
{
    if (argc == 3 && strcmp(argv[1], "--exit") == 0)
        return atoi(argv[2]);
    own_path = argv[0];
    return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
