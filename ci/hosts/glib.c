/* SPDX-License-Identifier: MIT */
/* GLib's g_spawn_async and g_child_watch_add. */
#include <glib.h>
#include <sys/wait.h>

static int right, wrong, running;

static void ended(GPid pid, gint status, gpointer wanted)
{
    WIFEXITED(status) && WEXITSTATUS(status) == GPOINTER_TO_INT(wanted) ? right++ : wrong++;
    running--;
    g_spawn_close_pid(pid);
}

static void start(int status)
{
    GPid pid;
    char *number = g_strdup_printf("%d", status);
    char *argv[] = { (char *)g_getenv("HOST_LEAF"), number, NULL };

    if (!g_spawn_async(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL))
        g_error("g_spawn_async");
    g_child_watch_add(pid, ended, GINT_TO_POINTER(status));
    running++;
    g_free(number);
}

static void wait_for_all(void)
{
    while (running > 0)
        g_main_context_iteration(NULL, TRUE);
}

int main(void)
{
    char *ready = g_strdup_printf("%s/ready", g_getenv("HOST_FOLDER")),
         *done = g_strdup_printf("%s/done", g_getenv("HOST_FOLDER"));

    start(0);
    wait_for_all();
    right = 0;
    g_file_set_contents(ready, "", 0, NULL);
    for (int i = 0; i < 20; i++)
        start(100 + i);
    wait_for_all();
    while (!g_file_test(done, G_FILE_TEST_EXISTS)) {
        start(3);
        wait_for_all();
    }
    g_print("own %d right, %d wrong\n", right, wrong);
    g_free(ready);
    g_free(done);
    return 0;
}
