/* SPDX-License-Identifier: MIT */
/*
 * Ends what a command leaves behind, for init and for the guard of run. Where
 * /proc can be read, nothing that was there before exitfd is signalled, nor
 * anything below it. A pid is signalled only after a check that it still is the
 * same process.
 */
#include "orphans.h"

#include "pidfd.h"
#include "processes.h"
#include "signals.h"
#include "tool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static bool has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

struct process_list {
    struct process *all;
    size_t count;
    size_t room;
    int error; /* the errno for which some may be missing, or 0 */
};

static void put_into(struct process_list *list, const struct process *process)
{
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 64;
        list->all = reallocate(list->all, list->room, sizeof *list->all);
    }
    list->all[list->count++] = *process;
}

static bool is_in(const struct process_list *list, const struct process *process)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->all[i].pid == process->pid && list->all[i].start == process->start)
            return true;
    }
    return false;
}

static int compare_pids(const void *a, const void *b)
{
    const struct process *one = a, *other = b;
    return (one->pid > other->pid) - (one->pid < other->pid);
}

/* All that /proc shows, by pid. The caller frees them. */
static struct process_list list_processes(void)
{
    struct process_list list = { .all = NULL };
    DIR *processes = opendir("/proc");
    list.error = processes ? 0 : errno;
    struct dirent *entry;
    while (processes && (errno = 0, entry = readdir(processes))) {
        struct process process;
        int pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        if (pid > 0 && find_process(pid, &process))
            put_into(&list, &process);
        else if (pid > 0 && errno != ENOENT && errno != ESRCH && errno != EPERM && errno != EACCES)
            list.error = errno;
    }
    if (processes) {
        list.error = errno ? errno : list.error;
        closedir(processes);
    }
    if (list.count)
        qsort(list.all, list.count, sizeof *list.all, compare_pids);
    return list;
}

/* Descendants that this process had before it was exitfd: a shell started a
   service, and then executed us in its place. */
static struct process_list earlier;

/*
 * The child of ours that a process descends from, which may be itself. For PID
 * 1 also a process that came from outside the namespace. NULL if it does not
 * descend from us, or below an earlier child. Between the reading of two
 * processes one may end and another get its pid. That one is younger than a
 * child of the first, and so it is not its parent.
 */
static const struct process *find_root(const struct process_list *list, const struct process *process)
{
    for (size_t steps = 0; steps < list->count && !is_in(&earlier, process); steps++) {
        if (process->parent == getpid() || (process->parent == 0 && getpid() == 1 && process->pid != 1))
            return process;
        const struct process sought = { .pid = process->parent };
        const struct process *parent = bsearch(&sought, list->all, list->count, sizeof sought, compare_pids);
        if (!parent || parent->start > process->start)
            return NULL;
        process = parent;
    }
    return NULL;
}

static void note_earlier(void)
{
    struct process_list list = list_processes(), found = { .all = NULL };
    for (size_t i = 0; i < list.count; i++) {
        if (find_root(&list, &list.all[i]))
            put_into(&found, &list.all[i]);
    }
    free(list.all);
    found.error = list.error;
    earlier = found;
}

#ifdef __linux__
static int become_subreaper(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 ? 0 : -errno;
}
#else
static int become_subreaper(void)
{
    return -ENOTSUP;
}
#endif

int adopt_orphans(void)
{
    if (has_children() && has_own_proc())
        note_earlier();
    if (getpid() == 1)
        return 0;
    return become_subreaper();
}

/* Once a pidfd has said that the process is gone, its number may be
   another's. */
static void send_signal(pid_t pid, int pidfd, int signo)
{
    int r = pidfd >= 0 ? signal_by_pidfd(pidfd, signo) : -ENOSYS;
    if (r < 0 && r != -ESRCH)
        kill(pid, signo);
}

/*
 * A child cannot be another process under the same pid: only exitfd_wait reaps
 * it, in this thread. Any other process may have ended since it was read. If it
 * is still there once there is a pidfd, the pidfd is of this process.
 */
static void signal_process(const struct process *process, int signo, bool has_pidfds)
{
    struct process now;
    bool is_child = process->parent == getpid();
    int pidfd = is_child || !has_pidfds ? -1 : open_pidfd(process->pid);
    if (is_child || (find_process(process->pid, &now) && now.start == process->start)) {
        send_signal(process->pid, pidfd, signo);
        send_signal(process->pid, pidfd, SIGCONT);
    }
    if (pidfd >= 0)
        close(pidfd);
}

