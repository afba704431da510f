/* SPDX-License-Identifier: MIT */
/* usage: leaf N. Exits with N after a moment, or kills itself by the signal -N.
   A child of ci/proof-hosts. */
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int ending = argc > 1 ? atoi(argv[1]) : 0;

    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    if (ending < 0)
        kill(getpid(), -ending);
    return ending;
}
