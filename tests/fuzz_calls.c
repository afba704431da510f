/* SPDX-License-Identifier: MIT */
/* EXITFD_HOLD, process groups, exitfd_count, pidfds of the reaped, and children
   for which no fd is left. */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void hold(struct child *c, int x, unsigned jobs)
{
    watched(c, x, OWNED, jobs);
    c->holds[x] = true;
}

void start_held(struct child *c)
{
    int ends[2], x = (int)below(2);

    if (c->state != NONE)
        return;
    *c = (struct child){ 0 };
    CHECK(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    c->pid = exitfd_fork(exitfds[x], EXITFD_HOLD, c);
    if (c->pid == 0)
        be_child(ends[0]);
    CHECK(c->pid > 0, "exitfd_fork: %d", (int)c->pid);
    close(ends[0]);
    started(c, ends[1]);
    hold(c, x, 0);
    say("start %d: pid %d, held by %d", number(c), (int)c->pid, x);
}

void add_held(struct child *c)
{
    int x = (int)below(2);

    if (c->state == NONE || c->state == GONE || is_watched_by_pid(c, x))
        return;
    int error = exitfd_add(exitfds[x], c->pid, EXITFD_HOLD, c);
    say("add %d to %d, held: %d", number(c), x, error);
    CHECK(error == (c->watching[x] ? -EEXIST : 0), "exitfd_add: %d", error);
    if (error == 0)
        hold(c, x, 0);
}

/* There is a group as long as its leader is not reaped. */
void kill_group(struct child *c)
{
    int x = (int)below(2);

    c = to_signal(c, x);
    if (c == NULL)
        return;
    int error = exitfd_kill(exitfds[x], -c->pid, 0);
    say("kill the group of %d by %d: %d", number(c), x, error);
    CHECK(error == (!c->watching[x]                       ? -ENOENT
                    : c->state == GONE || !c->leads_group ? -ESRCH
                                                          : 0),
          "exitfd_kill: %d", error);
}

/* What was discarded may have been reaped by any wait since. */
void check_counts(void)
{
    for (int x = 0; x < 2; x++) {
        int least = 0, discarded = 0, count = exitfd_count(exitfds[x]);
        for (const struct child *c = children; c < children + CHILDREN; c++) {
            least += c->watching[x] && c->watching[x] != DISCARDED;
            discarded += c->watching[x] == DISCARDED;
        }
        CHECK(count >= least && count <= least + discarded, "exitfd_count of %d: %d, and there are %d to %d", x, count,
              least, least + discarded);
    }
}

/* A process that was reaped before it is added, with the kernel's record or
   without. */
void add_reaped(struct child *c)
{
    int x = (int)below(2);
    enum watching how = below(2) ? OWNED : OBSERVED;

    if (c->state != NONE)
        return;
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    reap(pid);
    if (pidfd < 0) /* ignored, it went too fast */
        return;
    int error = exitfd_add_pidfd(exitfds[x], pidfd, how == OBSERVED ? EXITFD_OBSERVE : 0, c);
    close(pidfd);
    say("add %d to %d, reaped: %d", number(c), x, error);
    CHECK(error == (has_records ? 0 : -ESRCH) || (error == -ENOTSUP && !lists_children), "exitfd_add_pidfd: %d", error);
    if (error < 0)
        return;
    *c = (struct child){ .state = GONE, .code = CLD_EXITED, .status = 7 };
    c->watching[x] = how;
    c->has_pidfd[x] = true; /* its event has the record */
}

/* While this lasts no call gets an fd. Then SIGCHLD tells of the child. */
void add_without_fds(struct child *c)
{
    struct rlimit before, none;

    if (without_signals[0] || without_signals[1])
        return;
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = before.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none);
    add(c);
    setrlimit(RLIMIT_NOFILE, &before);
}
