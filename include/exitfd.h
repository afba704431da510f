/* SPDX-License-Identifier: MIT */
/*
 * exitfd: every child exit, exactly once, with its true status, on one fd.
 *
 *     struct exitfd *x;
 *     struct epoll_event in = { .events = EPOLLIN };
 *     exitfd_open(&x, 0);
 *     epoll_ctl(epfd, EPOLL_CTL_ADD, exitfd_get_fd(x), &in);
 *     exitfd_add(x, pid, 0, job);
 *     ... when the fd is readable:
 *     struct exitfd_event e[16];
 *     int n = exitfd_wait(x, e, 16, 0);
 *
 * exitfd(3) and the page of each function say more, with examples and caveats.
 * exitfd(7) explains the subject and compares the back ends.
 *
 * What holds for every function:
 *
 * Errors   A function returns 0, a count, an fd or a pid, or a negative errno.
 *          On failure nothing is written through a pointer, nothing has
 *          changed and nothing is leaked. Ignore errno itself. No function
 *          aborts, exits or logs.
 * Threads  Any thread may call any function at any time, with two exceptions.
 *          Nothing may use an exitfd during or after exitfd_close. Only the
 *          thread that opened an io_uring exitfd may use it. A thread blocked
 *          in exitfd_wait delays no other. No function is a cancellation
 *          point. None may be called from a signal handler.
 * fork     A forked child cannot use the exitfd of its parent. It may call
 *          exitfd_close, which frees the copy and does not harm the parent.
 *          exitfd_get_backend works there too. All others return -ESTALE for
 *          that exitfd. A daemon that forks itself into the background opens
 *          its exitfd afterwards.
 * exec     Every fd is close-on-exec from the start.
 * Signals  With pidfds, no handler is installed and no signal mask is changed,
 *          except where a comment below says that SIGCHLD is used.
 *          EXITFD_NO_SIGNALS forbids that too.
 *
 * Every function that takes an exitfd may return these, and its own comment
 * does not repeat them. exitfd_close and exitfd_get_backend never fail.
 *
 * -EINVAL  the exitfd is NULL
 * -ESTALE  the exitfd was opened before a fork, and this is the child
 * -EXDEV   another thread opened this io_uring exitfd
 *
 * The next ones may be listed without a cause. They then mean this.
 *
 * -ENOMEM  there is no memory
 * -EMFILE  this process has no fd left
 * -ENFILE  the system has no fd left
 * -ENOSPC  this user may have no more epoll watches, see epoll(7)
 * -EAGAIN  the kernel is short of some other resource
 */
#ifndef EXITFD_H
#define EXITFD_H

#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

#define EXITFD_VERSION_MAJOR 0
#define EXITFD_VERSION_MINOR 1
#define EXITFD_VERSION_PATCH 0

struct exitfd;

/*
 * How code and status of an event were learned. They are the true ones, or the
 * origin is EXITFD_UNKNOWN, and both are 0. With another origin there is never
 * a made-up 0, -1 or 255.
 *
 * EXITFD_REAPED    exitfd_wait reaped the child. Its pid may be reused now.
 * EXITFD_PEEKED    Seen without reaping. This is the exit of a process with
 *                  EXITFD_OBSERVE or EXITFD_HOLD, or a stop, or a continue.
 * EXITFD_RECORDED  Other code reaped it, or the kernel did: SIGCHLD is ignored,
 *                  or EXITFD_AUTOKILL. The status is the kernel's record
 *                  (Linux 6.15).
 * EXITFD_UNKNOWN   The process has ended, and its status is lost.
 */
enum exitfd_origin {
    EXITFD_REAPED,
    EXITFD_PEEKED,
    EXITFD_RECORDED,
    EXITFD_UNKNOWN
};

/*
 * On 32-bit glibc, _TIME_BITS decides whether a struct rusage has 72 or 88
 * bytes. Library and program must be built with the same value. Otherwise the
 * program does not link. It lacks exitfd_wait or exitfd_wait_time64.
 */
#if defined __USE_TIME_BITS64 && defined __TIMESIZE
#if __TIMESIZE == 32
#define exitfd_wait exitfd_wait_time64
#define exitfd_get_wait_status exitfd_get_wait_status_time64
#define exitfd_describe exitfd_describe_time64
#endif
#endif

