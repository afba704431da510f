/* SPDX-License-Identifier: MIT */
/*
 * What loops_cases.c needs to drive sd-event, and cases of this adapter alone.
 */
#include "loops_side.h"

#include <exitfd/sd-event.h>

static void *new_loop(void)
{
    sd_event *e = NULL;
    CHECK(sd_event_new(&e) >= 0, "sd_event_new");
    return e;
}

static void free_loop(void *e)
{
    sd_event_unref(e);
}

static int on_exit_event(sd_event_source *s, int error, const struct exitfd_event *event, void *data)
{
    struct receiver *r = data;
    CHECK(r->attached == NULL || s == r->attached);
    r->take(r, error, event);
    return 0;
}

static void *attach(void *e, struct exitfd *x, struct receiver *r)
{
    sd_event_source *s = NULL;
    return exitfd_sd_event_add(e, &s, x, on_exit_event, r) == 0 ? s : NULL;
}

static void detach(void *s)
{
    struct exitfd_sd_event *exits = sd_event_source_get_userdata(s);
    struct receiver *r = exits->userdata;
    sd_event_source_disable_unref(s);
    r->released++; /* that it is freed, ASan says */
}

static void run_once(void *e)
{
    sd_event_run(e, (uint64_t)-1);
}

static void run_now(void *e)
{
    sd_event_run(e, 0);
}

static const struct side sd = { new_loop, free_loop, NULL, attach, detach, run_once, run_now };

static int refuse(sd_event_source *s, int error, const struct exitfd_event *event, void *data)
{
    on_exit_event(s, error, event, data);
    return -EIO;
}

static void a_negative_return_value_disables_the_source(void)
{
    sd_event *e = new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(&sd, x);
    sd_event_source *s = NULL;
    CHECK(exitfd_sd_event_add(e, &s, x, refuse, r) == 0);
    start_two(x);
    run_until(e, r, 1);
    run_now(e);
    int enabled = -1;
    sd_event_source_get_enabled(s, &enabled);
    CHECK(r->events == 1 && enabled == SD_EVENT_OFF);

    sd_event_source_set_enabled(s, SD_EVENT_ON);
    run_until(e, r, 2);
    CHECK(r->events == 2);
    sd_event_source_unref(s);
    sd_event_unref(e);
    exitfd_close(x);
    free(r);
}

static void without_a_pointer_it_lives_as_long_as_the_loop(void)
{
    sd_event *e = new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(&sd, x);
    CHECK(exitfd_sd_event_add(e, NULL, x, on_exit_event, r) == 0);
    start_two(x);
    run_until(e, r, 2);
    CHECK(r->events == 2 && r->sum == 8);
    sd_event_unref(e);
    exitfd_close(x);
    free(r);
}

int main(int argc, char *argv[])
{
    static const struct tap_case more[] = {
        { "a_negative_return_value_disables_the_source", a_negative_return_value_disables_the_source },
        { "without_a_pointer_it_lives_as_long_as_the_loop", without_a_pointer_it_lives_as_long_as_the_loop },
    };
    return loops_main(argc, argv, &sd, more, sizeof more / sizeof *more);
}
