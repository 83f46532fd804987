"""Buffered queues: a put waits only while the queue is full."""

import asyncio


async def fill_and_drain():
    box = asyncio.Queue(maxsize=3)
    for i in (1, 2, 3):
        await box.put(i)
    print("buffered:", box.qsize(), "of", box.maxsize)

    try:
        box.put_nowait(4)
        full = False
    except asyncio.QueueFull:
        full = True
    print("a fourth would block:", str(full).lower())

    while not box.empty():
        print("drained:", box.get_nowait())


async def two_at_a_time():
    permits = asyncio.Semaphore(2)
    working = worked = 0
    crowded = False

    async def work():
        nonlocal working, worked, crowded
        async with permits:
            working += 1
            crowded = crowded or working > 2
            await asyncio.sleep(0)
            worked += 1
            working -= 1

    await asyncio.gather(*(work() for _ in range(100)))
    print(f"{worked} worked, more than two at once: {str(crowded).lower()}")


async def main():
    await fill_and_drain()
    await two_at_a_time()


asyncio.run(main())
