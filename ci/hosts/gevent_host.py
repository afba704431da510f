# SPDX-License-Identifier: MIT
"""gevent's own subprocess."""
import os

import gevent
from gevent import subprocess

FOLDER, LEAF = os.environ["HOST_FOLDER"], os.environ["HOST_LEAF"]


def is_right(status):
    return subprocess.Popen([LEAF, str(status)]).wait() == status


is_right(0)
open(FOLDER + "/ready", "w").close()
told = [job.value for job in gevent.joinall([gevent.spawn(is_right, 100 + i) for i in range(20)])]
while not os.path.exists(FOLDER + "/done"):
    told.append(is_right(3))
print("own", sum(told), "right,", len(told) - sum(told), "wrong")
