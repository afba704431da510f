/* SPDX-License-Identifier: MIT */
/*
 * A start by fork(2), and a report that the exec closes. The pipe is made, and
 * its write end closed in the parent, where no other thread's child can get a
 * copy (fork_hooks of process.h). A copy would keep the parent waiting.
 */
#include "start.h"

#include "posix/report.h"
#include "process.h"
#include "status.h"

#include <unistd.h>

struct birth {
    struct start_child child;
    struct report report;
    sigset_t found_mask;
    int error;
};

static void open_report(void *pointer)
{
    struct birth *birth = pointer;
    birth->error = xfd_report_open(&birth->report);
}

static void keep_read_end(void *pointer)
{
    struct birth *birth = pointer;
    xfd_report_close_write_end(&birth->report);
}

/* Without a report no failure could be reported. The start has failed already
   then. */
static void run_program(void *pointer)
{
    struct birth *birth = pointer;

    if (birth->error == 0) {
        close(birth->report.read_end); /* the actions may not find it open */
        birth->child.report = birth->report.write_end;
        int error = xfd_start_in_child(&birth->child);
        (void)!write(birth->child.report, &error, sizeof error);
    }
    _exit(127);
}

int xfd_platform_start(const struct start_plan *plan, pid_t *pid, int *pidfd, bool insist)
{
    struct birth birth = { .child = { .plan = plan }, .report = { -1, -1 } };
    struct fork_hooks hooks = {
        .before = open_report, .in_parent = keep_read_end, .in_child = run_program, .argument = &birth
    };

    (void)insist;
    pthread_sigmask(SIG_SETMASK, NULL, &birth.found_mask);
    birth.child.found_mask = &birth.found_mask;
    pid_t child = xfd_process_fork(&hooks);
    if (child == 0)
        _exit(127); /* a handler of the application has forked, and its child was taken for ours */
    if (child > 0 && birth.error == 0)
        birth.error = -xfd_report_read(&birth.report);
    xfd_report_close(&birth.report);
    if (child > 0 && birth.error < 0)
        xfd_status_await(P_PID, (id_t)child);
    if (child < 0 || birth.error < 0)
        return child < 0 ? child : birth.error;
    *pid = child;
    if (pidfd)
        *pidfd = -1;
    return 0;
}

bool xfd_platform_has_death_signal(void)
{
    return false;
}
