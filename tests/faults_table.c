/* SPDX-License-Identifier: MIT */
/* Every function that the library imports, and what it can fail with.
   tests/faults-imports sees to it that none is missing. */
#include "faults_calls.h"

#include <errno.h>

#define ONLY_BAD_ARGUMENTS "fails for a wrong argument only, and these are right"
#define NEVER_FAILS "has no failure"
#define CLOSES "frees what it is given whatever it returns"

const struct call fault_calls[] = {
    { "calloc", NULL, { ENOMEM }, NULL },
    { "malloc", NULL, { ENOMEM }, NULL },
    { "realloc", NULL, { ENOMEM }, NULL },
    { "free", NULL, { 0 }, NEVER_FAILS },

    { "epoll_create1", NULL, { EMFILE, ENFILE, ENOMEM }, NULL },
    { "epoll_ctl", "add", { ENOMEM, ENOSPC }, NULL },
    { "epoll_ctl", "modify", { 0 }, "allocates nothing in the kernel, and the entry is there" },
    { "epoll_ctl", "delete", { ENOENT }, NULL }, /* a forked child has taken it out of the set */
    { "epoll_wait", NULL, { EINTR, EPERM }, NULL },
    { "eventfd", NULL, { EMFILE, ENFILE, ENOMEM }, NULL },
    { "pipe2", NULL, { EMFILE, ENFILE }, NULL },
    { "signalfd", NULL, { EMFILE, ENFILE, ENOMEM }, NULL },
    { "timerfd_create", NULL, { EMFILE, ENFILE, ENOMEM }, NULL },
    { "timerfd_settime", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "fcntl", "duplicate", { EMFILE }, NULL },
    { "fcntl", "flags", { 0 }, "fails for what is no fd, which is the caller's -EBADF" },
    { "close", NULL, { EINTR, EIO }, NULL }, /* ignored: the fd is gone either way */
    { "read", NULL, { 0 }, "EAGAIN is the ordinary end of a drain; eventfd, timerfd, signalfd and pipe know no other" },
    { "write", NULL, { EAGAIN }, NULL },      /* ignored: what is full is readable */
    { "poll", NULL, { EINTR, EPERM }, NULL }, /* two fds need no memory */

    { "syscall", "waitid", { EINTR, ECHILD, EPERM, EACCES, ENOSYS }, NULL }, /* ECHILD: just reaped by others */
    { "syscall", "waitid probe", { ENOSYS, EPERM, EACCES, EINVAL, ENOMEM }, NULL },
    { "syscall", "pidfd_open", { EMFILE, ENFILE, ENOMEM, EPERM, EACCES, ENOSYS, ESRCH }, NULL }, /* ESRCH: as above */
    { "syscall", "pidfd_open probe", { ENOSYS, EPERM, EACCES, EINVAL, EMFILE }, NULL },
    { "syscall", "pidfd_send_signal", { EPERM, ESRCH }, NULL },
    { "syscall", "tgkill", { EPERM }, NULL },
    { "ioctl", NULL, { ENOTTY, EINVAL }, NULL }, /* before Linux 6.13, and before 6.15 for the record */
    { "fstatfs", NULL, { ENOMEM, EINTR }, NULL },
    { "waitid", NULL, { EINTR, ECHILD, EPERM, ENOSYS }, NULL },
    { "wait4", NULL, { EINTR, ECHILD, EPERM, ENOSYS }, NULL },
    { "__libc_current_sigrtmin", NULL, { 0 }, NEVER_FAILS },
    { "__libc_current_sigrtmax", NULL, { 0 }, NEVER_FAILS },
    { "kill", NULL, { EPERM }, NULL },
    { "getrusage", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "getpid", NULL, { 0 }, NEVER_FAILS },
    { "clock_gettime", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "sched_yield", NULL, { 0 }, NEVER_FAILS },
    { "sysconf", NULL, { 0 }, ONLY_BAD_ARGUMENTS },

    { "fork", NULL, { EAGAIN, ENOMEM }, NULL },
    { "posix_spawnp", NULL, { EAGAIN, ENOMEM, ENOENT, EACCES }, NULL },
    { "xfd_clone_clear", NULL, { ENOSYS, EPERM, EINVAL, EMFILE, ENFILE, EAGAIN, ENOMEM }, NULL }, /* clone3 */
    { "xfd_clone", NULL, { EPERM, EINVAL, EMFILE, ENFILE, EAGAIN, ENOMEM }, NULL },               /* clone */
    { "execve", NULL, { 0 }, "a child's: start.c shows what becomes of its errnos" },
    { "chdir", NULL, { 0 }, "a child's: start_actions.c" },
    { "fchdir", NULL, { 0 }, "a child's: start_actions.c" },
    { "setsid", NULL, { 0 }, "fails for the leader of a group only, which no new child is" },
    { "setpgid", NULL, { 0 }, "a child's, for a wrong argument only" },
    { "socketpair", NULL, { EMFILE, ENFILE, ENOMEM, EPERM }, NULL },
    { "send", NULL, { 0 }, "fails where the other side is gone, which is no matter" },
    { "setsockopt", NULL, { 0 }, "a forked child's, in another pid namespace: truth_namespaces.c" },
    { "recvmsg", NULL, { 0 }, "for such a child alone: truth_namespaces.c" },
    { "getppid", NULL, { 0 }, NEVER_FAILS },
    { "getuid", NULL, { 0 }, NEVER_FAILS },
    { "getgid", NULL, { 0 }, NEVER_FAILS },
    { "fstat", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_init", NULL, { ENOMEM }, NULL },
    { "posix_spawnattr_destroy", NULL, { 0 }, CLOSES },
    { "posix_spawnattr_getflags", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_setflags", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_getpgroup", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_setpgroup", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_getsigdefault", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_setsigdefault", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_getsigmask", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_setsigmask", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_getschedparam", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_setschedparam", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_getschedpolicy", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "posix_spawnattr_setschedpolicy", NULL, { 0 }, ONLY_BAD_ARGUMENTS },

    { "mmap", NULL, { ENOMEM, EAGAIN }, NULL },
    { "madvise", NULL, { EINVAL, ENOMEM, EPERM }, NULL }, /* EINVAL: before Linux 4.14; EPERM: seccomp */
    { "mremap", NULL, { ENOMEM, EAGAIN }, NULL },
    { "mprotect", NULL, { ENOMEM }, NULL }, /* ignored: the guard of a stack that is large enough */
    { "munmap", NULL, { 0 }, "fails for want of memory only where it splits a mapping" },
    { "uname", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "pthread_atfork", NULL, { ENOMEM }, NULL },
    { "pthread_mutex_init", NULL, { ENOMEM, EAGAIN }, NULL },
    { "pthread_mutex_destroy", NULL, { 0 }, CLOSES },
    { "pthread_mutex_lock", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "pthread_mutex_trylock", NULL, { 0 }, "EBUSY is its answer" },
    { "pthread_mutex_unlock", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "pthread_once", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "pthread_self", NULL, { 0 }, NEVER_FAILS },
    { "pthread_equal", NULL, { 0 }, NEVER_FAILS },
    { "pthread_setcancelstate", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "pthread_sigmask", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "sigaction", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "__libc_current_sigrtmax", NULL, { 0 }, NEVER_FAILS },
    { "__libc_current_sigrtmin", NULL, { 0 }, NEVER_FAILS },
    { "sigaddset", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "sigdelset", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "sigemptyset", NULL, { 0 }, NEVER_FAILS },
    { "sigfillset", NULL, { 0 }, NEVER_FAILS },
    { "sigismember", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "sigtimedwait", NULL, { EAGAIN, EINTR }, NULL }, /* ignored: it only sleeps */

    { "open", NULL, { 0 }, "a forked child's, which then keeps its copies of the pidfds" },
    { "opendir", NULL, { EMFILE, ENFILE, ENOMEM, ENOENT, EACCES }, NULL },
    { "readdir", NULL, { 0 }, ONLY_BAD_ARGUMENTS },
    { "closedir", NULL, { 0 }, CLOSES },
    { "fopen", NULL, { EMFILE, ENFILE, ENOMEM, ENOENT, EACCES, EISDIR }, NULL }, /* EISDIR: opened, but not readable */
    { "fclose", NULL, { 0 }, CLOSES },
    { "fgets", NULL, { 0 }, "fails as fopen with EISDIR makes it" },
    { "fscanf", NULL, { 0 }, "fails as fopen with EISDIR makes it" },
    { "ferror", NULL, { 0 }, NEVER_FAILS },
    { "sscanf", NULL, { 0 }, "what it does not find is an answer" },
    { "snprintf", NULL, { 0 }, "numbers into buffers that hold the longest" },
    { "memcpy", NULL, { 0 }, NEVER_FAILS },
    { "strcpy", NULL, { 0 }, NEVER_FAILS },
    { "memmove", NULL, { 0 }, NEVER_FAILS },
    { "memset", NULL, { 0 }, NEVER_FAILS },
    { "strcmp", NULL, { 0 }, NEVER_FAILS },
    { "strchr", NULL, { 0 }, NEVER_FAILS },
    { "getenv", NULL, { 0 }, "NULL is its answer" },
    { "environ", NULL, { 0 }, "is no function" },
    { "secure_getenv", NULL, { 0 }, "NULL is its answer" },

    { "io_uring_queue_init", NULL, { ENOMEM, EMFILE, ENFILE, EPERM, ENOSYS, EINVAL }, NULL },
    { "io_uring_register_eventfd", NULL, { ENOMEM, ENOSYS, EPERM, EINVAL }, NULL },
    { "io_uring_register_files", NULL, { ENOMEM, EACCES, EPERM }, NULL },
    { "io_uring_get_probe_ring", NULL, { ENOMEM }, NULL },
    { "io_uring_free_probe", NULL, { 0 }, NEVER_FAILS },
    { "io_uring_queue_exit", NULL, { 0 }, NEVER_FAILS },
    { "io_uring_submit", NULL, { EAGAIN, EBUSY, EINTR }, NULL },
    { "io_uring_submit", "request", { ENOMEM }, NULL }, /* one is taken by the kernel, and answered with this */
    { "io_uring_submit_and_get_events", NULL, { EAGAIN, EBUSY, EINTR, EPERM, ENOSYS }, NULL },
    { "__io_uring_get_cqe", NULL, { 0 }, "is called for a completion that is there" },
};

const size_t fault_call_count = sizeof(fault_calls) / sizeof(fault_calls[0]);
