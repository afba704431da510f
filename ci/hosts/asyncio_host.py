# SPDX-License-Identifier: MIT
"""Python's asyncio, with the child watcher in HOST_WAY, or its own choice."""
import asyncio
import os
import warnings

warnings.simplefilter("ignore")
FOLDER, LEAF, WAY = os.environ["HOST_FOLDER"], os.environ["HOST_LEAF"], os.environ.get("HOST_WAY")


async def is_right(status):
    child = await asyncio.create_subprocess_exec(LEAF, str(status))
    return await child.wait() == status


async def main():
    if WAY:
        watcher = getattr(asyncio, WAY)()
        if hasattr(watcher, "attach_loop"):
            watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
    await is_right(0)
    open(FOLDER + "/ready", "w").close()
    told = list(await asyncio.gather(*(is_right(100 + i) for i in range(20))))
    while not os.path.exists(FOLDER + "/done"):
        told.append(await is_right(3))
    print("own", sum(told), "right,", len(told) - sum(told), "wrong")


asyncio.run(main())
