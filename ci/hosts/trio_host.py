# SPDX-License-Identifier: MIT
"""trio."""
import os

import trio

FOLDER, LEAF = os.environ["HOST_FOLDER"], os.environ["HOST_LEAF"]
told = []


async def run(status):
    told.append((await trio.run_process([LEAF, str(status)], check=False)).returncode == status)


async def main():
    await run(0)
    told.clear()
    open(FOLDER + "/ready", "w").close()
    async with trio.open_nursery() as nursery:
        for i in range(20):
            nursery.start_soon(run, 100 + i)
    while not os.path.exists(FOLDER + "/done"):
        await run(3)


trio.run(main)
print("own", sum(told), "right,", len(told) - sum(told), "wrong")
