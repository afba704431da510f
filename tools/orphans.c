/* SPDX-License-Identifier: MIT */
#include "orphans.h"

#include "signals.h"
#include "tool.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
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

/* When it started, in ticks: with its pid that is one process and no other. 0 if there is none. */
static uint64_t start_of(pid_t pid)
{
    char path[32], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return 0;
    }
    line[fread(line, 1, sizeof line - 1, file)] = '\0';
    fclose(file);
    const char *field = strrchr(line, ')');
    for (int number = 2; field && number < 22; number++) { /* proc(5): the name is field 2, the start 22 */
        field = strchr(field + 1, ' ');
    }
    return field ? strtoull(field, NULL, 10) : 0;
}

/* Children that this process had before it was exitfd: a shell that started a service, and then executed us in its place. */
static struct {
    pid_t pid;
    uint64_t start;
} * earlier;
static size_t earlier_count;

static bool is_earlier(pid_t pid)
{
    for (size_t i = 0; i < earlier_count; i++) {
        if (earlier[i].pid == pid) {
            return earlier[i].start == start_of(pid);
        }
    }
    return false;
}

static void note_earlier(pid_t pid, char state, void *context)
{
    (void)state;
    (void)context;
    earlier = reallocate(earlier, earlier_count + 1, sizeof *earlier);
    earlier[earlier_count].pid = pid;
    earlier[earlier_count++].start = start_of(pid);
}

/* A child cannot be another process under the same pid: only exitfd_wait reaps it, in this thread. */
static void for_each_child(void (*act)(pid_t pid, char state, void *context), void *context)
{
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    while (processes && (entry = readdir(processes))) {
        char state;
        int parent, pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        if (pid > 0 && read_process(pid, &state, &parent) && parent == getpid()) {
            act(pid, state, context);
        }
    }
    if (processes) {
        closedir(processes);
    }
}

int adopt_orphans(void)
{
    if (has_children() && has_own_proc()) {
        for_each_child(note_earlier, NULL);
    }
    if (getpid() == 1) {
        return 0;
    }
#ifdef __linux__
    return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 ? 0 : -errno;
#else
    return -ENOTSUP;
#endif
}

struct signalling {
    int signo;
    struct pid_list *already; /* each of these once, or NULL: all of them again */
    size_t count;             /* of children, those that have ended and are not reaped yet included */
};

static void signal_child(pid_t pid, char state, void *context)
{
    struct signalling *signalling = context;
    if (is_earlier(pid)) {
        return;
    }
    signalling->count++;
    if (state != 'Z' && (!signalling->already || put_into(signalling->already, pid))) {
        kill(pid, signalling->signo);
        kill(pid, SIGCONT);
    }
}

/* False if there are none. */
static bool signal_children(int signo, struct pid_list *already)
{
    struct signalling signalling = { .signo = signo, .already = already };
    for_each_child(signal_child, &signalling);
    return signalling.count > 0;
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
        for (int i = 0; tell && i < n; i++) {
            tell(&events[i]);
        }
    }
}

static bool is_told_to_end(void)
{
    int signo;
    bool is_reported = false;
    while ((signo = signals_take())) {
        is_reported |= signo == SIGTERM || signo == SIGINT || signo == SIGHUP || signo == SIGQUIT;
    }
    return is_reported;
}

void end_orphans(struct exitfd *x, int64_t grace_ns, void (*tell)(const struct exitfd_event *event))
{
    const int recheck_ms = 50; /* no signal comes when a living child is inherited */
    struct pid_list asked = { .pids = NULL };
    const bool is_by_proc = has_own_proc();
    int64_t now = monotonic_ns(), patience_ends = now + grace_ns;
    bool is_first = true;
    is_told_to_end(); /* that was for the command */
    /* A process in uninterruptible sleep outlives SIGKILL. */
    while (has_children() && now < patience_ends + 5 * NS_PER_SECOND) {
        bool is_patient = now < patience_ends;
        if (is_by_proc) {
            if (!signal_children(is_patient ? SIGTERM : SIGKILL, is_patient ? &asked : NULL)) {
                break;
            }
        } else if (getpid() != 1) {
            complain("what is left cannot be ended: /proc is missing, or of another pid namespace");
            break;
        } else if (is_first || !is_patient) {
            signal_everybody(is_patient ? SIGTERM : SIGKILL);
        }
        is_first = false;
        reap_what_ended(x, recheck_ms, tell);
        now = monotonic_ns();
        if (is_told_to_end() && now < patience_ends) {
            patience_ends = now;
        }
    }
    free(asked.pids);
}
