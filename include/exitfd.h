/* SPDX-License-Identifier: MIT */
/*
 * exitfd: every child exit, exactly once, with its true status, on one pollable fd.
 *
 *     struct exitfd *x;
 *     exitfd_open(&x, 0);
 *     epoll_ctl(epfd, EPOLL_CTL_ADD, exitfd_get_fd(x), &(struct epoll_event){ .events = EPOLLIN });
 *     exitfd_add(x, pid, 0, job);
 *     ... when the fd is readable:
 *     struct exitfd_event e[16];
 *     int n = exitfd_wait(x, e, 16, 0);
 *
 * What holds for every function here
 *
 * Errors    A function returns 0, or a count, an fd or a pid, or a negative errno. On failure nothing is written through
 *           a pointer, nothing has changed and nothing is leaked. errno itself is no channel: it may change on success.
 *           Nothing here aborts, exits or logs.
 * Threads   Any thread may call any function on the same exitfd at any time, exitfd_close excepted: nobody may use an
 *           exitfd during or after its close. A thread blocked in exitfd_wait holds up nobody. No function is a
 *           cancellation point. None may be called from a signal handler. (An io_uring exitfd belongs to the thread
 *           that opened it: EXITFD_URING below.)
 * fork      An exitfd belongs to the process that opened it. In a forked child every function that takes it answers
 *           -ESTALE, but for exitfd_get_backend, and only exitfd_close is of use, which frees the child's copy and
 *           harms nothing in the parent. A daemon that forks itself into the background opens its exitfd afterwards.
 *           An application that holds a lock of its own around calls of the library may take it in its own
 *           pthread_atfork(3) handlers: the library's were registered before them, when it was loaded. Not so where
 *           dlopen(3) loaded it later.
 * exec      Every fd is close-on-exec from birth.
 * Signals   By default, on a kernel with pidfds, no handler is installed and no mask changed. What does need SIGCHLD
 *           says so below, and EXITFD_NO_SIGNALS forbids it.
 *
 * One errno, one cause; where a function has more to say of one, it does (see also section ERRORS of exitfd(3)):
 *
 *   -EINVAL   bad pid, unknown flag bits, two back ends, NULL where a pointer is needed, max < 1,
 *             an unknown name in EXITFD_BACKEND
 *   -EEXIST   this exitfd already watches that pid
 *   -ENOENT   this exitfd does not watch that pid; exitfd_spawn: no such file
 *   -ESRCH    no such process (never existed, or reaped before the add)
 *   -ECHILD   exists, but is not a child of this process, and EXITFD_OBSERVE was not given
 *   -EBUSY    the any-other-child watch is already held
 *   -ENOTSUP  the forced back end, or what the flags ask for, is not in this build or this kernel, or EXITFD_NO_SIGNALS
 *             forbids it; exitfd_get_pidfd: this child is followed without one; exitfd_wait: see there
 *   -ESTALE   the exitfd was opened before a fork, and this is the child
 *   -EBADF    not an open fd, or not a pidfd; exitfd_install_handler: not open for writing
 *   -EXDEV    an io_uring exitfd was used from a thread other than the one that opened it
 *   -EINTR    exitfd_wait only: one of the caller's own signal handlers ran while it was blocked, or might have
 *   -EPIPE    exitfd_wait only: somebody replaced the handler of this self-pipe exitfd, see EXITFD_SELFPIPE
 *   -EPERM, -EACCES, -ENOSYS  the kernel, or a seccomp filter, does not let this process signal that one (exitfd_kill),
 *             open its pidfd or wait for it (exitfd_add); exitfd_spawn: the file may not be executed (-EACCES)
 *   -ENOMEM, -EMFILE, -ENFILE, -ENOSPC, -EAGAIN: the kernel or the allocator said so
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
 * How code and status of an event were learned. A status is the true one, or the origin is EXITFD_UNKNOWN: there is
 * never a made-up 0, -1 or 255.
 *
 * EXITFD_REAPED    We waited for it: the zombie is gone and its pid may be reused from now on.
 * EXITFD_PEEKED    Seen without reaping: an EXITFD_HOLD or EXITFD_OBSERVE watch, whose child is still its owner's to wait
 *                  for, or a stop or a continue, after which the child lives on.
 * EXITFD_RECORDED  Someone else reaped it, or the kernel did because SIGCHLD is ignored. Code and status come from the
 *                  kernel's record (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux 6.15).
 * EXITFD_UNKNOWN   It is gone, and no true status can be had.
 */
