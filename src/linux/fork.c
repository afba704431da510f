/* SPDX-License-Identifier: MIT */
/*
 * fork(2) gives no pidfd. So the child waits, at the very beginning of its
 * life, until the parent has opened one: before handlers of the application can
 * wait for any child, and before the child can exit. It goes on when the parent
 * dies. The parent goes on without a pidfd when the child does not come
 * forward, which a debugger may have stopped. Other threads do not wait for
 * that. They may fork meanwhile, and their children keep a copy of the parent's
 * end.
 *
 * After unshare(CLONE_NEWPID) the child is in another pid namespace, and does
 * not know the pid that it has in that of its parent. There it sends 0, and the
 * kernel tells the parent who has sent that. If it does not, there is no pidfd.
 */
#include "linux/sys.h"
#include "platform.h"
#include "process.h"

#include <poll.h>
#include <string.h>
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

/* Who has sent the byte that is there, in our pid namespace; 0: the kernel does
   not tell. */
static pid_t receive_sender(int own)
{
    struct ucred sender = { .pid = 0 };
    char byte;
    _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof sender)];
    struct iovec part = { &byte, sizeof byte };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };

    if (recvmsg(own, &message, MSG_DONTWAIT) != sizeof byte)
        return 0;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS)
        memcpy(&sender, CMSG_DATA(header), sizeof sender);
    return sender.pid;
}

/* No other child may have a copy, which would hide that ours is dead. */
static void close_end_of_child(void *pointer)
{
    const struct meeting *meeting = pointer;

    if (meeting->ends[1] >= 0)
        close(meeting->ends[1]);
}

/* The child sends its pid, which fork has not returned yet. */
static void meet_child(void *pointer)
{
    struct meeting *meeting = pointer;
    int own = meeting->ends[0];

    if (own < 0)
        return;
    if (wait_readable(own) == 1 && read(own, &meeting->child, sizeof meeting->child) == sizeof meeting->child) {
        if (meeting->child == 0)
            meeting->child = receive_sender(own);
        meeting->pidfd = sys_pidfd_open(meeting->child);
    }
    /* For a child that comes too late as well: a copy may hide the close. */
    send(own, "", 1, MSG_NOSIGNAL);
    close(own);
}

/* What the child sends: its pid, or 0 and one byte more, which comes with the
   kernel's word on who has sent it. */
static void introduce(const struct meeting *meeting, pid_t parent)
{
    const char in_another_namespace[sizeof parent + 1] = { 0 };
    const int yes = 1;
    pid_t self = getpid();

    if (parent != 0) {
        send(meeting->ends[1], &self, sizeof self, MSG_NOSIGNAL);
        return;
    }
    setsockopt(meeting->ends[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
    send(meeting->ends[1], in_another_namespace, sizeof in_another_namespace, MSG_NOSIGNAL);
}

/* Another thread's child may hold a copy of the parent's end, and so hide that
   the parent is dead. */
static void meet_parent(void *pointer)
{
    const struct meeting *meeting = pointer;
    pid_t parent = getppid(); /* 0: it is in another pid namespace, or dead */
    int own = meeting->ends[1], rounds = 0;

    if (own < 0)
        return;
    introduce(meeting, parent);
    close(meeting->ends[0]);
    /* No signal can come. Where the parent cannot be seen, it answers in the
       time of one round. */
    while (wait_readable(own) == 0 && (parent != 0 ? getppid() == parent : ++rounds < 2))
        ;
    close(own);
}

pid_t xfd_platform_fork(int *pidfd)
{
    struct meeting meeting = { .pidfd = -1 };
    struct fork_hooks hooks = { prepare, close_end_of_child, meet_child, meet_parent, &meeting };
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
