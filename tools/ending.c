/* SPDX-License-Identifier: MIT */
/*
 * An event as a sentence, as an exit status and as members of JSON. wait, init
 * and run all describe an ending by these, so they never disagree.
 */
#include "ending.h"

#include "json.h"
#include "tool.h"

const char *ending_in_words(const struct exitfd_event *ending, char buffer[ENDING_SIZE])
{
    char name[SIGNAL_NAME_SIZE];
    if (ending->origin == EXITFD_UNKNOWN) {
        snprintf(buffer, ENDING_SIZE, "ended, but its status is unknown");
    } else if (ending->code == CLD_EXITED) {
        snprintf(buffer, ENDING_SIZE, "exited with status %d", ending->status);
    } else {
        snprintf(buffer, ENDING_SIZE, "was killed by %s%s", signal_name(ending->status, name),
                 ending->code == CLD_DUMPED ? " and dumped core" : "");
    }
    return buffer;
}

bool ending_is_success(const struct exitfd_event *ending)
{
    return ending->origin != EXITFD_UNKNOWN && ending->code == CLD_EXITED && ending->status == 0;
}

int ending_exit_status(const struct exitfd_event *ending)
{
    if (ending->origin == EXITFD_UNKNOWN)
        return STATUS_UNKNOWN;
    return ending->code == CLD_EXITED ? ending->status : STATUS_KILLED + ending->status;
}

static const char *name_origin(int origin)
{
    static const char *const names[] = { [EXITFD_REAPED] = "reaped",
                                         [EXITFD_PEEKED] = "peeked",
                                         [EXITFD_RECORDED] = "recorded",
                                         [EXITFD_UNKNOWN] = "unknown" };
    return names[origin];
}

void outcome_to_json(FILE *out, const char *outcome)
{
    json_string(out, "outcome", outcome);
    json_null(out, "status");
    json_null(out, "signal");
    json_boolean(out, "core", false);
    json_null(out, "origin");
}

void ending_to_json(FILE *out, const struct exitfd_event *ending)
{
    char name[SIGNAL_NAME_SIZE];
    bool known = ending->origin != EXITFD_UNKNOWN;
    bool exited = known && ending->code == CLD_EXITED;
    json_string(out, "outcome", !known ? "unknown" : exited ? "exited" : "killed");
    if (exited)
        json_integer(out, "status", ending->status);
    else
        json_null(out, "status");
    json_string(out, "signal", known && !exited ? signal_name(ending->status, name) : NULL);
    json_boolean(out, "core", known && ending->code == CLD_DUMPED);
    json_string(out, "origin", name_origin(ending->origin));
}
