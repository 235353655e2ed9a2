"""What a sale costs, side by side with what else one could use. Run by scripts/bench.

Each round runs every contestant once, one after the other, each on a database of its own that is made the same way, so
that a mood of the machine hits all of them. What is printed are medians of the rounds, with the least and the greatest.
Every run of Rowlock ends with rush's own audit and with `rowlock audit`; a difference ends the benchmark.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROWLOCK = HERE.parent / "target" / "release" / "rowlock"
SECRET = secrets.token_hex(32)
START_SECS_MAX = 30
FLOOR_CLIENTS = (8, 16, 32)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each contestant (default 3)")
    parser.add_argument("--seconds", type=int, default=8, help="of each run (default 8)")
    parser.add_argument("--tickets", type=int, default=200_000, help="in the event (default 200000)")
    parser.add_argument("--only", default="", help="only contestants whose name contains one of these, with commas between")
    parser.add_argument("--json", metavar="FILE", help="write every run's numbers to this file")
    return parser.parse_args()


# ---- processes and their CPU time ------------------------------------------------------------------------------------


def cpu_secs(root):
    """CPU seconds of a process and of all it has started, the ended ones too."""
    parents, times = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        times[int(entry.name)] = sum(int(field) for field in fields[11:15])
    total = 0
    for pid, ticks in times.items():
        ancestor = pid
        while ancestor not in (0, root):
            ancestor = parents.get(ancestor, 0)
        if ancestor == root:
            total += ticks
    return total / os.sysconf("SC_CLK_TCK")


def resident_mib(pid):
    """The most memory that the process ever had, in MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


class Server:
    """A `rowlock serve` on a free port."""

    def __init__(self, database_url, *options):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = dict(os.environ, ROWLOCK_DATABASE_URL=database_url, ROWLOCK_JWT_SECRET=SECRET)
        self.process = subprocess.Popen(
            [ROWLOCK, "--log", "warn", "serve", "--listen", f"127.0.0.1:{port}", *options],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECS_MAX
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/readyz", timeout=1).close()
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise SystemExit(f"bench: the server did not start: {error}")
                time.sleep(0.05)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=START_SECS_MAX)


# ---- databases -------------------------------------------------------------------------------------------------------


class Postgres:
    """A database of the cluster that scripts/with-postgres has started, made anew for a run."""

    def __init__(self, tickets):
        self.name = f"bench_{secrets.token_hex(4)}"
        self.psql("postgres", "-c", f"CREATE DATABASE {self.name}")
        base = urllib.parse.urlsplit(os.environ["ROWLOCK_TEST_POSTGRES_URL"])
        self.url = base._replace(path=f"/{self.name}").geturl()
        migrate(self.url)
        self.psql(self.name, "-v", f"tickets={tickets}", "-f", HERE / "floor" / "seed.sql")
        self.psql(self.name, "-c", "CHECKPOINT")
        pid = self.psql("postgres", "-At", "-c", "SELECT pg_read_file('postmaster.pid', 0, 20)")
        self.pid = int(pid.split()[0])

    def psql(self, database, *options):
        command = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, *map(str, options)]
        return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout

    def count(self, table):
        return int(self.psql(self.name, "-At", "-c", f"SELECT count(*) FROM {table}"))

    def drop(self):
        self.psql("postgres", "-c", f"DROP DATABASE {self.name} WITH (FORCE)")


