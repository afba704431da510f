/* SPDX-License-Identifier: MIT */
/* Every operation, how often it is done, and the kind that it belongs to. Here
   a new one gets its line. */
#include "fuzz.h"

struct operation {
    const char *kind;
    unsigned weight;
    void (*of_child)(struct child *); /* one of these two */
    void (*of_all)(void);
};

/* Those of "basic" keep their order and weights: the older lines of tests/seeds
   rest on them. */
static const struct operation operations[] = {
    { "basic", 4, start, NULL },
    { "basic", 4, add, NULL },
    { "basic", 3, end, NULL },
    { "basic", 1, let_go, NULL },
    { "basic", 1, discard, NULL },
    { "basic", 1, kill_child, NULL },
    { "basic", 1, steal, NULL },
    { "basic", 1, stop_or_continue, NULL },
    { "basic", 1, NULL, now_and_then_ignore },
    { "basic", 1, NULL, fork_and_close },
    { "basic", 1, NULL, now_and_then_reopen },
    { "basic", 1, NULL, clear },
    { "basic", 1, NULL, begin_or_end_a_catch_all_watch },
    { "basic", 1, NULL, wait_beside_a_thread },
    { "basic", 4, NULL, wait_for_either },
    { "calls", 1, start_held, NULL },
    { "calls", 1, add_held, NULL },
    { "calls", 1, kill_group, NULL },
    { "calls", 1, add_reaped, NULL },
    { "calls", 1, add_without_fds, NULL },
    { "calls", 1, NULL, check_counts },
    { "pids", 2, reuse_pid, NULL },
    { "pids", 1, reuse_pid_during_a_start, NULL },
    { "busy", 2, NULL, be_busy },
    { "busy", 1, NULL, loop_crashes },
    { "handlers", 1, NULL, install_or_remove_host_handler },
    { "handlers", 1, NULL, save_and_put_back },
    { "handlers", 1, NULL, use_user_fd },
    { "handlers", 1, NULL, raise_sigchld },
    { "handlers", 1, NULL, reopen_both },
    { "forks", 1, NULL, fork_and_close_in_a_storm },
    { "forks", 1, NULL, fork_beside_a_lock },
};
#define OPERATIONS (sizeof(operations) / sizeof(*operations))

static struct kind {
    const char *name;
    bool is_on;
} kinds[] = {
    { "basic", true }, { "calls", true }, { "pids", true }, { "busy", true }, { "handlers", true }, { "forks", true },
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static struct kind *find_kind(const char *name, size_t length)
{
    for (struct kind *k = kinds; k < kinds + KINDS; k++)
        if (strlen(k->name) == length && strncmp(k->name, name, length) == 0)
            return k;
    return NULL;
}

bool choose_kinds(const char *names)
{
    for (struct kind *k = kinds; k < kinds + KINDS; k++)
        k->is_on = false;
    for (;;) {
        size_t length = strcspn(names, ",");
        struct kind *k = find_kind(names, length);
        if (k == NULL)
            return false;
        k->is_on = true;
        if (names[length] == '\0')
            return true;
        names += length + 1;
    }
}

bool has_kind(const char *name)
{
    return find_kind(name, strlen(name))->is_on;
}

void skip_kind(const char *name, const char *reason)
{
    if (!has_kind(name))
        return;
    printf("# without \"%s\": %s\n", name, reason);
    find_kind(name, strlen(name))->is_on = false;
}

void print_kinds(FILE *output)
{
    const char *before = "";

    for (const struct kind *k = kinds; k < kinds + KINDS; k++) {
        if (k->is_on)
            fprintf(output, "%s%s", before, k->name);
        before = k->is_on ? "," : before;
    }
    fputc('\n', output);
}

static unsigned weight_of_all(void)
{
    unsigned sum = 0;
    for (size_t i = 0; i < OPERATIONS; i++)
        sum += has_kind(operations[i].kind) ? operations[i].weight : 0;
    return sum;
}

static const struct operation *some_operation(void)
{
    unsigned at = below(weight_of_all());
    const struct operation *o = operations;

    while (!has_kind(o->kind) || at >= o->weight) {
        at -= has_kind(o->kind) ? o->weight : 0;
        o++;
    }
    return o;
}

void operate(void)
{
    const struct operation *o = some_operation();

    if (o->of_child)
        o->of_child(&children[below(CHILDREN)]);
    else
        o->of_all();
    if (has_kind("calls"))
        check_counts();
}
