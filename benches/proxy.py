"""Stands between a server and its database, and hands on every byte as much later as a network between them would.

    python3 benches/proxy.py 5432 0.001

hands on to port 5432 of this machine, 1 ms later in each direction, and prints the port that it listens at. What is sent
is not reordered and has all the bandwidth there is: it is only late. Ends when its standard input does.
"""

import asyncio
import collections
import contextlib
import os
import selectors
import socket
import subprocess
import sys
import urllib.parse


class Direction(asyncio.Protocol):
    """What one side says, on its way to the other."""

    def __init__(self, delay_secs, connected):
        self.delay_secs = delay_secs
        self.connected = connected
        self.other = None
        self.on_the_way = collections.deque()

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connected(self)

    def data_received(self, data):
        self.send_later(data)

    def connection_lost(self, _error):
        self.send_later(None)

    def send_later(self, data):
        loop = asyncio.get_running_loop()
        self.on_the_way.append(data)
        loop.call_later(self.delay_secs, self.arrive)

    def arrive(self):
        # The oldest, whichever timer this is: what was sent first arrives first.
        data = self.on_the_way.popleft()
        if self.other is None or self.other.transport.is_closing():
            return
        if data is None:
            self.other.transport.close()
        else:
            self.other.transport.write(data)


async def serve(port, delay_secs):
    loop = asyncio.get_running_loop()
    under_way = set()

    def accepted(client):
        # Nothing is read before there is somewhere to send it.
        client.transport.pause_reading()

        def connected(database):
            client.other, database.other = database, client
            client.transport.resume_reading()

        async def connect():
            try:
                await loop.create_connection(lambda: Direction(delay_secs, connected), "127.0.0.1", port)
            except OSError:
                client.transport.close()

        task = loop.create_task(connect())
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    listener = await loop.create_server(lambda: Direction(delay_secs, accepted), "127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def between(database_url, round_trip_secs):
    """A process of its own in front of a database; gives the URL to connect to instead."""
    url = urllib.parse.urlsplit(database_url)
    command = [sys.executable, os.path.abspath(__file__), str(url.port), str(round_trip_secs / 2)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline())
        user, at, _ = url.netloc.rpartition("@")
        yield url._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
    finally:
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    # select() takes microseconds where epoll() rounds up to a millisecond.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(int(sys.argv[1]), float(sys.argv[2])))