enum exitfd_origin {
    EXITFD_REAPED,
    EXITFD_PEEKED,
    EXITFD_RECORDED,
    EXITFD_UNKNOWN
};

/*
 * On 32-bit glibc a struct rusage has 72 or 88 bytes, depending on _TIME_BITS, and so there are two layouts of struct
 * exitfd_event. Library and program must have the same. Every function that takes an event has a second name for
 * _TIME_BITS=64, so that a program with the other layout does not link: it lacks exitfd_wait or exitfd_wait_time64.
 * To mend that, build both with the same _TIME_BITS.
 */
#if defined __USE_TIME_BITS64 && defined __TIMESIZE
#if __TIMESIZE == 32
#define exitfd_wait exitfd_wait_time64
#define exitfd_get_wait_status exitfd_get_wait_status_time64
#define exitfd_describe exitfd_describe_time64
#endif
#endif

struct exitfd_event {
    pid_t pid;            /* the process this is about */
    int code;             /* CLD_EXITED, CLD_KILLED, CLD_DUMPED, CLD_STOPPED, CLD_CONTINUED; 0 for EXITFD_UNKNOWN */
    int status;           /* exit status for CLD_EXITED, else the signal number; 0 for EXITFD_UNKNOWN */
    int origin;           /* enum exitfd_origin */
    void *data;           /* what was given when the watch was added; exitfd never looks behind it */
    struct rusage rusage; /* of that process and the children it waited for; all zero unless EXITFD_REAPED or _PEEKED.
                             Zero for EXITFD_PEEKED on systems other than Linux: waitid has no rusage there. On Linux
                             ru_maxrss is also that of the time before exec, as a copy of the parent. */
    int           crash_signal; /* the signal that started a core dump during which another one killed it (Linux
                                   6.19), else 0. This version of the library always gives 0. */
    int           reserved[7];  /* 0. Room for what kernels learn to tell. */
};

