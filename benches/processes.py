"""Server processes, and what processes cost: CPU time and memory, read from Linux's /proc."""

import contextlib
import os
import pathlib
import re
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROWLOCK = HERE.parent / "target" / "release" / "rowlock"
SECRET = secrets.token_hex(32)
START_SECS_MAX = 30
SAMPLE_EVERY_SECS = 0.1


class Server:
    """A `rowlock serve` on a free port."""

    def __init__(self, database_url, *options):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [ROWLOCK, "--log", "warn", "serve", "--listen", f"127.0.0.1:{port}", *options],
            # A contestant's few buyers ask as thousands do.
            env=dict(os.environ, ROWLOCK_DATABASE_URL=database_url, ROWLOCK_JWT_SECRET=SECRET, ROWLOCK_RATE_LIMITS="off"),
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

    def resident_mib(self):
        """The most memory that the process ever had."""
        return memory_kib(self.process.pid, "VmHWM") / 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=START_SECS_MAX)


def memory_kib(pid, what):
    """Of a process, by the name that /proc has for it."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status).group(1))


class Meter:
    """Looks at something every now and then, so that it can be asked afterwards how it was."""

    def __init__(self):
        self.samples = []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while True:
            self.sample()
            if self.ending.wait(SAMPLE_EVERY_SECS):
                return

    def sample(self):
        self.samples.append((time.time(), self.now()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()


class MemoryMeter(Meter):
    """What a process has in memory, in KiB, as long as it runs."""

    def __init__(self, pid):
        super().__init__()
        self.pid = pid

    def now(self):
        return memory_kib(self.pid, "VmRSS")

    def sample(self):
        # One that has ended has none.
        with contextlib.suppress(OSError, AttributeError):
            super().sample()

    def at(self, moment):
        """The last look before a time of the clock."""
        return [kib for looked, kib in self.samples if looked <= moment][-1]


def cpu_secs(roots):
    """For each process, the CPU seconds that it and all it has started have used, the ended ones too."""
    parents, ticks = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry)] = int(fields[1])
        ticks[int(entry)] = sum(int(field) for field in fields[11:15])
    totals = dict.fromkeys(roots, 0)
    for pid, used in ticks.items():
        ancestor = pid
        while ancestor not in totals and ancestor != 0:
            ancestor = parents.get(ancestor, 0)
        if ancestor in totals:
            totals[ancestor] += used
    return {pid: used / os.sysconf("SC_CLK_TCK") for pid, used in totals.items()}


class CpuMeter(Meter):
    """What processes have used, for any stretch of time."""

    def __init__(self, *pids):
        super().__init__()
        self.pids = pids

    def now(self):
        return cpu_secs(self.pids)

    def __exit__(self, *failure):
        super().__exit__(*failure)
        self.sample()

    def used(self, pids, began, ended):
        """CPU seconds of these processes between two times of the clock."""
        return sum(self.at(ended, pid) - self.at(began, pid) for pid in pids)

    def at(self, moment, pid):
        """Between two looks, as if it had been used evenly."""
        before, after = self.samples[0], self.samples[-1]
        for sample in self.samples:
            if sample[0] <= moment:
                before = sample
            else:
                after = sample
                break
        span = after[0] - before[0]
        share = min(max((moment - before[0]) / span, 0.0), 1.0) if span > 0 else 0.0
        return before[1][pid] + share * (after[1][pid] - before[1][pid])
