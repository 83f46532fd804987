"""Queues: Python's nearest thing to a channel; a put does not wait, and the end needs a sentinel."""

import asyncio

CLOSED = object()  # asyncio.Queue cannot be closed before Python 3.13


async def receive_until_closed():
    colours = asyncio.Queue(maxsize=1)  # 1 is the least: there is no unbuffered queue

    async def produce():
        for name in ("red", "green", "blue"):
            await colours.put(name)
        await colours.put(CLOSED)

    async with asyncio.TaskGroup() as group:
        group.create_task(produce())
        print("first:", await colours.get())
        while (colour := await colours.get()) is not CLOSED:
            print("then:", colour)
    # A second get would wait for ever: a sentinel is seen once, a closed channel always.
    print("after close: nothing")


async def ask_a_server():
    requests = asyncio.Queue(maxsize=1)
    stopped = asyncio.Event()

    async def serve():
        while (request := await requests.get()) is not CLOSED:
            number, reply = request
            reply.set_result(number * number)
        stopped.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        reply = asyncio.get_running_loop().create_future()
        await requests.put((7, reply))
        print("7 squared:", await reply)
        await requests.put(CLOSED)
        await stopped.wait()
    print("server stopped")


async def main():
    await receive_until_closed()
    await ask_a_server()


asyncio.run(main())
