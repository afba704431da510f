/* SPDX-License-Identifier: MIT */
#include "posix/environment.h"

#include <stdlib.h>
#include <unistd.h>

const char *xfd_secure_environment(const char *name)
{
    return issetugid() ? NULL : getenv(name);
}
