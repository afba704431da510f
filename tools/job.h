/* SPDX-License-Identifier: MIT */
/*
 * One command of exitfd run, from its start to its result.
 *
 * The command has ended when its process has. What it left behind may still
 * print into its outputs, as tee does in "exec > >(tee log)": until they are
 * closed, or a short time has passed, the job is draining.
 */
#ifndef JOB_H
#define JOB_H

#include "capture.h"
#include "lines.h"
#include "run_start.h"

#include <exitfd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum job_phase {
    JOB_RUNNING,
    JOB_ASKED, /* SIGTERM was sent */
    JOB_KILLED,
    JOB_DRAINING,
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
    int64_t slot;     /* among those that are not JOB_ENDED */
    struct line *line;
    char **words;  /* of a command that needs no shell, or NULL */
    char *command; /* in words: the line, if that is the command */
    pid_t pid;     /* and its process group's; 0 if it could not be started */
    enum job_phase phase;
    bool has_timed_out;
    bool was_stopped;
    bool is_too_long; /* it has printed more than is kept */
    bool is_flooded;  /* what it left behind has */
    int keep_error;   /* errno: its output could not be kept */
    bool is_left;     /* it outlives SIGKILL, and is not waited for any more */
    char *refusal;    /* why it could not be started, or NULL */
    int64_t started_ns, ended_ns;
    int64_t deadline_ns; /* the next phase is due then */
    int output_fds[2];   /* stdout and stderr, -1 when closed */
    int polled[2];       /* their places among the fds of the last poll, or -1 */
    struct capture outputs[2];
    int64_t room; /* how much more of its outputs is kept */
    struct exitfd_event ending;
};

/*
 * Takes line over, if it gives a job. A negative errno if there are no fds,
 * memory or processes now: nothing was started. A command that cannot be
 * executed is a job that has ended with a refusal.
 */
int job_start(struct job **ret, struct line *line, const struct job_environment *environment, int64_t room);

/* A job that has its result without having run. */
struct job *job_refuse(struct line *line, const char *why, const struct job_environment *environment);
void job_free(struct job *job, struct spill *spill);

/*
 * To the whole process group, and to the command's process if that has left it.
 * Only before the job's ending was taken: its number may be another's
 * afterwards. 0 or a negative errno, for example -EPERM of another user's
 * process.
 */
int job_signal(const struct job *job, struct exitfd *x, int signo);
int job_ask_to_end(struct job *job, struct exitfd *x, int64_t kill_after_ns);

/* Reads what has been printed up to now. What cannot or must not be kept is
   read too, and dropped. */
void job_read(struct job *job, int which, struct spill *spill);
bool job_has_output_open(const struct job *job);

/* Its process has ended. */
void job_end(struct job *job, const struct exitfd_event *ending, struct spill *spill);

/* Nothing more is read. *ret_fds are what is still open of its outputs, else
   -1: the caller closes them. */
void job_close(struct job *job, int ret_fds[2]);

enum job_result job_result(const struct job *job);
int64_t job_wall_ns(const struct job *job);
int64_t job_cpu_ns(const struct job *job);
int64_t job_peak_kib(const struct job *job);

/* "exit 3", "SIGTERM", "timed out", "output limit", "output lost", "unknown",
   "not started" */
enum {
    VERDICT_SIZE = 32
};
const char *job_verdict(const struct job *job, char buffer[VERDICT_SIZE]);

#endif
