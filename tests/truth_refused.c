/* SPDX-License-Identifier: MIT */
/* Filters that block the wait itself, or the sleep. The call says so, and no
   event is lost. */
#include "life_support.h"

#include <seccomp.h>
#include <stdlib.h>

enum {
    ANY_TYPE = -1,
    OF_PIDFDS = 3 /* P_PIDFD */
};

/* For a thread of its own: a filter is of one thread alone, and the checks
   after a test sleep and wait as well. */
struct refused {
    int type, error; /* which waitid is denied, and how */
    pid_t pid, other, watched;
    struct gate gate;
    struct exitfd *x;
    int opened, loaded, added, observed, killed, waited[2], polled, discarded, count, wait_status;
    bool readable;
    struct exitfd_event event, other_event;
};

static int deny(int call, int error, int type)
{
    const struct scmp_arg_cmp is_type = { .op = SCMP_CMP_EQ, .datum_a = (unsigned)type };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)error), call, type == ANY_TYPE ? 0 : 1, &is_type);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    return ret;
}

static void deny_waitid(struct refused *r)
{
    r->loaded = deny(SCMP_SYS(waitid), r->error, r->type);
}

/* What most threads begin with. NULL: it was not opened. */
static struct exitfd *open_and_watch(struct refused *r, pid_t pid)
{
    struct exitfd *x = NULL;
    r->opened = exitfd_open(&x, 0);
    if (r->opened == 0)
        r->added = exitfd_add(x, pid, 0, r);
    return x;
}

static void in_a_thread(void *(*run)(void *), struct refused *r)
{
    exitfd_close(open_for_truth());
    struct helper helper = start_helper(run, r);
    join_helper(&helper);
    if (r->loaded < 0)
        SKIP("seccomp_load: %s", strerror(-r->loaded));
    CHECK_EQ(r->opened, 0);
}

/* An io_uring exitfd ends with its thread, any other one is handed on. */
static void *wait_for_one(void *argument)
{
    struct refused *r = argument;
    r->x = open_and_watch(r, r->pid);
    if (r->x == NULL)
        return NULL;
    deny_waitid(r);
    for (int i = 0; r->loaded == 0 && i < 2; i++)
        r->waited[i] = exitfd_wait(r->x, &r->event, 1, -1);
    r->killed = exitfd_kill(r->x, r->pid, 0);
    r->added = exitfd_add(r->x, getppid(), 0, r);
    r->observed = exitfd_add(r->x, getppid(), EXITFD_OBSERVE, r);
    exitfd_remove(r->x, getppid());
    r->polled = exitfd_wait(r->x, &r->event, 1, 0);
    r->readable = is_readable(exitfd_get_fd(r->x));
    if (r->loaded < 0 || backend_is("io_uring")) {
        r->x = exitfd_close(r->x);
        waitpid(r->pid, &r->wait_status, 0);
    }
    return NULL;
}

/* No status can be had, but the child is not gone: neither silence nor UNKNOWN
   would be true, and it waits for who may. */
static void refuse_every_wait(int error)
{
    struct refused r = { .type = ANY_TYPE, .error = error, .pid = start_child_exit(120) };
    in_a_thread(wait_for_one, &r);
    CHECK_EQ(r.waited[0], -ENOTSUP);
    CHECK_EQ(r.waited[1], -ENOTSUP);
    CHECK_EQ(r.polled, -ENOTSUP);
    CHECK(r.readable, "reported, and silent from then on");
    bool has_pidfd = backend_is("pidfd") || backend_is("io_uring");
    CHECK_EQ(r.added, -EPERM);
    CHECK_EQ(r.observed, has_pidfd ? 0 : -EPERM);
    CHECK_EQ(r.killed, has_pidfd ? 0 : -EPERM);
    if (r.x == NULL) {
        CHECK_EQ(r.wait_status, 120 << 8);
        return;
    }
    r.event = wait_event(r.x);
    expect_exited(&r.event, r.pid, 120, &r);
    expect_quiet(r.x);
    exitfd_close(r.x);
}

TEST(refused, EPERM_for_each)
{
    refuse_every_wait(EPERM);
}

TEST(refused, EACCES_for_each)
{
    refuse_every_wait(EACCES);
}

TEST(refused, ENOSYS_for_each)
{
    refuse_every_wait(ENOSYS);
}

TEST(refused, EINVAL_for_each)
{
    refuse_every_wait(EINVAL);
}

static void *open_only(void *argument)
{
    struct refused *r = argument;
    deny_waitid(r);
    r->waited[0] = exitfd_open(&r->x, 0);
    r->waited[1] = exitfd_open(&r->x, EXITFD_SELFPIPE);
    return NULL;
}

/* Also where another thread was let through, and pidfds were found to be
   there. */
TEST(refused, before_the_open)
{
    struct refused r = { .type = ANY_TYPE, .error = EPERM };
    in_a_thread(open_only, &r);
    CHECK_EQ(r.waited[0], -ENOTSUP);
    CHECK_EQ(r.waited[1], -ENOTSUP);
}

