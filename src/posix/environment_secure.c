/* SPDX-License-Identifier: MIT */
#include "posix/environment.h"

#include <stdlib.h>

const char *secure_environment(const char *name)
{
    return secure_getenv(name);
}