/*
 * Flags of exitfd_open: at most one back end. Without one the best that works here is taken: pidfd, else signalfd if
 * SIGCHLD is already blocked in the calling thread, else self-pipe. "Works" is asked of the running kernel, never of
 * the one it was built on: a system call that answers ENOSYS, EPERM, EACCES or EINVAL is taken for absent (seccomp
 * answers any of these). The environment variable EXITFD_BACKEND (ignored in a set-user-ID program), holding a name
 * that exitfd_get_backend gives, forces one. The empty string is the same as not set; a back end named in flags wins
 * over it.
 *
 * EXITFD_PIDFD      One pidfd per child in a private epoll set. O(1) per exit, no signals. Linux 5.4: pidfd_open(2),
 *                   waitid(2) with P_PIDFD. A child for which the kernel gives no pidfd (EMFILE, ENFILE, ENOMEM, the
 *                   epoll limit's ENOSPC, or seccomp's EPERM, EACCES or ENOSYS) is followed by SIGCHLD behind the same
 *                   fd, and only that child: a handler is installed, as for EXITFD_SELFPIPE, while there is such a
 *                   child. Where SIGCHLD cannot reach it (blocked in the calling thread, or the handler was replaced)
 *                   these children, and only these, are looked for every 100 ms, from the next call or a second later
 *                   at most on: while there is such a child the fd is readable once a second for that.
 * EXITFD_URING      An io_uring with a registered eventfd: cheaper registration in bulk. Linux 6.1, and 6.16 or later
 *                   (6.12 was seen to lose the wake-up of a ring), built with liburing. Only the thread that opened it
 *                   may use it (-EXDEV), and it must outlive the exitfd. A forked child that runs no other program
 *                   keeps the ring: when it lets go of it later than 0.2 seconds after exitfd_close, one blocked system
 *                   call of that thread may fail with EINTR.
 * EXITFD_SIGNALFD   A signalfd(2) for SIGCHLD: no fd per child, no handler. SIGCHLD must be blocked in every thread.
 *                   Asking for it by name says that it is, or will be; where the calling thread has not blocked it,
 *                   exitfd_open does, and exitfd_close in the same thread undoes that. SIGCHLD is consumed: of two
 *                   readers in one process (sd-event, a sigwaitinfo of your own) one would miss signals. Any number of
 *                   exitfds tell each other. If SIGCHLD is unblocked or ignored later, the next call notices, or one
 *                   that sleeps within a second, and the children are looked for every 100 ms from then on. No forked
 *                   child may poll the fd: the kernel shows it signals of its own there, and makes its parent's epoll
 *                   set forget that SIGCHLD is pending until the next exitfd_wait.
 * EXITFD_SELFPIPE   A SA_RESTART handler that writes to a pipe: every POSIX system. The handler chains to the one it
 *                   found, and runs with the SA_RESTART, SA_ONSTACK, SA_NODEFER and mask of that one. exitfd_close puts
 *                   the found one back unless somebody else has replaced ours since. SA_RESTART does not cover every
 *                   call: docs/eintr.md in the source lists those that the kernel interrupts nevertheless. When
 *                   somebody replaces the handler, exitfd neither fights nor overwrites it: the next exitfd_wait that
 *                   has no event to give says -EPIPE, once. If theirs chains to ours all goes on as before, which
 *                   only they know; if not, or if all threads block SIGCHLD, children are still reported by every
 *                   exitfd_wait, one that sleeps included, but nothing makes the fd readable: call exitfd_wait from a
 *                   timer.
 * EXITFD_NO_SIGNALS Fail rather than touch SIGCHLD's handler or mask, now or later: no self-pipe, no signalfd unless
 *                   SIGCHLD is blocked already, no SIGCHLD for a child without a pidfd (exitfd_add gives the errno of
 *                   pidfd_open, nothing is watched), no EXITFD_STOPPED or _CONTINUED, no any-other-child watch.
 *
 * What cannot be known of a child without a pidfd, so of all on the SIGCHLD back ends: the status of one that somebody
 * else reaped, or that the kernel reaped because SIGCHLD is SIG_IGN or has SA_NOCLDWAIT. It is EXITFD_UNKNOWN there,
 * reported at the SIGCHLD that tells of it; under SIG_IGN the kernel sends no signal, so it is found by the next
 * exitfd_wait or one that sleeps (self-pipe), or within 100 ms of the next call (signalfd). Two cases leave no sign,
 * and are found by later calls, each of which asks for one watch in turn: SIGCHLD was ignored for a moment between two
 * calls, and a child without one page fault of its own (clone(2) with CLONE_VM) was reaped by somebody else. And if
 * somebody else reaps a watched child, and this process forks one by hand that gets the same pid before that was
 * noticed, the two cannot be told apart: the watch goes on with the second, whose status it gives and which exitfd_kill
 * hits. One that exitfd_spawn or exitfd_fork starts is told apart, by all exitfds of the process. A child that clone(2)
 * gave another exit signal than SIGCHLD, or none, is none for them: -ECHILD.
 */
enum exitfd_open_flags {
    EXITFD_PIDFD = 1 << 0,
    EXITFD_URING = 1 << 1,
    EXITFD_SIGNALFD = 1 << 2,
    EXITFD_SELFPIPE = 1 << 3,
    EXITFD_NO_SIGNALS = 1 << 4
};

