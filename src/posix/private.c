/* SPDX-License-Identifier: MIT */
/* POSIX knows no memory that a fork leaves out. */
#include "private.h"

#include <stdlib.h>

void *xfd_private_alloc(size_t kept, size_t size)
{
    (void)kept;
    return calloc(1, size);
}

void xfd_private_free(void *memory, size_t kept, size_t size)
{
    (void)kept, (void)size;
    free(memory);
}

void *xfd_private_resize(void *memory, size_t old_size, size_t size)
{
    (void)old_size;
    return realloc(memory, size);
}
