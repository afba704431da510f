/* SPDX-License-Identifier: MIT */
/* EXITFD_OBSERVE of processes that are no children of this one, by pid and by
   pidfds from a Unix socket. */
#include "truth_support.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum {
    OBSERVERS = 3
};

/* A process that is the child of our child. What its parent does with it is the
   test's to say. */
enum parent_does {
    REAPS,
    IGNORES,
    DIES
};
struct grandchild {
    pid_t parent;
    pid_t pid;
    struct gate exit_gate;
    struct gate parent_gate;
    int socket;
};

static int send_pidfd(int socket, pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec data = { .iov_base = &pid, .iov_len = sizeof(pid) };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
    if (pidfd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.header), &pidfd, sizeof(pidfd));
    }
    ssize_t sent = sendmsg(socket, &message, 0);
    close(pidfd);
    return sent == sizeof(pid) ? 0 : -1;
}

/* Not fork_guarded: that one dies with its parent. */
static pid_t start_orphan(const struct gate *gate, int status)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    alarm(120);
    wait_behind(gate);
    _exit(status);
}

_Noreturn static void be_the_parent(const struct grandchild *g, enum parent_does does, int ending)
{
    if (does == IGNORES)
        signal(SIGCHLD, SIG_IGN);
    pid_t pid = does == DIES ? start_orphan(&g->exit_gate, ending) : start_child(&g->exit_gate, ending);
    if (send_pidfd(g->socket, pid) < 0)
        _exit(96);
    wait_behind(&g->parent_gate);
    if (does == DIES)
        _exit(0);
    waitpid(pid, NULL, 0);
    wait_behind(&g->parent_gate);
    _exit(0);
}

static int receive_pidfd(int socket, pid_t *pid)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec data = { .iov_base = pid, .iov_len = sizeof(*pid) };
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
    };
    CHECK_EQ(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), (ssize_t)sizeof(*pid));
    int pidfd = -1;
    if (message.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_type == SCM_RIGHTS)
        memcpy(&pidfd, CMSG_DATA(&control.header), sizeof(pidfd));
    return pidfd;
}

/* Returns a pidfd of the grandchild, received over a Unix socket, or -1 where
   there are none. */
