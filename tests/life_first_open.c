/* SPDX-License-Identifier: MIT */
/* The first exitfd of a process, with another thread in the way, where the
   handlers could not be registered at load. */
#include "life_support.h"
#include "stand_in.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>

/* Between the library and the C library, whose pthread_atfork is an inline
   function around this. */
static struct gate *registering, *registered;
static bool is_forked_child;

static bool is_at_load_of_exitfd(void (*handler)(void))
{
    static bool is_over;
    Dl_info info, here; /* linked statically where coverage is measured */
    if (is_over || handler == NULL || dladdr((void *)(uintptr_t)handler, &info) == 0 || dladdr(&is_over, &here) == 0 ||
        (strstr(info.dli_fname, "libexitfd") == NULL && info.dli_fbase != here.dli_fbase))
        return false;
    is_over = true;
    return true;
}

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library)
{
    FIND_NEXT(__register_atfork);
    if (is_at_load_of_exitfd(prepare))
        return ENOMEM;
    if (registering != NULL && !is_forked_child) {
        let_through(registering, 1);
        wait_behind(registered);
    }
    return next(prepare, parent, child, library);
}

static int reap_quietly(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void *open_and_close(void *result)
{
    struct exitfd *x;
    *(int *)result = exitfd_open(&x, 0);
    if (*(int *)result == 0)
        exitfd_close(x);
    return NULL;
}

/* In a forked child, and in a child of that, an exitfd can be opened. Returns
   the wait status. */
static int open_in_a_forked_child(void)
{
    int opened = 1;
    pid_t pid = fork_guarded();
    if (pid == 0) {
        is_forked_child = true;
        alarm(120);
        open_and_close(&opened);
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(open_and_close(&opened) != NULL || opened != 0);
        _exit(opened != 0 || reap_quietly(grandchild) != 0);
    }
    return reap(pid);
}

/* All openers come to the registration, and none has done it, before a child is
   forked. */
static void fork_while_they_open(int openers)
{
    struct gate before = open_gate(), after = open_gate();
    pthread_t threads[2];
    int opened[2] = { 1, 1 };
    registering = &before;
    registered = &after;
    for (int i = 0; i < openers; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, open_and_close, &opened[i]), 0);
    for (int i = 0; i < openers; i++)
        wait_behind(&before);
    int status = open_in_a_forked_child();
    let_through(&after, openers);
    for (int i = 0; i < openers; i++)
        pthread_join(threads[i], NULL);
    registering = NULL;
    close_gate(&before);
    close_gate(&after);
    CHECK_EQ(status, 0, "wait status %#x in the child", (unsigned)status);
    for (int i = 0; i < openers; i++)
        CHECK_EQ(opened[i], 0, "exitfd_open: %s", strerror(-opened[i]));
}

/* Its child must not wait for the thread that it does not have. */
TEST(first_open, a_fork_in_another_thread_meanwhile)
{
    fork_while_they_open(1);
    struct exitfd *x = open_exitfd();
    expect_report(x);
    exitfd_close(x);
}

/* Both register the handlers, which then run twice at each fork. */
TEST(first_open, two_threads_at_once)
{
    fork_while_they_open(2);
    struct exitfd *x = open_exitfd();
    expect_report(x);
    int status = open_in_a_forked_child();
    CHECK_EQ(status, 0, "wait status %#x in the child", (unsigned)status);
    expect_report(x);
    exitfd_close(x);
}
