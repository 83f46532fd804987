"""Graceful shutdown: SIGINT or SIGTERM ends the intake; what has been taken is finished first."""

import asyncio
import os
import signal
import sys

CLOSED = object()


async def take_requests(stop, requests, someone):
    taken = 0
    while not stop.is_set():
        await requests.put(taken + 1)
        taken += 1
        if not someone and taken == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
        if someone:
            try:
                await asyncio.wait_for(stop.wait(), 0.300)
            except TimeoutError:
                pass
    return taken


async def main():
    someone = sys.argv[1:] == ["--wait"]
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    requests = asyncio.Queue(8)
    finished = 0

    async def work():
        nonlocal finished
        while (await requests.get()) is not CLOSED:
            await asyncio.sleep(0.050)  # the work; it is not cut short by the signal
            finished += 1

    workers = [asyncio.create_task(work()) for _ in range(2)]
    taken = await take_requests(stop, requests, someone)
    print("signal: no more requests")
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)

    async with asyncio.timeout(10):
        for _ in workers:
            await requests.put(CLOSED)
        await asyncio.gather(*workers)
    print("finished what was taken:", str(finished == taken).lower())


asyncio.run(main())