/*
 * What happened to one process.
 *
 * pid           The process.
 * code          CLD_EXITED, CLD_KILLED, CLD_DUMPED, CLD_STOPPED or
 *               CLD_CONTINUED. 0 if the origin is EXITFD_UNKNOWN. A strict
 *               standard such as -std=c11 hides these names. To see them,
 *               define _POSIX_C_SOURCE as 200809L before the first #include.
 * status        The exit status for CLD_EXITED, else the signal number. 0 if
 *               the origin is EXITFD_UNKNOWN.
 * origin        One of enum exitfd_origin.
 * data          What the caller gave with the watch. exitfd only hands it on.
 * rusage        The resources of the process and of the children it waited
 *               for. Zero unless the origin is EXITFD_REAPED or EXITFD_PEEKED.
 *               Outside Linux, and in a build with -Dbackends=posix, it is
 *               zero for EXITFD_PEEKED as well.
 * crash_signal  If SIGKILL ended the process while it dumped core, the signal
 *               of that dump. Else 0, also if the origin is EXITFD_UNKNOWN.
 *               Linux 6.19, with a pidfd, and a core_pattern that is a socket
 *               or has %F.
 * reserved      0.
 */
struct exitfd_event {
    pid_t pid;
    int code;
    int status;
    int origin;
    void *data;
    struct rusage rusage;
    int crash_signal;
    int reserved[7];
};

/*
 * Flags of exitfd_open. Name at most one back end. Without one, the best that
 * works here is used: pidfd, or signalfd if every thread blocks SIGCHLD, or
 * self-pipe. The environment variable EXITFD_BACKEND may name one as well.
 * An empty one counts as unset. A flag overrides it, and a set-user-ID program
 * ignores it.
 *
 * EXITFD_PIDFD       One pidfd per child, no signals. An exit costs the same
 *                    for any number of children. Linux 5.4. A child that gets
 *                    no pidfd (fd limit, seccomp) is tracked by SIGCHLD.
 * EXITFD_URING       An io_uring. It adds many children faster. Linux 6.1, or
 *                    6.16 and later, and liburing. Only the thread that opened
 *                    it may use it, and that thread must outlive the exitfd.
 * EXITFD_SIGNALFD    A signalfd, no fd per child. SIGCHLD must be blocked in
 *                    every thread. exitfd_open blocks it in the calling one.
 *                    No other code may read SIGCHLD.
 * EXITFD_SELFPIPE    A SIGCHLD handler that writes to a pipe, then calls the
 *                    handler found before. Any POSIX system. If other code
 *                    replaces the handler, exitfd_wait returns -EPIPE.
 * EXITFD_NO_SIGNALS  Never touch the handler or the mask of SIGCHLD. What
 *                    would need that fails.
 *
 * What each back end can do, and how late it may be: exitfd(7), BACK ENDS.
 */
enum exitfd_open_flags {
    EXITFD_PIDFD = 1 << 0,
    EXITFD_URING = 1 << 1,
    EXITFD_SIGNALFD = 1 << 2,
    EXITFD_SELFPIPE = 1 << 3,
    EXITFD_NO_SIGNALS = 1 << 4
};

/*
 * Flags of exitfd_add, exitfd_add_pidfd, exitfd_start, exitfd_spawn and
 * exitfd_fork.
 *
 * EXITFD_OBSERVE    Report the exit, do not reap. There may be any number of
 *                   observers. On pidfd and io_uring the process need not be a
 *                   child. Its true status then needs Linux 6.15.
 * EXITFD_STOPPED    Report stops too, of a child only. This uses SIGCHLD.
 * EXITFD_CONTINUED  Report continues too, likewise. Of several changes between
 *                   two calls of exitfd_wait, only the latest is reported.
 * EXITFD_HOLD       Keep the zombie after its exit event, until exitfd_discard
 *                   or exitfd_remove. Its pid and process group cannot be
 *                   reused until then. Not with EXITFD_OBSERVE.
 * EXITFD_AUTOKILL   Of exitfd_start alone. The kernel kills the child when this
 *                   exitfd is closed, or this process ends. The pidfd back end,
 *                   Linux 7.1, x86-64. Not with EXITFD_HOLD.
 */