/*
 * Flags of exitfd_add, exitfd_add_pidfd, exitfd_start, exitfd_spawn and exitfd_fork.
 *
 * EXITFD_OBSERVE    Report, never reap. Any number of exitfds may observe one child besides the one owner that waits
 *                   for it, each is told once. Any process, not only a child, on the pidfd and io_uring back ends: its
 *                   event comes with the true status once its own parent has reaped it (Linux 6.15, EXITFD_RECORDED);
 *                   Linux 6.9 to 6.14: at the reap, EXITFD_UNKNOWN; before 6.9: at the exit, EXITFD_UNKNOWN. The
 *                   SIGCHLD back ends see children only (-ENOTSUP for any other process).
 *                   Before Linux 5.17 a child whose first thread ended alone, before exit was called in another, is
 *                   observed with that thread's status; its owner has the true one.
 * EXITFD_STOPPED    Also report stops (CLD_STOPPED) and continues (CLD_CONTINUED), of a child only (-ENOTSUP for any
 * EXITFD_CONTINUED  other process). The kernel tells of them by SIGCHLD alone, so on pidfd and io_uring too the handler
 *                   is installed while such a watch exists, and each SIGCHLD costs one system call for each such watch:
 *                   there is no O(1) way. They coalesce: what is reported is the latest state not reported yet, so a
 *                   child stopped and continued before anybody looked gives one CLD_CONTINUED, and one that died
 *                   meanwhile only its exit. (While another exitfd of the process observes such changes, of any child,
 *                   a state that came back before anybody looked is not told again.) An event of one child never
 *                   overtakes an earlier one of the same child.
 *                   SA_NOCLDSTOP in the application's own SIGCHLD disposition, on signalfd, suppresses them.
 *                   gVisor does not say which signal stopped a child: status is 0 there.
 * EXITFD_HOLD       The exit event leaves the zombie, with origin EXITFD_PEEKED, until exitfd_discard or exitfd_remove.
 *                   Until then its pid and its process group cannot be reused, and exitfd_kill reaches the rest of the
 *                   group. Not with EXITFD_OBSERVE (-EINVAL).
 */
enum exitfd_watch_flags {
    EXITFD_OBSERVE = 1 << 8,
    EXITFD_STOPPED = 1 << 9,
    EXITFD_CONTINUED = 1 << 10,
    EXITFD_HOLD = 1 << 11
};

/*
 * exitfd_open - make an exitfd
 *
 * On success *ret is a new exitfd, which the caller ends with exitfd_close. Several in one process do not know of each
 * other. It holds at most four fds besides those of the children.
 *
 * -EINVAL   ret is NULL, unknown flag bits, two back ends, or an unknown name in EXITFD_BACKEND
 * -ENOTSUP  the forced back end does not work here, or none does that EXITFD_NO_SIGNALS allows, or none at all, for want of
 *           waitid(2)
 * -ENOMEM, -EMFILE, -ENFILE, -ENOSPC, -EAGAIN
 */
int exitfd_open(struct exitfd **ret, unsigned flags);

/*
 * exitfd_close - end an exitfd
 *
 * Returns NULL, so that x = exitfd_close(x) leaves nothing dangling. x may be NULL. Children still watched, discarded
 * ones included, are the caller's again, un-reaped; events not yet taken are not reported. On io_uring it takes up to
 * 0.2 seconds. In a forked child it frees the copy; where another thread of the parent was inside this exitfd at the
 * moment of the fork, the copy's memory and pidfds stay until exec or exit.
 */
struct exitfd *exitfd_close(struct exitfd *x);

/*
 * exitfd_get_fd - the fd to poll for input
 *
 * Owned by x: do not read, close or modify it. It is readable exactly while exitfd_wait(x, ..., 0) would return an
 * event, or has a moment's work to do to find that it would not; deaf self-pipes excepted (EXITFD_SELFPIPE). It works
 * in epoll, level- and edge-triggered (with EPOLLET call exitfd_wait until it returns 0), poll, select, io_uring poll
 * and inside further epoll sets.
 *
 * -EINVAL, -ESTALE, -EXDEV
 */
int exitfd_get_fd(const struct exitfd *x);

/*
 * exitfd_get_backend - "pidfd", "io_uring", "signalfd" or "self-pipe"
 *
 * A constant string, also in a forked child; NULL only for NULL.
 */
const char *exitfd_get_backend(const struct exitfd *x);

