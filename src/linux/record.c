/* SPDX-License-Identifier: MIT */
/*
 * Questions to a pidfd: the status of a process that was reaped, its parent,
 * its pid. PIDFD_GET_INFO answers them (Linux 6.13, the status 6.15), and
 * /proc/self/fdinfo on older kernels.
 */
#include "linux/record.h"

#include "errnos.h"
#include "linux/sys.h"
#include "platform.h"
#include "status.h"
#include "watches.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static int get_info(int pidfd, uint64_t mask, struct pidfd_info_v0 *info)
{
    *info = (struct pidfd_info_v0){ .mask = mask };
    return ioctl(pidfd, (int)PIDFD_GET_INFO_V0, info) < 0 ? -errno : 0;
}

/*
 * Nothing but SIGKILL ends a core dump. Of a process that was reaped the kernel
 * tells nothing unless its exit is asked for too.
 */
int xfd_record_get_dump_signal(int pidfd, int killed_by)
{
    struct pidfd_info_dump info = {
        .first.mask = PIDFD_INFO_EXIT_BIT | PIDFD_INFO_COREDUMP_BIT | PIDFD_INFO_COREDUMP_SIGNAL_BIT,
    };

    if (killed_by != SIGKILL || ioctl(pidfd, (int)PIDFD_GET_INFO_DUMP, &info) < 0 ||
        !(info.first.mask & PIDFD_INFO_COREDUMP_SIGNAL_BIT))
        return 0;
    return (int)info.coredump_signal;
}

pid_t xfd_record_get_parent(int pidfd)
{
    struct pidfd_info_v0 info;
    int error = get_info(pidfd, PIDFD_INFO_PID_BIT, &info);

    if (error == -ESRCH)
        return -ESRCH;
    return error < 0 || !(info.mask & PIDFD_INFO_PID_BIT) ? -ENOTSUP : (pid_t)info.ppid;
}

bool xfd_record_reap_is_shown(int pidfd)
{
    struct statfs fs;
    return fstatfs(pidfd, &fs) == 0 && fs.f_type == PID_FS_MAGIC_NUMBER;
}

/* proc(5): the pid in the namespace of this /proc, -1 once it was reaped. A
   process that has none in ours cannot be sent a signal by it. */
static pid_t pid_from_fdinfo(int pidfd)
{
    char path[48], line[128];
    int pid = 0;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT || errno == EACCES ? -ENOTSUP : -errno;
    while (fgets(line, sizeof line, file) && sscanf(line, "Pid: %d", &pid) != 1)
        ;
    bool was_read = !ferror(file);
    fclose(file);
    if (!was_read)
        return -ENOMEM;
    return pid > 0 && xfd_platform_kill(pidfd, 0) != -EINVAL ? pid : -ESRCH;
}

int xfd_platform_open_pidfd(pid_t pid)
{
    int pidfd = sys_pidfd_open(pid);
    return pidfd < 0 ? -errno : pidfd;
}

pid_t xfd_platform_pid_of(int pidfd)
{
    siginfo_t ignored;
    struct pidfd_info_v0 info;
    int flags = fcntl(pidfd, F_GETFL);

    if (flags < 0)
        return -EBADF;
    /* The one harmless call that knows whether it is a pidfd: an ioctl could
       mean anything to another kind of file. */
    if (syscall(SYS_waitid, WAIT_PIDFD, pidfd, &ignored, WEXITED | WNOHANG | WNOWAIT, NULL) < 0 && errno != ECHILD)
        return errno == EBADF ? -EBADF : -ENOTSUP;
    if (flags & PIDFD_IS_THREAD)
        return -EBADF;
    int error = get_info(pidfd, PIDFD_INFO_PID_BIT, &info);
    if (error == -ESRCH || error == -EREMOTE) /* the latter: in no pid namespace below ours */
        return -ESRCH;
    if (error == 0 && info.mask & PIDFD_INFO_PID_BIT)
        return info.pid > 0 ? (pid_t)info.pid : -ESRCH;
    return pid_from_fdinfo(pidfd);
}

bool xfd_platform_is_thread(pid_t pid)
{
    return syscall(SYS_tgkill, pid, pid, 0) < 0 && errno == ESRCH && (kill(pid, 0) == 0 || errno == EPERM);
}

/* In pidfs each process has its own file, and a later one never gets its
   number. */
bool xfd_platform_is_same(int pidfd, int other)
{
    struct stat one, two;

    if (!xfd_record_reap_is_shown(pidfd) || fstat(pidfd, &one) < 0 || fstat(other, &two) < 0)
        return true;
    return one.st_ino == two.st_ino;
}

/* The kernel kills with the last copy of a pidfd of CLONE_PIDFD_AUTOKILL, and a
   duplicate would be one. */
int xfd_platform_duplicate_pidfd(int pidfd, pid_t pid)
{
    int flags = fcntl(pidfd, F_GETFL);
    bool kills = flags >= 0 && flags & PIDFD_KILLS;
    int fd = kills ? sys_pidfd_open(pid) : fcntl(pidfd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (!kills || xfd_platform_is_same(fd, pidfd))
        return fd;
    close(fd);
    return -ESRCH;
}

int xfd_platform_kill(int pidfd, int signum)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, 0) < 0 ? -errno : 0;
}

/* Where the signal cannot be sent, Linux 6.13 says it too. */
bool xfd_platform_is_reaped(int pidfd)
{
    int error = xfd_platform_kill(pidfd, 0);

    if (error != 0 && xfd_not_here(-error) == -ENOTSUP)
        error = xfd_record_get_parent(pidfd);
    return error == -ESRCH;
}

/* Linux 6.9. Older kernels say EINVAL, as they do for a signal that does not
   exist: so that is asked first. */
int xfd_platform_kill_group(int pidfd, int signum)
{
    if (signum < 0 || signum >= _NSIG)
        return -EINVAL;
    if (syscall(SYS_pidfd_send_signal, pidfd, signum, NULL, PIDFD_SIGNAL_GROUP) == 0)
        return 0;
    return errno == EINVAL || errno == ENOSYS ? -ENOTSUP : -errno;
}

bool xfd_platform_get_record(int pidfd, struct record *record)
{
    struct pidfd_info_v0 info;

    if (get_info(pidfd, PIDFD_INFO_EXIT_BIT, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT_BIT))
        return false;
    record->wait_status = (uint16_t)info.exit_code;
    record->crash_signal = (uint8_t)xfd_record_get_dump_signal(pidfd, info.exit_code);
    return true;
}