enum exitfd_watch_flags {
    EXITFD_OBSERVE = 1 << 8,
    EXITFD_STOPPED = 1 << 9,
    EXITFD_CONTINUED = 1 << 10,
    EXITFD_HOLD = 1 << 11,
    EXITFD_AUTOKILL = 1 << 12
};

/*
 * exitfd_open - open an exitfd
 *
 * Stores a new exitfd in *ret. A process may have several. Each holds at most
 * four fds, and those of its children. End it with exitfd_close.
 *
 * Returns 0.
 *
 * -EINVAL   ret is NULL, unknown flag bits, two back ends, or EXITFD_BACKEND
 *           holds an unknown name
 * -ENOTSUP  the back end that was named does not work here, or none works that
 *           EXITFD_NO_SIGNALS allows, or seccomp blocks waitid(2), poll(2) or
 *           close(2)
 * -ENOMEM   there is no memory. Or RLIMIT_MEMLOCK is too low for an io_uring,
 *           of which each counts some 16 KiB.
 * -EAGAIN   the kernel is short of some other resource. On self-pipe also as
 *           for exitfd_install_handler.
 * -EMFILE, -ENFILE, -ENOSPC
 */
int exitfd_open(struct exitfd **ret, unsigned flags);

/*
 * exitfd_close - close an exitfd
 *
 * The library stops watching its children and reaps none of them. The caller
 * has to wait for them, also for those given to exitfd_discard. Events that
 * were not taken are dropped. x may be NULL. An io_uring exitfd takes some 40
 * milliseconds, and 5 seconds at most. Beside a forked child that runs no other
 * program it takes 0.2 seconds. When that child ends later, one blocked call of
 * the closing thread fails with EINTR.
 *
 * Returns NULL, so that x = exitfd_close(x) leaves no dangling pointer.
 */
struct exitfd *exitfd_close(struct exitfd *x);

/*
 * exitfd_get_fd - the fd to poll for input
 *
 * x owns the fd. Do not read, close or change it. It is readable while there is
 * an event to take, except after -EPIPE of exitfd_wait. Once in a while it is
 * readable without an event, and exitfd_wait with timeout_ms 0 returns 0. The
 * fd works in poll, select, epoll and io_uring. With EPOLLET, call exitfd_wait
 * until it returns 0.
 *
 * Returns the fd.
 */
int exitfd_get_fd(const struct exitfd *x);

/*
 * exitfd_get_backend - the name of the back end
 *
 * This works in a forked child and in any thread.
 *
 * Returns "pidfd", "io_uring", "signalfd" or "self-pipe". NULL for NULL.
 */
const char *exitfd_get_backend(const struct exitfd *x);

/*
 * exitfd_add - watch a process by its pid
 *
 * Each event of the process carries data. A child that has exited already is
 * fine, its event is due at once. From now until the exit event do not wait for
 * this pid yourself. If other code does, there is still exactly one exit event.
 * Add a child before other code can reap it. exitfd_start, exitfd_spawn and
 * exitfd_fork do.
 *
 * pid -1 is the catch-all watch, for PID 1 and sub-reapers. It reports and
 * reaps every child that no exitfd of this process watches by pid, also one
 * that clone(2) gave another exit signal than SIGCHLD, or none. There is one
 * in a process, and flags must be 0. It uses SIGCHLD on every back end. If you
 * call fork() yourself, the new child may be reported by it before you add it.
 * To avoid this, fork and add in the thread that calls exitfd_wait, or use
 * exitfd_start, exitfd_spawn or exitfd_fork.
 *
 * Returns 0. If no pidfd can be had, a child is tracked by SIGCHLD instead.
 * That is impossible with EXITFD_NO_SIGNALS, for a process that is not a child,
 * and for a child that clone(2) gave another exit signal, or none. Only then
 * are the errnos with a star returned.
 *
 * -EINVAL   pid is 0 or below -1, unknown flag bits, EXITFD_AUTOKILL, or
 *           EXITFD_OBSERVE together with EXITFD_HOLD, or flags with pid -1
 * -EEXIST   this exitfd already watches pid
 * -ESRCH    no process has this pid, or it is a thread id
 * -ECHILD   the process is not a child, and EXITFD_OBSERVE was not given. Or,
 *           on signalfd and self-pipe, clone(2) gave the child another exit
 *           signal, or none.
 * -EBUSY    pid is -1, and this process has a catch-all watch already
 * -ENOTSUP  EXITFD_NO_SIGNALS forbids pid -1, EXITFD_STOPPED and
 *           EXITFD_CONTINUED. Or the process is not a child, and one of these
 *           flags was given, or the back end is signalfd or self-pipe.
 * -EMFILE   * this process has no fd left for the pidfd
 * -ENFILE   * the system has no fd left for the pidfd
 * -ENOSPC   * this user may have no more epoll watches
 * -EAGAIN   * the io_uring cannot take the request
 * -EACCES   * seccomp blocks pidfd_open(2) or epoll_ctl(2) with this errno
 * -ENOSYS   * likewise, or the kernel has no pidfd_open(2)
 * -EPERM    * likewise. Also if seccomp blocks waitid(2).
 * -ENOMEM   there is no memory
 */
