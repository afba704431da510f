/* SPDX-License-Identifier: MIT */
/* What every subcommand of exitfd(1) shares: exit statuses, messages, the
   reading of option values. */
#ifndef TOOL_H
#define TOOL_H

#include "signal_names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#define NS_PER_SECOND INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

/* Those of xargs(1), timeout(1) and the shell, where these have one for the
   case. */
enum exit_status {
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_SOME_FAILED = 123,
    STATUS_TIMED_OUT = 124,
    STATUS_UNKNOWN = 125,
    STATUS_CANNOT_EXECUTE = 126,
    STATUS_NOT_FOUND = 127,
    STATUS_KILLED = 128 /* plus the signal */
};

int wait_main(int argc, char **argv);
int run_main(int argc, char **argv);
int init_main(int argc, char **argv);
int doctor_main(int argc, char **argv);

/* "exitfd run" in messages. */
extern const char *command_name;

__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/* Says what was wrong and where the help is; the value is for exit. */
__attribute__((format(printf, 1, 2))) int usage_error(const char *format, ...);

/* The same of what getopt_long gave for an option it does not take. It prints
   nothing itself (opterr is 0), and its list of options begins with ':'. */
int option_error(char **argv, int option);

/* An option of another program, and what does its work here. */
struct foreign_option {
    const char *names; /* with a space before and after each */
    const char *ours;
};

/* As option_error, and says what known has for the option. The last names there
   are NULL, with a text for any other option, or NULL. */
int foreign_option(char **argv, int option, const struct foreign_option *known);

/* Everything printed has arrived, or it was said that it has not; the value is
   for exit. */
int close_stdout(int status);

/* No exitfd was to be had. */
int complain_cannot_start(int error);

/* Of an option or argument: false after a usage_error. Times are 1.5, 90s, 2m,
   1h, 1d as timeout(1) reads them. */
bool read_duration(const char *text, int64_t *ret_ns);
bool read_count(const char *text, int64_t min, int64_t max, int64_t *ret);

bool parse_number(const char *text, int64_t min, int64_t max, int64_t *ret);

int64_t monotonic_ns(void);

/* What poll(2) takes for "until then", rounded up, -1 for a deadline that never
   comes. */
int poll_timeout(int64_t deadline_ns);
#define NEVER INT64_MAX

/* realloc(3) of count elements that ends the program when there is no memory.
   The exit status is STATUS_FAILED unless this says otherwise. */
extern int out_of_memory_status;
void *reallocate(void *old, size_t count, size_t size);
char *copy_text(const char *text, size_t length);

/* Close-on-exec; 0 or a negative errno. pipe2(2) is not everywhere, and nothing
   here forks in another thread. */
int open_pipe(int fds[2]);
void set_nonblocking(int fd);

/* Now, or it is broken. A pipe takes PIPE_BUF bytes then. A terminal may take
   one and block. */
bool is_writable(int fd);

/* The soft limit on open files becomes the hard one; the value is what it
   was. */
struct rlimit raise_fd_limit(void);

#endif
