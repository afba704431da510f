/* SPDX-License-Identifier: MIT */
/* Runs a program as on a kernel before Linux 5.3: no pidfds, and no way to wait
   for one. */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] = "usage: without-pidfds COMMAND [ARGUMENT]...\n"
                            "Runs COMMAND under a seccomp filter, so that pidfd_open, pidfd_send_signal, clone3 and\n"
                            "pidfd_getfd answer ENOSYS, and waitid with P_PIDFD answers EINVAL: Linux before 5.3.\n"
                            "io_uring_setup answers ENOSYS too (Linux 5.1; what exitfd needs of it came with 6.1).\n";

static const int absent[] = {
    SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(pidfd_getfd),
    SCMP_SYS(clone3),     SCMP_SYS(io_uring_setup),
};

/* 0 or a negative errno. */
static int grow_old(void)
{
    const scmp_datum_t idtype_pidfd = 3;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL)
        return -ENOMEM;
    /* What SCMP_A0_32 gives, which clang warns of. */
    const struct scmp_arg_cmp is_pidfd = { .op = SCMP_CMP_MASKED_EQ, .datum_a = UINT32_MAX, .datum_b = idtype_pidfd };
    int error = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(waitid), 1, &is_pidfd);
    for (size_t i = 0; error == 0 && i < sizeof(absent) / sizeof(absent[0]); i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), absent[i], 0);
    if (error == 0)
        error = seccomp_load(filter);
    seccomp_release(filter);
    return error;
}

int main(int argc, char *argv[])
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 2 || argv[1][0] == '-') {
        fputs(usage, stderr);
        return 2;
    }
    int error = grow_old();
    if (error < 0) {
        fprintf(stderr, "without-pidfds: seccomp: %s\n", strerror(-error));
        return 125;
    }
    execvp(argv[1], argv + 1);
    fprintf(stderr, "without-pidfds: %s: %s\n", argv[1], strerror(errno));
    return 127;
}
