"""What single requests cost: how many of one kind the server answers, asked by wrk over 64 connections."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.request

from databases import Postgres
from processes import HERE, ROWLOCK, SECRET, CpuMeter, Server

CONNECTIONS = 64
# So much is sold before a storefront is asked what is left.
SOLD_BEFORE = 10_000

NOTHING = {"query": "{ __typename }"}
STOREFRONT = {
    "query": "query($slug: String!) { event(by: { slug: $slug }) { id name isOnSale"
    " ticketTypes { id name price { amount currency } availability { available } } } }",
    "variables": {"slug": "bench"},
}
# An id that is no ticket's is refused before the desk: what a purchase costs without being one.
PURCHASE_OF_NOTHING = {
    "query": "mutation($i: PurchaseTicketInput!) { answer: purchaseTicket(input: $i)"
    " { order { id items { id } } userErrors { code } } }",
    "variables": {"i": {"ticketId": "bm8gdGlja2V0IGF0IGFsbCwgYnV0IGFzIGxvbmcgYXMgb25l", "idempotencyKey": "k"}},
}


def is_wrk_missing():
    return shutil.which("wrk") is None


def requests(request, answered, sold_before=0, token=False):
    """wrk sending one request over and over; `answered` completes what its answer's data must have in it."""

    def run(options):
        rows = Postgres(options.tickets)
        server = Server(rows.url)
        try:
            if sold_before:
                rush = [ROWLOCK, "rush", "--json", "--url", server.url, "--event", "bench", "--purchases", str(sold_before)]
                environment = dict(os.environ, ROWLOCK_JWT_SECRET=SECRET)
                subprocess.run(rush, env=environment, check=True, stdout=subprocess.DEVNULL)
            return wrk(rows, server, request, answered, token_of("customer") if token else None, options.seconds)
        finally:
            server.stop()
            rows.drop()

    return run


def wrk(rows, server, request, answered, token, seconds):
    check(server, request, answered, token)
    with tempfile.TemporaryDirectory(prefix="rowlock-bench-") as directory:
        body = pathlib.Path(directory) / "body.json"
        body.write_text(json.dumps(request))
        command = ["wrk", "-t", "1", "-c", CONNECTIONS, "-d", f"{seconds}s", "-s", HERE / "load.lua"]
        command += [f"{server.url}/graphql", "--", body, *([token] if token else [])]
        pids = [server.process.pid, rows.pid]
        with CpuMeter(*pids) as cpu:
            output = subprocess.run([str(part) for part in command], check=True, text=True, capture_output=True).stdout
    result = json.loads(output.splitlines()[-1])
    if result["errors"] or not result["answers"]:
        raise SystemExit(f"bench: not every request was answered: {output}")
    first, last = cpu.samples[0][1], cpu.samples[-1][1]
    server_cpu, database_cpu = (last[pid] - first[pid] for pid in pids)
    return {
        "rate": result["answers"] / result["seconds"],
        "p50": result["p50"],
        "p99": result["p99"],
        "server_cpu_us": server_cpu / result["answers"] * 1e6,
        "database_cpu_us": database_cpu / result["answers"] * 1e6,
        "memory_mib": server.resident_mib(),
        "note": "",
    }


def check(server, request, answered, token):
    """wrk looks at no answer: this one stands for all."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    asked = urllib.request.Request(f"{server.url}/graphql", json.dumps(request).encode(), headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        body = json.load(answer)
    if "errors" in body or answered not in json.dumps(body["data"]):
        raise SystemExit(f"bench: the server answers {body}")


def token_of(role):
    command = [ROWLOCK, "token", "--role", role, "--subject", "bench"]
    environment = dict(os.environ, ROWLOCK_JWT_SECRET=SECRET)
    return subprocess.run(command, env=environment, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


NO_OP_QUERY = "Query of nothing"
REQUESTS = {
    NO_OP_QUERY: requests(NOTHING, "Query"),
    "Storefront: an event, its ticket types, what is left": requests(STOREFRONT, '"available"', sold_before=SOLD_BEFORE),
    "Purchase of nothing": requests(PURCHASE_OF_NOTHING, "UNKNOWN_TICKET", token=True),
}
