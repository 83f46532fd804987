"""Exercise: fetch URLs, at most two at once, all within 500 ms; say which succeeded, leak nothing."""

import asyncio

PATHS = ["/quick/10", "/brisk/20", "/stuck/60000", "/slow/30", "/hung/60000", "/starved/10"]


class Server:
    """GET /name/50 is answered after 50 ms, unless the client hangs up first."""

    def __init__(self):
        self._at_once = 0
        self.most_at_once = 0

    async def serve(self, reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            hung_up = await asyncio.wait_for(reader.read(1), int(path.rsplit("/")[-1]) / 1000)
        except TimeoutError:
            hung_up = None
        self._at_once -= 1
        if hung_up is None:
            body = f"this is {path}\n".encode()
            head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
        writer.close()


async def fetch(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head, body = (await reader.read()).split(b"\r\n\r\n", 1)
        return head.split()[1].decode(), body
    finally:
        writer.close()


async def describe(port, path, deadline):
    try:
        async with asyncio.timeout_at(deadline):
            await asyncio.sleep(0)  # a deadline that has passed strikes here, before the connect
            status, body = await fetch(port, path)
            return f"ok       {path}: {status}, {len(body)} bytes"
    except TimeoutError:
        return f"time-out {path}: context deadline exceeded"
    except OSError as error:
        return f"failed   {path}: {error}"


async def main():
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    before = len(asyncio.all_tasks())

    deadline = asyncio.get_running_loop().time() + 0.500
    permits = asyncio.Semaphore(2)

    async def with_permit(path):
        async with permits:  # a semaphore of asyncio is first come, first served
            return await describe(port, path, deadline)

    for line in await asyncio.gather(*(with_permit(path) for path in PATHS)):
        print(line)
    listener.close()
    await listener.wait_closed()
    for _ in range(1000):  # the server's side sees the hang-ups a moment later
        if len(asyncio.all_tasks()) == before:
            break
        await asyncio.sleep(0.001)
    print("at most two at once:", str(server.most_at_once <= 2).lower())
    print("goroutines left:", len(asyncio.all_tasks()) - before)


asyncio.run(main())