int exitfd_add(struct exitfd *x, pid_t pid, unsigned flags, void *data);

/*
 * exitfd_add_pidfd - watch the process of a pidfd
 *
 * Like exitfd_add, but there is no doubt which process is meant. Use it for a
 * pidfd from clone(2), or from a Unix socket, or of a process that is not a
 * child. pidfd is duplicated and stays yours. A child of CLONE_PIDFD_AUTOKILL
 * still dies when you close yours. To end the watch does not kill it. The other
 * functions name this watch by the pid of the process. Linux 5.4.
 *
 * If the process was reaped and the kernel has recorded its status (Linux
 * 6.15), its one event is due at once, with origin EXITFD_RECORDED and pid 0.
 * No function can name such a watch. It is a watch of its own, also if this
 * exitfd has another one of that process, whose event is still to come.
 *
 * Returns 0.
 *
 * -EBADF    pidfd is not open, or is not a pidfd of a process
 * -ESRCH    the process was reaped already and is not recorded, or this pid
 *           namespace does not show it
 * -ENOTSUP  this system has no pidfds, or seccomp blocks waitid(2), or as for
 *           exitfd_add
 * -EMFILE, -ENFILE  before Linux 6.13 also if no fd is left to learn the pid
 * and all others of exitfd_add, except those about pid -1.
 */
int exitfd_add_pidfd(struct exitfd *x, int pidfd, unsigned flags, void *data);

/*
 * exitfd_remove - stop watching
 *
 * The library does not reap the child, and the caller has to wait for it. After
 * this no event of the child follows, except one that another thread is just
 * returning from exitfd_wait. pid -1 ends the catch-all watch.
 *
 * Returns 0.
 *
 * -EINVAL   pid is 0 or below -1
 * -ENOENT   this exitfd does not watch pid
 */
int exitfd_remove(struct exitfd *x, pid_t pid);

/*
 * exitfd_discard - reap the child when it exits, and report nothing
 *
 * For a child that is of no further interest and must not stay a zombie. If it
 * has not exited yet, a later exitfd_wait reaps it. Keep calling exitfd_wait
 * when the fd is readable. Until then exitfd_kill and exitfd_remove still know
 * the pid. An EXITFD_OBSERVE watch is removed instead.
 *
 * Returns 0.
 *
 * -EINVAL   pid is below 1
 * -ENOENT   this exitfd does not watch pid
 * -ENOTSUP  the child is held, and a seccomp filter blocks waitid(2). It is
 *           still held. A thread without the filter can discard it.
 */
int exitfd_discard(struct exitfd *x, pid_t pid);

/*
 * exitfd_kill - send a signal that cannot hit a recycled pid
 *
 * Uses the pidfd if there is one. Without one, or if pidfd_send_signal(2) is
 * blocked, it calls kill(2) while the child is known to exist. One case is not
 * safe then, see exitfd_kill(3). sig 0 sends nothing and only checks. A zombie
 * still exists, as for kill(2).
 *
 * A negative pid signals the process group that the watched child -pid leads.
 * To reach a group whose leader has exited, watch the leader with EXITFD_HOLD.
 *
 * Returns 0.
 *
 * -EINVAL   pid is 0 or -1, or there is no such signal
 * -ENOENT   this exitfd does not watch pid, or its exit was returned already
 *           and it is not held
 * -ESRCH    other code has reaped the process. Or pid is negative, and there is
 *           no such process group. The child does not lead one unless it was
 *           started so, for example with EXITFD_NEW_GROUP.
 * -EPERM    this process may not signal that one, or seccomp blocks the call
 * -EACCES   seccomp blocks the call with this errno
 * -ENOSYS   likewise
 */
