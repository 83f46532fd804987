"""Pipelines: stages joined by queues; a stage that several tasks share needs a count of who is done."""

import asyncio

CLOSED = object()


async def count(out, up_to):
    for i in range(1, up_to + 1):
        await out.put(i)
    await out.put(CLOSED)


async def transform(source, out, function):
    while (i := await source.get()) is not CLOSED:
        await out.put(function(i))
    await source.put(CLOSED)  # for the next worker: the one sentinel serves them all


async def collect(source):
    results = []
    while (i := await source.get()) is not CLOSED:
        results.append(i)
    return results


async def fan_out_fan_in(up_to, workers, function):
    numbers, merged = asyncio.Queue(2), asyncio.Queue(1)

    async def all_workers():
        async with asyncio.TaskGroup() as stage:
            for _ in range(workers):
                stage.create_task(transform(numbers, merged, function))
        await merged.put(CLOSED)  # only now: the group has waited for the last sender

    async with asyncio.TaskGroup() as stages:
        stages.create_task(count(numbers, up_to))
        stages.create_task(all_workers())
        return await collect(merged)


async def in_order(up_to, workers, function):
    """gather keeps the order of its arguments; the semaphore bounds how many are at work."""
    permits = asyncio.Semaphore(workers)

    async def one(i):
        async with permits:
            return function(i)

    return await asyncio.gather(*(one(i) for i in range(1, up_to + 1)))


async def stop_early():
    before = len(asyncio.all_tasks())
    numbers, squares = asyncio.Queue(1), asyncio.Queue(1)
    stages = [
        asyncio.create_task(count(numbers, 1_000_000)),
        asyncio.create_task(transform(numbers, squares, lambda i: i * i)),
    ]
    first = await squares.get()
    for stage in stages:
        stage.cancel()
    await asyncio.gather(*stages, return_exceptions=True)
    print(f"first: {first}, left behind: {len(asyncio.all_tasks()) - before}")


async def main():
    print("by hand:", *sorted(await fan_out_fan_in(9, 3, lambda i: i * i)))
    print("unordered:", *sorted(await fan_out_fan_in(9, 3, lambda i: i * 2)))
    print("ordered:", *await in_order(9, 3, lambda i: i * 2))
    await stop_early()


asyncio.run(main())
