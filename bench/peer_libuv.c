/* SPDX-License-Identifier: MIT */
/*
 * libuv watches only what its own uv_spawn has started. To let it watch a child
 * of the herd as the others do, the function below stands in for fork and gives
 * it a child that is there already. libuv does all of its own work on the same
 * children, without the fork. Some of that work belongs to spawning and not to
 * watching (a pipe, the signal mask, a read). So the figures leave uv_spawn out
 * altogether (add_is_spawn), in favour of libuv.
 */
#include "common.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

static uv_loop_t loop;
static struct child *adopted;

/* Linked into the program, it comes before libc's for libuv too. */
pid_t fork(void)
{
    static pid_t (*real_fork)(void);

    if (adopted != NULL)
        return adopted->pid;
    if (real_fork == NULL)
        *(void **)&real_fork = dlsym(RTLD_NEXT, "fork");
    return real_fork();
}

static const char *open_loop(void)
{
    return uv_loop_init(&loop) < 0 ? "uv_loop_init failed" : NULL;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void on_exit_of(uv_process_t *process, int64_t exit_status, int term_signal)
{
    if (term_signal != 0)
        herd_report(process->data, process->pid, CLD_KILLED, term_signal);
    else
        herd_report(process->data, process->pid, CLD_EXITED, (int)exit_status);
    uv_close((uv_handle_t *)process, free_handle);
}

static void spawn(struct child *c, char *const argv[])
{
    uv_process_t *process = malloc(sizeof *process);
    uv_process_options_t options = { .exit_cb = on_exit_of, .file = argv[0], .args = (char **)argv };
    int error;

    if (process == NULL)
        die("malloc");
    process->data = c;
    error = uv_spawn(&loop, process, &options);
    if (error < 0)
        die("uv_spawn: %s", uv_strerror(error));
    c->pid = process->pid;
}

static void add(struct child *c)
{
    char *argv[] = { "child of the herd", NULL };

    adopted = c;
    spawn(c, argv);
    adopted = NULL;
}

static void collect(bool block)
{
    uv_run(&loop, block ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, free_handle);
}

static void close_loop(void)
{
    uv_walk(&loop, close_handle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

const struct implementation peer_libuv = {
    .name = "libuv",
    .open = open_loop,
    .add = add,
    .collect = collect,
    .close = close_loop,
    .spawn = spawn,
    .add_is_spawn = true,
};
