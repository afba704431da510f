/* SPDX-License-Identifier: MIT */
/*
 * Compares what the scenario saw under faults with what must hold. An error
 * must be one that the header names, and every watched child gives one event.
 */
#include "faults_reports.h"

#include "faults.h"
#include "faults_calls.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define DEADLINE_MS 20000

/* What the header says for each function, without what none of these calls can
   be the cause of. */
static const struct {
    const char *function;
    int errnos[9];
} documented[] = {
    { "exitfd_open", { ENOTSUP, ENOMEM, EMFILE, ENFILE, ENOSPC, EAGAIN } },
    { "exitfd_add", { ESRCH, ENOMEM, EPERM } },
    { "exitfd_add_pidfd", { ESRCH, ENOMEM, EMFILE, ENFILE, EPERM } },
    { "exitfd_add without signals", { EMFILE, ENFILE, ENOSPC, EPERM, EACCES, ENOSYS, EAGAIN } },
    { "exitfd_kill", { EPERM, ESRCH } },
    { "exitfd_wait", { EINTR, ENOTSUP } },
    { "exitfd_start", { ENOMEM, EMFILE, ENFILE, EAGAIN, EPERM, EINVAL } },
    { "exitfd_spawn", { ENOENT, EACCES, ENOMEM, EMFILE, ENFILE, EAGAIN, EPERM, EINVAL } },
    { "exitfd_fork", { ENOMEM, EAGAIN } },
    { "exitfd_install_handler", { ENOMEM, EAGAIN } },
};

static bool is_documented(const char *function, int error)
{
    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++)
        for (const int *errnos = documented[i].errnos; strcmp(documented[i].function, function) == 0 && *errnos;
             errnos++)
            if (*errnos == error)
                return true;
    return false;
}

static bool is_documented_here(const char *function, int error)
{
    bool adds = strcmp(function, "exitfd_add") == 0 || strcmp(function, "exitfd_add_pidfd") == 0;
    return is_documented(function, error) ||
           (adds && fault_world == WORLD_WITHOUT_SIGNALS && is_documented("exitfd_add without signals", error));
}

static unsigned failed_before;

void enter(void)
{
    failed_before = fault_count();
    fault_enter();
}

/* The result of what came since enter(). True: it may be done again. */
bool failed(const char *function, int result, bool is_untouched)
{
    fault_leave();
    if (result >= 0)
        return false;
    faults_expect(fault_count() > failed_before, "%s: %s although nothing failed in it", function, strerror(-result));
    faults_expect(is_documented_here(function, -result), "%s: %s is not documented", function, strerror(-result));
    faults_expect(is_untouched, "%s failed and wrote through a pointer", function);
    bool again = fault_count() > failed_before;
    fault_cease();
    return again;
}

bool somebody_steals(void)
{
    return fault_is("syscall", ECHILD) || fault_is("waitid", ECHILD) || fault_is("wait4", ECHILD) ||
           fault_is("syscall", ESRCH);
}

static struct report reports[64];
static size_t report_count;

struct report *expect_report(struct exitfd *x, pid_t pid, int code, int status, int origin)
{
    reports[report_count] = (struct report){ x, pid, code, status, origin, 1 };
    return &reports[report_count++];
}

static bool is_as_reported(const struct report *t, const struct exitfd_event *event)
{
    bool is_true = event->pid == t->pid && event->code == t->code && event->status == t->status;
    if (is_true && event->origin == t->origin)
        return true;
    bool is_unknown = event->pid == t->pid && event->code == 0 && event->origin == EXITFD_UNKNOWN;
    return somebody_steals() && (is_unknown || (is_true && event->origin == EXITFD_RECORDED));
}

static void take_event(struct exitfd *x, const struct exitfd_event *event)
{
    struct report *t = event->data;
    bool is_known = t >= reports && t < reports + report_count;

    faults_expect(is_known && t->x == x, "an event nobody asked for: pid %d", (int)event->pid);
    if (!is_known)
        return;
    faults_expect(is_as_reported(t, event),
                  "pid %d code %d status %d origin %d instead of pid %d code %d status %d origin %d", (int)event->pid,
                  event->code, event->status, event->origin, (int)t->pid, t->code, t->status, t->origin);
    faults_expect(t->due-- == 1, "pid %d reported twice", (int)event->pid);
}

static int count_due(const struct exitfd *x)
{
    int due = 0;
    for (size_t i = 0; i < report_count; i++)
        due += reports[i].x == x && reports[i].due > 0;
    return due;
}

static bool is_readable(const struct exitfd *x, int timeout)
{
    struct pollfd readable = { .fd = exitfd_get_fd(x), .events = POLLIN };
    int ret;
    do
        ret = poll(&readable, 1, timeout);
    while (ret < 0 && errno == EINTR);
    return ret == 1;
}

int wait_for(struct exitfd *x, int max, int timeout)
{
    struct exitfd_event events[4];

    enter();
    int count = exitfd_wait(x, events, max, timeout);
    faults_expect(count != -EINTR || timeout != 0, "exitfd_wait: EINTR of a call that does not block");
    /* Our own SIGCHLD handler may have run, which poll(2) does not tell from
       another. */
    if (count == -EINTR && timeout != 0 && strcmp(exitfd_get_backend(x), "self-pipe") == 0)
        count = 0;
    failed("exitfd_wait", count, true);
    faults_expect(count <= max, "%d events where %d were asked for", count, max);
    for (int i = 0; i < count; i++)
        take_event(x, &events[i]);
    return count;
}

void collect(struct exitfd *x)
{
    for (int round = 0; count_due(x) > 0; round++) {
        bool blocking = round % 2;
        if (!blocking && !is_readable(x, DEADLINE_MS)) {
            faults_expect(false, "%d events were lost", count_due(x));
            return;
        }
        wait_for(x, 1 + round % 4, blocking ? DEADLINE_MS : 0);
    }
    for (int round = 0; is_readable(x, 0); round++) {
        wait_for(x, 4, 0);
        if (round > 20) {
            faults_expect(false, "readable with nothing to tell");
            return;
        }
    }
}

bool failed_inside(void)
{
    return fault_count() > failed_before;
}

void forget_reports(void)
{
    report_count = 0;
}