static void *wait_twice(void *argument)
{
    struct refused *r = argument;
    struct exitfd *x = open_and_watch(r, r->watched);
    if (x == NULL)
        return NULL;
    deny_waitid(r);
    if (r->loaded == 0 && build_is_posix()) /* there a reap is a wait4 */
        r->loaded = deny(SCMP_SYS(wait4), r->error, ANY_TYPE);
    for (int i = 0; r->loaded == 0 && i < 2; i++) {
        r->waited[i] = exitfd_wait(x, &r->event, 1, -1);
        exitfd_add(x, getpid(), 0, NULL);
    }
    exitfd_close(x);
    return NULL;
}

static void refuse_twice(struct refused *r)
{
    in_a_thread(wait_twice, r);
    CHECK_EQ(r->added, 0);
    CHECK_EQ(r->waited[0], -ENOTSUP);
    CHECK_EQ(r->waited[1], -ENOTSUP);
    CHECK_EQ(waitpid(r->pid, &r->wait_status, 0), r->pid);
    CHECK_EQ(r->wait_status, 120 << 8);
}

TEST(refused, of_pidfds_alone)
{
    skip_without_pidfds();
    struct refused r = { .type = OF_PIDFDS, .error = EPERM, .pid = start_child_exit(120) };
    r.watched = r.pid;
    refuse_twice(&r);
}

static void *wait_beside_an_exit_of_no_interest(void *argument)
{
    struct refused *r = argument;
    struct exitfd *x = open_and_watch(r, r->pid);
    if (x == NULL)
        return NULL;
    deny_waitid(r);
    r->polled = exitfd_wait(x, &r->event, 1, 1);
    let_through(&r->gate, 1);
    while ((r->waited[0] = exitfd_wait(x, &r->event, 1, -1)) == -EINTR)
        ;
    exitfd_close(x);
    return NULL;
}

/* One wait for all is only a short cut. */
TEST(refused, of_all_alone)
{
    struct refused r = { .type = P_ALL, .error = EPERM, .gate = open_gate() };
    r.pid = start_child(&r.gate, 120);
    r.other = start_child_exit(0);
    wait_until_zombie(r.other);
    in_a_thread(wait_beside_an_exit_of_no_interest, &r);
    reap(r.other);
    CHECK_EQ(r.added, 0);
    CHECK_EQ(r.polled, 0);
    CHECK_EQ(r.waited[0], 1);
    expect_exited(&r.event, r.pid, 120, &r);
    close_gate(&r.gate);
}

static void refuse_catch_all(int type)
{
    struct refused r = { .type = type, .error = EPERM, .pid = start_child_exit(120), .watched = -1 };
    wait_until_zombie(r.pid);
    refuse_twice(&r);
}

TEST(refused, of_the_catch_all_watch)
{
    refuse_catch_all(ANY_TYPE);
}

TEST(refused, of_the_catch_all_watch_among_all)
{
    refuse_catch_all(P_ALL);
}

TEST(refused, of_an_orphan_that_was_found)
{
    refuse_catch_all(P_PID);
}

static void *poll_once(void *argument)
{
    struct refused *r = argument;
    deny_waitid(r);
    r->polled = exitfd_wait(r->x, &r->event, 1, 0);
    return NULL;
}

TEST(refused, of_a_stop_that_was_reported)
{
    if (backend_is("io_uring"))
        SKIP("an io_uring exitfd belongs to one thread");
    struct refused r = { .type = ANY_TYPE, .error = EPERM, .x = open_for_truth() };
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(r.x, pid, EXITFD_OBSERVE | EXITFD_STOPPED, &r), 0);
    stop_child(pid);
    r.event = wait_event(r.x);
    CHECK_EQ(r.event.code, CLD_STOPPED);
    in_a_thread(poll_once, &r);
    CHECK_EQ(r.polled, -ENOTSUP);
    expect_no_event(r.x);
    exitfd_close(r.x);
    kill_and_reap(pid);
}

static void *wait_for_nothing(void *argument)
{
    struct refused *r = argument;
    struct exitfd *x = open_and_watch(r, r->pid);
    if (x == NULL)
        return NULL;
    deny_waitid(r);
    r->waited[0] = exitfd_wait(x, &r->event, 1, 0);
    exitfd_remove(x, r->pid);
    r->waited[1] = exitfd_wait(x, &r->event, 1, 0);
    r->readable = is_readable(exitfd_get_fd(x));
    exitfd_close(x);
    waitpid(r->pid, NULL, 0);
    return NULL;
}

TEST(refused, until_there_is_nothing_to_wait_for)
{
    struct refused r = { .type = ANY_TYPE, .error = EPERM, .pid = start_child_exit(0) };
    wait_until_zombie(r.pid);
    in_a_thread(wait_for_nothing, &r);
    CHECK_EQ(r.waited[0], -ENOTSUP);
    CHECK_EQ(r.waited[1], 0);
    CHECK(!r.readable);
}

