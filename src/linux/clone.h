/* SPDX-License-Identifier: MIT */
/* A child on a stack of its own, in the parent's memory, before which the
   parent's thread stops until it runs a program. */
#ifndef EXITFD_CLONE_H
#define EXITFD_CLONE_H

#include <stddef.h>
#include <sys/types.h>

/* run does not return. pidfd: NULL, or where the kernel puts the pidfd. Its
   pid, or a negative errno. */
pid_t xfd_clone(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd);

/* The same, with what has a handler set to its default (Linux 5.5). -ENOSYS
   also on other processors. */
pid_t xfd_clone_clear(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd);

/*
 * The same, for a child that the kernel kills when the last reference to the
 * open file of *pidfd goes, and reaps itself (Linux 7.1). -EINVAL before.
 * -EPERM without no_new_privs and CAP_SYS_ADMIN. -ENOSYS also on other
 * processors.
 */
pid_t xfd_clone_autokill(void (*run)(void *), void *argument, void *stack, size_t size, int *pidfd);

#endif
