/* SPDX-License-Identifier: MIT */
#include "job.h"

#include "ending.h"
#include "signals.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

/* A command that prints for ever does not keep us from the others. */
enum {
    READ_AT_ONCE = 1 << 20
};

static void close_outputs(struct job *job)
{
    for (int i = 0; i < 2; i++) {
        if (job->output_fds[i] >= 0) {
            close(job->output_fds[i]);
            job->output_fds[i] = -1;
        }
    }
}

static int open_outputs(struct job *job, int child_fds[2])
{
    for (int i = 0; i < 2; i++) {
        int fds[2];
        int r = open_pipe(fds);
        if (r < 0) {
            if (i == 1) {
                close(child_fds[0]);
            }
            close_outputs(job);
            return r;
        }
        set_nonblocking(fds[0]);
        job->output_fds[i] = fds[0];
        child_fds[i] = fds[1];
    }
    return 0;
}

/* The guard sees to everything when exitfd run is killed; this is for when the guard is killed too. */
static void die_with_parent(pid_t parent)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(STATUS_FAILED);
    }
#else
    (void)parent;
#endif
}

_Noreturn static void become_shell(const char *command, const int child_fds[2], pid_t parent,
                                   const struct job_environment *environment)
{
    die_with_parent(parent);
    setpgid(0, 0);
    dup2(environment->null_fd, STDIN_FILENO);
    dup2(child_fds[0], STDOUT_FILENO);
    dup2(child_fds[1], STDERR_FILENO);
    setrlimit(RLIMIT_NOFILE, &environment->open_files);
    signals_restore_all();
    signals_set_mask(&environment->signal_mask);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    complain("cannot execute /bin/sh: %s", strerror(errno));
    _exit(STATUS_CANNOT_EXECUTE);
}

/* Every signal is blocked around the fork: one that came before the exec would run a handler that is not the child's. */
static pid_t fork_shell(struct job *job, const int child_fds[2], const struct job_environment *environment)
{
    pid_t parent = getpid();
    sigset_t before = signals_block_all();
    pid_t pid = exitfd_fork(environment->x, 0, job);
    if (pid == 0) {
        become_shell(job->line->text, child_fds, parent, environment);
    }
    signals_set_mask(&before);
    return pid;
}

static struct job *new_job(struct line *line)
{
    struct job *job = reallocate(NULL, 1, sizeof *job);
    *job = (struct job){ .line = line, .started_ns = monotonic_ns(), .deadline_ns = NEVER, .output_fds = { -1, -1 } };
    return job;
}

int job_start(struct job **ret, struct line *line, const struct job_environment *environment)
{
    int child_fds[2];
    struct job *job = new_job(line);
    int r = open_outputs(job, child_fds);
    if (r == 0) {
        job->pid = fork_shell(job, child_fds, environment);
        close(child_fds[0]);
        close(child_fds[1]);
        r = job->pid < 0 ? job->pid : 0;
    }
    if (r < 0) {
        close_outputs(job);
        free(job);
        return r;
    }
    setpgid(job->pid, job->pid); /* whoever of the two comes first: a signal for the group must find it */
    *ret = job;
    return 0;
}

struct job *job_refuse(struct line *line, const char *why)
{
    struct job *job = new_job(line);
    job->refusal = why;
    job->phase = JOB_ENDED;
    job->ended_ns = job->started_ns;
    return job;
}

void job_free(struct job *job, struct spill *spill)
{
    close_outputs(job);
    for (int i = 0; i < 2; i++) {
        capture_drop(&job->outputs[i], spill);
    }
    line_free(job->line);
    free(job);
}

void job_signal(const struct job *job, int signo)
{
    kill(-job->pid, signo);
}

void job_ask_to_end(struct job *job, int64_t kill_after_ns)
{
    job_signal(job, SIGTERM);
    job_signal(job, SIGCONT); /* a stopped process acts on SIGTERM only when it goes on */
    job->phase = JOB_ASKED;
    job->deadline_ns = monotonic_ns() + kill_after_ns;
}

static bool read_up_to(struct job *job, int which, size_t budget, struct spill *spill, int *ret_error)
{
    int *fd = &job->output_fds[which];
    while (budget && *fd >= 0) {
        ssize_t n = capture_read(&job->outputs[which], spill, *fd);
        if (n == -EAGAIN) {
            return true;
        }
        if (n < 0) {
            *ret_error = (int)n;
            return false;
        }
        if (n == 0) {
            close(*fd);
            *fd = -1;
        }
        budget -= (size_t)n < budget ? (size_t)n : budget;
    }
    return true;
}

bool job_read(struct job *job, int which, struct spill *spill, int *ret_error)
{
    return read_up_to(job, which, READ_AT_ONCE, spill, ret_error);
}

/* What it leaves in the background may print for ever into the same pipe: that is not the command's any more. */
static bool read_rest(struct job *job, int which, struct spill *spill, int *ret_error)
{
    int left = 0;
    if (job->output_fds[which] >= 0) {
        ioctl(job->output_fds[which], FIONREAD, &left);
    }
    return read_up_to(job, which, (size_t)left, spill, ret_error);
}

bool job_end(struct job *job, const struct exitfd_event *ending, struct spill *spill, int *ret_error)
{
    bool is_kept = read_rest(job, 0, spill, ret_error) && read_rest(job, 1, spill, ret_error);
    job->ended_ns = monotonic_ns();
    job->ending = *ending;
    job->phase = JOB_ENDED;
    close_outputs(job);
    capture_trim(&job->outputs[0]);
    capture_trim(&job->outputs[1]);
    return is_kept;
}

enum job_result job_result(const struct job *job)
{
    if (job->refusal) {
        return RESULT_FAILED;
    }
    if (job->has_timed_out) {
        return RESULT_TIMED_OUT;
    }
    if (job->was_stopped) {
        return RESULT_STOPPED;
    }
    if (job->ending.origin == EXITFD_UNKNOWN) {
        return RESULT_UNKNOWN;
    }
    return ending_is_success(&job->ending) ? RESULT_SUCCEEDED : RESULT_FAILED;
}

int64_t job_wall_ns(const struct job *job)
{
    return job->ended_ns - job->started_ns;
}

static int64_t timeval_ns(struct timeval time)
{
    return time.tv_sec * NS_PER_SECOND + time.tv_usec * 1000;
}

int64_t job_cpu_ns(const struct job *job)
{
    return timeval_ns(job->ending.rusage.ru_utime) + timeval_ns(job->ending.rusage.ru_stime);
}

/* getrusage(2): kilobytes everywhere but on Apple's systems. */
int64_t job_peak_kib(const struct job *job)
{
#ifdef __APPLE__
    return job->ending.rusage.ru_maxrss / 1024;
#else
    return job->ending.rusage.ru_maxrss;
#endif
}

const char *job_verdict(const struct job *job, char buffer[VERDICT_SIZE])
{
    char name[SIGNAL_NAME_SIZE];
    enum job_result result = job_result(job);
    if (job->refusal) {
        return "not started";
    }
    if (result == RESULT_TIMED_OUT) {
        return "timed out";
    }
    if (result == RESULT_UNKNOWN) {
        return "unknown";
    }
    if (job->ending.code == CLD_EXITED) {
        snprintf(buffer, VERDICT_SIZE, "exit %d", job->ending.status);
    } else {
        snprintf(buffer, VERDICT_SIZE, "%s", signal_name(job->ending.status, name));
    }
    return buffer;
}
