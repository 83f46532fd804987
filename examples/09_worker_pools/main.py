"""Worker pools: by hand over a queue, and by concurrent.futures, where the pool is an object."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

CLOSED = object()


def show(title, numbers):
    print(title, *sorted(numbers))


async def by_hand():
    jobs, results = asyncio.Queue(1), []

    async def work():
        while (job := await jobs.get()) is not CLOSED:
            results.append(job * job)

    async with asyncio.TaskGroup() as workers:
        for _ in range(3):
            workers.create_task(work())
        for job in range(1, 10):
            await jobs.put(job)
        for _ in range(3):
            await jobs.put(CLOSED)  # one sentinel for each worker: a close would reach them all
    show("by hand:", results)


def by_the_library():
    with ThreadPoolExecutor(max_workers=3) as pool:
        show("by worker_pool:", pool.map(lambda job: job * job, range(1, 10)))


asyncio.run(by_hand())
by_the_library()
