/* SPDX-License-Identifier: MIT */
/*
 * Pids that are used again. In a pid namespace of our own we say which number
 * the kernel gives next. So a child gets the pid of one whose event is yet to
 * come, also while the start of that one is still going on.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static bool ask_for_pid(pid_t pid)
{
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    bool asked = fd >= 0 && dprintf(fd, "%d", (int)pid - 1) > 0;

    if (fd >= 0)
        close(fd);
    return asked;
}

/* The file is there, and may be written to, only in a namespace that is
   ours. */
bool enter_pid_namespace(void)
{
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0)
        return false;
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return access("/proc/sys/kernel/ns_last_pid", W_OK) == 0;
}

/* Of that namespace, for what the library looks up there. By its first
   process. */
void mount_proc(void)
{
    CHECK(mount("proc", "/proc", "proc", 0, NULL) == 0, "mount");
}

struct child *find_free(void)
{
    for (struct child *c = children; c < children + CHILDREN; c++)
        if (c->state == NONE)
            return c;
    return NULL;
}

static bool has_pidfds(const struct child *c)
{
    return (!c->watching[0] || c->has_pidfd[0]) && (!c->watching[1] || c->has_pidfd[1]);
}

/* Without a pidfd only a child that the library starts is kept apart from the
   one before it. Chance may reuse a pid, too. */
bool may_fork_by_hand(void)
{
    for (const struct child *c = children; c < children + CHILDREN; c++)
        if (c->state == GONE && !has_pidfds(c))
            return false;
    return true;
}

void reuse_pid(struct child *c)
{
    struct child *later = find_free();

    if (later == NULL || c->state != GONE || c->pid == 0 || (!c->watching[0] && !c->watching[1]))
        return;
    say("the pid of %d again", number(c));
    if (ask_for_pid(c->pid))
        start_as(later, below(8), (int)below(2));
}

/* What happens while exitfd_fork is in the middle of its work. */
static struct {
    struct child *first, *second;
    int first_pid[2], second_go[2];
    int x;
    bool by_hand, armed;
} meanwhile;

static void *start_second(void *unused)
{
    struct child *c = meanwhile.second;

    ask_for_pid(meanwhile.first->pid);
    c->pid = meanwhile.by_hand ? fork() : exitfd_fork(exitfds[meanwhile.x], 0, c);
    if (c->pid == 0)
        be_child(meanwhile.second_go[0]);
    return unused;
}

static void steal_and_start_another(void)
{
    pthread_t thread;

    if (!meanwhile.armed)
        return;
    meanwhile.armed = false;
    pid_t *pid = &meanwhile.first->pid;
    ssize_t size;
    while ((size = read(meanwhile.first_pid[0], pid, sizeof(*pid))) < 0 && errno == EINTR)
        ;
    CHECK(size == sizeof(*pid), "read");
    CHECK(reap(*pid) == *pid || errno == ECHILD, "waitpid");
    CHECK(pthread_create(&thread, NULL, start_second, NULL) == 0, "pthread_create");
    pthread_join(thread, NULL);
}

static void write_pid_and_exit(int status)
{
    pid_t pid = getpid();

    if (write(meanwhile.first_pid[1], &pid, sizeof(pid)) != sizeof(pid))
        status = 99;
    _exit(status);
}

static void register_once(void)
{
    static bool registered;

    if (!registered)
        CHECK(pthread_atfork(NULL, steal_and_start_another, NULL) == 0, "pthread_atfork");
    registered = true;
}

static void start_both(struct child *first, struct child *second, int x)
{
    meanwhile.first = first;
    meanwhile.second = second;
    meanwhile.armed = true;
    pid_t pid = exitfd_fork(exitfds[x], 0, first);
    if (pid == 0)
        write_pid_and_exit(5);
    CHECK(pid == first->pid, "exitfd_fork: %d", (int)pid);
    CHECK(second->pid > 0, "the second start: %d", (int)second->pid);
}

/* An io_uring exitfd is used by one thread alone, so there the other child is
   started by fork. */
void reuse_pid_during_a_start(struct child *first)
{
    int x = (int)below(2);
    bool is_of_one_thread = strcmp(exitfd_get_backend(exitfds[0]), "io_uring") == 0;

    if (first->state != NONE)
        return;
    *first = (struct child){ .state = GONE, .code = CLD_EXITED, .status = 5 };
    struct child *second = find_free();
    if (second == NULL) {
        first->state = NONE;
        return;
    }
    *second = (struct child){ 0 };
    register_once();
    CHECK(pipe2(meanwhile.first_pid, O_CLOEXEC) == 0 && pipe2(meanwhile.second_go, O_CLOEXEC) == 0, "pipe2");
    meanwhile.by_hand = is_of_one_thread;
    meanwhile.x = (int)below(2);
    start_both(first, second, x);
    say("start %d and meanwhile %d: pids %d, %d, exitfds %d, %d", number(first), number(second), (int)first->pid,
        (int)second->pid, x, meanwhile.by_hand ? -1 : meanwhile.x);
    started(first, -1);
    first->state = GONE;
    started(second, meanwhile.second_go[1]);
    if (!meanwhile.by_hand)
        watched(second, meanwhile.x, OWNED, 0);
    watched(first, x, OWNED, 0);
    close(meanwhile.first_pid[0]);
    close(meanwhile.first_pid[1]);
    close(meanwhile.second_go[0]);
}
