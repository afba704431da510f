/* SPDX-License-Identifier: MIT */
/*
 * Random operations on two exitfds and their children. A model says what must
 * be reported. What must hold:
 *
 *   - Each watch has exactly one exit event. Its status is true, or
 *     EXITFD_UNKNOWN. Where there is a record, it is EXITFD_RECORDED.
 *   - What was removed or discarded has no event. Only what is watched is
 *     reaped, and orphans for pid -1.
 *   - No stop or continuation is reported twice, nor when it is over.
 *   - The fd is readable whenever an event is due. No event is due for more
 *     calls than exitfd_wait(3) says.
 *   - The host's own SIGCHLD handlers run once for each signal, as they asked
 *     the kernel.
 *
 * Children do what a pipe or a signal tells them. Each change is waited for, so
 * the model knows their states. An episode is a process of its own, with a seed
 * of its own. fuzz_table.c lists the operations.
 */
#ifndef EXITFD_TESTS_FUZZ_H
#define EXITFD_TESTS_FUZZ_H

#include "check.h"

#include <exitfd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define CHILDREN 12
#define EPISODE 250

enum state {
    NONE,
    ALIVE,
    STOPPED,
    ZOMBIE,
    GONE
};
enum watching {
    NO,
    OWNED,
    OBSERVED,
    DISCARDED,
    HELD /* its event was reported, EXITFD_HOLD keeps it */
};

struct child {
    enum state state;
    pid_t pid; /* of two the later one may have it, when the first is GONE. 0: no call tells it */
    unsigned born;
    bool leads_group;
    int go, code, status;
    enum watching watching[2];
    bool has_pidfd[2], holds[2];
    unsigned age[2];              /* how many waits have not returned what was due */
    unsigned limit[2];            /* how many may not: of the most watches that there were meanwhile */
    unsigned jobs[2];             /* EXITFD_STOPPED and EXITFD_CONTINUED, as asked for */
    bool job_may[2], job_must[2]; /* its last stop or continuation can still be reported, and has to be */
};

/* What an episode is about. */
extern struct child children[CHILDREN];
extern struct exitfd *exitfds[2];
extern bool signal_lost[2]; /* SIGCHLD was ignored: the fd need not tell at once */
extern bool ignored, has_records;
extern bool lists_children; /* or an orphan is not found behind the zombie of a watched child */
extern bool without_signals[2];
extern int any_child; /* the exitfd that has pid -1, or -1 */

unsigned below(unsigned limit); /* random, from the seed */
pid_t reap(pid_t pid);          /* as waitpid, whatever handler of the host interrupts it */
int number(const struct child *c);

/* What is done, for who must repeat it; the first thing that is not so ends the
   episode. */
#define LINES (EPISODE * 2)
struct log {
    char lines[LINES][80];
    unsigned count;
    unsigned long steps; /* without the lines that begin with a space: they are about what a step gave */
    char failure[1600];
};
extern struct log *done; /* shared with the process that starts episodes */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* fuzz_table.c */
bool choose_kinds(const char *names); /* separated by commas; false if one is none */
void skip_kind(const char *name, const char *reason);
bool has_kind(const char *name);
void print_kinds(FILE *output);
void operate(void); /* one of all, on something, at random */

/* fuzz_operations.c: children, and the exitfds themselves */
struct child *named(struct child *c, int x);     /* the one that its pid names in this exitfd */
struct child *to_signal(struct child *c, int x); /* the same, or NULL: its signal proves nothing */
void started(struct child *c, int go);
void watched(struct child *c, int x, enum watching how, unsigned jobs);
void be_child(int go);
void start(struct child *c);
#define FORKED_BY_EXITFD 3
#define FORKED 7 /* with fork, and watched by nothing */
void start_as(struct child *c, unsigned how, int x);
void add(struct child *c);
void end(struct child *c);
void let_go(struct child *c);
void discard(struct child *c);
void kill_child(struct child *c);
void steal(struct child *c);
void stop_or_continue(struct child *c);
void stop_watching_stops(struct child *c, int x);
void wait_until_dead(struct child *c);
void ignore_or_restore(void);
void set_aside_or_restore(void (*disposition)(int));
void close_for_reopening(int x);
void open_again(int x);
void now_and_then_ignore(void);
void now_and_then_reopen(void);
void wait_for_either(void);
void wait_beside_a_thread(void);
void begin_or_end_a_catch_all_watch(void);

/* fuzz_calls.c: EXITFD_HOLD, groups, counts, pidfds of the reaped, children
   without a pidfd */
void start_held(struct child *c);
void add_held(struct child *c);
void kill_group(struct child *c);
void add_reaped(struct child *c);
void add_without_fds(struct child *c);
void check_counts(void);

/* fuzz_pids.c: pids that are used again */
bool enter_pid_namespace(void); /* the next fork makes its first process */
void mount_proc(void);
struct child *find_free(void);
bool may_fork_by_hand(void); /* the model knows of which child an event would be */
void reuse_pid(struct child *c);
void reuse_pid_during_a_start(struct child *c);

/* fuzz_busy.c: children that change all the time */
void be_busy(void);
void loop_crashes(void);

/* fuzz_handlers.c: the host's own use of SIGCHLD */
void install_or_remove_host_handler(void);
void save_and_put_back(void);
void use_user_fd(void);
void reopen_both(void);
void raise_sigchld(void);
extern bool host_was_on_top; /* so exitfd_wait may say that our handler was replaced */

/* fuzz_forks.c: what a forked child does with the copies */
void fork_and_close(void);
void fork_and_close_in_a_storm(void);
void fork_beside_a_lock(void);

/* fuzz_model.c */
bool is_watched_by_pid(const struct child *c, int x);
int wait_for(int x, int max); /* one exitfd_wait, and what it gave */
int wait_once(int x);         /* likewise, with any max */
void wait_in_two_threads(void (*meanwhile)(void));
void forget_gone(void);            /* the place of what is no more, and was reported, is free again */
void clear(void);                  /* until all that is due was reported, and no more than that */
void job_changed(struct child *c); /* stopped or continued */
void no_job_must(void);            /* be reported: who watches has changed, or SIGCHLD is ignored */

#endif