/*
 * exitfd_add - watch a process by pid
 *
 * The child may have exited already: then its event is due at once. From here to the event, or to exitfd_remove, do
 * not wait for that pid yourself; if somebody does nevertheless, there still is exactly one event (enum exitfd_origin).
 * data comes back in each event. A pid names a process only as long as nobody else can reap it: add it in the thread
 * that forked it or before anyone may wait for it, or use exitfd_spawn or exitfd_fork. A thread id is not a process:
 * -ESRCH (on systems other than Linux -ECHILD).
 *
 * pid -1 watches any other child: every child of this process that no exitfd of the process watches by pid, for PID 1
 * and sub-reapers (PR_SET_CHILD_SUBREAPER). Such children are reported and reaped; those watched by pid never by this
 * watch, EXITFD_OBSERVE ones included. One per process; flags must be 0. It uses SIGCHLD on every back end. A child
 * that is forked by hand and added later may be taken for an orphan between the two: fork and add in the thread that
 * calls exitfd_wait, or use exitfd_spawn or exitfd_fork, which close that gap: while one of these is starting a child, in
 * whatever thread, orphans wait to be told. An orphan behind the zombie of a watched child is found by
 * /proc/self/task/TID/children (CONFIG_PROC_CHILDREN, a mounted /proc, a free fd), without that once the zombie is gone.
 *
 * -EINVAL   x is NULL, pid is below 1 and not -1, unknown flag bits, or flags with pid -1
 * -EEXIST, -ESRCH, -ECHILD, -ESTALE, -EXDEV
 * -EBUSY    pid is -1 and an exitfd of this process holds that watch
 * -ENOTSUP  EXITFD_NO_SIGNALS forbids what this needs; EXITFD_OBSERVE of a process that is no child on a SIGCHLD back
 *           end; EXITFD_STOPPED or EXITFD_CONTINUED of a process that is no child
 * -EMFILE, -ENFILE, -ENOSPC, -EPERM, -EACCES, -ENOSYS: pidfd_open or epoll_ctl said so, and SIGCHLD is no way out
 *           (EXITFD_NO_SIGNALS, or a process that is no child); -EPERM also where a seccomp filter forbids waitid(2), but
 *           for EXITFD_OBSERVE on pidfd and io_uring
 * -EAGAIN   the io_uring could not take the request, and SIGCHLD is no way out, as above
 * -ENOMEM
 */
int exitfd_add(struct exitfd *x, pid_t pid, unsigned flags, void *data);

/*
 * exitfd_add_pidfd - watch the process of a pidfd
 *
 * Like exitfd_add, with no doubt about which process is meant: for a pidfd from clone(2) with CLONE_PIDFD, from a Unix
 * socket, or of another's child (with EXITFD_OBSERVE). pidfd is duplicated and stays the caller's. Its pid, as seen
 * from this pid namespace, names the watch from then on. The SIGCHLD back ends use only the pid. Linux 5.4; before
 * Linux 6.13 it takes a free fd to learn that pid.
 *
 * If the process was reaped, and the kernel has recorded its status (Linux 6.15), its one event is due at once, with
 * origin EXITFD_RECORDED and pid 0, because no call tells its pid any more. No function can name such a watch.
 *
 * -EBADF    not an open fd, or not a pidfd of a process (also one of a thread: PIDFD_THREAD, Linux 6.9)
 * -ESRCH    reaped before the add and not recorded (on the SIGCHLD back ends: reaped), or not visible from this pid
 *           namespace
 * -EMFILE, -ENFILE  no fd to learn its pid (before Linux 6.13); else as exitfd_add
 * -ENOTSUP  a system without pidfds, or a seccomp filter forbids waitid(2); else as exitfd_add
 * and as exitfd_add.
 */
int exitfd_add_pidfd(struct exitfd *x, int pidfd, unsigned flags, void *data);

/*
 * exitfd_remove - stop watching
 *
 * The child is the caller's again, un-reaped, exited or not. After 0 no event of it follows, except one that another
 * thread is already returning from exitfd_wait. pid -1 gives up the any-other-child watch.
 *
 * -EINVAL, -ENOENT, -ESTALE, -EXDEV
 */
int exitfd_remove(struct exitfd *x, pid_t pid);

/*
 * exitfd_discard - reap it when it exits, report nothing
 *
 * For a child of no further interest that must not stay a zombie: it is reaped at once if it has exited, else by the
 * exitfd_wait that its exit makes due; stops and continues are not reported either. Until then the pid can still be
 * killed and removed by its name. An EXITFD_OBSERVE watch is simply removed.
 *
 * -EINVAL   also for pid -1
 * -ENOENT, -ESTALE, -EXDEV
 */
