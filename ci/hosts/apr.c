/* SPDX-License-Identifier: MIT */
/* APR: apr_proc_wait, or apr_proc_wait_all_procs with HOST_WAY=all. */
#include <apr_general.h>
#include <apr_thread_proc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST 32

static apr_pool_t *pool;
static apr_proc_t children[MOST];
static int wanted[MOST], count, right, wrong;

static void start(int status)
{
    apr_procattr_t *attributes;
    char number[12];
    const char *argv[] = { getenv("HOST_LEAF"), number, NULL };

    snprintf(number, sizeof number, "%d", status);
    apr_procattr_create(&attributes, pool);
    apr_procattr_cmdtype_set(attributes, APR_PROGRAM_ENV);
    if (apr_proc_create(&children[count], argv[0], argv, NULL, attributes, pool) != APR_SUCCESS)
        abort();
    wanted[count++] = status;
}

static void judge(int found, int status)
{
    found == status ? right++ : wrong++;
}

/* Tells whose child it was, which need not be one of APR's. */
static void wait_for_any(void)
{
    for (int left = count; left > 0;) {
        apr_proc_t found;
        apr_exit_why_e why;
        int code;
        if (apr_proc_wait_all_procs(&found, &code, &why, APR_WAIT, pool) != APR_CHILD_DONE)
            abort();
        for (int i = 0; i < count; i++)
            if (children[i].pid == found.pid) {
                judge(code, wanted[i]);
                left--;
            }
    }
}

static void wait_for_all(void)
{
    if (getenv("HOST_WAY")) {
        wait_for_any();
    } else {
        for (int i = 0; i < count; i++) {
            int code;
            apr_exit_why_e why;
            apr_proc_wait(&children[i], &code, &why, APR_WAIT);
            judge(code, wanted[i]);
        }
    }
    count = 0;
    apr_pool_clear(pool);
}

int main(void)
{
    char ready[300], done[300];

    snprintf(ready, sizeof ready, "%s/ready", getenv("HOST_FOLDER"));
    snprintf(done, sizeof done, "%s/done", getenv("HOST_FOLDER"));
    apr_initialize();
    apr_pool_create(&pool, NULL);
    start(0);
    wait_for_all();
    right = 0;
    fclose(fopen(ready, "w"));
    for (int i = 0; i < 20; i++)
        start(100 + i);
    wait_for_all();
    while (access(done, F_OK) != 0) {
        start(3);
        wait_for_all();
    }
    printf("own %d right, %d wrong\n", right, wrong);
    return 0;
}
