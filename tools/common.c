/* SPDX-License-Identifier: MIT */
/*
 * What every subcommand calls: messages of usage, the reading of option values,
 * clocks, memory, pipes. It knows nothing of the subcommands.
 */
#include "escape.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *command_name = "exitfd";

__attribute__((format(printf, 1, 0))) static void complain_list(const char *format, va_list args)
{
    say(command_name, format, args);
}

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain_list(format, args);
    va_end(args);
}

static int usage_hint(void)
{
    fprintf(stderr, "Try '%s --help'.\n", command_name);
    return STATUS_USAGE;
}

int usage_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain_list(format, args);
    va_end(args);
    return usage_hint();
}

int option_error(char **argv, int option)
{
    const char *last = argv[optind - 1];
    bool is_long = strncmp(last, "--", 2) == 0;
    char letter[] = { '-', (char)optopt, '\0' };
    if (option == ':')
        return usage_error("option '%s' needs a value", last);
    if (optopt && is_long && strchr(last, '='))
        return usage_error("option '%s' takes no value", last);
    return usage_error("invalid option '%s'", optopt ? letter : last);
}

static const char *find_foreign(const char *name, size_t length, const struct foreign_option *known)
{
    for (; known->names; known++) {
        for (const char *at = known->names; (at = strchr(at, ' ')); at++) {
            if (strncmp(at + 1, name, length) == 0 && at[1 + length] == ' ')
                return known->ours;
        }
    }
    return known->ours;
}

int foreign_option(char **argv, int option, const struct foreign_option *known)
{
    char letter[] = { '-', (char)optopt, '\0' };
    const char *last = argv[optind - 1], *name = optopt ? letter : last;
    const size_t length = strcspn(name, "=");
    bool is_unknown = option == '?' && !(optopt && strncmp(last, "--", 2) == 0);
    const char *ours = is_unknown ? find_foreign(name, length, known) : NULL;
    return ours ? usage_error("invalid option '%.*s'. %s", (int)length, name, ours) : option_error(argv, option);
}

int close_stdout(int status)
{
    errno = 0;
    bool has_failed = ferror(stdout); /* earlier, when what was printed was flushed */
    if (fclose(stdout) == 0 && !has_failed)
        return status;
    complain("cannot write standard output%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
    return STATUS_FAILED;
}

int complain_cannot_start(int error)
{
    const char *forced = getenv("EXITFD_BACKEND");

    if (error == -EINVAL && forced)
        complain("cannot start: EXITFD_BACKEND is '%s'. It takes pidfd, io_uring, signalfd or self-pipe", forced);
    else if (error == -ENOTSUP && forced)
        complain("cannot start: EXITFD_BACKEND is '%s', which does not work here. See 'exitfd doctor'", forced);
    else
        complain("cannot start: %s; see 'exitfd doctor'", strerror(-error));
    return STATUS_FAILED;
}

static int64_t seconds_of_unit(const char *suffix)
{
    static const struct {
        const char *suffix;
        int64_t seconds;
    } units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(suffix, units[i].suffix) == 0)
            return units[i].seconds;
    }
    return 0;
}

/* Not 0 unless it was meant so, because 0 often is "no limit". */
static int64_t round_up_to_ns(double seconds)
{
    const int64_t a_century = INT64_C(100) * 366 * 86400;
    if (seconds >= (double)a_century)
        return a_century * NS_PER_SECOND;
    double ns = seconds * (double)NS_PER_SECOND;
    return ns > 0 && ns < 1 ? 1 : (int64_t)ns;
}

bool read_duration(const char *text, int64_t *ret_ns)
{
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    bool is_too_small = errno == ERANGE && number < 1; /* then it may have become 0 */
    double seconds = number * (double)seconds_of_unit(end);
    if (end == text || !isfinite(number) || number < 0 || seconds_of_unit(end) == 0) {
        usage_error("'%s' is not a time. Give seconds, as in 1.5, or 90s, 2m, 1h, 1d", text);
        return false;
    }
    *ret_ns = is_too_small ? 1 : round_up_to_ns(seconds);
    return true;
}

bool parse_number(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno || number < min || number > max)
        return false;
    *ret = number;
    return true;
}

bool read_count(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    if (parse_number(text, min, max, ret))
        return true;
    usage_error("'%s' is not a whole number from %" PRId64 " to %" PRId64, text, min, max);
    return false;
}

int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

int poll_timeout(int64_t deadline_ns)
{
    if (deadline_ns == NEVER)
        return -1;
    int64_t left = deadline_ns - monotonic_ns();
    if (left <= 0)
        return 0;
    int64_t ms = (left + NS_PER_MS - 1) / NS_PER_MS;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

int out_of_memory_status = STATUS_FAILED;

void *reallocate(void *old, size_t count, size_t size)
{
    size_t bytes;
    void *new = __builtin_mul_overflow(count, size, &bytes) ? NULL : realloc(old, bytes);
    if (!new) {
        complain("out of memory");
        exit(out_of_memory_status);
    }
    return new;
}

char *copy_text(const char *text, size_t length)
{
    char *copy = reallocate(NULL, length + 1, 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

#ifdef __linux__
int open_pipe(int fds[2])
{
    return pipe2(fds, O_CLOEXEC) == 0 ? 0 : -errno;
}
#else
int open_pipe(int fds[2])
{
    if (pipe(fds) != 0)
        return -errno;
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
    return 0;
}
#endif

void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, O_NONBLOCK); /* it has no other flag yet */
}

bool is_writable(int fd)
{
    return poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 0) == 1;
}

struct rlimit raise_fd_limit(void)
{
    struct rlimit found;
    getrlimit(RLIMIT_NOFILE, &found);
    struct rlimit most = { .rlim_cur = found.rlim_max, .rlim_max = found.rlim_max };
    setrlimit(RLIMIT_NOFILE, &most);
    return found;
}
