"""Rate limiting: the standard library has no limiter, so here is a token bucket in twenty lines."""

import asyncio
import time


class Limiter:
    """A bucket of `burst` tokens that gets one more every `every` seconds; for one event loop."""

    def __init__(self, every, burst):
        self._every = every
        self._burst = burst * every
        self._filled = 0.0  # when the bucket was, or will be, full but for what has been taken

    def take(self, deadline):
        """Books a token there before the deadline and returns when; None leaves the bucket as it is."""
        now = time.monotonic()
        filled = max(self._filled, now) + self._every
        at = filled - self._burst
        if at > now and at > deadline:
            return None
        self._filled = filled
        return at

    def allow(self):
        return self.take(time.monotonic()) is not None

    async def wait(self, deadline=float("inf")):
        at = self.take(deadline)
        if at is not None:
            await asyncio.sleep(max(0.0, at - time.monotonic()))
        return at is not None


async def evenly():
    begin = time.monotonic()
    for request in range(1, 6):
        await asyncio.sleep(max(0.0, begin + request * 0.010 - time.monotonic()))
        print("request", request)
    print("5 in 50 ms or more:", str(time.monotonic() - begin >= 0.050).lower())


def in_bursts():
    limiter = Limiter(3600, 3)
    print("burst:", *("yes" if limiter.allow() else "no" for _ in range(5)))


async def wait_for_a_token():
    begin = time.monotonic()
    quick = Limiter(0.010, 1)
    for _ in range(4):
        await quick.wait()
    print("4 waits in 30 ms or more:", str(time.monotonic() - begin >= 0.030).lower())

    slow = Limiter(3600, 1)
    deadline = time.monotonic() + 60
    await slow.wait(deadline)
    refused = not await slow.wait(deadline)
    alive = time.monotonic() < deadline
    print(f"refused: {str(refused).lower()}, and still alive: {str(alive).lower()}")


def allowed_of_nine(one_for_all):
    shared = Limiter(3600, 3)
    allowed = 0
    for _ in range(3):
        limiter = shared if one_for_all else Limiter(3600, 3)
        allowed += sum(limiter.allow() for _ in range(3))
    return allowed


def one_limiter_each():
    print("one limiter for all:", allowed_of_nine(True), "of 9")
    print("one limiter each:", allowed_of_nine(False), "of 9")


async def main():
    await evenly()
    in_bursts()
    await wait_for_a_token()
    one_limiter_each()


asyncio.run(main())
