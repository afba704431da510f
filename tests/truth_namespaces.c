/* SPDX-License-Identifier: MIT */
/* Children in a new pid namespace, a watcher that is PID 1 of one, and
   processes outside of it. */
#include "stand_in.h"
#include "truth_support.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static const char no_namespaces[] =
    "unshare(CLONE_NEWPID): not permitted here (needs CAP_SYS_ADMIN or user namespaces)";

/* Children forked from here on are in the new namespace, the first one as its
   PID 1. */
static void unshare_pids(void)
{
    if (unshare(CLONE_NEWPID) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        _exit(CHECK_SKIPPED);
}

/* Not fork_guarded: from a new namespace a child cannot see its parent's
   pid. */
static pid_t start_inside(const struct gate *gate, int status)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    wait_behind(gate);
    _exit(status);
}

static struct exitfd *check_open(void)
{
    struct exitfd *x = NULL;
    CHECK(exitfd_open(&x, 0) == 0);
    return x;
}

static struct exitfd_event check_event(struct exitfd *x)
{
    struct exitfd_event event = { .pid = 0 };
    for (;;) {
        struct pollfd item = { .fd = exitfd_get_fd(x), .events = POLLIN };
        int ret = exitfd_wait(x, &event, 1, 0);
        CHECK(ret >= 0);
        if (ret == 1)
            return event;
        CHECK(poll(&item, 1, DEADLINE_MS) == 1 || errno == EINTR);
    }
}

static void check_quiet(struct exitfd *x)
{
    struct exitfd_event event;
    struct pollfd item = { .fd = exitfd_get_fd(x), .events = POLLIN };
    CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    CHECK(poll(&item, 1, 0) == 0);
}

static void check_stolen(const struct exitfd_event *event, int status)
{
    if (reports_stolen_status())
        CHECK(event->origin == EXITFD_RECORDED && event->code == CLD_EXITED && event->status == status);
    else
        CHECK(event->origin == EXITFD_UNKNOWN && event->code == 0 && event->status == 0);
}

static void check_reaped(const struct exitfd_event *event, pid_t pid, int code, int status)
{
    CHECK(event->origin == EXITFD_REAPED && event->pid == pid && event->code == code && event->status == status);
}

static void ask_first_and_run(void (*body)(void))
{
    reports_stolen_status();
    tracks_by_pidfd();
    run_in_process(body, no_namespaces);
}

static void watch_children_of_a_new_namespace(void)
{
    unshare_pids();
    struct exitfd *x = check_open();
    struct gate gate = open_gate();
    pid_t init = start_inside(&gate, 130);
    pid_t second = start_inside(&gate, 131);
    CHECK(init > 0 && second > 0);
    CHECK(exitfd_add(x, init, 0, x) == 0);
    CHECK(exitfd_add(x, second, 0, x) == 0);
    CHECK(exitfd_kill(x, second, SIGKILL) == 0);
    struct exitfd_event event = check_event(x);
    check_reaped(&event, second, CLD_KILLED, SIGKILL);
    let_through(&gate, 1);
    event = check_event(x);
    check_reaped(&event, init, CLD_EXITED, 130);
    check_quiet(x);
    exitfd_close(x);
}

TEST(namespaces, children_in_a_new_one)
{
    ask_first_and_run(watch_children_of_a_new_namespace);
}

/* When its PID 1 ends, the kernel kills all others. */
static void watch_a_namespace_collapse(void)
{
    unshare_pids();
    struct exitfd *x = check_open();
    struct gate gate = open_gate(), never = open_gate();
    pid_t init = start_inside(&gate, 132);
    CHECK(init > 0);
    pid_t others[20];
    CHECK(exitfd_add(x, init, 0, &init) == 0);
    int forked = 0;
    while (forked < 20 && (others[forked] = start_inside(&never, 0)) > 0) {
        CHECK(exitfd_add(x, others[forked], 0, &others[forked]) == 0);
        forked++;
    }
    let_through(&gate, 1);
    for (int n = 0; n < forked + 1; n++) {
        struct exitfd_event event = check_event(x);
        pid_t *pid = event.data;
        check_reaped(&event, *pid, pid == &init ? CLD_EXITED : CLD_KILLED, pid == &init ? 132 : SIGKILL);
        *pid = -1;
    }
    check_quiet(x);
    exitfd_close(x);
}

TEST(namespaces, children_killed_with_their_PID_1)
{
    ask_first_and_run(watch_a_namespace_collapse);
}

static void (*pid_1_body)(void);

static void become_pid_1(void)
{
    unshare_pids();
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(getpid() == 1);
        pid_1_body();
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

static void as_pid_1(void (*body)(void))
{
    pid_1_body = body;
    ask_first_and_run(become_pid_1);
}

static void watch_as_pid_1(void)
{
    struct exitfd *x = check_open();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 133);
    CHECK(pid == 2);
    CHECK(exitfd_add(x, pid, 0, x) == 0);
    let_through(&gate, 1);
    struct exitfd_event event = check_event(x);
    check_reaped(&event, pid, CLD_EXITED, 133);
    pid = start_child(&gate, 134);
    CHECK(exitfd_add(x, pid, 0, x) == 0);
    let_through(&gate, 1);
    CHECK(steal(-1) == 134 << 8);
    event = check_event(x);
    CHECK(event.pid == pid);
    check_stolen(&event, 134);
    check_quiet(x);
    exitfd_close(x);
}

