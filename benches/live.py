"""What it costs to tell ten thousand subscribers of one event of every change of its seats, and how soon the last of them has
it. Run by scripts/bench --live.

The subscribers are rush's own watchers, on the same machine as the server: each replays what it is told, and in the end all
of it is compared with the seat map.
"""

import contextlib
import resource

from contestants import rush_run
from databases import Postgres
from processes import MemoryMeter, Server

TICKETS = 20_000
SUBSCRIBERS = 10_000
# Three quarters of a server's connections are for those who listen.
CONNECTIONS = 14_000


def told(subscribers, *arguments):
    """Changes, while so many are told of them."""

    def run(options):
        allow_files()
        with contextlib.ExitStack() as stack:
            rows = Postgres(TICKETS)
            stack.callback(rows.drop)
            server = Server(rows.url, "--connections", str(CONNECTIONS))
            stack.callback(server.stop)
            # What the first subscriber and the first buyer cost is not what each costs.
            rush_run(rows, [server], "--purchases", 1, "--buyers", 1, "--watch", stop=False)
            memory = stack.enter_context(MemoryMeter(server.process.pid))
            before = memory.now()
            watch = ["--watch", "--watchers", subscribers] if subscribers else []
            figures = rush_run(rows, [server], "--duration", f"{options.seconds}s", *arguments, *watch)
        if subscribers:
            idle = memory.at(figures["began"])
            figures["kib_each"] = (idle - before) / subscribers
            figures["messages"] = figures["watch"]["messages"]
            figures["message_cpu_us"] = figures["server_cpu_us"] * figures["sold"] / figures["messages"]
            for name, of in [("each", "delayMs"), ("last", "lastDelayMs")]:
                for share in ("p50", "p99", "max"):
                    figures[f"{name}_{share}"] = figures["watch"][of][share]
        return figures

    return run


def allow_files():
    """As many as the system lets a process have: each subscriber is one, for the server as for rush."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


ONE_AT_A_TIME = ("--buyers", 1, "--rate", 2)
LIVE = {
    "one sale every half second": told(SUBSCRIBERS, *ONE_AT_A_TIME),
    "64 buyers": told(SUBSCRIBERS),
    "64 buyers, nobody listens": told(0),
}
