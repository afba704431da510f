#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""asyncio, by loop.add_reader.

The sharp edge: an exception in the callback is logged, and the loop goes on waiting for what never comes; hand it to the
future that is awaited. And one child has one owner: asyncio's own child watcher must not have started it."""
import asyncio

from children import CHILDREN, must_open, print_ends, start_children


async def main():
    loop = asyncio.get_running_loop()
    all_ended = loop.create_future()
    left = CHILDREN

    def on_exits(x):
        nonlocal left
        try:
            left -= print_ends(x)
        except OSError as error:
            all_ended.set_exception(error)
        if left == 0 and not all_ended.done():
            all_ended.set_result(None)

    with must_open() as x:
        loop.add_reader(x, on_exits, x)
        start_children(x)
        await all_ended
        loop.remove_reader(x)


asyncio.run(main())
