"""Whether a sale costs the same wherever it happens: in a database of any size, with many events on sale, for few buyers
and for many, at one server and at two, and from the first ticket of a type to the last. Run by scripts/bench --flat.
"""

import contextlib
import json
import random
import threading
import urllib.request

from contestants import rush_run
from databases import Postgres
from processes import Server
from single import token_of

TICKETS = 200_000
ANY_TICKETS = 300_000
# Ten tickets each, bought before the run from the very beginning of what is given out, and cancelled while it lasts.
ORDERS_THAT_COME_BACK = 200
BUYERS = 64


def sale(tickets=TICKETS, events=1, buyers=BUYERS, servers=1):
    """Distinct seats of a database that is given and left as a whole."""

    def run(options):
        with on_sale(tickets, events, servers) as (rows, started):
            # No more are read beforehand than can be sold: of five million, that would take minutes.
            most = min(tickets, TICKETS)
            slugs = ["bench", *(f"bench-{number}" for number in range(2, events + 1))]
            arguments = ["--buyers", buyers, "--purchases", most, "--duration", f"{options.seconds}s"]
            return rush_run(rows, started, *arguments, events=slugs)

    return run


def any_of_a_type(coming_back=0):
    """Every ticket of a type of which any will do, to the last one."""

    def run(_options):
        with on_sale(ANY_TICKETS, 1, 1) as (rows, started), contextlib.ExitStack() as stack:
            if coming_back:
                stack.enter_context(given_back(started[0].url, coming_back))
            arguments = ["--pattern", "any", "--buyers", BUYERS, "--purchases", ANY_TICKETS - 20 * coming_back]
            return rush_run(rows, started, *arguments)

    return run


def beside(base, run):
    """With its base right beside it: within the minutes of a round the machine's mood changes by more than what is asked.
    Which of the two comes first is left to chance: what was before a run can show in it as much.
    """

    def both(options):
        runs = {"base": sale(**BASES[base]), "own": run}
        results = {name: runs[name](options) for name in random.sample(list(runs), len(runs))}
        return results["own"] | {"base": results["base"], "base_name": base, "first": next(iter(results))}

    return both


@contextlib.contextmanager
def on_sale(tickets, events, servers):
    with contextlib.ExitStack() as stack:
        rows = Postgres(tickets, events)
        stack.callback(rows.drop)
        started = []
        for _ in range(servers):
            started.append(Server(rows.url))
            stack.callback(started[-1].stop)
        yield rows, started


@contextlib.contextmanager
def given_back(url, orders):
    """Has orders placed, and cancels one after the other for as long as it lasts."""
    customer, organizer = token_of("customer"), token_of("organizer")
    data = ask(url, customer, "query { event(by: { slug: \"bench\" }) { ticketTypes { id } } }", {})
    any_ten = {"anyOf": {"ticketTypeId": data["event"]["ticketTypes"][0]["id"], "quantity": 10}}
    placed = []
    for number in range(orders):
        data = ask(
            url,
            customer,
            "mutation($i: PurchaseTicketsInput!) { done: purchaseTickets(input: $i) { order { id } userErrors { code } } }",
            {"i": {"tickets": any_ten, "idempotencyKey": f"bought {number}"}},
        )
        placed.append(data["done"]["order"]["id"])
    ending = threading.Event()
    failures = []

    def cancel():
        try:
            for number, order_id in enumerate(placed):
                # Spread over the half minute or more that the sale of so many lasts.
                if ending.wait(30 / orders):
                    return
                data = ask(
                    url,
                    organizer,
                    "mutation($i: CancelOrderInput!) { done: cancelOrder(input: $i) { order { id } userErrors { code } } }",
                    {"i": {"orderId": order_id, "reason": "bench", "idempotencyKey": f"cancelled {number}"}},
                )
                if data["done"]["userErrors"]:
                    raise SystemExit(f"bench: a cancellation is refused: {data}")
        except (OSError, SystemExit) as failure:
            failures.append(failure)

    cancelling = threading.Thread(target=cancel, daemon=True)
    cancelling.start()
    try:
        yield
    finally:
        ending.set()
        cancelling.join()
    if failures:
        raise SystemExit(f"bench: nothing came back: {failures[0]}")


def ask(url, token, document, variables):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    body = json.dumps({"query": document, "variables": variables}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/graphql", body, headers), timeout=30) as answer:
        answered = json.load(answer)
    if "errors" in answered:
        raise SystemExit(f"bench: the server answers {answered}")
    return answered["data"]


BASE = "200,000 tickets, 1 event, 64 connections, 1 server"
MORE = "256 connections, 1 server"
MANY = "2,000 connections, 1 server"
BASES = {BASE: {}, MORE: {"buyers": 256}, MANY: {"buyers": 2_000}}
LARGE = "5,000,000 tickets in the database"
WHOLE = {
    "10,000 tickets in the database": beside(BASE, sale(tickets=10_000)),
    LARGE: beside(BASE, sale(tickets=5_000_000)),
    "1,000 events on sale at once": beside(BASE, sale(events=1_000)),
    "256 connections": beside(BASE, sale(buyers=256)),
    "2,000 connections": beside(BASE, sale(buyers=2_000)),
    "2 servers": beside(BASE, sale(servers=2)),
    "2 servers, 256 connections": beside(MORE, sale(buyers=256, servers=2)),
    "2 servers, 2,000 connections": beside(MANY, sale(buyers=2_000, servers=2)),
}
ANY = {
    "any of a type, to the 300,000th": any_of_a_type(),
    "any of a type, while tickets come back": any_of_a_type(ORDERS_THAT_COME_BACK),
}
FLAT = WHOLE | ANY


def tenths(result):
    """How fast each tenth of the sales was sold, by how fast the first was."""
    tenth = sum(result["sold_by_second"]) / 10
    ends, sold = [0.0], 0
    for second, of_second in enumerate(result["sold_by_second"]):
        # Within a second, as if it had been sold evenly.
        while len(ends) <= 10 and of_second and sold + of_second >= tenth * len(ends) - 1e-6:
            ends.append(second + (tenth * len(ends) - sold) / of_second)
        sold += of_second
    lasted = [after - before for before, after in zip(ends, ends[1:])]
    return [lasted[0] / of_tenth for of_tenth in lasted]
