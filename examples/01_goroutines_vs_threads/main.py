"""Tasks and threads: asyncio has cheap tasks, but each side needs its own queues and its own calls."""

import asyncio
import threading


async def add_with_tasks(n):
    gate = asyncio.Event()
    total = 0

    async def add(i):
        nonlocal total
        await gate.wait()
        total += i  # no await in between: the one thread cannot be interrupted here

    async with asyncio.TaskGroup() as group:
        for i in range(1, n + 1):
            group.create_task(add(i))
        gate.set()
    return total


def add_with_threads(n):
    """The GIL lets one thread at a time run Python, so the four gain nothing here."""
    lock = threading.Lock()
    total = 0

    def add(t):
        nonlocal total
        for i in range(t + 1, n + 1, 4):
            with lock:
                total += i

    threads = [threading.Thread(target=add, args=(t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return total


async def thread_to_task():
    """asyncio's queues are not safe from threads: a thread must ask the loop to put its question."""
    loop = asyncio.get_running_loop()
    question, answer = asyncio.Queue(), asyncio.Queue()

    async def echo():
        await answer.put("echo of " + await question.get())

    async with asyncio.TaskGroup() as group:
        group.create_task(echo())
        thread = threading.Thread(
            target=lambda: loop.call_soon_threadsafe(question.put_nowait, "a thread")
        )
        thread.start()
        result = await answer.get()
    thread.join()
    return result


print("10000 at one gate:", asyncio.run(add_with_tasks(10_000)))
print("4 threads:", add_with_threads(10_000))
print("across both:", asyncio.run(thread_to_task()))
