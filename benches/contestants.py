"""What is compared: each function makes a contestant, which is run with the options and gives its figures."""

import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from databases import Postgres, Sqlite
from processes import HERE, ROWLOCK, SECRET, CpuMeter, Server, cpu_secs
from proxy import between

FLOOR_CLIENTS = (8, 16, 32)


def floor(script):
    """pgbench with one purchase per transaction; the best of several numbers of clients counts."""

    def run(options):
        results = [floor_run(script, clients, options) for clients in FLOOR_CLIENTS]
        return max(results, key=lambda result: result["rate"])

    return run


def floor_run(script, clients, options):
    database = Postgres(options.tickets)
    log = tempfile.mkdtemp(prefix="rowlock-bench-")
    try:
        command = ["pgbench", "-n", "-M", "prepared", "-f", HERE / "floor" / script, "-c", clients, "-j", 2]
        command += ["-D", "i=0", "-D", f"clients={clients}", "-D", f"tickets={options.tickets}"]
        command += ["-T", options.seconds, "-l", "--log-prefix", f"{log}/l"]
        cpu = cpu_secs([database.pid])[database.pid]
        ended = subprocess.run(
            [str(part) for part in command] + [database.name], check=True, text=True, capture_output=True
        )
        cpu = cpu_secs([database.pid])[database.pid] - cpu
        sold = database.count("order_items")
        latencies = sorted(int(line.split()[2]) / 1000 for file in pathlib.Path(log).iterdir() for line in file.open())
    finally:
        shutil.rmtree(log)
        database.drop()
    if int(re.search(r"number of transactions actually processed: (\d+)", ended.stdout).group(1)) != sold:
        raise SystemExit("bench: pgbench has sold something else than it says")
    return {
        "rate": float(re.search(r"tps = ([\d.]+)", ended.stdout).group(1)),
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[len(latencies) * 99 // 100],
        "database_cpu_us": cpu / sold * 1e6,
        "sold": sold,
        "note": f"{clients} clients",
    }


def rowlock(pattern="sell-through", buyers=64, database=Postgres, serve=(), rush=(), count="sold", round_trip_secs=0):
    """A server, and rush against it."""

    def run(options):
        arguments = ["--pattern", pattern, "--buyers", buyers, "--duration", f"{options.seconds}s", *rush]
        with contextlib.ExitStack() as stack:
            rows = database(options.tickets)
            stack.callback(rows.drop)
            url = stack.enter_context(between(rows.url, round_trip_secs)) if round_trip_secs else rows.url
            server = Server(url, *serve)
            stack.callback(server.stop)
            return rush_run(rows, [server], *arguments, count=count)

    return run


def rush_run(rows, servers, *arguments, count="sold", events=("bench",), stop=True, exit_codes=(0,)):
    """Lets rush loose on the servers, stops them, and has everything audited; gives the figures."""
    command = [ROWLOCK, "rush", "--json", *arguments]
    for server in servers:
        command += ["--url", server.url]
    for event in events:
        command += ["--event", event]
    environment = dict(os.environ, ROWLOCK_JWT_SECRET=SECRET)
    server_pids = [server.process.pid for server in servers]
    database_pids = [rows.pid] if rows.pid else []
    with CpuMeter(*server_pids, *database_pids) as cpu:
        ended = subprocess.run([str(part) for part in command], env=environment, text=True, stdout=subprocess.PIPE)
    if ended.returncode not in exit_codes:
        raise SystemExit(f"bench: rush ended with {ended.returncode}: {ended.stdout}")
    result = json.loads(ended.stdout)
    memory_mib = max(server.resident_mib() for server in servers)
    if stop:
        for server in servers:
            server.stop()
    audit(rows)
    # Of the sale alone: before it rush reads the tickets, after it every order.
    load_began = unix_time(result["startedAt"])
    load_ended = load_began + result["seconds"]
    rate = result["perSecond"][count]
    done = max(rate * result["seconds"], 1)
    figures = {
        "rate": rate,
        "asked": result["perSecond"]["asked"],
        "ends": result["latencyByEndMs"],
        "p50": result["latencyMs"]["p50"],
        "p99": result["latencyMs"]["p99"],
        "server_cpu_us": cpu.used(server_pids, load_began, load_ended) / done * 1e6,
        "memory_mib": memory_mib,
        "sold": result["sold"],
        "began": load_began,
        "watch": result["watch"],
        "sold_by_second": [point["sold"] for point in result["curve"]],
        "note": "",
    }
    if database_pids:
        figures["database_cpu_us"] = cpu.used(database_pids, load_began, load_ended) / done * 1e6
    return figures


def audit(rows):
    environment = dict(os.environ, ROWLOCK_DATABASE_URL=rows.url)
    ended = subprocess.run([ROWLOCK, "audit"], env=environment, text=True, stdout=subprocess.PIPE)
    if ended.returncode != 0:
        raise SystemExit(f"bench: rowlock audit ended with {ended.returncode}: {ended.stdout}")


def unix_time(text):
    """Of an RFC 3339 time in UTC, to the microsecond."""
    return datetime.datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


CONTESTANTS = {
    "SQL, several statements": floor("several.sql"),
    "SQL, one statement": floor("single.sql"),
    "Rowlock, batches of one": rowlock(serve=("--batch-len", "1")),
    "Rowlock": rowlock(),
    "Rowlock, 100 hot seats": rowlock("hot", buyers=256, rush=("--seats", 100), count="answers"),
    "Rowlock, any of a type": rowlock("any"),
    "Rowlock, hold then buy": rowlock("hold", rush=("--abandon", 0)),
    "Rowlock, 512 buyers": rowlock(buyers=512),
    "Rowlock, 512 buyers, 2 ms to the database": rowlock(buyers=512, round_trip_secs=0.002),
    "Rowlock, 2,000 buyers": rowlock(buyers=2_000),
    "Rowlock on SQLite": rowlock(database=Sqlite),
}
BASELINE = "Rowlock"
# What is held against something else than the baseline.
PAIRS = {"Rowlock, 512 buyers, 2 ms to the database": "Rowlock, 512 buyers"}
