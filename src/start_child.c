/* SPDX-License-Identifier: MIT */
/*
 * What a child does between its birth and the exec, on every platform. It only
 * makes system calls (start.h). Each step gives 0 or a negative errno, and the
 * first that fails is reported to the parent.
 */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#ifndef NSIG
#define NSIG 65
#endif
#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

/* Before the mask is lifted: in shared memory a handler would act for the
   parent. */
IN_CHILD static void reset_signals(const struct start_child *child)
{
    for (int signum = 1; signum < NSIG; signum++) {
        bool to_default = sigismember(&child->plan->default_signals, signum) == 1;
        if (to_default || (!child->handlers_cleared && xfd_call_has_handler(signum)))
            xfd_call_set_default(signum); /* fails for SIGKILL and SIGSTOP */
    }
}

IN_CHILD static int set_identity(const struct start_plan *plan)
{
    if (plan->new_session && setsid() < 0)
        return -errno;
    if (plan->set_group && setpgid(0, plan->group) < 0)
        return -errno;
    return xfd_call_set_attributes(plan);
}

/* To the program the report's fd does not exist. So it moves away from a number
   that is wanted. */
IN_CHILD static int free_number(struct start_child *child, int fd)
{
    if (fd < 0 || fd != child->report)
        return 0;
    int moved = xfd_call_duplicate(fd);
    if (moved < 0)
        return moved;
    child->report = moved;
    return 0;
}

IN_CHILD static bool is_open_for(const struct start_child *child, int fd)
{
    return fd >= 0 && fd != child->report;
}

IN_CHILD static int duplicate(struct start_child *child, int fd, int target)
{
    if (!is_open_for(child, fd))
        return -EBADF;
    if (fd == target)
        return xfd_call_keep_on_exec(fd);
    int error = free_number(child, target);
    return error < 0 ? error : xfd_call_duplicate_to(fd, target, 0);
}

/* As POSIX wants it of posix_spawn: what is open there is closed first, so that
   it does not take one fd more. */
IN_CHILD static int open_at(struct start_child *child, const struct exitfd_action *action)
{
    int error = free_number(child, action->fd);

    if (error < 0)
        return error;
    if (action->fd >= 0)
        xfd_call_close(action->fd);
    int fd = xfd_call_open(action->path, action->flags, action->mode);
    if (fd < 0 || fd == action->fd)
        return fd < 0 ? fd : 0;
    error = xfd_call_duplicate_to(fd, action->fd, action->flags & O_CLOEXEC);
    xfd_call_close(fd);
    return error;
}

/* As posix_spawn does: to close what is not open is no error. */
IN_CHILD static int close_one(const struct start_child *child, int fd)
{
    if (fd < 0)
        return -EBADF;
    if (is_open_for(child, fd))
        xfd_call_close(fd);
    return 0;
}

IN_CHILD static int close_from(const struct start_child *child, int fd)
{
    if (fd < 0)
        return -EBADF;
    unsigned first = (unsigned)fd, report = (unsigned)child->report;
    if (child->report >= fd) {
        if (report > first)
            xfd_call_close_range(first, report - 1);
        first = report + 1;
    }
    xfd_call_close_range(first, UINT_MAX);
    return 0;
}

IN_CHILD static int act(struct start_child *child, const struct exitfd_action *action)
{
    switch (action->type) {
    case EXITFD_DUP2:
        return duplicate(child, action->fd, action->target);
    case EXITFD_OPEN:
        return open_at(child, action);
    case EXITFD_CLOSE:
        return close_one(child, action->fd);
    case EXITFD_CLOSE_FROM:
        return close_from(child, action->fd);
    case EXITFD_CHDIR:
        return chdir(action->path) < 0 ? -errno : 0;
    case EXITFD_FCHDIR:
        return !is_open_for(child, action->fd) ? -EBADF : fchdir(action->fd) < 0 ? -errno : 0;
    }
    return -EINVAL;
}

IN_CHILD static int act_all(struct start_child *child)
{
    const struct start_plan *plan = child->plan;
    int error = 0;

    for (size_t i = 0; i < plan->action_count && error >= 0; i++)
        error = act(child, &plan->actions[i]);
    return error;
}

/* The element that begins at path, and file: 0, or -ENAMETOOLONG. */
IN_CHILD static int join(char *buffer, const char *path, const char *file)
{
    size_t length = 0;

    for (; *path && *path != ':'; path++) {
        if (length >= PATH_MAX - 2)
            return -ENAMETOOLONG;
        buffer[length++] = *path;
    }
    if (length > 0)
        buffer[length++] = '/';
    do {
        if (length >= PATH_MAX)
            return -ENAMETOOLONG;
        buffer[length++] = *file;
    } while (*file++);
    return 0;
}

/* With these the search goes on at the next element. EACCES is remembered: it
   says more than ENOENT. */
IN_CHILD static bool is_elsewhere(int error)
{
    return error == EACCES || error == ENOENT || error == ENOTDIR || error == ESTALE || error == ENODEV ||
           error == ETIMEDOUT || error == ENAMETOOLONG;
}

IN_CHILD static int execute_in_path(const struct start_plan *plan)
{
    char buffer[PATH_MAX];
    bool is_denied = false;
    int error = ENOENT;

    if (!*plan->file)
        return -ENOENT;
    for (const char *element = plan->path; element;) {
        error = -join(buffer, element, plan->file);
        if (error == 0) {
            execve(buffer, plan->argv, plan->envp);
            error = errno;
        }
        if (!is_elsewhere(error))
            return -error;
        is_denied |= error == EACCES;
        while (*element && *element != ':')
            element++;
        element = *element ? element + 1 : NULL;
    }
    return is_denied ? -EACCES : -error;
}

IN_CHILD static int execute(const struct start_plan *plan)
{
    if (plan->path)
        return execute_in_path(plan);
    execve(plan->file, plan->argv, plan->envp);
    return -errno;
}

IN_CHILD int xfd_start_in_child(struct start_child *child)
{
    const struct start_plan *plan = child->plan;

    reset_signals(child);
    int error = set_identity(plan);
    if (error >= 0)
        error = act_all(child);
    if (error >= 0 && plan->death_signal != 0)
        error = xfd_call_set_death_signal(plan->death_signal, child->parent);
    if (error >= 0)
        error = xfd_call_set_mask(plan->keep_mask ? child->found_mask : &plan->mask);
    if (error >= 0)
        error = execute(plan);
    return -error;
}
