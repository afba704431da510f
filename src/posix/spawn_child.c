/* SPDX-License-Identifier: MIT */
#include "platform.h"

int platform_spawn(const struct spawn_request *request, bool want_pidfd, pid_t *pid, int *pidfd)
{
    (void)want_pidfd;
    *pidfd = -1;
    return -posix_spawnp(pid, request->file, request->actions, request->attr, request->argv, request->envp);
}
