# SPDX-License-Identifier: MIT
"""Python's subprocess, and os.posix_spawn through it."""
import os
import subprocess

FOLDER, LEAF = os.environ["HOST_FOLDER"], os.environ["HOST_LEAF"]


def right(children):
    return [child.wait() == wanted for child, wanted in children]


subprocess.run([LEAF, "0"], check=True)
open(FOLDER + "/ready", "w").close()
told = right([(subprocess.Popen([LEAF, str(100 + i)]), 100 + i) for i in range(20)])
while not os.path.exists(FOLDER + "/done"):
    told += right([(subprocess.Popen([LEAF, "3"]), 3)])
print("own", sum(told), "right,", len(told) - sum(told), "wrong")
