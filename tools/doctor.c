/* SPDX-License-Identifier: MIT */
/* exitfd doctor: what this machine and this environment offer, for people and
   for bug reports. */
#include "escape.h"
#include "json.h"
#include "probe.h"
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <exitfd.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char help[] = "Usage: exitfd doctor [--json]\n"
                           "Print what this machine and this environment offer. That is the kernel, each back end\n"
                           "and why it works or not, the kernel's record of exits, sandboxes, SIGCHLD and limits.\n"
                           "Put it into a bug report.\n"
                           "\n"
                           "      --json  print one JSON object for each line\n"
                           "  -h, --help  print this\n"
                           "\n"
                           "Exit status: 0, or 1 if a line begins with '!!'. Then statuses will be unknown.\n";

enum verdict {
    GOOD,
    NOTE,
    PROBLEM
};

struct report {
    bool json;
    bool has_problem;
    int write_error; /* the errno */
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
    /* The next question may be the end of this process. */
    if (fflush(stdout) != 0 && !report->write_error)
        report->write_error = errno;
}

/* The first line of a small file, "" where there is none. */
static const char *read_line(const char *path, char line[128])
{
    FILE *file = fopen(path, "re");
    line[0] = '\0';
    if (file) {
        if (fgets(line, 128, file))
            line[strcspn(line, "\n")] = '\0';
        fclose(file);
    }
    return line;
}

static void tell_system(struct report *report)
{
    struct utsname system;
    tell(report, GOOD, "exitfd", exitfd_version(), "the version of the library. This program is %d.%d.%d",
         EXITFD_VERSION_MAJOR, EXITFD_VERSION_MINOR, EXITFD_VERSION_PATCH);
    if (uname(&system) == 0)
        tell(report, GOOD, "kernel", system.release, "%s on %s", system.sysname, system.machine);
    else
        tell(report, NOTE, "kernel", "unknown", "uname: %s", strerror(errno));
}