static void *wait_for_what_was_stolen(void *argument)
{
    struct refused *r = argument;
    struct exitfd_event events[2] = { 0 };
    struct exitfd *x = open_and_watch(r, r->pid);
    if (x == NULL)
        return NULL;
    exitfd_add(x, -1, 0, NULL);
    waitpid(r->pid, NULL, 0);
    deny_waitid(r);
    r->polled = exitfd_wait(x, events, 2, 0);
    r->event = events[0];
    r->readable = is_readable(exitfd_get_fd(x));
    exitfd_close(x);
    waitpid(r->other, NULL, 0);
    return NULL;
}

/* The record needs no wait. An event of one child does not hide another that
   cannot be returned. */
TEST(refused, beside_a_record)
{
    skip_without_pidfds();
    if (!have_exit_record())
        SKIP("no record of the exit in this kernel (Linux 6.15)");
    struct refused r = { .type = ANY_TYPE, .error = EPERM, .pid = start_child_exit(120), .other = start_child_exit(0) };
    wait_until_zombie(r.other);
    in_a_thread(wait_for_what_was_stolen, &r);
    CHECK_EQ(r.polled, 1);
    expect_event(&r.event, r.pid, CLD_EXITED, 120, EXITFD_RECORDED, &r);
    CHECK(r.readable);
}

static void *sleep_only(void *argument)
{
    struct refused *r = argument;
    struct exitfd *x;
    r->opened = exitfd_open(&x, 0);
    if (r->opened < 0)
        return NULL;
    r->loaded = deny(SCMP_SYS(poll), EPERM, ANY_TYPE);
    deny(SCMP_SYS(ppoll), EPERM, ANY_TYPE);
    r->waited[0] = r->loaded < 0 ? 0 : exitfd_wait(x, &r->event, 1, -1);
    r->polled = exitfd_wait(x, &r->event, 1, 0);
    exitfd_close(x);
    return NULL;
}

TEST(refused, the_sleep)
{
    struct refused r = { 0 };
    in_a_thread(sleep_only, &r);
    CHECK_EQ(r.waited[0], -ENOTSUP);
    CHECK_EQ(r.polled, 0);
}

static void *wait_without_wait4(void *argument)
{
    struct refused *r = argument;
    struct exitfd *x = open_and_watch(r, r->pid);
    if (x == NULL)
        return NULL;
    r->loaded = deny(SCMP_SYS(wait4), EPERM, ANY_TYPE);
    r->waited[0] = r->loaded < 0 ? 0 : exitfd_wait(x, &r->event, 1, -1);
    exitfd_close(x);
    return NULL;
}

/* The posix build reaps by it, Linux does not. */
TEST(refused, of_wait4)
{
    struct refused r = { .pid = start_child_exit(120) };
    wait_until_zombie(r.pid);
    in_a_thread(wait_without_wait4, &r);
    if (build_is_posix()) {
        CHECK_EQ(r.waited[0], -ENOTSUP);
        CHECK_EQ(reap(r.pid), 120 << 8);
        return;
    }
    CHECK_EQ(r.waited[0], 1);
    expect_exited(&r.event, r.pid, 120, &r);
}

/* The zombie is held, and this thread may not reap it. */
static void *discard_a_held_child(void *argument)
{
    struct refused *r = argument;
    r->opened = exitfd_open(&r->x, 0);
    if (r->opened < 0)
        return NULL;
    r->added = exitfd_add(r->x, r->pid, EXITFD_HOLD, r);
    while ((r->waited[0] = exitfd_wait(r->x, &r->event, 1, -1)) == -EINTR)
        ;
    deny_waitid(r);
    r->discarded = exitfd_discard(r->x, r->pid);
    r->count = exitfd_count(r->x);
    r->polled = exitfd_wait(r->x, &r->other_event, 1, 0);
    if (r->loaded < 0 || backend_is("io_uring")) {
        r->x = exitfd_close(r->x);
        waitpid(r->pid, &r->wait_status, 0);
    }
    return NULL;
}

static void refuse_a_discard(int error)
{
    struct refused r = { .type = ANY_TYPE, .error = error, .pid = start_child_exit(120) };
    in_a_thread(discard_a_held_child, &r);
    CHECK_EQ(r.waited[0], 1);
    expect_event(&r.event, r.pid, CLD_EXITED, 120, EXITFD_PEEKED, &r);
    CHECK_EQ(r.discarded, -ENOTSUP);
    CHECK_EQ(r.count, 1, "it is held as before");
    CHECK_EQ(r.polled, 0);
    if (r.x == NULL) {
        CHECK_EQ(r.wait_status, 120 << 8);
        return;
    }
    CHECK(is_zombie(r.pid));
    CHECK_EQ(exitfd_discard(r.x, r.pid), 0);
    CHECK(!is_child(r.pid));
    expect_quiet_soon(r.x);
    exitfd_close(r.x);
}

TEST(refused, of_a_held_child_that_is_discarded)
{
    refuse_a_discard(EPERM);
    refuse_a_discard(ENOSYS);
}
