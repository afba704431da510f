/* SPDX-License-Identifier: MIT */
/*
 * Starting a program: what the parent has prepared, and what the child does
 * with it. The child may share the parent's memory (linux/start.c), where
 * other threads go on and may hold any lock. So it only makes system calls.
 */
#ifndef EXITFD_START_H
#define EXITFD_START_H

#include "exitfd.h"

#include <sched.h>
#include <stdbool.h>

struct start_plan {
    const char *file;
    const char *path; /* where file is sought; NULL: it has a slash */
    char *const *argv, *const *envp;
    const struct exitfd_action *actions;
    size_t action_count;
    int death_signal; /* 0: none */
    bool autokill;    /* it lives as long as the open file of its pidfd from birth: Linux 7.1 */

    bool new_session, set_group;
    pid_t group;

    /* Of exitfd_spawn's attributes, on Linux: */
    bool reset_ids, set_policy, set_parameters;
    int policy;
    struct sched_param parameters;

    sigset_t default_signals; /* not even ignored */
    bool keep_mask;           /* else: */
    sigset_t mask;
};

/*
 * What a daemon blocks or ignores for itself does not concern a program. An
 * empty mask, and SIGCHLD and SIGPIPE at their default.
 */
void xfd_start_signals(sigset_t *mask, sigset_t *default_signals);

/* No actions, no options, and these signals. */
void xfd_start_plan(struct start_plan *plan, const char *file, char *const argv[], char *const envp[]);

/* Into a plan: false where they ask for what only libc knows, or where
   posix_spawn is as good. */
bool xfd_platform_plan_attributes(struct start_plan *plan, const posix_spawnattr_t *attr);

/*
 * Starts the program, and returns once it runs. pidfd may be NULL. Else *pidfd
 * is the child's pidfd from birth, or -1 where the kernel gives none. The
 * kernel writes it, so that no thread sees the child before its pidfd. With
 * `insist` no child is started for want of an fd. On failure there is no child:
 * the errno is that of the step that failed. Cancellation must be disabled.
 */
int xfd_platform_start(const struct start_plan *plan, pid_t *pid, int *pidfd, bool insist);

/* Whether this platform sends a signal at the death of the parent. */
bool xfd_platform_has_death_signal(void);

/* What only the child knows. */
struct start_child {
    const struct start_plan *plan;
    const sigset_t *found_mask; /* of the thread that starts it */
    pid_t parent;
    int report;            /* an fd of ours that the actions must neither use nor close; -1: none */
    bool handlers_cleared; /* the kernel has set to default what has a handler */
};

/* In the child, with all signals blocked. Comes back only for a failure: its
   errno, a positive one. */
int xfd_start_in_child(struct start_child *child);

/*
 * System calls of the child, start_calls.c of the platform. 0 or more, or a
 * negative errno. Not libc's functions where another thread might see what they
 * do besides, or where a sanitizer has put its own in front of them.
 */
int xfd_call_set_default(int signum);
bool xfd_call_has_handler(int signum);
int xfd_call_set_mask(const sigset_t *mask);
int xfd_call_change_mask(const sigset_t *mask, sigset_t *found);
int xfd_call_set_attributes(const struct start_plan *plan);
int xfd_call_set_death_signal(int signum, pid_t parent);
int xfd_call_open(const char *path, int flags, mode_t mode);
int xfd_call_duplicate(int fd);
int xfd_call_duplicate_to(int fd, int target, int flags); /* they differ; flags: 0 or O_CLOEXEC */
int xfd_call_keep_on_exec(int fd);
int xfd_call_close(int fd);
void xfd_call_close_range(unsigned first, unsigned last);

/* The child runs on a stack, and maybe in a memory, that the sanitizers'
   runtimes take for another's. */
#if defined __has_attribute
#if __has_attribute(disable_sanitizer_instrumentation)
#define IN_CHILD __attribute__((disable_sanitizer_instrumentation))
#endif
#endif
#ifndef IN_CHILD
#if defined __GNUC__ && !defined __clang__
#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))
#elif defined __clang__
#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined", "memory")))
#else
#define IN_CHILD
#endif
#endif

#endif
