"""Directions: a Python queue has none; bound methods are the nearest thing, and nothing checks them."""

import asyncio

CLOSED = object()


async def count(put, up_to):
    for i in range(1, up_to + 1):
        await put(i)
    await put(CLOSED)


async def square(get, put):
    while (i := await get()) is not CLOSED:
        await put(i * i)
    await put(CLOSED)


async def show(get):
    while (i := await get()) is not CLOSED:
        print(i)


async def main():
    numbers, squares = asyncio.Queue(1), asyncio.Queue(1)
    async with asyncio.TaskGroup() as group:
        group.create_task(count(numbers.put, 5))
        group.create_task(square(numbers.get, squares.put))
        await show(squares.get)


asyncio.run(main())
