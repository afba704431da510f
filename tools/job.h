/* SPDX-License-Identifier: MIT */
/* One command of exitfd run, from its start to its result. */
#ifndef JOB_H
#define JOB_H

#include "capture.h"
#include "lines.h"

#include <exitfd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

enum job_phase {
    JOB_RUNNING,
    JOB_ASKED, /* SIGTERM was sent */
    JOB_KILLED,
    JOB_ENDED
};

enum job_result {
    RESULT_SUCCEEDED,
    RESULT_FAILED,
    RESULT_TIMED_OUT,
    RESULT_STOPPED, /* by us, because the whole run was */
    RESULT_UNKNOWN,
    RESULT_COUNT
};

struct job {
    struct job *next; /* in the order of printing */
    int64_t slot;     /* among those that run */
    struct line *line;
    pid_t pid; /* and its process group's; 0 if it could not be started */
    enum job_phase phase;
    bool has_timed_out;
    bool was_stopped;
    const char *refusal; /* why it could not be started, or NULL */
    int64_t started_ns, ended_ns;
    int64_t deadline_ns; /* the next phase is due then */
    int output_fds[2];   /* stdout and stderr, -1 when closed */
    struct capture outputs[2];
    struct exitfd_event ending;
};

/* What every command of a run gets. */
struct job_environment {
    struct exitfd *x;
    int null_fd;
    sigset_t signal_mask;
    struct rlimit open_files;
};

/* Takes line over. A job that cannot be started now for want of fds, memory or processes gives that errno, negative. */
int job_start(struct job **ret, struct line *line, const struct job_environment *environment);

/* A job that has its result without having run. */
struct job *job_refuse(struct line *line, const char *why);
void job_free(struct job *job, struct spill *spill);

/* To the whole process group. Only before the job's ending was taken: its number may be another's afterwards. */
void job_signal(const struct job *job, int signo);
void job_ask_to_end(struct job *job, int64_t kill_after_ns);

/* Reads what has been printed up to now; false if it cannot be kept, with the negative errno in *ret_error. */
bool job_read(struct job *job, int which, struct spill *spill, int *ret_error);

bool job_end(struct job *job, const struct exitfd_event *ending, struct spill *spill, int *ret_error);
enum job_result job_result(const struct job *job);
int64_t job_wall_ns(const struct job *job);
int64_t job_cpu_ns(const struct job *job);
int64_t job_peak_kib(const struct job *job);

/* "exit 3", "SIGTERM", "timed out", "unknown", "not started" */
enum {
    VERDICT_SIZE = 32
};
const char *job_verdict(const struct job *job, char buffer[VERDICT_SIZE]);

#endif