class Sqlite:
    """The same event in an SQLite file."""

    def __init__(self, tickets):
        self.directory = tempfile.mkdtemp(prefix="rowlock-bench-")
        path = f"{self.directory}/bench.sqlite"
        self.url = f"sqlite:{path}"
        self.pid = None
        migrate(self.url)

        def id_of(kind, number):
            return bytes.fromhex(f"0190{kind:04x}0000700080000000{number:08x}")

        def at(days):
            return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).isoformat(timespec="microseconds")

        rows = sqlite3.connect(path)
        rows.execute("INSERT INTO organizers VALUES (?, 'rowlock', 'bench', 'bench', ?)", (id_of(1, 1), at(0)))
        rows.execute(
            "INSERT INTO events (id, organizer_id, slug, name, description, venue, currency, time_zone, starts_at,"
            " sales_open_at, sales_close_at, tickets_per_order_max, status, version, created_at, updated_at)"
            " VALUES (?, ?, 'bench', 'Bench', '', 'Hall', 'EUR', 'UTC', ?, ?, ?, 10, 'PUBLISHED', 1, ?, ?)",
            (id_of(2, 1), id_of(1, 1), at(30), at(-1), at(20), at(0), at(0)),
        )
        rows.execute(
            "INSERT INTO ticket_types (event_id, id, name, admission, price_minor, position, version, created_at, updated_at)"
            " VALUES (?, ?, 'Regular', 'SEATED', 1250, 1, 1, ?, ?)",
            (id_of(2, 1), id_of(3, 1), at(0), at(0)),
        )
        rows.executemany(
            "INSERT INTO tickets (event_id, id, ticket_type_id, status, section, row_label, seat_label, row_index,"
            " seat_index, is_accessible) VALUES (?, ?, ?, 'AVAILABLE', 'Hall', ?, ?, ?, ?, 0)",
            (
                (id_of(2, 1), id_of(4, n), id_of(3, 1), str(n // 1000), str(n % 1000), n // 1000, n % 1000)
                for n in range(tickets)
            ),
        )
        rows.commit()
        rows.close()

    def drop(self):
        shutil.rmtree(self.directory)


def migrate(url):
    environment = dict(os.environ, ROWLOCK_DATABASE_URL=url)
    subprocess.run([ROWLOCK, "migrate", "up"], env=environment, check=True, stdout=subprocess.DEVNULL)


# ---- contestants -----------------------------------------------------------------------------------------------------


def floor(script):
    """pgbench with one purchase per transaction; the best of several numbers of clients counts."""

    def run(options):
        best = None
        for clients in FLOOR_CLIENTS:
            database = Postgres(options.tickets)
            try:
                cpu = cpu_secs(database.pid)
                log = tempfile.mkdtemp(prefix="rowlock-bench-")
                command = ["pgbench", "-n", "-M", "prepared", "-f", HERE / "floor" / script, "-c", clients, "-j", 2]
                command += ["-T", options.seconds, "-D", "i=0", "-D", f"clients={clients}", "-l", "--log-prefix", f"{log}/l"]
                output = subprocess.run(
                    [str(part) for part in command] + [database.name], check=True, text=True, capture_output=True
                ).stdout
                cpu = cpu_secs(database.pid) - cpu
                sold = database.count("order_items")
                latencies = sorted(
                    int(line.split()[2]) / 1000 for file in pathlib.Path(log).iterdir() for line in file.open()
                )
                shutil.rmtree(log)
            finally:
                database.drop()
            if int(re.search(r"number of transactions actually processed: (\d+)", output).group(1)) != sold:
                raise SystemExit("bench: pgbench has sold something else than it says")
            result = {
                "rate": float(re.search(r"tps = ([\d.]+)", output).group(1)),
                "p50": latencies[len(latencies) // 2],
                "p99": latencies[len(latencies) * 99 // 100],
                "database_cpu_us": cpu / sold * 1e6,
                "server_cpu_us": 0.0,
                "sold": sold,
                "note": f"{clients} clients",
            }
            if best is None or result["rate"] > best["rate"]:
                best = result
        return best

    return run


def rowlock(pattern="sell-through", buyers=64, database=Postgres, serve=(), rush=(), count="sold"):
    """A server, and rush against it."""

    def run(options):
        rows = database(options.tickets)
        server = None
        try:
            server = Server(rows.url, *serve)
            database_cpu = cpu_secs(rows.pid) if rows.pid else 0.0
            server_cpu = cpu_secs(server.process.pid)
            command = [ROWLOCK, "rush", "--url", server.url, "--event", "bench", "--pattern", pattern, "--json"]
            command += ["--buyers", buyers, "--duration", f"{options.seconds}s", *rush]
            environment = dict(os.environ, ROWLOCK_JWT_SECRET=SECRET)
            ended = subprocess.run(
                [str(part) for part in command], env=environment, text=True, stdout=subprocess.PIPE
            )
            if ended.returncode != 0:
                raise SystemExit(f"bench: rush ended with {ended.returncode}: {ended.stdout}")
            result = json.loads(ended.stdout)
            measured = {
                "database_cpu": cpu_secs(rows.pid) - database_cpu if rows.pid else 0.0,
                "server_cpu": cpu_secs(server.process.pid) - server_cpu,
                "memory_mib": resident_mib(server.process.pid),
            }
            server.stop()
            environment["ROWLOCK_DATABASE_URL"] = rows.url
            subprocess.run([ROWLOCK, "audit"], env=environment, check=True, stdout=subprocess.DEVNULL)
        finally:
            if server:
                server.stop()
            rows.drop()
        return figures(result, measured, count)

    return run


def figures(result, measured, count):
    rate = result["perSecond"][count]
    done = rate * result["seconds"]
    return {
        "rate": rate,
        "p50": result["latencyMs"]["p50"],
        "p99": result["latencyMs"]["p99"],
        "database_cpu_us": measured["database_cpu"] / max(done, 1) * 1e6,
        "server_cpu_us": measured["server_cpu"] / max(done, 1) * 1e6,
        "memory_mib": measured["memory_mib"],
        "sold": result["sold"],
        "note": "",
    }


CONTESTANTS = {
    "SQL, several statements": floor("several.sql"),
    "SQL, one statement": floor("single.sql"),
    "Rowlock, batches of one": rowlock(serve=("--batch-len", "1")),
    "Rowlock": rowlock(),
    "Rowlock, 100 hot seats": rowlock("hot", buyers=256, rush=("--seats", 100), count="answers"),
    "Rowlock, any of a type": rowlock("any"),
    "Rowlock, hold then buy": rowlock("hold", rush=("--abandon", 0)),
    "Rowlock, 2,000 buyers": rowlock(buyers=2_000),
    "Rowlock on SQLite": rowlock(database=Sqlite),
}
BASELINE = "Rowlock"


# ---- the table -------------------------------------------------------------------------------------------------------


def spread(runs, key, digits=0):
    values = [run[key] for run in runs]
    text = f"{statistics.median(values):,.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):,.{digits}f}–{max(values):,.{digits}f})"
    return text


def table(results):
    lines = [
        "| | purchases/s | Rowlock is … × | p50 ms | p99 ms | CPU µs of the server, the database |",
        "|---|---|---|---|---|---|",
    ]
    baseline = results.get(BASELINE)
    for name, runs in results.items():
        ratio = "–"
        if baseline:
            ratios = [ours["rate"] / run["rate"] for ours, run in zip(baseline, runs)]
            ratio = f"{statistics.median(ratios):.2f}"
            if len(ratios) > 1:
                ratio += f" ({min(ratios):.2f}–{max(ratios):.2f})"
        cpu = f"{spread(runs, 'server_cpu_us')}, {spread(runs, 'database_cpu_us')}"
        note = f" ({runs[-1]['note']})" if runs[-1]["note"] else ""
        lines.append(
            f"| {name}{note} | {spread(runs, 'rate')} | {ratio} | {spread(runs, 'p50', 1)} | {spread(runs, 'p99', 1)} | {cpu} |"
        )
    memory = [run["memory_mib"] for runs in results.values() for run in runs if "memory_mib" in run]
    if memory:
        lines.append(f"\nThe server had at most {max(memory):.0f} MiB of memory.")
    return "\n".join(lines)


def machine():
    cpu = next(
        (line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine()
    )
    version = subprocess.run(["postgres", "--version"], text=True, capture_output=True).stdout.strip() if shutil.which(
        "postgres"
    ) else subprocess.run(["pgbench", "--version"], text=True, capture_output=True).stdout.strip()
    return f"{datetime.date.today()}, {os.cpu_count()} × {cpu}, {version}"


def main():
    options = arguments()
    wanted = [part for part in options.only.split(",") if part]
    contestants = {
        name: run for name, run in CONTESTANTS.items() if not wanted or any(part in name for part in wanted)
    }
    results = {name: [] for name in contestants}
    for number in range(options.rounds):
        for name, run in contestants.items():
            result = run(options)
            results[name].append(result)
            print(f"round {number + 1}: {name}: {result['rate']:,.0f}/s", file=sys.stderr, flush=True)
            if options.json:
                pathlib.Path(options.json).write_text(json.dumps(results, indent=1))
    print(f"\n{machine()}; {options.rounds} rounds of {options.seconds} s\n")
    print(table(results))


if __name__ == "__main__":
    main()
