"""Time-outs and timers: asyncio.timeout cancels what it waits for, so nothing is left to answer late."""

import asyncio
import time


async def ask(before_answering):
    await before_answering.wait()
    return 42


async def give_up():
    go_on = asyncio.Event()
    try:
        async with asyncio.timeout(0.020):
            print("answer:", await ask(go_on))
    except TimeoutError:
        print("no answer within 20 ms")
    go_on.set()
    async with asyncio.timeout(60):
        print("answer:", await ask(go_on))


async def later():
    loop = asyncio.get_running_loop()
    fired, called = asyncio.Event(), asyncio.Event()
    timer = loop.call_later(3600, fired.set)
    timer.cancel()
    print("stopped in time:", str(timer.cancelled()).lower())
    loop.call_later(0.001, fired.set)  # a cancelled handle cannot be reset, only replaced
    await fired.wait()
    print("fired after reset")
    loop.call_later(0.001, called.set)
    await called.wait()
    print("function called")


async def again_and_again():
    begin = time.monotonic()
    for i in range(1, 4):  # there is no ticker: sleeping until a fixed grid avoids the drift
        await asyncio.sleep(max(0.0, begin + i * 0.010 - time.monotonic()))
    print("3 ticks in 30 ms or more:", str(time.monotonic() - begin >= 0.030).lower())


async def until_a_deadline():
    try:
        async with asyncio.timeout(0.050):  # one for the whole loop, not one for each round
            while True:
                await asyncio.sleep(0.001)
    except TimeoutError:
        print("deadline kept between ticks")


async def main():
    await give_up()
    await later()
    await again_and_again()
    await until_a_deadline()


asyncio.run(main())
