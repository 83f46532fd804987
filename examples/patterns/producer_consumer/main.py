"""Producer and consumer: a bounded queue slows the quick one down to the slow one's pace."""

import asyncio

PRODUCERS, CONSUMERS, ITEMS, CAPACITY = 3, 2, 1000, 4
CLOSED = object()


async def main():
    buffer = asyncio.Queue(CAPACITY)
    ahead = furthest_ahead = count = total = 0

    async def produce(p):
        nonlocal ahead, furthest_ahead
        for i in range(p + 1, ITEMS + 1, PRODUCERS):
            await buffer.put(i)
            ahead += 1
            furthest_ahead = max(furthest_ahead, ahead)

    async def consume():
        nonlocal ahead, count, total
        while (i := await buffer.get()) is not CLOSED:
            ahead -= 1
            count += 1
            total += i

    async with asyncio.TaskGroup() as consuming:
        for _ in range(CONSUMERS):
            consuming.create_task(consume())
        async with asyncio.TaskGroup() as producing:
            for p in range(PRODUCERS):
                producing.create_task(produce(p))
        for _ in range(CONSUMERS):
            await buffer.put(CLOSED)

    print(f"consumed {count}, sum {total}")
    within = furthest_ahead <= CAPACITY + PRODUCERS + CONSUMERS
    print("never further ahead than the buffer and the hands:", str(within).lower())


asyncio.run(main())
