/* SPDX-License-Identifier: MIT */
/*
 * Memory that this process does not share with its forked children. A fork
 * makes every other page copy-on-write, and the first write to each costs a
 * page fault: a daemon that forks for itself would pay for each page that a
 * child's life touches. A forked child finds zeros here where the kernel can do
 * that (MADV_WIPEONFORK, Linux 4.14), and elsewhere a copy that may be torn. So
 * it reads none of it, and asks process.h whether it is one.
 */
#ifndef EXITFD_PRIVATE_H
#define EXITFD_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * For a function beside the usual way, whose locals would make its caller's
 * stack frame larger: 41 bytes more in depth are one more page fault in a
 * hundred calls that follow a fork.
 */
#define OWN_FRAME __attribute__((noinline))

/*
 * Zeroed. The first so many bytes are ordinary memory, for what a forked child
 * needs and no life of a child changes; a multiple of 16. NULL: no memory.
 */
void *xfd_private_alloc(size_t kept, size_t size);
void xfd_private_free(void *memory, size_t kept, size_t size);

/*
 * For what a process has once: allocates it, unless it is there. init makes it
 * ready for use, and may be NULL. Several threads may be here at once.
 */
static inline bool xfd_private_alloc_once(void *_Atomic *memory, size_t size, bool (*init)(void *))
{
    void *none = NULL, *block = atomic_load(memory) ? NULL : xfd_private_alloc(0, size);

    if (block && ((init && !init(block)) || !atomic_compare_exchange_strong(memory, &none, block)))
        xfd_private_free(block, 0, size);
    return atomic_load(memory) != NULL;
}

/* What nothing is kept of, and NULL with a size of 0. It may move. NULL: no
   memory, and it is as it was. */
void *xfd_private_resize(void *memory, size_t old_size, size_t size);

#endif
