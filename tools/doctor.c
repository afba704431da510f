/* SPDX-License-Identifier: MIT */
/* exitfd doctor: what this machine and this environment offer, for people and for bug reports. */
#include "escape.h"
#include "json.h"
#include "probe.h"
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <exitfd.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char help[] = "Usage: exitfd doctor [--json]\n"
                           "Tell what this machine and this environment offer: the kernel, each back end and why or\n"
                           "why not, the kernel's record of exits, sandboxes, SIGCHLD, limits. For bug reports.\n"
                           "\n"
                           "      --json  print one JSON object for each line\n"
                           "  -h, --help  print this\n"
                           "\n"
                           "Exit status: 0, or 1 if something (marked '!!') keeps exitfd from telling the truth\n";

enum verdict {
    GOOD,
    NOTE,
    PROBLEM
};

struct report {
    bool json;
    bool has_problem;
};

__attribute__((format(printf, 5, 6))) static void tell(struct report *report, enum verdict verdict, const char *check,
                                                       const char *value, const char *format, ...)
{
    static const char *const marks[] = { "ok", "--", "!!" }, *const names[] = { "ok", "note", "problem" };
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    text[clean(text, strlen(text))] = '\0';
    report->has_problem |= verdict == PROBLEM;
    if (report->json) {
        json_begin(stdout, "check");
        json_string(stdout, "check", check);
        json_string(stdout, "verdict", names[verdict]);
        json_string(stdout, "value", value);
        json_string(stdout, "text", text);
        json_end(stdout);
    } else {
        printf("%s  %-18s %-16s %s\n", marks[verdict], check, value, text);
    }
}

/* The first line of a small file, "" where there is none. */
static const char *read_line(const char *path, char line[128])
{
    FILE *file = fopen(path, "re");
    line[0] = '\0';
    if (file) {
        if (fgets(line, 128, file)) {
            line[strcspn(line, "\n")] = '\0';
        }
        fclose(file);
    }
    return line;
}

static void tell_system(struct report *report)
{
    struct utsname system;
    uname(&system);
    tell(report, GOOD, "exitfd", exitfd_version(), "the library's version; this program's is %d.%d.%d",
         EXITFD_VERSION_MAJOR, EXITFD_VERSION_MINOR, EXITFD_VERSION_PATCH);
    tell(report, GOOD, "kernel", system.release, "%s on %s", system.sysname, system.machine);
}

static const char *answer_name(const struct probe *probe, char buffer[SIGNAL_NAME_SIZE])
{
    if (probe->killed_by) {
        return signal_name(probe->killed_by, buffer);
    }
    switch (probe->error) {
    case 0:
        return "yes";
    case ENOSYS:
        return "ENOSYS";
    case EPERM:
        return "EPERM";
    case EACCES:
        return "EACCES";
    case EINVAL:
        return "EINVAL";
    case ENOTSUP:
        return "ENOTSUP";
    default:
        snprintf(buffer, SIGNAL_NAME_SIZE, "errno %d", probe->error);
        return buffer;
    }
}

static const char *explain_syscall(const struct probe *probe)
{
    if (probe->killed_by) {
        return "the process that asked was killed: a sandbox (seccomp) forbids it";
    }
    switch (probe->error) {
    case 0:
        return "the kernel has it and this process may use it";
    case ENOSYS:
        return "this kernel does not have it, or a sandbox says so";
    case EPERM:
    case EACCES:
        return "forbidden: a sandbox (seccomp) or a setting of the system (sysctl)";
    case EINVAL:
        return "this kernel does not know it";
    default:
        return strerror(probe->error);
    }
}

static void tell_syscalls(struct report *report)
{
    char buffer[SIGNAL_NAME_SIZE];
    for (const char *const *name = probe_syscalls; *name; name++) {
        struct probe probe = probe_syscall(*name);
        tell(report, probe.error ? NOTE : GOOD, *name, answer_name(&probe, buffer), "%s", explain_syscall(&probe));
    }
}

/* Why a back end cannot be opened, from what its system calls answer. */
static const char *explain_backend(unsigned flag, const struct probe *probe)
{
    if (probe->error != ENOTSUP) {
        return strerror(probe->error);
    }
    if (flag == EXITFD_PIDFD) {
        bool has_open = probe_syscall("pidfd_open").error == 0, has_wait = probe_syscall("waitid(P_PIDFD)").error == 0;
        return !has_open   ? "pidfd_open is not to be had: see above"
               : !has_wait ? "waitid(P_PIDFD) is not to be had (Linux 5.4): see above"
                           : "not in this build of the library (-Dbackends=posix)";
    }
    if (flag == EXITFD_URING) {
        char line[128];
        bool is_disabled = atoi(read_line("/proc/sys/kernel/io_uring_disabled", line)) != 0;
        return is_disabled ? "the sysctl kernel.io_uring_disabled forbids it"
               : probe_syscall("io_uring_setup").error
                   ? "io_uring_setup is not to be had: see above"
                   : "not in this build of the library, or not on this kernel (Linux 6.1, and 6.16 or later)";
    }
    return "not in this build of the library";
}

static void tell_backend(struct report *report, const char *name, unsigned flag)
{
    char buffer[SIGNAL_NAME_SIZE];
    struct probe probe = probe_backend(flag);
    if (probe.killed_by) {
        tell(report, NOTE, name, "no", "a process that used it was killed by %s: a sandbox (seccomp) forbids it",
             signal_name(probe.killed_by, buffer));
    } else if (!*probe.text) {
        tell(report, NOTE, name, "no", "%s", explain_backend(flag, &probe));
    } else {
        tell(report, probe.is_true_status ? GOOD : NOTE, name, probe.is_true_status ? "yes" : "in part", "%s",
             probe.text);
    }
}