static const char *answer_name(const struct probe *probe, char buffer[SIGNAL_NAME_SIZE])
{
    if (!probe->is_asked)
        return "unknown";
    if (probe->killed_by)
        return signal_name(probe->killed_by, buffer);
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

/* Of all that kills, seccomp alone does it by this signal. */
static const char *explain_kill(const struct probe *probe)
{
    return probe->killed_by == SIGSYS ? "a sandbox (seccomp) forbids it" : "not known why";
}

static const char *explain_syscall(const struct probe *probe, char buffer[128])
{
    if (!probe->is_asked) {
        snprintf(buffer, 128, "not asked, because doctor cannot start a process: %s", strerror(probe->error));
        return buffer;
    }
    if (probe->killed_by) {
        snprintf(buffer, 128, "the process that asked was killed: %s", explain_kill(probe));
        return buffer;
    }
    switch (probe->error) {
    case 0:
        return "the kernel has it, and this process may use it";
    case ENOSYS:
        return "this kernel does not have it, or a sandbox or an emulator says so";
    case EPERM:
    case EACCES:
        return "forbidden by a sandbox (seccomp) or a setting of the system (sysctl)";
    case EINVAL:
    case ENOTTY:
        return "this kernel does not know it, or an emulator says so";
    default:
        return strerror(probe->error);
    }
}

static void tell_syscalls(struct report *report)
{
    char name_buffer[SIGNAL_NAME_SIZE], buffer[128];
    for (const char *const *name = probe_syscalls; *name; name++) {
        struct probe probe = probe_syscall(*name);
        bool is_there = probe.is_asked && !probe.error;
        bool is_restricted = probe.error == EACCES && strcmp(*name, "io_uring poll") == 0;
        tell(report, is_there ? GOOD : NOTE, *name, answer_name(&probe, name_buffer), "%s",
             is_restricted ? "the ring answers so: a sandbox restricts io_uring for this process (Linux 7.0)"
                           : explain_syscall(&probe, buffer));
    }
}

/* Why a back end cannot be opened, as far as its system calls tell. */
static const char *explain_backend(unsigned flag, const struct probe *probe, char buffer[128])
{
    char line[128];
    if (probe->error != ENOTSUP)
        return strerror(probe->error);
    if (flag == EXITFD_URING && probe_syscall("io_uring_setup").error == EPERM &&
        atoi(read_line("/proc/sys/kernel/io_uring_disabled", line)) != 0)
        return "the sysctl kernel.io_uring_disabled forbids it";
    for (const char *const *name = probe_needs(flag); *name; name++) {
        struct probe need = probe_syscall(*name);
        if (need.is_asked && need.error) {
            snprintf(buffer, 128, "%s is not to be had: see above", *name);
            return buffer;
        }
    }
    return flag == EXITFD_URING
               ? "reason unknown. It needs a library built with liburing, and Linux 6.1, or 6.16 and later"
               : "reason unknown. This build of the library may lack it (-Dbackends)";
}

static void tell_backend(struct report *report, const char *name, unsigned flag)
{
    char name_buffer[SIGNAL_NAME_SIZE], buffer[128];
    struct probe probe = probe_backend(flag);
    if (!probe.is_asked) {
        tell(report, NOTE, name, "unknown", "%s", explain_syscall(&probe, buffer));
    } else if (probe.killed_by) {
        tell(report, NOTE, name, "no", "a process that used it was killed by %s: %s",
             signal_name(probe.killed_by, name_buffer), explain_kill(&probe));
    } else if (!*probe.text) {
        tell(report, NOTE, name, "no", "%s", explain_backend(flag, &probe, buffer));
    } else {
        tell(report, probe.is_true_status ? GOOD : NOTE, name, probe.is_true_status ? "yes" : "in part", "%s",
             probe.text);
    }
}

static void tell_default(struct report *report)
{
    const char *forced = getenv("EXITFD_BACKEND");
    struct probe probe = probe_backend(0);
    const char *why = forced ? "forced by EXITFD_BACKEND" : "exitfd_open chooses it here";
    char buffer[128];
    if (!probe.is_asked) {
        tell(report, NOTE, "default", "unknown", "%s", explain_syscall(&probe, buffer));
    } else if (probe.killed_by) {
        tell(report, PROBLEM, "default", "none",
             "a process that used it was killed: %s: set EXITFD_BACKEND to one that works", explain_kill(&probe));
    } else if (!*probe.text) {
        tell(report, PROBLEM, "default", "none", "exitfd_open fails: %s%s%s%s", strerror(probe.error),
             forced ? ". EXITFD_BACKEND is '" : "", forced ? forced : "", forced ? "'" : "");
    } else {
        tell(report, probe.is_true_status ? GOOD : PROBLEM, "default", probe.text, "%s%s", why,
             probe.is_true_status ? "" : ", but with it the status of a child is unknown");
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

static const char *explain_record(const struct probe *record, char buffer[128])
{
    struct probe info = probe_syscall("PIDFD_GET_INFO");
    if (!record->is_asked || !info.is_asked)
        return "Not asked, because doctor cannot start a process";
    bool is_without_pidfds = strcmp(record->text, "signalfd") == 0 || strcmp(record->text, "self-pipe") == 0;
    if ((is_without_pidfds || !*record->text) && probe_backend(EXITFD_PIDFD).error)
        return "It needs the pidfd back end, which does not work, see above";
    if (is_without_pidfds) {
        snprintf(buffer, 128, "The %.16s back end does not read the kernel's record", record->text);
        return buffer;
    }
    if (info.error)
        return "It needs PIDFD_GET_INFO, which does not work, see above";
    if (record->error) {
        snprintf(buffer, 128, "the trial failed: %s", strerror(record->error));
        return buffer;
    }
    if (*record->text && !record->has_pidfd)
        return "The child of the trial got no pidfd. The limit on open files may be too low, see below";
    snprintf(buffer, 128, "PIDFD_GET_INFO is there, but has no record of exits (Linux 6.15 has)");
    return buffer;
}

static bool tell_record(struct report *report)
{
    char buffer[128];
    struct probe probe = probe_record();
    if (probe.is_true_status) {
        tell(report, GOOD, "record", "yes", "the true status is known even if other code reaps the child");
    } else {
        tell(report, NOTE, "record", probe.is_asked ? "no" : "unknown",
             "the status is unknown if other code reaps the child. %s", explain_record(&probe, buffer));
    }
    return probe.is_true_status;
}

static void tell_null(struct report *report)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    tell(report, fd < 0 ? NOTE : GOOD, "/dev/null", fd < 0 ? "no" : "yes", "%s%s",
         fd < 0 ? "the commands of exitfd run get an empty pipe as standard input instead: "
                : "can be read and written",
         fd < 0 ? strerror(errno) : "");
    if (fd >= 0)
        close(fd);
}

static void tell_sandbox(struct report *report)
{
    char line[256];
    int seccomp = -1, no_new_privileges = 0, tracer = -1;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "Seccomp: %d", &seccomp);
        sscanf(line, "NoNewPrivs: %d", &no_new_privileges);
        sscanf(line, "TracerPid: %d", &tracer);
    }
    if (file)
        fclose(file);
    static const char *const modes[] = { "none", "strict", "filter" };
    bool is_known = seccomp >= 0 && seccomp <= 2;
    tell(report, seccomp > 0 ? NOTE : GOOD, "seccomp", is_known ? modes[seccomp] : "unknown",
         seccomp > 0   ? "system calls are filtered, which may explain lines marked '--'%s"
         : seccomp < 0 ? "/proc/self/status does not say%s"
                       : "no system call is filtered%s",
         no_new_privileges ? ". no_new_privs is set" : "");
    char pid[16];
    snprintf(pid, sizeof pid, "%d", tracer);
    tell(report, tracer > 0 ? NOTE : GOOD, "tracer",
         tracer < 0 ? "unknown"
         : tracer   ? pid
                    : "none",
         "%s",
         tracer < 0 ? "/proc/self/status does not say"
         : tracer   ? "a debugger or strace has this pid. It may delay exits and change answers of the kernel"
                    : "no debugger or strace is attached");
}

