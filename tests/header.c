/* SPDX-License-Identifier: MIT */
/* The public header before any other, twice, and linked: compiled as C99, as
   C11 and as C++. */
#include <exitfd.h>

#include <exitfd.h>

int main(void)
{
    struct exitfd_event event;
    event.origin = EXITFD_UNKNOWN;
    event.data = 0;
    return exitfd_version() != 0 && exitfd_close(0) == 0 && exitfd_wait(0, &event, 1, 0) < 0 ? 0 : 1;
}
