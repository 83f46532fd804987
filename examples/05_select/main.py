"""Waiting for several queues: asyncio.wait on one task per queue, and the tasks are yours to clean up."""

import asyncio
import random

CLOSED = object()


async def produce(out, first):
    for i in range(first, 11, 2):
        await out.put(i)
    await out.put(CLOSED)


async def until_both_are_closed():
    queues = {"odd": asyncio.Queue(1), "even": asyncio.Queue(1)}
    sums = {"odd": 0, "even": 0}
    async with asyncio.TaskGroup() as group:
        group.create_task(produce(queues["odd"], 1))
        group.create_task(produce(queues["even"], 2))
        getting = {asyncio.ensure_future(queue.get()): name for name, queue in queues.items()}
        while getting:
            done, _ = await asyncio.wait(getting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                name = getting.pop(task)
                if task.result() is not CLOSED:
                    sums[name] += task.result()
                    getting[asyncio.ensure_future(queues[name].get())] = name
    print(f"odd {sums['odd']}, even {sums['even']}")


def do_not_wait():
    try:
        asyncio.Queue().get_nowait()
        print("a value?")
    except asyncio.QueueEmpty:
        print("nothing ready")


async def toss_a_coin():
    """Two gets that both succeed both take their value: asyncio.wait does not choose, you must."""
    coin = asyncio.Queue(1)

    async def toss():
        while True:
            await coin.put(random.randrange(2))

    task = asyncio.create_task(toss())
    seen = [0, 0]
    for _ in range(1000):
        seen[await coin.get()] += 1
    task.cancel()
    print("both sides seen:", str(min(seen) > 0).lower())


def spin_on_a_closed_channel():
    """A finished task is ready for ever, as a closed channel is."""
    closed = asyncio.Event()
    closed.set()
    chosen = sum(closed.is_set() for _ in range(1000))
    print("closed, yet chosen:", chosen, "of 1000")


async def main():
    await until_both_are_closed()
    do_not_wait()
    await toss_a_coin()
    spin_on_a_closed_channel()


asyncio.run(main())
