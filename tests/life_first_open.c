/* SPDX-License-Identifier: MIT */
/* The first exitfd of a process, with another thread in the way. */
#include "life_support.h"

#include <dlfcn.h>
#include <errno.h>

/* Between the library and the C library, whose pthread_atfork is an inline function around this. */
static struct gate *registering, *registered;
static bool is_forked_child;

int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library)
{
    int (*next)(void (*)(void), void (*)(void), void (*)(void), void *);
    *(void **)&next = dlsym(RTLD_NEXT, "__register_atfork");
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

/* Its child must not wait for the thread that it does not have. */
TEST(first_open, a_fork_in_another_thread_meanwhile)
{
    struct gate before = open_gate(), after = open_gate();
    pthread_t opener;
    int opened = 1, opened_in_child = 1;
    registering = &before;
    registered = &after;
    cr_assert_eq(pthread_create(&opener, NULL, open_and_close, &opened), 0);
    wait_behind(&before);
    pid_t pid = fork_guarded();
    if (pid == 0) {
        is_forked_child = true;
        alarm(20);
        open_and_close(&opened_in_child);
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(open_and_close(&opened_in_child) != NULL || opened_in_child != 0);
        _exit(opened_in_child != 0 || reap_quietly(grandchild) != 0);
    }
    int status = reap(pid);
    let_through(&after, 1);
    pthread_join(opener, NULL);
    registering = NULL;
    close_gate(&before);
    close_gate(&after);
    cr_assert_eq(status, 0, "wait status %#x in the child", (unsigned)status);
    cr_assert_eq(opened, 0, "exitfd_open: %s", strerror(-opened));
    struct exitfd *x = open_exitfd();
    expect_report(x);
    exitfd_close(x);
}
