/* SPDX-License-Identifier: MIT */
/*
 * Own children, as suites and plain programs look at them without the library.
 * All is in this header, because scripts in ci/ compile plain programs with
 * tap.c alone.
 */
#ifndef EXITFD_TESTS_CHILDREN_H
#define EXITFD_TESTS_CHILDREN_H

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* waitid that reaps nothing. */
static inline int look_at(idtype_t kind, pid_t pid, int options, siginfo_t *info)
{
    int ret;
    memset(info, 0, sizeof(*info));
    do
        ret = waitid(kind, (id_t)pid, info, WEXITED | WNOWAIT | options);
    while (ret < 0 && errno == EINTR);
    return ret;
}

static inline void wait_until_zombie(pid_t pid)
{
    siginfo_t info;
    CHECK_EQ(look_at(P_PID, pid, 0, &info), 0, "child %d: %s", (int)pid, strerror(errno));
}

static inline bool is_zombie(pid_t pid)
{
    siginfo_t info;
    return look_at(P_PID, pid, WNOHANG, &info) == 0 && info.si_pid == pid;
}

/* Alive or zombie. False once reaped. */
static inline bool is_child(pid_t pid)
{
    siginfo_t info;
    return look_at(P_PID, pid, WNOHANG, &info) == 0;
}

static inline bool have_children(void)
{
    siginfo_t info;
    return look_at(P_ALL, 0, WNOHANG, &info) == 0;
}

/* Its wait status. */
static inline int reap(pid_t pid)
{
    int status;
    pid_t ret;
    do
        ret = waitpid(pid, &status, 0);
    while (ret < 0 && errno == EINTR);
    CHECK_EQ(ret, pid, "waitpid(%d): %s", (int)pid, strerror(errno));
    return status;
}

static inline void kill_and_reap(pid_t pid)
{
    kill(pid, SIGKILL);
    reap(pid);
}

/* The letter that a file /proc/.../stat has for the state, such as Z for a
   zombie and S for a sleeper. '?' if it cannot be read. Async-signal-safe. */
static inline char state_in(const char *stat_path)
{
    char stat[512];
    int fd = open(stat_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return '?';
    ssize_t length = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    stat[length > 0 ? length : 0] = '\0';
    const char *name_end = strrchr(stat, ')');
    return name_end != NULL && name_end[1] == ' ' ? name_end[2] : '?';
}

#endif