int exitfd_discard(struct exitfd *x, pid_t pid);

/*
 * exitfd_kill - send a signal that cannot hit a recycled pid
 *
 * By pidfd_send_signal(2) (Linux 5.1) where the watch has a pidfd, else by kill(2) while a child with that pid is there,
 * which is the watched one unless a thief and a fork by hand have been at work (see exitfd_open_flags). sig 0 only asks.
 * A zombie not yet reported counts as there: 0, as with kill(2).
 *
 * A negative pid signals the process group that the watched child -pid leads. This is safe while the child is watched. To
 * reach what is left of a group whose leader has exited, watch the leader with EXITFD_HOLD. If the leader's zombie is gone
 * nevertheless, because other code reaped it or SIGCHLD is ignored, this needs a pidfd and Linux 6.9, else it is -ESRCH.
 *
 * -EINVAL   also for pid -1 and a signal that does not exist
 * -ENOENT   not watched, or its exit was already returned by exitfd_wait
 * -ESRCH    somebody else reaped it
 * -EPERM, -EACCES, -ENOSYS: may not send it signals, or a seccomp filter refuses pidfd_send_signal(2) or, without a
 *           pidfd, waitid(2)
 * -ESTALE, -EXDEV
 */
int exitfd_kill(struct exitfd *x, pid_t pid, int sig);

/*
 * exitfd_count - how many watches there are
 *
 * Those of EXITFD_HOLD count until they are discarded or removed, and discarded ones until they are reaped. The watch of
 * pid -1 does not count. exitfd_wait without a time-out blocks also if there is none.
 *
 * -EINVAL, -ESTALE, -EXDEV
 */
int exitfd_count(const struct exitfd *x);

/*
 * exitfd_get_pidfd - the pidfd of a watch
 *
 * Borrowed: do not close it, and duplicate it to keep it beyond the event, exitfd_remove or exitfd_close.
 *
 * -EINVAL, -ENOENT, -ESTALE, -EXDEV
 * -ENOTSUP  this child is followed without one
 */
int exitfd_get_pidfd(struct exitfd *x, pid_t pid);

/*
 * exitfd_wait - take events
 *
 * Fills events[0] to events[max - 1] and returns how many, at least 1, or 0 after timeout_ms milliseconds without one.
 * A timeout_ms of 0 never blocks and never gives -EINTR; any negative one blocks until there is an event. The child of
 * an exit event with origin EXITFD_REAPED is reaped by this very call, not before, so its pid cannot be reused while
 * the event is unread; after it the watch no longer exists. Threads that wait on the same exitfd share the events, each
 * goes to one.
 *
 * While our handler is installed (on self-pipe; on pidfd and io_uring while a child is followed without a pidfd, while
 * stops or continues are asked for, and with the any-other-child watch) -EINTR of a call that blocks may also come of
 * the SIGCHLD of a child that is not watched: the kernel does not say which handler ran, and to go on waiting might
 * swallow the caller's SIGTERM.
 *
 * -EINVAL   x or events is NULL, or max < 1
 * -ENOTSUP  no event can be given, for a seccomp filter put on after the open forbids this thread what a wait needs:
 *           waitid(2) (on systems other than Linux wait4(2) too), epoll_wait(2), io_uring_enter(2), or, to block, poll(2),
 *           which an RLIMIT_NOFILE below 1 (signalfd: 2) forbids as well. Children stay what they are, for a thread that
 *           may wait; the fd may stay readable until then. (On io_uring, where there is one thread, events behind one
 *           that cannot be given wait as well.)
 * -EINTR, -EPIPE, -ESTALE, -EXDEV
 */
int exitfd_wait(struct exitfd *x, struct exitfd_event *events, int max, int timeout_ms);

/*
 * What the child of exitfd_start does before its program runs, in this order.
 *
 * EXITFD_DUP2        Duplicates fd to target. If they are equal, clears close-on-exec.
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
 * Options of struct exitfd_command. By default the program starts with an empty
 * signal mask. SIGCHLD and SIGPIPE have their default action. Other signals that
 * the caller ignores stay ignored.
 *
 * EXITFD_NEW_SESSION   The child leads a new session, and with it a new process group.
 * EXITFD_NEW_GROUP     The child leads a new process group.
 * EXITFD_KEEP_SIGNALS  The program starts with the calling thread's signal mask, and
 *                      every signal that the caller ignores stays ignored.
 */