static void tell_default(struct report *report)
{
    const char *forced = getenv("EXITFD_BACKEND");
    struct probe probe = probe_backend(0);
    const char *why = forced ? "forced by EXITFD_BACKEND" : "what exitfd_open takes here";
    if (probe.killed_by) {
        tell(report, PROBLEM, "default", "none",
             "a sandbox (seccomp) kills what uses it: set EXITFD_BACKEND to one that works");
    } else if (!*probe.text) {
        tell(report, PROBLEM, "default", "none", "exitfd_open says: %s%s%s%s", strerror(probe.error),
             forced ? "; EXITFD_BACKEND is '" : "", forced ? forced : "", forced ? "'" : "");
    } else {
        tell(report, probe.is_true_status ? GOOD : PROBLEM, "default", probe.text, "%s%s", why,
             probe.is_true_status ? "" : ", but the status of a child cannot be had with it");
    }
}

static void tell_backends(struct report *report)
{
    tell_default(report);
    tell_backend(report, "pidfd", EXITFD_PIDFD);
    tell_backend(report, "io_uring", EXITFD_URING);
    tell_backend(report, "signalfd", EXITFD_SIGNALFD);
    tell_backend(report, "self-pipe", EXITFD_SELFPIPE);
}

static bool tell_record(struct report *report)
{
    struct probe probe = probe_record();
    if (probe.is_true_status) {
        tell(report, GOOD, "record", "yes", "the true status of processes that others reap is known");
    } else {
        tell(report, NOTE, "record", "no",
             "the status of processes that others reap is unknown here: that takes Linux 6.15 and the pidfd back end");
    }
    return probe.is_true_status;
}

static void tell_sandbox(struct report *report)
{
    char line[256];
    int seccomp = -1, no_new_privileges = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "Seccomp: %d", &seccomp);
        sscanf(line, "NoNewPrivs: %d", &no_new_privileges);
    }
    if (file) {
        fclose(file);
    }
    static const char *const modes[] = { "none", "strict", "filter" };
    bool is_known = seccomp >= 0 && seccomp <= 2;
    tell(report, seccomp > 0 ? NOTE : GOOD, "seccomp", is_known ? modes[seccomp] : "unknown",
         seccomp > 0   ? "system calls are filtered: those marked '--' above may be its doing%s"
         : seccomp < 0 ? "/proc/self/status does not tell%s"
                       : "no system call is filtered%s",
         no_new_privileges ? "; no_new_privs is set" : "");
}

static void tell_sigchld(struct report *report, bool has_record)
{
    struct sigaction action;
    sigset_t mask;
    sigaction(SIGCHLD, NULL, &action);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    if (action.sa_handler == SIG_IGN) {
        tell(
            report, has_record ? NOTE : PROBLEM, "SIGCHLD", "ignored",
            "inherited from what started this: the kernel reaps children itself; start it with SIGCHLD at its default");
    } else {
        tell(report, GOOD, "SIGCHLD", "default", "children leave a status");
    }
    bool is_blocked = sigismember(&mask, SIGCHLD);
    tell(report, is_blocked ? NOTE : GOOD, "SIGCHLD mask", is_blocked ? "blocked" : "unblocked",
         is_blocked ? "inherited from what started this: exits are looked for every 100 ms where SIGCHLD is needed"
                    : "as it should be");
}

/* -1 where nothing tells. */
static int count_open_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = -3; /* ".", ".." and the folder itself */
    while (folder && readdir(folder)) {
        count++;
    }
    if (folder) {
        closedir(folder);
    }
    return folder ? count : -1;
}

static const char *format_limit(rlim_t limit, char buffer[32])
{
    snprintf(buffer, 32, limit == RLIM_INFINITY ? "unlimited" : "%" PRIu64, (uint64_t)limit);
    return buffer;
}

static void tell_limits(struct report *report)
{
    char soft[32], hard[32], raised[64] = "", open_now[32] = "", pid_max[128];
    struct rlimit limit;
    int count = count_open_fds();
    if (count >= 0) {
        snprintf(open_now, sizeof open_now, ", %d are open", count);
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur != limit.rlim_max) {
        snprintf(raised, sizeof raised, "; can be raised to %s (ulimit -n)", format_limit(limit.rlim_max, hard));
    }
    tell(report, GOOD, "open files", format_limit(limit.rlim_cur, soft), "one for each child on the pidfd back end%s%s",
         raised, open_now);
#ifdef RLIMIT_NPROC
    getrlimit(RLIMIT_NPROC, &limit);
    tell(report, GOOD, "processes", format_limit(limit.rlim_cur, soft), "of this user; pid_max is %s",
         *read_line("/proc/sys/kernel/pid_max", pid_max) ? pid_max : "not known");
#endif
}

static int examine(struct report *report)
{
    tell_system(report);
    tell_syscalls(report);
    tell_backends(report);
    bool has_record = tell_record(report);
    tell_sandbox(report);
    tell_sigchld(report, has_record);
    tell_limits(report);
    return close_stdout(report->has_problem ? STATUS_FAILED : 0);
}

int doctor_main(int argc, char **argv)
{
    enum {
        OPTION_JSON = 256
    };
    static const struct option options[] = { { "json", no_argument, NULL, OPTION_JSON },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    struct report report = { .json = false };
    int option;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case OPTION_JSON:
            report.json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return close_stdout(0);
        default:
            return option_error(argv, option);
        }
    }
    if (optind < argc) {
        return usage_error("'%s' is too much: doctor takes no arguments", argv[optind]);
    }
    return examine(&report);
}
