/* SPDX-License-Identifier: MIT */
/* What truth_fallback.c injects, for real: filters that deny pidfds to this process. */
#include "truth_support.h"

#include <pthread.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/syscall.h>

static int load_filter(int call, int error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    cr_assert_not_null(filter);
    cr_assert_eq(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), call, 0), 0);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    return ret;
}

static void deny(int call, int error)
{
    int ret = load_filter(call, error);
    if (ret < 0)
        SKIP("seccomp_load: %s", strerror(-ret));
}

static void deny_pidfd_open(int error)
{
    deny(SCMP_SYS(pidfd_open), error);
    cr_assert_eq(syscall(SYS_pidfd_open, getpid(), 0), -1);
    cr_assert_eq(errno, error);
}

/* waitid(P_PIDFD) as on a kernel, or under a filter, that knows no pidfds; waitid of anything else as ever. */
static void deny_pidfds(int error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    cr_assert_not_null(filter);
    uint32_t action = SCMP_ACT_ERRNO((uint32_t)error);
    cr_assert_eq(seccomp_rule_add(filter, action, SCMP_SYS(pidfd_open), 0), 0);
    const struct scmp_arg_cmp is_pidfd = { .op = SCMP_CMP_EQ, .datum_a = 3 /* P_PIDFD */ };
    cr_assert_eq(seccomp_rule_add_array(filter, action, SCMP_SYS(waitid), 1, &is_pidfd), 0);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    if (ret < 0)
        SKIP("seccomp_load: %s", strerror(-ret));
}

static void filter_after_the_open(int error)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[2] = { start_child(&gate, 120), start_child(&gate, 121) };
    cr_assert_eq(exitfd_add(x, pids[0], 0, &pids[0]), 0);
    deny_pidfd_open(error);
    cr_assert_eq(exitfd_add(x, pids[1], 0, &pids[1]), 0);
    cr_assert_geq(exitfd_get_pidfd(x, pids[0]), 0);
    cr_assert_eq(exitfd_get_pidfd(x, pids[1]), -ENOTSUP);
    let_through(&gate, 2);
    expect_all_exited(x, pids, 2, 120);
    close_gate(&gate);
    exitfd_close(x);
    x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    pid_t pid = start_child_exit(122);
    int ret = exitfd_add(x, pid, 0, NULL);
    cr_assert(ret == -error || (ret == 0 && backend_is("io_uring")), "exitfd_add: %s", strerror(-ret));
    exitfd_remove(x, pid);
    reap(pid);
    exitfd_close(x);
}

TEST(seccomp, ENOSYS_after_the_open)
{
    filter_after_the_open(ENOSYS);
}

TEST(seccomp, EPERM_after_the_open)
{
    filter_after_the_open(EPERM);
}

/* Every child is followed then, on whatever back end, and still told truly. */
static void filter_before_the_open(void (*install_filter)(int), int error)
{
    install_filter(error);
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, 0);
    const char *forced = getenv("EXITFD_BACKEND");
    if (ret == -ENOTSUP && forced != NULL && (strcmp(forced, "pidfd") == 0 || strcmp(forced, "io_uring") == 0))
        return;
    cr_assert_eq(ret, 0, "exitfd_open: %s", strerror(-ret));
    struct gate gate = open_gate();
    pid_t pids[2] = { start_child(&gate, 120), start_child(&gate, 121) };
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(exitfd_add(x, pids[i], 0, &pids[i]), 0);
        cr_assert_eq(exitfd_get_pidfd(x, pids[i]), -ENOTSUP);
    }
    let_through(&gate, 2);
    expect_all_exited(x, pids, 2, 120);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(seccomp, ENOSYS_for_pidfd_open_before_the_open)
{
    filter_before_the_open(deny_pidfd_open, ENOSYS);
}

TEST(seccomp, EPERM_for_pidfd_open_before_the_open)
{
    filter_before_the_open(deny_pidfd_open, EPERM);
}

TEST(seccomp, ENOSYS_for_every_pidfd_before_the_open)
{
    filter_before_the_open(deny_pidfds, ENOSYS);
}

TEST(seccomp, EPERM_for_every_pidfd_before_the_open)
{
    filter_before_the_open(deny_pidfds, EPERM);
}

/* In a thread: a filter is of one thread alone, and the checks after a test sleep and wait for children too. */
struct filtered {
    int (*load)(int error);
    int error;
    pid_t pid;
    struct exitfd *x;
    int loaded, opened[2], added, killed, blocked[2], polled, wait_status;
    bool readable;
    struct exitfd_event event;
};

static int load_no_waitid(int error)
{
    return load_filter(SCMP_SYS(waitid), error);
}

