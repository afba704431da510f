/* SPDX-License-Identifier: MIT */
/*
 * What disturbs a batch of soak.c: a thread that reaps its children, and a
 * process that traces them. Each works only when it is told to.
 */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_t reaper;
static sem_t reaper_starts, reaper_is_done;
static int prey; /* how many children; 0: the foreign reaper retires */

static pid_t tracer;
static int orders[2], reports[2];

static void mark_stolen(pid_t pid, int status)
{
    for (int i = 0; i < prey; i++) {
        struct child *child = &children[i];
        if (child->pid != pid)
            continue;
        child->stolen = true;
        require(status == (child->code == CLD_EXITED ? child->status << 8 : child->status), "status of the reaper");
    }
}

static void *steal(void *unused)
{
    for (;;) {
        int status;
        while (sem_wait(&reaper_starts) < 0)
            ;
        if (prey == 0)
            return unused;
        for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR;)
            if (pid > 0)
                mark_stolen(pid, status);
        sem_post(&reaper_is_done);
    }
}

void start_reaper(void)
{
    sem_init(&reaper_starts, 0, 0);
    sem_init(&reaper_is_done, 0, 0);
    errno = pthread_create(&reaper, NULL, steal, NULL);
    require(errno == 0, "pthread_create");
}

void let_reaper_steal(int count)
{
    prey = count;
    sem_post(&reaper_starts);
}

void await_reaper(void)
{
    while (sem_wait(&reaper_is_done) < 0)
        ;
}

void stop_reaper(void)
{
    let_reaper_steal(0);
    pthread_join(reaper, NULL);
    sem_destroy(&reaper_starts);
    sem_destroy(&reaper_is_done);
}

static void await_order(void)
{
    char byte;
    if (read(orders[0], &byte, 1) != 1)
        _exit(1);
}

static void report(char what)
{
    if (write(reports[1], &what, 1) != 1)
        _exit(1);
}

/* Reports 'a' when it has attached, 'n' when it may not, 'z' when it has seen
   all its zombies. */
_Noreturn static void trace(int count)
{
    siginfo_t info;
    bool attached = true;

    close(orders[1]); /* so that it ends when the soak does */
    for (int i = 0; i < count && attached; i++)
        if (children[i].traced)
            attached = ptrace(PTRACE_SEIZE, children[i].pid, NULL, NULL) == 0;
    report(attached ? 'a' : 'n');
    for (int i = 0; i < count && attached; i++)
        if (children[i].traced)
            waitid(P_PID, (id_t)children[i].pid, &info, WEXITED | WNOWAIT | __WALL);
    report('z');
    await_order();
    for (int i = 0; i < count; i++)
        if (children[i].traced)
            waitpid(children[i].pid, NULL, __WALL | WNOHANG);
    _exit(0);
}

static char next_report(void)
{
    char what = 0;
    ssize_t got;

    do
        got = read(reports[0], &what, 1);
    while (got < 0 && errno == EINTR);
    require(got == 1, "read from the tracer");
    return what;
}

bool start_tracer(int count)
{
    require(pipe2(orders, O_CLOEXEC) == 0 && pipe2(reports, O_CLOEXEC) == 0, "pipe2");
    tracer = fork();
    require(tracer >= 0, "fork");
    if (tracer == 0)
        trace(count);
    close(orders[0]);
    close(reports[1]);
    if (next_report() == 'a')
        return true;
    end_tracer(false);
    return false;
}

void await_held_zombies(void)
{
    require(next_report() == 'z', "tracer");
}

void end_tracer(bool reaps)
{
    if (reaps)
        require(write(orders[1], "", 1) == 1, "write to the tracer");
    else
        kill(tracer, SIGKILL);
    while (waitpid(tracer, NULL, 0) < 0 && errno == EINTR)
        ;
    close(orders[1]);
    close(reports[0]);
}