enum exitfd_command_options {
    EXITFD_NEW_SESSION = 1 << 16,
    EXITFD_NEW_GROUP = 1 << 17,
    EXITFD_KEEP_SIGNALS = 1 << 18
};

/* A program to start. Set what you do not use to 0. */
struct exitfd_command {
    size_t size;                         /* sizeof(struct exitfd_command) */
    const char *file;                    /* sought in PATH unless it has a slash */
    char *const *argv;                   /* ends with NULL */
    char *const *envp;                   /* ends with NULL. NULL: the caller's environment. */
    const struct exitfd_action *actions; /* done in this order */
    size_t action_count;
    unsigned options; /* enum exitfd_command_options */
    int death_signal; /* what the child gets when the thread that starts it ends (Linux); 0: none */
};

/*
 * exitfd_start - start a program and watch it
 *
 * The watch is reserved first. Once there is a child, nothing can fail: a child
 * that was started is watched. Where the kernel has pidfds, the child has one from
 * its birth, before it can exit. From Linux 6.15 on its status is therefore true
 * whatever other code reaps, and also if SIGCHLD is ignored. (On the signalfd and
 * self-pipe back ends children have no pidfd, and this does not hold.)
 *
 * Returns 0 once the program runs, and writes the child's pid to *pid. pid may be
 * NULL. The calling thread waits until then, with all signals blocked. On failure
 * there is no child and no event. The errno is that of the step that failed, be
 * it an action or the exec.
 *
 * file is sought as posix_spawnp(3) does: in the caller's PATH, or in /bin and
 * /usr/bin if PATH is not set. A script needs a line with "#!".
 *
 * death_signal is that of PR_SET_PDEATHSIG(2const). The kernel sends it when the
 * thread that called exitfd_start ends, and it forgets it if the program has
 * set-user-ID. To avoid this, start such a child in a thread that stays.
 *
 * command->size tells which fields the caller knows. A later version of the
 * library takes a command of this one. This version takes a later one's command
 * if the fields that it does not know are 0.
 *
 * -EINVAL   x, command, file, argv or a path that an action needs is NULL, or
 *           unknown bits in flags or options, or an unknown action, or a size
 *           that is too small, or a field that this version does not know
 * -ENOTSUP  EXITFD_STOPPED or EXITFD_CONTINUED with EXITFD_NO_SIGNALS, or
 *           death_signal on a system other than Linux
 * -EMFILE, -ENFILE  no fd for the pidfd, and EXITFD_NO_SIGNALS. Without that flag
 *           the child is tracked by SIGCHLD. On systems other than Linux: no fd for
 *           a pipe to the child. Or an action said so.
 * -EAGAIN   no process can be made (RLIMIT_NPROC)
 * -E2BIG    the arguments and the environment are too long
 * -ENOEXEC  no program, or a script without "#!"
 * -ENOENT, -EACCES and others: what an action or execve(2) said
 * -ESTALE, -EXDEV, -ENOMEM
 */
int exitfd_start(struct exitfd *x, pid_t *pid, const struct exitfd_command *command, unsigned flags, void *data);

/*
 * exitfd_spawn - posix_spawnp(3) with the watch included
 *
 * file, actions, attr, argv and envp are those of posix_spawnp. Everything that can fail is reserved first: a child that
 * was started is watched. A file that cannot be executed is the return value (-ENOENT, -EACCES), not an event, and no
 * child. pid may be NULL. No fd of exitfd reaches it.
 *
 * With attr NULL the child starts with the signals of exitfd_start. Otherwise, unless attr says something else
 * (POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSIGMASK), it starts with SIGCHLD at its default and the calling thread's signal
 * mask less SIGCHLD.
 *
 * With actions NULL the child has a pidfd from its birth, as with exitfd_start. File actions rest on posix_spawnp, which
 * gives no pidfd. If other code reaps such a child before its pidfd is opened, or SIGCHLD is ignored, its one event may be
 * EXITFD_UNKNOWN. To avoid this, use exitfd_start. With EXITFD_NO_SIGNALS, such a child that got no pidfd after all is
 * looked for every 100 ms.
 *
 * -EINVAL   x, file or argv is NULL, or unknown flag bits
 * -ENOTSUP  EXITFD_STOPPED or _CONTINUED with EXITFD_NO_SIGNALS
 * -ESTALE, -EXDEV, -ENOMEM, -EMFILE, -EAGAIN, and what posix_spawnp gives
 */