int exitfd_kill(struct exitfd *x, pid_t pid, int sig);

/*
 * exitfd_count - how many watches there are
 *
 * A held child counts until exitfd_discard or exitfd_remove, a discarded one
 * until it is reaped. The catch-all watch does not count.
 *
 * Returns the number.
 */
int exitfd_count(const struct exitfd *x);

/*
 * exitfd_get_pidfd - the pidfd of a watch
 *
 * The pidfd is borrowed. Do not close it. To keep it after the exit event,
 * exitfd_remove or exitfd_close, duplicate it.
 *
 * Returns the fd.
 *
 * -EINVAL   pid is below 1
 * -ENOENT   this exitfd does not watch pid
 * -ENOTSUP  this child has no pidfd. It is tracked by SIGCHLD, or by a request
 *           of an io_uring.
 */
int exitfd_get_pidfd(struct exitfd *x, pid_t pid);

/*
 * exitfd_wait - take events
 *
 * Fills events[0] to events[max - 1]. Waits up to timeout_ms milliseconds for
 * the first one. 0 never blocks, and a negative number waits for ever. The call
 * that returns an exit event reaps the child, unless the origin says otherwise.
 * So the pid cannot be reused while the event is unread. The watch ends with
 * its exit event, unless it has EXITFD_HOLD. If several threads wait on one
 * exitfd, each event goes to one of them.
 *
 * Returns how many events, or 0 if there was none in time.
 *
 * -EINVAL   events is NULL, or max is below 1
 * -EINTR    a signal handler ran while the call was blocked. Call it again.
 *           Never with timeout_ms 0. A signal just before the call does not
 *           interrupt it. exitfd_wait(3) says how to stop on SIGTERM.
 * -EPIPE    other code replaced the SIGCHLD handler that this self-pipe exitfd
 *           needs for its watches. This is returned once. It is returned again
 *           only if a call finds the handler put back in between. Outside
 *           Linux, call exitfd_wait from a timer too, because the fd may no
 *           longer become readable.
 * -ENOTSUP  a seccomp filter installed after exitfd_open blocks a system call
 *           that this thread needs. No event is lost. A thread without the
 *           filter can still take it.
 */
/* clang-format off */
int exitfd_wait(struct exitfd *x, struct exitfd_event *events, int max,
                int timeout_ms);
/* clang-format on */

/*
 * What the child of exitfd_start does before its program runs, in this order.
 *
 * EXITFD_DUP2        Duplicates fd to target. If they are equal, clears
 *                    close-on-exec.
 * EXITFD_OPEN        Opens path with flags and mode, at the number fd.
 * EXITFD_CLOSE       Closes fd. It need not be open.
 * EXITFD_CLOSE_FROM  Closes fd and all above it.
 * EXITFD_CHDIR       Changes the working directory to path.
 * EXITFD_FCHDIR      Changes the working directory to that of fd.
 */
enum exitfd_action_type {
    EXITFD_DUP2,
    EXITFD_OPEN,
    EXITFD_CLOSE,
    EXITFD_CLOSE_FROM,
    EXITFD_CHDIR,
    EXITFD_FCHDIR
};

struct exitfd_action {
    enum exitfd_action_type type;
    int fd;
    int target;       /* EXITFD_DUP2 */
    const char *path; /* EXITFD_OPEN, EXITFD_CHDIR */
    int flags;        /* EXITFD_OPEN: those of open(2) */
    mode_t mode;      /* EXITFD_OPEN, with O_CREAT */
};

/*
 * Options of struct exitfd_command. By default the program starts with an
 * empty signal mask. SIGCHLD and SIGPIPE have their default action. Other
 * signals that the caller ignores stay ignored.
 *
 * EXITFD_NEW_SESSION   The child leads a new session and process group.
 * EXITFD_NEW_GROUP     The child leads a new process group.
 * EXITFD_KEEP_SIGNALS  The program starts with the calling thread's signal
 *                      mask, and all that the caller ignores stays ignored.
 */
