/* SPDX-License-Identifier: MIT */
/*
 * For a build that knows pidfds, a kernel or a sandbox without them: whatever
 * errno says so, the fallback is chosen and works. The system calls of the
 * library are failed by standing in for libc's syscall and waitid.
 */
#include "stand_in.h"
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

enum {
    idtype_pidfd = 3
};

static struct {
    int pidfd_open_error;
    int waitid_error;
    int calls_failed;
} injected;

static bool fails(int error)
{
    if (error == 0)
        return false;
    injected.calls_failed++;
    errno = error;
    return true;
}

STAND_IN_FOR_SYSCALL(answer)

static long answer(long number, const long a[6])
{
    if (number == SYS_pidfd_open && fails(injected.pidfd_open_error))
        return -1;
    if (number == SYS_waitid && a[0] == idtype_pidfd && fails(injected.waitid_error))
        return -1;
    return next_syscall(number, a);
}

int waitid(idtype_t idtype, id_t id, siginfo_t *info, int options)
{
    FIND_NEXT(waitid);
    if ((int)idtype == idtype_pidfd && fails(injected.waitid_error))
        return -1;
    return next(idtype, id, info, options);
}

static bool sigchld_has_a_handler(void)
{
    struct sigaction action;
    CHECK_EQ(sigaction(SIGCHLD, NULL, &action), 0);
    return (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

static void inject(int pidfd_open_error, int waitid_error)
{
    unsetenv("EXITFD_BACKEND");
    injected.pidfd_open_error = pidfd_open_error;
    injected.waitid_error = waitid_error;
}

static void fall_back_to(const char *backend)
{
    struct exitfd *x = open_exitfd();
    CHECK(injected.calls_failed > 0, "the library never asked for pidfds: nothing was shown");
    CHECK_STR(exitfd_get_backend(x), backend);
    CHECK_EQ(sigchld_has_a_handler(), strcmp(backend, "self-pipe") == 0);
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 17);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOTSUP);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 17, NULL);
    expect_report(x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
    CHECK(!sigchld_has_a_handler());

    struct exitfd *forced;
    CHECK_EQ(exitfd_open(&forced, EXITFD_PIDFD), -ENOTSUP);
    CHECK_EQ(exitfd_open(&forced, EXITFD_NO_SIGNALS), sigchld_is_blocked() ? 0 : -ENOTSUP);
    if (sigchld_is_blocked())
        exitfd_close(forced);
}

TEST(probe, enosys_everywhere)
{
    inject(ENOSYS, ENOSYS);
    fall_back_to("self-pipe");
}

TEST(probe, eperm_everywhere)
{
    inject(EPERM, EPERM);
    fall_back_to("self-pipe");
}

TEST(probe, eacces_everywhere)
{
    inject(EACCES, EACCES);
    fall_back_to("self-pipe");
}

TEST(probe, einval_everywhere)
{
    inject(EINVAL, EINVAL);
    fall_back_to("self-pipe");
}

TEST(probe, linux_5_3_opens_pidfds_but_cannot_wait_for_them)
{
    inject(0, EINVAL);
    fall_back_to("self-pipe");
}

TEST(probe, sandbox_that_forbids_the_wait_only)
{
    inject(0, EPERM);
    fall_back_to("self-pipe");
}

TEST(probe, signalfd_where_sigchld_is_blocked)
{
    inject(ENOSYS, EINVAL);
    block_sigchld();
    fall_back_to("signalfd");
}

/* Whichever back end is chosen then, children are reported, and none has a
   pidfd. */
static void report_without_pidfd_open(int error)
{
    if (!have_pidfd())
        SKIP("no pidfds in this kernel");
    inject(error, 0);
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 17);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK(injected.calls_failed > 0, "the library never asked for pidfds: nothing was shown");
    CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOTSUP);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 17, NULL);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(probe, sandbox_that_forbids_pidfd_open_only_with_eperm)
{
    report_without_pidfd_open(EPERM);
}

TEST(probe, sandbox_that_forbids_pidfd_open_only_with_enosys)
{
    report_without_pidfd_open(ENOSYS);
}

TEST(probe, sandbox_that_forbids_pidfd_open_only_with_eacces)
{
    report_without_pidfd_open(EACCES);
}

TEST(probe, any_other_errno_is_an_error_to_report)
{
    inject(ENOMEM, ENOMEM);
    struct exitfd *x;
    int ret = exitfd_open(&x, 0);
    CHECK_EQ(ret, -ENOMEM, "exitfd_open: %s", strerror(-ret));
}

TEST(probe, pidfd_when_nothing_is_injected)
{
    inject(0, 0);
    if (!have_pidfd())
        SKIP("no pidfds in this kernel");
    struct exitfd *x = open_exitfd();
    CHECK_STR(exitfd_get_backend(x), "pidfd");
    expect_report(x);
    exitfd_close(x);
}
