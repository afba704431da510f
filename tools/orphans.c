/* SPDX-License-Identifier: MIT */
#include "orphans.h"

#include "tool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

int adopt_orphans(void)
{
    if (getpid() == 1) {
        return 0;
    }
#ifdef __linux__
    return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 ? 0 : -errno;
#else
    return -ENOTSUP;
#endif
}

static bool has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

struct pid_list {
    pid_t *pids;
    size_t count;
};

/* True if it was not in the list before. */
static bool put_into(struct pid_list *list, pid_t pid)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->pids[i] == pid) {
            return false;
        }
    }
    list->pids = reallocate(list->pids, list->count + 1, sizeof *list->pids);
    list->pids[list->count++] = pid;
    return true;
}

/* A child cannot be another process under the same pid: only exitfd_wait reaps it, in this thread. */
static void signal_children(int signo, struct pid_list *already)
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    while (processes && (entry = readdir(processes))) {
        char state;
        int parent, pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        if (pid > 0 && read_process(pid, &state, &parent) && parent == getpid() && state != 'Z' &&
            (!already || put_into(already, pid))) {
            kill(pid, signo);
            kill(pid, SIGCONT);
        }
    }
    if (processes) {
        closedir(processes);
    }
}

static void reap_what_ended(struct exitfd *x, int timeout_ms)
{
    struct exitfd_event events[16];
    while (exitfd_wait(x, events, 16, timeout_ms) > 0) {
        timeout_ms = 0;
    }
}

void end_orphans(struct exitfd *x, int64_t grace_ns)
{
    const int recheck_ms = 50; /* a child that is inherited, alive, tells nobody of it */
    struct pid_list asked = { .pids = NULL };
    int64_t patience_ends = monotonic_ns() + grace_ns;
    int64_t surrender = patience_ends + 5 * NS_PER_SECOND; /* a process in uninterruptible sleep outlives SIGKILL */
    while (has_children() && monotonic_ns() < surrender) {
        bool is_patient = monotonic_ns() < patience_ends;
        signal_children(is_patient ? SIGTERM : SIGKILL, is_patient ? &asked : NULL);
        reap_what_ended(x, recheck_ms);
    }
    free(asked.pids);
}