TEST(namespaces, a_watcher_that_is_PID_1)
{
    as_pid_1(watch_as_pid_1);
}

/* The catch-all watch reports the orphan, and never takes the status of the
   watched child. */
static void adopt_orphans_as_pid_1(void)
{
    struct exitfd *x = check_open();
    struct gate gate = open_gate();
    CHECK(exitfd_add(x, -1, 0, &gate) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (fork() == 0) {
            wait_behind(&gate);
            _exit(135);
        }
        _exit(136);
    }
    CHECK(exitfd_add(x, pid, 0, x) == 0);
    for (int n = 0; n < 2; n++) {
        struct exitfd_event event = check_event(x);
        check_reaped(&event, event.pid, CLD_EXITED, event.pid == pid ? 136 : 135);
        CHECK(event.pid == pid || event.data == &gate);
        if (n == 0)
            let_through(&gate, 1);
    }
    check_quiet(x);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1);
    exitfd_close(x);
}

TEST(namespaces, orphans_of_a_watcher_that_is_PID_1)
{
    as_pid_1(adopt_orphans_as_pid_1);
}

static int pidfd_from_outside = -1;

/* Its pid, as seen from here, is none. */
static void look_outside(void)
{
    struct exitfd *x = check_open();
    if (tracks_by_pidfd())
        CHECK(exitfd_add_pidfd(x, pidfd_from_outside, EXITFD_OBSERVE, x) == -ESRCH);
    if (pidfd_from_outside >= 0 && !build_is_posix())
        CHECK(exitfd_add_pidfd(x, pidfd_from_outside, 0, x) == -ESRCH);
    CHECK(exitfd_add(x, 4000000, EXITFD_OBSERVE, x) == -ESRCH);
    check_quiet(x);
    exitfd_close(x);
}

TEST(namespaces, a_process_outside_is_ESRCH)
{
    pidfd_from_outside = (int)syscall(SYS_pidfd_open, getpid(), 0);
    as_pid_1(look_outside);
    close(pidfd_from_outside);
}

/* The other way round: a grandchild inside, seen by its pid of here, is any
   process like another. */
static void look_inside(void)
{
    struct exitfd *x = check_open();
    struct gate gate = open_gate();
    int pids[2];
    CHECK(pipe(pids) == 0);
    pid_t parent = fork();
    CHECK(parent >= 0);
    if (parent == 0) {
        unshare_pids();
        pid_t inner = start_inside(&gate, 137);
        CHECK(write(pids[1], &inner, sizeof(inner)) == sizeof(inner));
        _exit(steal(inner) == 137 << 8 ? 0 : 1);
    }
    pid_t inner;
    close(pids[1]);
    if (read(pids[0], &inner, sizeof(inner)) != sizeof(inner))
        _exit(CHECK_SKIPPED);
    CHECK(exitfd_add(x, inner, EXITFD_OBSERVE, x) == 0);
    let_through(&gate, 1);
    struct exitfd_event event = check_event(x);
    CHECK(event.pid == inner);
    check_stolen(&event, 137);
    CHECK(steal(parent) == 0);
    check_quiet(x);
    exitfd_close(x);
}

TEST(namespaces, a_process_inside_is_observed)
{
    if (!tracks_by_pidfd())
        SKIP("the SIGCHLD back ends see children only: foreign/is_ENOTSUP_by_SIGCHLD");
    ask_first_and_run(look_inside);
}

static bool no_credentials, no_messages;

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    FIND_NEXT(setsockopt);
    if (!no_credentials)
        return next(fd, level, option, value, size);
    errno = EPERM;
    return -1;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    FIND_NEXT(recvmsg);
    if (!no_messages)
        return next(fd, message, flags);
    errno = EPERM;
    return -1;
}

static bool steals;

/* Between the fork and its return. */
static void steal_the_child(void)
{
    if (steals)
        CHECK(steal(-1) == 138 << 8);
}

/* A child there does not know the pid by which we know it. */
static void fork_into_a_new_namespace(void)
{
    unshare_pids();
    struct exitfd *x = check_open();
    struct gate never = open_gate();
    pid_t init = start_inside(&never, 0);
    CHECK(init > 0);
    CHECK(pthread_atfork(NULL, steal_the_child, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        steals = true;
        pid_t pid = exitfd_fork(x, 0, x);
        if (pid == 0)
            _exit(138);
        steals = false;
        CHECK(pid > 0);
        struct exitfd_event event = check_event(x);
        CHECK(event.pid == pid && event.data == x);
        if (no_credentials || no_messages)
            CHECK(event.origin == EXITFD_UNKNOWN && event.status == 0);
        else
            check_stolen(&event, 138);
    }
    check_quiet(x);
    CHECK(kill(init, SIGKILL) == 0 && steal(init) == SIGKILL);
    exitfd_close(x);
}

TEST(namespaces, a_child_forked_into_a_new_one_is_true_from_birth)
{
    ask_first_and_run(fork_into_a_new_namespace);
}

static void fork_without_credentials(void)
{
    no_credentials = true;
    fork_into_a_new_namespace();
}

static void fork_without_messages(void)
{
    no_messages = true;
    fork_into_a_new_namespace();
}

TEST(namespaces, a_child_forked_into_a_new_one_where_no_socket_gives_credentials)
{
    ask_first_and_run(fork_without_credentials);
    ask_first_and_run(fork_without_messages);
}
