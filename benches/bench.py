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
import shutil
import statistics
import subprocess
import sys

from contestants import BASELINE, CONTESTANTS, PAIRS
from flat import ANY, BASES, FLAT, WHOLE, tenths
from idle import IDLE
from live import LIVE
from overload import OVERLOAD
from single import NO_OP_QUERY, REQUESTS, is_wrk_missing


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each contestant (default 3)")
    parser.add_argument("--seconds", type=int, default=8, help="of each run (default 8)")
    parser.add_argument("--tickets", type=int, default=200_000, help="in the event (default 200000); --flat, --live, --idle and --overload have their own")
    parser.add_argument("--only", default="", help="only contestants whose name contains one of these, with semicolons between")
    parser.add_argument("--flat", action="store_true", help="instead: whether a sale costs the same wherever it happens")
    parser.add_argument("--live", action="store_true", help="instead: how soon ten thousand subscribers are told of a change")
    parser.add_argument("--idle", action="store_true", help="instead: what ten thousand cost who do nothing")
    parser.add_argument("--overload", action="store_true", help="instead: what more buyers than can be served are told")
    parser.add_argument("--json", metavar="FILE", help="write every run's numbers to this file")
    return parser.parse_args()


def spread(values, digits=0):
    """The median; of several, with the least and the greatest."""
    text = f"{statistics.median(values):,.{digits}f}"
    if len(values) > 1:
        text += f" ({min(values):,.{digits}f}–{max(values):,.{digits}f})"
    return text


def ratios(runs, base):
    """Of each round for itself: both had the same mood of the machine."""
    return [run["rate"] / other["rate"] for run, other in zip(runs, base)]


def cell(runs, key, digits=0):
    values = [run[key] for run in runs if key in run]
    return spread(values, digits) if values else "–"


def row(name, runs, ratio):
    note = f" ({runs[-1]['note']})" if runs[-1]["note"] else ""
    cpu = f"{cell(runs, 'server_cpu_us')}, {cell(runs, 'database_cpu_us')}"
    cells = [name + note, cell(runs, "rate"), ratio, cell(runs, "p50", 1), cell(runs, "p99", 1), cpu, cell(runs, "memory_mib")]
    return f"| {' | '.join(cells)} |"


def table(what, compared, rows):
    head = ["", what, compared, "p50 ms", "p99 ms", "CPU µs of the server, the database", "server's MiB"]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *rows])


def print_results(results):
    baseline = results.get(BASELINE)
    sales = [
        row(name, runs, spread(ratios(baseline, runs), 2) if baseline else "–")
        for name, runs in results.items()
        if name in CONTESTANTS
    ]
    if sales:
        print(table("purchases/s", "Rowlock is … ×", sales))
    for name, base in PAIRS.items():
        if name in results and base in results:
            print(f"\n{name}, is {spread(ratios(results[name], results[base]), 2)} × {base}.")
    nothing = results.get(NO_OP_QUERY)
    requests = [
        row(name, runs, spread(ratios(runs, nothing), 2) if nothing else "–")
        for name, runs in results.items()
        if name in REQUESTS
    ]
    if requests:
        print("\n" + table("answers/s", "… × the query of nothing", requests))


def print_flat(results):
    rows = []
    for base in BASES:
        beside = {name: runs for name, runs in results.items() if name in WHOLE and runs[0]["base_name"] == base}
        if beside:
            rows.append(row(base, [run["base"] for runs in beside.values() for run in runs], "1.00"))
        for name, runs in beside.items():
            rows.append(row(name, runs, spread(ratios(runs, [run["base"] for run in runs]), 2)))
    if rows:
        print(table("purchases/s", "… × the 1.00 above it, right beside it", rows))
    rows = []
    for name, runs in results.items():
        if name in ANY:
            of_runs = [tenths(run) for run in runs]
            last, slowest = spread([of_run[-1] for of_run in of_runs], 2), spread([min(of_run) for of_run in of_runs], 2)
            rows.append(row(name, runs, f"{last}, {slowest}"))
    if rows:
        print("\n" + table("purchases/s", "the last tenth, the slowest one … × the first", rows))


