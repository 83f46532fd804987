"""Waiting for all: a TaskGroup waits at the end of its block, gather returns what all have returned."""

import asyncio


async def each_into_its_own_place():
    async def square(i):
        return i * i

    squares = await asyncio.gather(*(square(i) for i in range(6)))
    print("squares:", *squares)


async def count_by_hand():
    even = 0

    async def count(i):
        nonlocal even
        if i % 2 != 0:
            return  # the group counts its tasks itself: nothing to forget here
        even += 1

    async with asyncio.TaskGroup() as group:
        for i in range(1, 101):
            group.create_task(count(i))
    print("even numbers:", even)


async def several_wait():
    started = asyncio.Event()
    waited = 0

    async def wait():
        nonlocal waited
        await started.wait()
        waited += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(wait())
        started.set()
    print("waited:", waited)


async def main():
    await each_into_its_own_place()
    await count_by_hand()
    await several_wait()


asyncio.run(main())
