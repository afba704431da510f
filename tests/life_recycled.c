/* SPDX-License-Identifier: MIT */
/* A pid that is used again by another process: exitfd_kill says so, and does not hit it. */
#include "pid_namespace.h"

#include <fcntl.h>

static void set_next_pid(pid_t pid)
{
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dprintf(fd, "%d", (int)pid - 1) < 0)
        skip("the next pid cannot be chosen here: /proc/sys/kernel/ns_last_pid is not to be written");
    close(fd);
}

static void recycle_for_own_child(pid_t pid)
{
    set_next_pid(pid);
    CHECK_RESULT(fork_paused(), pid);
}

/* Returns its parent, which ends as it does, so that it is no child of ours. */
static pid_t recycle_for_stranger(pid_t pid)
{
    int ends[2];
    char byte;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t parent = fork();
    CHECK(parent >= 0);
    if (parent == 0) {
        set_next_pid(pid);
        CHECK_RESULT(fork_paused(), pid);
        CHECK(write(ends[1], "", 1) == 1);
        _exit(exit_status_of(pid));
    }
    CHECK(read(ends[0], &byte, 1) == 1);
    close(ends[0]);
    close(ends[1]);
    return parent;
}

static void try_to_hit(struct exitfd *x, pid_t pid, int wanted)
{
    CHECK_RESULT(exitfd_kill(x, pid, 0), wanted);
    CHECK_RESULT(exitfd_kill(x, pid, SIGTERM), wanted);
    CHECK_RESULT(exitfd_kill(x, pid, SIGKILL), wanted);
}

/* Of several deadly signals the first one counts: its status tells whether one came before this. */
static void expect_not_hit(pid_t pid, pid_t whose_status)
{
    CHECK(kill(pid, SIGUSR1) == 0);
    CHECK_RESULT(exit_status_of(whose_status), 128 + SIGUSR1);
}

static pid_t watch_zombie(struct exitfd *x, unsigned flags)
{
    pid_t pid = fork_exiting(3);
    CHECK_RESULT(exitfd_add(x, pid, flags, x), 0);
    wait_for_zombie(pid);
    return pid;
}

static void expect_one_event(struct exitfd *x, pid_t pid)
{
    struct exitfd_event event = next_event(x);
    CHECK(event.pid == pid && event.data == x);
    CHECK(event.origin == EXITFD_UNKNOWN ||
          (event.origin == EXITFD_RECORDED && event.code == CLD_EXITED && event.status == 3));
    CHECK_RESULT(exitfd_wait(x, &event, 1, 0), 0);
    try_to_hit(x, pid, -ENOENT);
}

static void after_its_event(struct exitfd *x)
{
    pid_t pid = watch_zombie(x, 0);
    CHECK(next_event(x).pid == pid);
    recycle_for_own_child(pid);
    try_to_hit(x, pid, -ENOENT);
    expect_not_hit(pid, pid);
}

static void after_remove(struct exitfd *x)
{
    pid_t pid = watch_zombie(x, 0);
    CHECK_RESULT(exitfd_remove(x, pid), 0);
    CHECK(exit_status_of(pid) == 3);
    recycle_for_own_child(pid);
    try_to_hit(x, pid, -ENOENT);
    expect_not_hit(pid, pid);
}

static void after_discard(struct exitfd *x)
{
    pid_t pid = watch_zombie(x, 0);
    CHECK_RESULT(exitfd_discard(x, pid), 0);
    recycle_for_own_child(pid);
    try_to_hit(x, pid, -ENOENT);
    expect_not_hit(pid, pid);
}

static void reaped_by_somebody_else(struct exitfd *x, unsigned flags)
{
    pid_t pid = watch_zombie(x, flags);
    CHECK(exit_status_of(pid) == 3);
    pid_t parent = recycle_for_stranger(pid);
    try_to_hit(x, pid, -ESRCH);
    expect_one_event(x, pid);
    expect_not_hit(pid, parent);
}

/* Only a pidfd can tell one child of this pid from the next. */
static void reaped_by_somebody_else_and_child_again(struct exitfd *x, unsigned flags)
{
    pid_t pid = watch_zombie(x, flags);
    if (exitfd_get_pidfd(x, pid) < 0) {
        CHECK_RESULT(exitfd_remove(x, pid), 0);
        CHECK(exit_status_of(pid) == 3);
        return;
    }
    CHECK(exit_status_of(pid) == 3);
    recycle_for_own_child(pid);
    try_to_hit(x, pid, -ESRCH);
    expect_one_event(x, pid);
    expect_not_hit(pid, pid);
}

int main(void)
{
    begin();
    become_pid_1();
    struct exitfd *x = open_or_skip();
    after_its_event(x);
    after_remove(x);
    after_discard(x);
    for (int observe = 0; observe < 2; observe++) {
        reaped_by_somebody_else(x, observe ? EXITFD_OBSERVE : 0);
        reaped_by_somebody_else_and_child_again(x, observe ? EXITFD_OBSERVE : 0);
    }
    exitfd_close(x);
    return 0;
}