enum exitfd_command_options {
    EXITFD_NEW_SESSION = 1 << 16,
    EXITFD_NEW_GROUP = 1 << 17,
    EXITFD_KEEP_SIGNALS = 1 << 18
};

/* clang-format off */
/* A program to start. Set what you do not use to 0. */
struct exitfd_command {
    size_t size;       /* sizeof(struct exitfd_command) */
    const char *file;  /* sought in PATH unless it has a slash */
    char *const *argv; /* ends with NULL */
    char *const *envp; /* ends with NULL; NULL is the caller's environment */
    const struct exitfd_action *actions; /* done in this order */
    size_t action_count;
    unsigned options; /* enum exitfd_command_options */
    int death_signal; /* when the thread that starts it ends (Linux), or 0 */
};
/* clang-format on */

/*
 * exitfd_start - start a program, and watch it
 *
 * The watch is prepared before the child starts, so a child that was started
 * is watched. With pidfds the child has one from its birth. From Linux 6.15 on
 * its status is then true whatever other code reaps, and also if SIGCHLD is
 * ignored. On signalfd and self-pipe children have no pidfd.
 *
 * The calling thread waits, with all signals blocked, until the program runs.
 * pid may be NULL. file is sought as by posix_spawnp(3). A relative one counts
 * from the working directory after EXITFD_CHDIR. A script needs a line with
 * "#!". If fields that this version does not know are 0, it takes the
 * command of a later version.
 *
 * Returns 0. If an action or the exec fails, that is the returned errno, and
 * there is no child and no event.
 *
 * -EINVAL   x, command, file, argv or a path of an action is NULL, or actions
 *           is and action_count is not 0. Or there are unknown bits, an unknown
 *           action, no such death_signal, a size that is too small, or a field
 *           that this version does not know. Or EXITFD_HOLD is together with
 *           EXITFD_AUTOKILL or EXITFD_OBSERVE.
 * -ENOTSUP  EXITFD_NO_SIGNALS forbids EXITFD_STOPPED and EXITFD_CONTINUED. Or
 *           this system has no death_signal, or no EXITFD_AUTOKILL, or the back
 *           end is not pidfd and EXITFD_AUTOKILL was given.
 * -EPERM    EXITFD_AUTOKILL, without no_new_privs and without CAP_SYS_ADMIN
 * -EMFILE   EXITFD_NO_SIGNALS or EXITFD_AUTOKILL, and this process has no fd
 *           left for the pidfd
 * -ENFILE   likewise, for the system
 * -EAGAIN   the limit of processes is reached
 * -ENOMEM   there is no memory
 * -E2BIG    the arguments and the environment are too long
 * -ENOEXEC  the file is not a program, or a script without "#!"
 * -ENOENT   there is no such file, or an action names a path that is not there
 * -EACCES   the file may not be executed, or an action may not use its path
 * and any other errno of an action or execve(2). The errno does not tell which
 * of them failed.
 */
/* clang-format off */
int exitfd_start(struct exitfd *x, pid_t *pid,
                 const struct exitfd_command *command, unsigned flags,
                 void *data);

/*
 * exitfd_spawn - posix_spawnp(3), and watch the child
 *
 * file, actions, attr, argv and envp are those of posix_spawnp(3). The watch is
 * prepared before the child starts, so a child that was started is watched. pid
 * may be NULL. The child gets no fd of exitfd.
 *
 * With attr NULL the child starts with the signals of exitfd_start. Otherwise
 * it gets SIGCHLD at its default and not blocked, unless attr says something
 * else.
 *
 * With actions NULL the child has a pidfd from its birth, as with exitfd_start,
 * unless attr has a flag that exitfd does not know, such as
 * POSIX_SPAWN_SETCGROUP. File actions and such flags need posix_spawnp, which
 * gives no pidfd. If other code or the kernel reaps such a child at once, its
 * event may be EXITFD_UNKNOWN. To avoid this, use exitfd_start.
 *
 * Returns 0. If the file cannot be executed, that is the returned errno, and
 * there is no child and no event.
 *
 * -EINVAL   file or argv is NULL, unknown flag bits, EXITFD_AUTOKILL, or
 *           EXITFD_OBSERVE together with EXITFD_HOLD
 * -ENOENT   there is no such file, or an action names a path that is not there
 * -EACCES   the file may not be executed, or an action may not use its path
 * -ENOTSUP  EXITFD_NO_SIGNALS forbids EXITFD_STOPPED and EXITFD_CONTINUED
 * -EMFILE   EXITFD_NO_SIGNALS, no actions, and this process has no fd left for
 *           the pidfd
 * -ENFILE   likewise, for the system
 * -ENOMEM, -EAGAIN
 * and any other errno of posix_spawnp(3) or of an action.
 */
