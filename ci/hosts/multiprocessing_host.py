# SPDX-License-Identifier: MIT
"""Python's multiprocessing, by the start method in HOST_WAY."""
import multiprocessing
import os
import sys
import time

FOLDER = os.environ["HOST_FOLDER"]


def leaf(status):
    time.sleep(0.02)
    sys.exit(status)


def right(way, statuses):
    children = [(way.Process(target=leaf, args=(status,)), status) for status in statuses]
    for child, _ in children:
        child.start()
    for child, _ in children:
        child.join()
    return [child.exitcode == status for child, status in children]


if __name__ == "__main__":
    context = multiprocessing.get_context(os.environ["HOST_WAY"])
    right(context, [0])
    open(FOLDER + "/ready", "w").close()
    told = right(context, range(100, 120))
    while not os.path.exists(FOLDER + "/done"):
        told += right(context, [3])
    print("own", sum(told), "right,", len(told) - sum(told), "wrong")