int exitfd_spawn(struct exitfd *x, pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[], unsigned flags, void *data);

/*
 * exitfd_fork - fork(2) with the watch included
 *
 * Returns the pid in the parent, already watched; 0 in the child, where x is stale; or a negative errno, and no child.
 * The child waits until the parent has its pidfd, before it returns 0. So its status is true as with exitfd_start. The
 * parent waits for the child at most 5 seconds. If the child cannot run for so long, because a debugger has stopped it, or
 * if no fd is left, its one event may be EXITFD_UNKNOWN.
 *
 * -EINVAL, -ENOTSUP, -ESTALE, -EXDEV, -ENOMEM, -EAGAIN
 */
pid_t exitfd_fork(struct exitfd *x, unsigned flags, void *data);

/*
 * exitfd_install_handler - the signal-level primitive: one byte for each SIGCHLD
 *
 * From now on one byte is written to fd whenever SIGCHLD is delivered to any thread of this process, also one sent by
 * kill(2) (two, where this was called again over a handler that chains to ours). System calls are restarted
 * (SA_RESTART), unless the handler that it found was without. The handler saves errno, writes, chains to the handler
 * it found (with its siginfo), takes no lock and allocates nothing; in a forked child it does not write. fd is made
 * non-blocking (a full pipe in a handler must not block: one unread byte is enough) and stays the caller's: uninstall
 * before you close it, for a number that is closed and reused gets the bytes, and keep its reader open, or the write
 * raises SIGPIPE. *ret_old_fd, if not NULL, is the fd registered before, -1 if there was none. fd -1 uninstalls:
 * nothing is written to the old fd after the return, and once no exitfd needs the handler either, the disposition
 * found at the first install is put back, unless somebody has replaced ours since. One fd per process; any number of
 * self-pipe exitfds beside it. SIG_IGN found at the install is replaced by the handler, so that children leave
 * statuses again; SA_NOCLDWAIT found with a handler is kept.
 *
 * -EBADF    fd is neither -1 nor open for writing
 * -ENOMEM
 * -EAGAIN   other code has put its handlers over all four of exitfd's. Setting SIG_DFL does not free them. None is
 *           left that can chain to the handler found now.
 */
int exitfd_install_handler(int fd, int *ret_old_fd);

/*
 * exitfd_is_default_handler - 1 if SIGCHLD's disposition is SIG_DFL, else 0 (SIG_IGN is not SIG_DFL)
 */
int exitfd_is_default_handler(void);

/*
 * exitfd_get_wait_status - what waitpid(2) would have given
 *
 * For code that has macros such as WIFEXITED to work with. Returns -1 for NULL, and for an event with origin
 * EXITFD_UNKNOWN.
 */
int exitfd_get_wait_status(const struct exitfd_event *e);

/*
 * exitfd_describe - an event in words
 *
 * Like snprintf(3): writes at most size bytes, the terminating 0 included, and returns the length of the whole text.
 * buffer may be NULL if size is 0. The text does not depend on the locale: "exited 3", "killed by SIGTERM", "killed by
 * SIGSEGV (core dumped)", "stopped by SIGTSTP", "continued", "ended, status unknown". Real-time signals are "SIGRTMIN"
 * and "SIGRTMIN+1" onwards. A signal that has no name is "signal 32".
 *
 * -EINVAL   e is NULL, or buffer is NULL and size is not 0
 */
int exitfd_describe(const struct exitfd_event *e, char *buffer, size_t size);

/*
 * exitfd_version - "MAJOR.MINOR.PATCH" of the library that runs, a constant string
 */
const char *exitfd_version(void);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
