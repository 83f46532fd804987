"""Cancelling: asyncio throws CancelledError into a task at its next await; values are ContextVars."""

import asyncio
from contextvars import ContextVar, copy_context


async def cancel_the_workers():
    numbers = asyncio.Queue()
    total = 0

    async def work():
        nonlocal total
        while True:
            total += await numbers.get()

    workers = [asyncio.create_task(work()) for _ in range(3)]
    for n in range(1, 11):
        numbers.put_nowait(n)
    while not numbers.empty():
        await asyncio.sleep(0)
    for worker in workers:
        worker.cancel()
    ended = await asyncio.gather(*workers, return_exceptions=True)
    assert all(isinstance(error, asyncio.CancelledError) for error in ended)
    print(f"workers stopped after {total}: context canceled")


async def run_out_of_time():
    try:
        async with asyncio.timeout(0.020):
            await asyncio.Queue().get()
    except TimeoutError:
        print("query: context deadline exceeded")


async def cancel_a_branch():
    """Tasks form no tree: cancelling one reaches only what it awaits, so each has to await its child."""
    alive = ["root", "branch", "leaf"]

    async def node(names):
        try:
            if names:
                await asyncio.create_task(node(names[1:]))
            else:
                await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if names:
                alive.remove(names[0])
            raise

    branch = asyncio.create_task(node(alive[1:]))
    for _ in alive:
        await asyncio.sleep(0)
    print("alive:", *alive)
    branch.cancel()
    await asyncio.gather(branch, return_exceptions=True)
    print("alive after cancel:", *alive)


user = ContextVar("user", default="stranger")


def greet():
    print("hello,", user.get())


def carry_a_value():
    greet()
    request = copy_context()
    request.run(user.set, "gopher")
    request.run(greet)


async def main():
    await cancel_the_workers()
    await run_out_of_time()
    await cancel_a_branch()
    carry_a_value()


asyncio.run(main())
