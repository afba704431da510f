/* SPDX-License-Identifier: MIT */
#include "posix/environment.h"

#include <stdlib.h>

const char *xfd_secure_environment(const char *name)
{
    return secure_getenv(name);
}