static void tell_sigchld(struct report *report, bool has_record)
{
    struct sigaction action;
    sigset_t mask;
    sigaction(SIGCHLD, NULL, &action);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    if (action.sa_handler == SIG_IGN) {
        tell(report, has_record ? NOTE : PROBLEM, "SIGCHLD", "ignored",
             "inherited, so the kernel reaps the children. Start this program with SIGCHLD at its default");
    } else {
        tell(report, GOOD, "SIGCHLD", "default", "the kernel keeps the status of children");
    }
    bool is_blocked = sigismember(&mask, SIGCHLD);
    tell(report, is_blocked ? NOTE : GOOD, "SIGCHLD mask", is_blocked ? "blocked" : "unblocked",
         is_blocked ? "inherited. Children that need SIGCHLD are checked every 100 ms" : "as it should be");
}

/* -1 where nothing tells. */
static int count_open_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int count = -3; /* ".", ".." and the folder itself */
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return folder ? count : -1;
}

static const char *format_limit(rlim_t limit, char buffer[32])
{
    snprintf(buffer, 32, limit == RLIM_INFINITY ? "unlimited" : "%" PRIu64, (uint64_t)limit);
    return buffer;
}

static void tell_limit(struct report *report, const char *check, int resource, const char *text)
{
    char soft[32], hard[32], raised[80] = "";
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) {
        tell(report, NOTE, check, "unknown", "getrlimit: %s", strerror(errno));
        return;
    }
    if (limit.rlim_cur != limit.rlim_max) {
        snprintf(raised, sizeof raised, ". It can be raised to %s (ulimit -%c)", format_limit(limit.rlim_max, hard),
                 resource == RLIMIT_NOFILE ? 'n' : 'u');
    }
    tell(report, GOOD, check, format_limit(limit.rlim_cur, soft), "%s%s", text, raised);
}

static void tell_open_files(struct report *report)
{
    char text[128];
    int count = count_open_fds();
    snprintf(text, sizeof text,
             count < 0 ? "one for each child on the pidfd back end"
                       : "one for each child on the pidfd back end, %d are open",
             count);
    tell_limit(report, "open files", RLIMIT_NOFILE, text);
}

static void tell_processes(struct report *report)
{
#ifdef RLIMIT_NPROC
    char text[160], line[128];
    const char *pid_max = read_line("/proc/sys/kernel/pid_max", line);
    snprintf(text, sizeof text, "the limit of this user. pid_max is %s", *pid_max ? pid_max : "not known");
    tell_limit(report, "processes", RLIMIT_NPROC, text);
#else
    (void)report;
#endif
}

struct section {
    struct report *report;
    void (*tell)(struct report *report);
};

static void tell_in_child(struct probe *probe, const void *argument)
{
    const struct section *section = argument;
    section->tell(section->report);
    probe->is_true_status = section->report->has_problem;
    probe->error = section->report->write_error;
}

/* A sandbox may kill whatever asks. The rest of the report must not go with
   it. */
static void tell_safely(struct report *report, const char *check, void (*section)(struct report *report))
{
    char name[SIGNAL_NAME_SIZE];
    struct probe probe = ask_in_child(tell_in_child, &(struct section){ report, section });
    if (!probe.is_asked) {
        section(report);
    } else if (probe.killed_by) {
        tell(report, NOTE, check, "unknown", "the process that asked was killed by %s: %s",
             signal_name(probe.killed_by, name), explain_kill(&probe));
    } else if (!report->write_error) {
        report->write_error = probe.error;
    }
    report->has_problem |= probe.is_true_status;
}

static int examine(struct report *report)
{
    tell_safely(report, "kernel", tell_system);
    tell_syscalls(report);
    tell_backends(report);
    bool has_record = tell_record(report);
    tell_sandbox(report);
    tell_sigchld(report, has_record);
    tell_safely(report, "/dev/null", tell_null);
    tell_safely(report, "open files", tell_open_files);
    tell_safely(report, "processes", tell_processes);
    if (report->write_error) {
        complain("cannot write standard output: %s", strerror(report->write_error));
        return STATUS_FAILED;
    }
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
    if (optind < argc)
        return usage_error("'%s' is one too many. doctor takes no arguments", argv[optind]);
    return examine(&report);
}