static int load_no_waitid_of_pidfds(int error)
{
    const struct scmp_arg_cmp is_pidfd = { .op = SCMP_CMP_EQ, .datum_a = 3 /* P_PIDFD */ };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)error), SCMP_SYS(waitid), 1, &is_pidfd);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    return ret;
}

static int load_no_poll(int error)
{
    int ret = load_filter(SCMP_SYS(poll), error);
    return ret < 0 ? ret : load_filter(SCMP_SYS(ppoll), error);
}

static void in_a_thread(void *(*run)(void *), struct filtered *f)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, run, f), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    if (f->loaded < 0)
        SKIP("seccomp_load: %s", strerror(-f->loaded));
}

/* An io_uring exitfd ends with its thread, any other one is handed on. */
static void *wait_under_a_filter(void *argument)
{
    struct filtered *f = argument;
    struct exitfd_event event;
    f->opened[0] = exitfd_open(&f->x, 0);
    if (f->opened[0] < 0)
        return NULL;
    f->added = exitfd_add(f->x, f->pid, 0, f);
    f->loaded = f->load(f->error);
    for (int i = 0; f->loaded == 0 && i < 2; i++)
        f->blocked[i] = exitfd_wait(f->x, &event, 1, -1);
    f->killed = exitfd_kill(f->x, f->pid, 0);
    f->added = exitfd_add(f->x, getppid(), 0, f);
    f->polled = exitfd_wait(f->x, &event, 1, 0);
    f->readable = is_readable(exitfd_get_fd(f->x));
    if (f->loaded < 0 || backend_is("io_uring")) {
        f->x = exitfd_close(f->x);
        waitpid(f->pid, &f->wait_status, 0);
    }
    return NULL;
}