static int start_grandchild(struct grandchild *g, enum parent_does does, int ending)
{
    int sockets[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    *g = (struct grandchild){ .exit_gate = open_gate(), .parent_gate = open_gate(), .socket = sockets[1] };
    g->parent = fork_guarded();
    if (g->parent == 0)
        be_the_parent(g, does, ending);
    int pidfd = receive_pidfd(sockets[0], &g->pid);
    close(sockets[0]);
    close(sockets[1]);
    return pidfd;
}

static void end_grandchild(struct grandchild *g)
{
    let_through(&g->parent_gate, 2);
    reap(g->parent);
    close_gate(&g->exit_gate);
    close_gate(&g->parent_gate);
}

static void expect_event_at_the_reap(struct exitfd *x, struct grandchild *g, int code, int status)
{
    struct exitfd_event event;
    if (have_pidfs()) {
        expect_no_event(x);
        expect_no_spin(x);
        let_through(&g->parent_gate, 1);
        event = wait_event(x);
    } else {
        event = wait_event(x);
        let_through(&g->parent_gate, 1);
    }
    expect_stolen(&event, g->pid, code, status, x);
    expect_no_spin(x);
}

static void skip_without_foreign_processes(void)
{
    if (!tracks_by_pidfd())
        SKIP("the SIGCHLD back ends see children only: foreign/is_ENOTSUP_by_SIGCHLD");
}

static void observed_by_pid(int ending, int code, int status)
{
    skip_without_foreign_processes();
    struct exitfd *x = open_for_truth();
    struct grandchild g;
    close(start_grandchild(&g, REAPS, ending));
    CHECK_EQ(exitfd_add(x, g.pid, 0, x), -ECHILD);
    CHECK_EQ(exitfd_add(x, g.pid, EXITFD_OBSERVE, x), 0);
    expect_no_event(x);
    let_through(&g.exit_gate, 1);
    wait_until_dead(g.pid);
    expect_event_at_the_reap(x, &g, code, status);
    exitfd_close(x);
    end_grandchild(&g);
}

TEST(foreign, its_parent_reaps_it)
{
    observed_by_pid(64, CLD_EXITED, 64);
}

TEST(foreign, killed_by_a_signal)
{
    observed_by_pid(-SIGKILL, CLD_KILLED, SIGKILL);
}

TEST(foreign, a_zombie_already)
{
    skip_without_foreign_processes();
    struct exitfd *x = open_for_truth();
    struct grandchild g;
    close(start_grandchild(&g, REAPS, 65));
    let_through(&g.exit_gate, 1);
    wait_until_dead(g.pid);
    CHECK_EQ(exitfd_add(x, g.pid, EXITFD_OBSERVE, x), 0);
    expect_event_at_the_reap(x, &g, CLD_EXITED, 65);
    exitfd_close(x);
    end_grandchild(&g);
}

TEST(foreign, its_parent_ignores_SIGCHLD)
{
    skip_without_foreign_processes();
    struct exitfd *x = open_for_truth();
    struct grandchild g;
    close(start_grandchild(&g, IGNORES, 66));
    CHECK_EQ(exitfd_add(x, g.pid, EXITFD_OBSERVE, x), 0);
    let_through(&g.exit_gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_stolen(&event, g.pid, CLD_EXITED, 66, x);
    expect_no_spin(x);
    exitfd_close(x);
    end_grandchild(&g);
}

static void adopt(struct grandchild *g)
{
    let_through(&g->parent_gate, 1);
    reap(g->parent);
    CHECK(is_child(g->pid));
}

static void expect_adopted(struct exitfd *x, struct grandchild *g, int status)
{
    expect_peeked(x, g->pid, CLD_EXITED, status);
    CHECK_EQ(reap(g->pid), status << 8);
    expect_no_spin(x);
    exitfd_close(x);
    close_gate(&g->exit_gate);
    close_gate(&g->parent_gate);
}

/* Its parent dies and this process adopts it: a child from then on. */
TEST(foreign, until_we_adopt_it_alive)
{
    skip_without_foreign_processes();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct exitfd *x = open_for_truth();
    struct grandchild g;
    close(start_grandchild(&g, DIES, 67));
    CHECK_EQ(exitfd_add(x, g.pid, EXITFD_OBSERVE, x), 0);
    adopt(&g);
    expect_no_event(x);
    let_through(&g.exit_gate, 1);
    expect_adopted(x, &g, 67);
}

TEST(foreign, until_we_adopt_its_zombie)
{
    skip_without_foreign_processes();
    if (!have_pidfs())
        SKIP("before Linux 6.9 its event is due when it is a zombie: foreign/a_zombie_already");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct exitfd *x = open_for_truth();
    struct grandchild g;
    close(start_grandchild(&g, DIES, 68));
    CHECK_EQ(exitfd_add(x, g.pid, EXITFD_OBSERVE, x), 0);
    let_through(&g.exit_gate, 1);
    wait_until_dead(g.pid);
    expect_no_event(x);
    adopt(&g);
    expect_adopted(x, &g, 68);
}

TEST(foreign, by_a_pidfd_from_a_socket)
{
    skip_without_foreign_processes();
    struct exitfd *observers[OBSERVERS];
    struct grandchild g;
    int pidfd = start_grandchild(&g, REAPS, 69);
    CHECK(pidfd >= 0);
    for (int i = 0; i < OBSERVERS; i++) {
        observers[i] = open_for_truth();
        CHECK_EQ(exitfd_add_pidfd(observers[i], pidfd, 0, NULL), -ECHILD);
        CHECK_EQ(exitfd_add_pidfd(observers[i], pidfd, EXITFD_OBSERVE, observers[i]), 0);
        CHECK_EQ(exitfd_add(observers[i], g.pid, EXITFD_OBSERVE, NULL), -EEXIST);
    }
    close(pidfd);
    let_through(&g.exit_gate, 1);
    wait_until_dead(g.pid);
    expect_event_at_the_reap(observers[0], &g, CLD_EXITED, 69);
    for (int i = 0; i < OBSERVERS; i++) {
        if (i > 0) {
            struct exitfd_event event = wait_event(observers[i]);
            expect_stolen(&event, g.pid, CLD_EXITED, 69, observers[i]);
        }
        expect_quiet(observers[i]);
        exitfd_close(observers[i]);
    }
    end_grandchild(&g);
}

/* With its pidfd the kernel's record can still be read, where it has one. */
TEST(foreign, reaped_before_the_add_is_ESRCH)
{
    skip_without_foreign_processes();
    struct exitfd *x = open_for_truth();
    struct grandchild g;
    int pidfd = start_grandchild(&g, REAPS, 70);
    let_through(&g.exit_gate, 1);
    let_through(&g.parent_gate, 2);
    reap(g.parent);
    CHECK_EQ(exitfd_add(x, g.pid, EXITFD_OBSERVE, x), -ESRCH);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, EXITFD_OBSERVE, x), have_exit_record() ? 0 : -ESRCH);
    if (have_exit_record()) {
        struct exitfd_event event = wait_event(x);
        expect_event(&event, 0, CLD_EXITED, 70, EXITFD_RECORDED, x);
    }
    expect_quiet(x);
    close(pidfd);
    exitfd_close(x);
    close_gate(&g.exit_gate);
    close_gate(&g.parent_gate);
}

TEST(foreign, removed_as_a_zombie)
{
    skip_without_foreign_processes();
    if (!have_pidfs())
        SKIP("before Linux 6.9 its event is due when it is a zombie: foreign/a_zombie_already");
    struct exitfd *x = open_for_truth();
    struct grandchild g;
    close(start_grandchild(&g, REAPS, 71));
    CHECK_EQ(exitfd_add(x, g.pid, EXITFD_OBSERVE, x), 0);
    let_through(&g.exit_gate, 1);
    wait_until_dead(g.pid);
    CHECK_EQ(exitfd_remove(x, g.pid), 0);
    let_through(&g.parent_gate, 1);
    expect_no_spin(x);
    exitfd_close(x);
    end_grandchild(&g);
}

TEST(foreign, is_ENOTSUP_by_SIGCHLD)
{
    if (tracks_by_pidfd())
        SKIP("a pidfd is there: foreign/its_parent_reaps_it");
    struct exitfd *x = open_for_truth();
    struct grandchild g;
    int pidfd = start_grandchild(&g, REAPS, 72);
    CHECK_EQ(exitfd_add(x, g.pid, EXITFD_OBSERVE, x), -ENOTSUP);
    CHECK_EQ(exitfd_add(x, g.pid, 0, x), -ECHILD);
    if (pidfd >= 0) {
        CHECK_EQ(exitfd_add_pidfd(x, pidfd, EXITFD_OBSERVE, x), -ENOTSUP);
        close(pidfd);
    }
    expect_quiet(x);
    exitfd_close(x);
    let_through(&g.exit_gate, 1);
    end_grandchild(&g);
}