/*
 * Signals all that is left. False if there is no child, one that has ended and
 * is not reaped yet included.
 * Those in asked are left alone, with all below them: what a process starts to
 * end well must not be asked to end. New ones are put into it. NULL asks all
 * again. *ret_error is the errno for which some may not have been seen, or 0.
 */
static bool signal_descendants(int signo, struct process_list *asked, bool has_pidfds, int *ret_error)
{
    struct process_list list = list_processes(), roots = { .all = NULL };
    bool has_child = false;
    for (size_t i = 0; i < list.count; i++) {
        const struct process *process = &list.all[i], *root = find_root(&list, process);
        has_child |= root && root->parent == getpid();
        if (!root || (asked && is_in(asked, root)))
            continue;
        signal_process(process, signo, has_pidfds);
        if (root == process)
            put_into(&roots, process);
    }
    for (size_t i = 0; asked && i < roots.count; i++)
        put_into(asked, &roots.all[i]);
    *ret_error = list.error;
    free(roots.all);
    free(list.all);
    return has_child;
}

static void signal_everybody(int signo)
{
    kill(-1, signo);
    kill(-1, SIGCONT);
}

/* Those that fork and end for ever must not keep us from signalling them. */
static void reap_what_ended(struct exitfd *x, int timeout_ms, void (*tell)(const struct exitfd_event *event))
{
    const int rounds = 64;
    struct exitfd_event events[16];
    int n = 1;
    for (int round = 0; round < rounds && n > 0; round++) {
        n = exitfd_wait(x, events, 16, round == 0 ? timeout_ms : 0);
        for (int i = 0; tell && i < n; i++)
            tell(&events[i]);
    }
}

static bool is_told_to_end(void)
{
    int signo;
    bool is_reported = false;
    while ((signo = signals_take()))
        is_reported |= signo == SIGTERM || signo == SIGINT || signo == SIGHUP || signo == SIGQUIT;
    return is_reported;
}

struct sweep {
    struct process_list asked; /* to end */
    bool is_by_proc;
    bool has_pidfds;
    bool has_begun;
    int error; /* the errno for which some may not have been signalled, or 0 */
};

static struct sweep begin_sweep(struct exitfd *x)
{
    const char *backend = exitfd_get_backend(x);
    raise_fd_limit();
    return (struct sweep){ .is_by_proc = has_own_proc(),
                           .has_pidfds = strcmp(backend, "pidfd") == 0 || strcmp(backend, "io_uring") == 0 };
}

/* False if no more can be signalled. */
static bool sweep_once(struct sweep *sweep, bool is_patient)
{
    const int signo = is_patient ? SIGTERM : SIGKILL;
    struct process_list *asked = is_patient ? &sweep->asked : NULL;
    if (sweep->is_by_proc) {
        if (!signal_descendants(signo, asked, sweep->has_pidfds, &sweep->error) && !sweep->error)
            return false;
        if (sweep->error && getpid() == 1)
            signal_everybody(signo);
    } else if (getpid() != 1) {
        complain("what is left cannot be ended: /proc is missing, or of another pid namespace");
        return false;
    } else if (!sweep->has_begun || !is_patient) {
        signal_everybody(signo);
    }
    sweep->has_begun = true;
    return true;
}

void end_orphans(struct exitfd *x, int64_t grace_ns, void (*tell)(const struct exitfd_event *event))
{
    if (earlier.error && has_children())
        complain("what is left cannot be ended: /proc could not be read at the start: %s", strerror(earlier.error));
    if (earlier.error) /* what is to be left alone is not known */
        return;
    const int recheck_ms = 50; /* no signal comes when a living child is inherited */
    int64_t now = monotonic_ns(), patience_ends = now + grace_ns;
    struct sweep sweep = begin_sweep(x);
    is_told_to_end(); /* that was for the command */
    /* A process in uninterruptible sleep outlives SIGKILL. */
    while (has_children() && now < patience_ends + 5 * NS_PER_SECOND && sweep_once(&sweep, now < patience_ends)) {
        reap_what_ended(x, recheck_ms, tell);
        now = monotonic_ns();
        if (is_told_to_end() && now < patience_ends)
            patience_ends = now;
    }
    free(sweep.asked.all);
    if (sweep.error && has_children())
        complain("what is left could not be ended: /proc cannot be read: %s", strerror(sweep.error));
}
