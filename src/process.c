/* SPDX-License-Identifier: MIT */
/*
 * What is to be done around a fork. Before it the lock of sigchld.h is taken,
 * so that the child finds the list of listeners whole. In the child everything
 * that is about the parent is forgotten.
 */
#include "process.h"

#include "autokill.h"
#include "foreign_reaps.h"
#include "orphans.h"
#include "posix/sigchld.h"
#include "registry.h"
#include "stops.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

static atomic_bool registered, initialized;
static _Thread_local unsigned preparations;
static _Thread_local const struct fork_hooks *hooks; /* of the fork that this thread makes */

static void before_fork(void)
{
    if (preparations == 0) {
        xfd_sigchld_lock(); /* blocks all signals: no handler forks between this and the next line */
        if (hooks)
            hooks->before(hooks->argument);
    }
    preparations++;
}

/* Once: a handler of the application may fork in turn. */
static const struct fork_hooks *claim_hooks(void)
{
    const struct fork_hooks *taken = hooks;
    hooks = NULL;
    return taken;
}

static void after_fork_in_parent(void)
{
    if (--preparations > 0)
        return;
    const struct fork_hooks *own = claim_hooks();
    if (own)
        own->in_parent(own->argument);
    xfd_sigchld_unlock_alone();
    if (own && own->then_in_parent)
        own->then_in_parent(own->argument);
    xfd_sigchld_restore_thread();
}

static void forget_parent(void)
{
    xfd_sigchld_forked();
    xfd_registry_forked();
    xfd_orphans_forked();
    xfd_stops_forked();
    xfd_foreign_reaps_forked();
    xfd_autokill_forked();
}

/* After a fork that no pthread_atfork handler saw. The thread that holds the
   lock, if any does, is not in this process. */
static void enter_new_process(void)
{
    xfd_sigchld_reset_lock();
    forget_parent();
}

static void after_fork_in_child(void)
{
    if (--preparations > 0)
        return;
    const struct fork_hooks *own = claim_hooks();
    if (own)
        own->in_child(own->argument);
    xfd_epoch_forked();
    forget_parent();
    xfd_sigchld_unlock_in_child();
}

pid_t xfd_process_fork(const struct fork_hooks *of_this_fork)
{
    hooks = of_this_fork;
    pid_t pid = fork();
    int error = errno;
    hooks = NULL;
    return pid < 0 ? -error : pid;
}

/*
 * No lock and no pthread_once: another thread may fork meanwhile, and its child
 * would wait for ever for a thread that it does not have. So the handlers may
 * be registered by several threads, or again in such a child, and count
 * themselves.
 */
int xfd_process_init(void)
{
    if (atomic_load(&initialized)) {
        xfd_process_id();
        return 0;
    }
    if (xfd_foreign_reaps_init() < 0 || xfd_registry_init() < 0 || xfd_sigchld_init() < 0)
        return -ENOMEM;
    if (!atomic_load(&registered) && pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0)
        return -ENOMEM;
    atomic_store(&registered, true);
    int error = xfd_epoch_init(enter_new_process);
    if (error == 0)
        atomic_store(&initialized, true);
    return error;
}

/*
 * At load, before the application registers handlers of its own
 * (pthread_atfork(3)). So ours runs last before a fork: theirs then have the
 * locks that they may hold around calls of the library. And it runs first in
 * the child, where theirs may close an exitfd. The priority is for a static
 * link. There the application's constructors come before those of a library
 * that have none. So early only libc may be called. Where it fails the first
 * open tries again.
 */
__attribute__((constructor(101))) static void at_load(void)
{
    xfd_process_init();
}