def print_live(results):
    head = ["", "KiB of a subscriber", "sales/s", "told by the last: p50 ms", "p99 ms", "max ms", "of all: p50 ms", "p99 ms"]
    head += ["CPU µs of the server a message"]
    print(f"| {' | '.join(head)} |\n" + "|---" * len(head) + "|")
    for name, runs in results.items():
        keys = [("kib_each", 1), ("rate", 0), ("last_p50", 0), ("last_p99", 0), ("last_max", 0), ("each_p50", 0), ("each_p99", 0)]
        keys += [("message_cpu_us", 1)]
        print(f"| {' | '.join([name, *(cell(runs, key, digits) for key, digits in keys)])} |")


def print_idle(results):
    head = ["10,000 …", "KiB of each", "CPU µs to open one", "opened/s", "server's MiB"]
    print(f"| {' | '.join(head)} |\n" + "|---" * len(head) + "|")
    for name, runs in results.items():
        keys = [("kib_each", 1), ("opening_cpu_us", 0), ("rate", 0), ("memory_mib", 0)]
        print(f"| {' | '.join([name, *(cell(runs, key, digits) for key, digits in keys)])} |")


def print_overload(results):
    head = ["", "asked/s", "sold/s", "… × the most", "sold: p50 ms", "p99 ms", "turned away: p50 ms", "p99 ms", "server's MiB"]
    print(f"| {' | '.join(head)} |\n" + "|---" * len(head) + "|")
    for name, runs in results.items():
        keys = [("offered", 0), ("rate", 0), ("goodput", 2), ("sold_p50", 0), ("sold_p99", 0), ("away_p50", 1), ("away_p99", 1)]
        keys += [("memory_mib", 0)]
        print(f"| {' | '.join([name, *(cell(runs, key, digits) for key, digits in keys)])} |")


def machine():
    with open("/proc/cpuinfo") as cpuinfo:
        models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    program = "postgres" if shutil.which("postgres") else "pgbench"
    version = subprocess.run([program, "--version"], text=True, capture_output=True).stdout.strip()
    return f"{datetime.date.today()}, {os.cpu_count()} × {model}, {version}"


def run_rounds(contestants, options):
    """Every contestant's figures, a list with an entry for each round."""
    results = {name: [] for name in contestants}
    for number in range(options.rounds):
        for name, run in contestants.items():
            result = run(options)
            results[name].append(result)
            print(f"round {number + 1}: {name}: {result['rate']:,.0f}/s", file=sys.stderr, flush=True)
            if options.json:
                pathlib.Path(options.json).write_text(json.dumps(results))
    return results


def wanted(options):
    others = [(options.flat, FLAT), (options.live, LIVE), (options.idle, IDLE), (options.overload, OVERLOAD)]
    contestants = next((chosen for is_chosen, chosen in others if is_chosen), CONTESTANTS | REQUESTS)
    parts = [part.strip() for part in options.only.split(";") if part.strip()]
    chosen = {name: run for name, run in contestants.items() if not parts or any(part in name for part in parts)}
    if not chosen:
        raise SystemExit(f"bench: no contestant is named like that; there are: {'; '.join(contestants)}")
    skipped = [name for name in chosen if name in REQUESTS] if is_wrk_missing() else []
    if skipped:
        sentence = f"bench: wrk is missing, which sends single requests (Debian: apt-get install wrk); left out: {'; '.join(skipped)}"
        print(sentence, file=sys.stderr, flush=True)
    return {name: run for name, run in chosen.items() if name not in skipped}


def main():
    options = arguments()
    results = run_rounds(wanted(options), options)
    print(f"\n{machine()}; {options.rounds} rounds of {options.seconds} s\n")
    if options.flat:
        print_flat(results)
    elif options.live:
        print_live(results)
    elif options.idle:
        print_idle(results)
    elif options.overload:
        print_overload(results)
    else:
        print_results(results)


if __name__ == "__main__":
    main()
