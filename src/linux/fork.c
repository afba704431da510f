/* SPDX-License-Identifier: MIT */
/*
 * fork(2) gives no pidfd. So the child waits, at the very beginning of its life,
 * until the parent has opened one: before handlers of the application can wait
 * for any child, and before the child can exit. It goes on when the parent dies.
 * The parent goes on without a pidfd when the child does not come forward, which
 * a debugger may have stopped.
 */
#include "linux/sys.h"
#include "platform.h"
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define PATIENCE_MS 5000

struct meeting {
    int ends[2]; /* of the parent and of the child; -1: there was no fd for it */
    pid_t child;
    int pidfd;
};

static void prepare(void *pointer)
{
    struct meeting *meeting = pointer;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, meeting->ends) < 0)
        meeting->ends[0] = meeting->ends[1] = -1;
}

static int wait_readable(int fd)
{
    return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, PATIENCE_MS);
}

/* The child sends its pid, which fork has not returned yet. */
static void meet_child(void *pointer)
{
    struct meeting *meeting = pointer;
    int own = meeting->ends[0];

    if (own < 0)
        return;
    close(meeting->ends[1]);
    if (wait_readable(own) == 1 && read(own, &meeting->child, sizeof meeting->child) == sizeof meeting->child) {
        meeting->pidfd = sys_pidfd_open(meeting->child);
        send(own, "", 1, MSG_NOSIGNAL);
    }
    close(own);
}

/* A child of another thread's clone(2) may hold a copy of the parent's end, and so hide that the parent is dead. */
static void meet_parent(void *pointer)
{
    struct meeting *meeting = pointer;
    pid_t self = getpid();
    int own = meeting->ends[1];

    if (own < 0)
        return;
    close(meeting->ends[0]);
    send(own, &self, sizeof self, MSG_NOSIGNAL);
    pid_t parent = getppid();
    while (wait_readable(own) == 0 && getppid() == parent) /* no signal can come */
        ;
    close(own);
}

pid_t xfd_platform_fork(int *pidfd)
{
    struct meeting meeting = { .pidfd = -1 };
    struct fork_hooks hooks = { prepare, meet_child, meet_parent, &meeting };
    pid_t pid = xfd_process_fork(&hooks);

    if (pid == 0)
        return 0;
    if (meeting.pidfd >= 0 && meeting.child != pid) { /* a handler of the application has forked meanwhile */
        close(meeting.pidfd);
        meeting.pidfd = -1;
    }
    *pidfd = meeting.pidfd;
    return pid;
}
