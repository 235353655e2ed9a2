"""What ten thousand who do nothing cost the server: connections that have asked once, and subscribers who are told nothing.
Run by scripts/bench --idle.

Each is a plain socket, so that what is measured is the server's memory: the kernel's own for a socket is not in it.
"""

import base64
import contextlib
import json
import os
import socket
import urllib.request

from databases import Postgres
from live import CONNECTIONS, allow_files
from processes import CpuMeter, Server, memory_kib
from single import NOTHING

TICKETS = 1_000
LEN = 10_000
# What the first of them cost is not what each costs.
FIRST = 500
# Nobody is cut off for taking his time over it.
ANSWER_SECS_MAX = 30
TELL = "subscription($id: ID!) { ticketsChanged(eventId: $id) { version tickets { id status } } }"


def post(body, accept):
    """A request as it is sent."""
    content = json.dumps(body).encode()
    head = f"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: {accept}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


def asked_once(_event):
    return [(post(NOTHING, "application/json"), b'"__typename"')]


def over_sse(event):
    return [(post({"query": TELL, "variables": {"id": event}}, "text/event-stream"), b"event: next")]


def over_websocket(event):
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = "GET /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    upgrade += f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n"
    subscribe = {"id": "1", "type": "subscribe", "payload": {"query": TELL, "variables": {"id": event}}}
    return [
        (upgrade.encode(), b"101 Switching Protocols"),
        (frame({"type": "connection_init"}), b"connection_ack"),
        (frame(subscribe), b'"next"'),
    ]


def frame(message):
    """A client's text frame (RFC 6455, section 5.2), masked with nothing."""
    text = json.dumps(message).encode()
    length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + text


def opened(server, steps):
    connection = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=ANSWER_SECS_MAX)
    for sent, expected in steps:
        connection.sendall(sent)
        answer = b""
        while expected not in answer:
            part = connection.recv(65536)
            if not part:
                raise SystemExit(f"bench: a connection ended: {answer[:500]}")
            answer += part
    return connection


def is_over(connection):
    """Whether the server has ended it; what it has said and nobody has read is no end."""
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        return not connection.recv(1, socket.MSG_PEEK)
    return False


def event_id(server):
    query = {"query": '{ event(by: { slug: "bench" }) { id } }'}
    headers = {"content-type": "application/json", "accept": "application/json"}
    request = urllib.request.Request(f"{server.url}/graphql", json.dumps(query).encode(), headers)
    with urllib.request.urlopen(request, timeout=ANSWER_SECS_MAX) as answer:
        return json.load(answer)["data"]["event"]["id"]


def idle(steps_of):
    """Ten thousand of a kind, opened one after the other, and all of them open at the end."""

    def run(options):
        allow_files()
        with contextlib.ExitStack() as stack:
            rows = Postgres(TICKETS)
            stack.callback(rows.drop)
            server = Server(rows.url, "--connections", str(CONNECTIONS), "--listeners-per-caller", str(LEN + FIRST))
            stack.callback(server.stop)
            steps, pid = steps_of(event_id(server)), server.process.pid
            connections = []

            def open_one():
                connections.append(stack.enter_context(opened(server, steps)))

            for _ in range(FIRST):
                open_one()
            before = memory_kib(pid, "VmRSS")
            with CpuMeter(pid) as opening:
                for _ in range(LEN):
                    open_one()
            after = memory_kib(pid, "VmRSS")
            if ended := sum(is_over(connection) for connection in connections):
                raise SystemExit(f"bench: {ended} connections have ended meanwhile")
            first, last = opening.samples[0], opening.samples[-1]
        return {
            "rate": LEN / (last[0] - first[0]),
            "kib_each": (after - before) / LEN,
            "opening_cpu_us": (last[1][pid] - first[1][pid]) / LEN * 1e6,
            "memory_mib": after / 1024,
        }

    return run


IDLE = {
    "connections that have asked once": idle(asked_once),
    "subscribers over server-sent events": idle(over_sse),
    "subscribers over WebSocket": idle(over_websocket),
}
