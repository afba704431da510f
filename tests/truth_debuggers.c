/* SPDX-License-Identifier: MIT */
/* A watched child under strace and under gdb. */
#include "truth_support.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>

/* strace -D is a grandchild: the tracee itself is the watched child. */
TEST(debuggers, strace)
{
    struct exitfd *x = open_for_truth();
    char *const argv[] = { "strace", "-D", "-f", "-qq", "-o", "/dev/null", "sh", "-c", "(exit 1); exit 85", NULL };
    pid_t pid;
    int ret = exitfd_spawn(x, &pid, argv[0], NULL, NULL, argv, environ, 0, x);
    if (ret == -ENOENT) {
        exitfd_close(x);
        SKIP("no strace here");
    }
    CHECK_EQ(ret, 0, "exitfd_spawn: %s", strerror(-ret));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 85, x);
    expect_no_spin(x);
    exitfd_close(x);
}

static pid_t tracer_of(pid_t pid)
{
    return (pid_t)status_field(pid, "TracerPid:", 10);
}

/* Returns 0 or the errno. close_fd: an fd of ours that gdb must not hold
   open. */
static int spawn_gdb(pid_t *gdb, pid_t tracee, int close_fd)
{
    char pid_text[16];
    snprintf(pid_text, sizeof(pid_text), "%d", (int)tracee);
    char *const argv[] = { "gdb", "-nx", "-q", "-batch", "-p", pid_text, "-ex", "continue", NULL };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, close_fd);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    /* gdb that inherits SIGCHLD blocked, as it is under signalfd, may sleep for
       ever. */
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int ret = posix_spawnp(gdb, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return ret;
}

static pid_t spawn_cat(struct exitfd *x, const struct gate *gate)
{
    char *const argv[] = { "cat", NULL };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, gate->wait_end, STDIN_FILENO);
    posix_spawn_file_actions_addclose(&actions, gate->go_end);
    pid_t pid;
    CHECK_EQ(exitfd_spawn(x, &pid, argv[0], &actions, NULL, argv, environ, 0, x), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

TEST(debuggers, gdb)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = spawn_cat(x, &gate), gdb;
    int ret = spawn_gdb(&gdb, pid, gate.go_end);
    bool attached = false;
    if (ret == 0) {
        while (tracer_of(pid) == 0 && !is_zombie(gdb))
            poll(NULL, 0, 1);
        attached = tracer_of(pid) != 0;
        expect_no_event(x);
    }
    close_gate(&gate);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, x);
    expect_no_spin(x);
    exitfd_close(x);
    if (ret == ENOENT)
        SKIP("no gdb here");
    CHECK_EQ(ret, 0);
    reap(gdb);
    if (!attached)
        SKIP("ptrace is not permitted here (Yama, or a container without CAP_SYS_PTRACE)");
}
