/* SPDX-License-Identifier: MIT */
/* Opens an exitfd that never touches SIGCHLD, or else any. */
#include <errno.h>
#include <exitfd.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct exitfd *x;

    int error = exitfd_open(&x, EXITFD_NO_SIGNALS);
    if (error == -ENOTSUP)
        error = exitfd_open(&x, 0); /* an old kernel, or a sandbox */
    if (error < 0) {
        fprintf(stderr, "exitfd_open: %s\n", strerror(-error));
        return 1;
    }
    printf("children are watched by %s\n", exitfd_get_backend(x));
    exitfd_close(x);
    return 0;
}