/* No status can be had, but the child is not gone: neither silence nor UNKNOWN would be true, and it waits for who may. */
static void filter_waitid_after_the_open(int error)
{
    exitfd_close(open_for_truth());
    struct filtered f = { .load = load_no_waitid, .error = error, .pid = start_child_exit(120) };
    bool has_pidfd = backend_is("pidfd") || backend_is("io_uring");
    in_a_thread(wait_under_a_filter, &f);
    cr_assert_eq(f.opened[0], 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(f.blocked[i], -ENOTSUP, "wait %d: %s", i, strerror(-f.blocked[i]));
    cr_assert_eq(f.polled, -ENOTSUP);
    cr_assert(f.readable, "told, and silent from then on");
    cr_assert_eq(f.added, -EPERM);
    cr_assert_eq(f.killed, has_pidfd ? 0 : -EPERM);
    if (f.x == NULL) {
        cr_assert_eq(f.wait_status, 120 << 8);
        return;
    }
    struct exitfd_event event = wait_event(f.x);
    expect_exited(&event, f.pid, 120, &f);
    expect_quiet(f.x);
    exitfd_close(f.x);
}

TEST(seccomp, EPERM_for_waitid_after_the_open)
{
    filter_waitid_after_the_open(EPERM);
}

TEST(seccomp, EACCES_for_waitid_after_the_open)
{
    filter_waitid_after_the_open(EACCES);
}

TEST(seccomp, ENOSYS_for_waitid_after_the_open)
{
    filter_waitid_after_the_open(ENOSYS);
}

static void *wait_beside_a_wait_that_is_allowed(void *argument)
{
    struct filtered *f = argument;
    struct exitfd_event event;
    struct exitfd *x;
    f->opened[0] = exitfd_open(&x, 0);
    if (f->opened[0] < 0)
        return NULL;
    f->added = exitfd_add(x, f->pid, 0, f);
    f->loaded = f->load(f->error);
    f->blocked[0] = f->loaded < 0 ? 0 : exitfd_wait(x, &event, 1, -1);
    exitfd_add(x, getpid(), 0, NULL);
    f->blocked[1] = f->loaded < 0 ? 0 : exitfd_wait(x, &event, 1, -1);
    exitfd_close(x);
    waitpid(f->pid, &f->wait_status, 0);
    return NULL;
}

TEST(seccomp, EPERM_for_waitid_of_pidfds_alone_after_the_open)
{
    skip_without_pidfds();
    exitfd_close(open_for_truth());
    struct filtered f = { .load = load_no_waitid_of_pidfds, .error = EPERM, .pid = start_child_exit(120) };
    in_a_thread(wait_beside_a_wait_that_is_allowed, &f);
    cr_assert_eq(f.opened[0], 0);
    cr_assert_eq(f.added, 0);
    cr_assert_eq(f.blocked[0], -ENOTSUP);
    cr_assert_eq(f.blocked[1], -ENOTSUP);
    cr_assert_eq(f.wait_status, 120 << 8);
}

static void *wait_for_what_was_stolen(void *argument)
{
    struct filtered *f = argument;
    struct exitfd *x;
    f->opened[0] = exitfd_open(&x, 0);
    if (f->opened[0] < 0)
        return NULL;
    f->added = exitfd_add(x, f->pid, 0, f);
    waitpid(f->pid, NULL, 0);
    f->loaded = f->load(f->error);
    f->polled = exitfd_wait(x, &f->event, 1, 0);
    exitfd_close(x);
    return NULL;
}

/* The record needs no wait. */
TEST(seccomp, EPERM_for_waitid_and_a_thief)
{
    skip_without_pidfds();
    if (!have_exit_record())
        SKIP("no record of the exit in this kernel (Linux 6.15)");
    exitfd_close(open_for_truth());
    pid_t pid = start_child_exit(120);
    struct filtered f = { .load = load_no_waitid, .error = EPERM, .pid = pid };
    in_a_thread(wait_for_what_was_stolen, &f);
    cr_assert_eq(f.added, 0);
    cr_assert_eq(f.polled, 1);
    expect_event(&f.event, pid, CLD_EXITED, 120, EXITFD_RECORDED, &f);
}

static void *open_under_a_filter(void *argument)
{
    struct filtered *f = argument;
    struct exitfd *x;
    f->loaded = f->load(f->error);
    if (f->loaded < 0)
        return NULL;
    f->opened[0] = exitfd_open(&x, 0);
    f->opened[1] = exitfd_open(&x, EXITFD_SELFPIPE);
    return NULL;
}

/* Also where another thread was let through, and pidfds were found to be there. */
TEST(seccomp, EPERM_for_waitid_before_the_open)
{
    exitfd_close(open_for_truth());
    struct filtered f = { .load = load_no_waitid, .error = EPERM };
    in_a_thread(open_under_a_filter, &f);
    cr_assert_eq(f.opened[0], -ENOTSUP);
    cr_assert_eq(f.opened[1], -ENOTSUP);
}

static void *wait_without_poll(void *argument)
{
    struct filtered *f = argument;
    struct exitfd_event event;
    struct exitfd *x;
    f->opened[0] = exitfd_open(&x, 0);
    if (f->opened[0] < 0)
        return NULL;
    f->loaded = f->load(f->error);
    if (f->loaded == 0)
        f->blocked[0] = exitfd_wait(x, &event, 1, -1);
    f->polled = exitfd_wait(x, &event, 1, 0);
    exitfd_close(x);
    return NULL;
}

TEST(seccomp, EPERM_for_poll_after_the_open)
{
    exitfd_close(open_for_truth());
    struct filtered f = { .load = load_no_poll, .error = EPERM };
    in_a_thread(wait_without_poll, &f);
    cr_assert_eq(f.opened[0], 0);
    cr_assert_eq(f.blocked[0], -ENOTSUP);
    cr_assert_eq(f.polled, 0, "what needs no sleep goes on");
}

/* The record is out of reach: the stolen child is UNKNOWN, not silent and not made up. */
TEST(seccomp, EPERM_for_the_record)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 120);
    cr_assert_eq(exitfd_add(x, pid, 0, x), 0);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const uint32_t pidfd_ioctls = 0xff00, type_mask = 0xff00;
    cr_assert_eq(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, pidfd_ioctls)),
                 0);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    let_through(&gate, 1);
    cr_assert_eq(steal(-1), 120 << 8);
    struct exitfd_event event = wait_event(x);
    if (ret == 0)
        expect_unknown(&event, pid, x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
    if (ret < 0)
        SKIP("seccomp_load: %s", strerror(-ret));
}

/* The probe has seen pidfds, and then there is no timerfd. */
static void filter_timerfd(int error)
{
    deny(SCMP_SYS(timerfd_create), error);
    struct exitfd *x = NULL;
    cr_assert_eq(exitfd_open(&x, EXITFD_PIDFD), -ENOTSUP);
    cr_assert_null(x);
    if (getenv("EXITFD_BACKEND") != NULL)
        return;
    x = open_exitfd();
    cr_assert_str_eq(exitfd_get_backend(x), "self-pipe");
    pid_t pid = start_child_exit(123);
    cr_assert_eq(exitfd_add(x, pid, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 123, x);
    exitfd_close(x);
}

TEST(seccomp, EPERM_for_what_a_back_end_needs_besides)
{
    filter_timerfd(EPERM);
}

TEST(seccomp, ENOSYS_for_what_a_back_end_needs_besides)
{
    filter_timerfd(ENOSYS);
}