int exitfd_spawn(struct exitfd *x, pid_t *pid, const char *file,
                 const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[],
                 char *const envp[], unsigned flags, void *data);
/* clang-format on */

/*
 * exitfd_fork - fork(2), and watch the child
 *
 * As with exitfd_start, a child that was started is watched, and has a pidfd
 * before it can exit. If the child cannot run, the call blocks for up to 5
 * seconds. After that, or if no fd is left, its event may be EXITFD_UNKNOWN. In
 * the child, x can only be closed.
 *
 * Returns the pid in the parent, and 0 in the child.
 *
 * -EINVAL   unknown flag bits, EXITFD_AUTOKILL, or EXITFD_OBSERVE together with
 *           EXITFD_HOLD
 * -ENOTSUP  EXITFD_NO_SIGNALS forbids EXITFD_STOPPED and EXITFD_CONTINUED
 * -ENOMEM   there is no memory
 * -EAGAIN   the limit of processes is reached
 */
pid_t exitfd_fork(struct exitfd *x, unsigned flags, void *data);

/*
 * exitfd_install_handler - write one byte to fd for each SIGCHLD
 *
 * For code that wants the signal and no events. From now on a handler writes
 * one byte to fd whenever a thread of this process gets SIGCHLD. Then it calls
 * the handler that it found. System calls are restarted (SA_RESTART), unless
 * that handler was without. One fd per process. Any number of exitfds may be
 * used beside it. SIG_IGN is replaced too, so children leave a status again.
 *
 * fd is made non-blocking and stays yours. Before closing it, call
 * exitfd_install_handler(-1, NULL). Otherwise bytes may be written to whatever
 * file reuses the number. Keep the read end open, or the write raises SIGPIPE.
 *
 * fd -1 uninstalls. Nothing is written to the old fd after the return. The
 * disposition found before is put back, unless an exitfd still needs the
 * handler or other code has replaced it. If ret_old_fd is not NULL, the fd
 * installed before is stored there, or -1 if there was none.
 *
 * Returns 0.
 *
 * -EBADF    fd is not -1, and is not open for writing
 * -EAGAIN   exitfd can chain to four handlers at most, and other code has
 *           replaced its handler four times
 * -ENOMEM   there is no memory
 */
int exitfd_install_handler(int fd, int *ret_old_fd);

/*
 * exitfd_is_default_handler - is the disposition of SIGCHLD SIG_DFL?
 *
 * Returns 1 if it is, else 0. SIG_IGN is not SIG_DFL.
 */
int exitfd_is_default_handler(void);

/*
 * exitfd_get_wait_status - what waitpid(2) would have stored
 *
 * For code that uses macros such as WIFEXITED.
 *
 * Returns the wait status. -1 if e is NULL or its origin is EXITFD_UNKNOWN.
 */
int exitfd_get_wait_status(const struct exitfd_event *e);

/*
 * exitfd_describe - an event in words
 *
 * Writes at most size bytes, with the terminating 0, like snprintf(3). buffer
 * may be NULL if size is 0. The text does not depend on the locale. Examples
 * are "exited 3", "killed by SIGSEGV (core dumped)", "stopped by SIGTSTP",
 * "continued" and "ended, status unknown".
 *
 * Returns the length of the whole text.
 *
 * -EINVAL   e is NULL, or buffer is NULL and size is not 0
 */
int exitfd_describe(const struct exitfd_event *e, char *buffer, size_t size);

/*
 * exitfd_version - the version of the library that runs
 *
 * Returns "MAJOR.MINOR.PATCH", a constant string.
 */
const char *exitfd_version(void);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
