"""What more buyers than can be served are told, and what is sold meanwhile. Run by scripts/bench --overload.

The network to the database is slow, so that a server sells some thousand a second however fast the machine is: what is
measured is what becomes of those who are too many, and not how many the machine can bear.
"""

import contextlib

from contestants import rush_run
from databases import Postgres
from processes import Server
from proxy import between

# A batch of 256 takes some five of them before the next one begins.
ROUND_TRIP_SECS = 0.05
# Those who wait for the desk, and those who are being turned away.
BUYERS = 4_000
# As many as are served at once, to find out how many that is.
AT_ONCE = 1_024
TICKETS = 200_000
# Rush says so when the machine cannot ask as fast as it should; the rate that was reached is in the table.
EXIT_CODES = (0, 2)

# The last round's for each network, which the rates of the others are multiples of.
peaks = {}


def offered(times, round_trip=ROUND_TRIP_SECS):
    """So many times as many buyers a second as can be served; without, as many at once as it takes to find that out."""

    def run(options):
        with contextlib.ExitStack() as stack:
            rows = Postgres(TICKETS)
            stack.callback(rows.drop)
            url = stack.enter_context(between(rows.url, round_trip)) if round_trip else rows.url
            server = Server(url)
            stack.callback(server.stop)
            # Of any seats, since a list of each would first be read over that network.
            arguments = ["--pattern", "any", "--duration", f"{options.seconds}s"]
            if times:
                # A desk that has served nothing yet does not know how fast it is, and lets in whoever comes in its first second.
                rush_run(rows, [server], "--pattern", "any", "--duration", "2s", "--buyers", AT_ONCE, stop=False)
                arguments += ["--buyers", BUYERS, "--rate", round(peaks[round_trip] * times)]
            else:
                arguments += ["--buyers", AT_ONCE]
            figures = rush_run(rows, [server], *arguments, exit_codes=EXIT_CODES if times else (0,))
        if not times:
            peaks[round_trip] = figures["rate"]
        ends = figures["ends"]
        figures["goodput"] = figures["rate"] / peaks[round_trip]
        figures["offered"] = figures["asked"]
        figures["sold_p50"], figures["sold_p99"] = ends["sold"]["p50"], ends["sold"]["p99"]
        if "fault" in ends:
            figures["away_p50"], figures["away_p99"] = ends["fault"]["p50"], ends["fault"]["p99"]
        return figures

    return run


OVERLOAD = {
    "as many as can be served": offered(None),
    "2 × as many": offered(2),
    "5 × as many": offered(5),
    "10 × as many": offered(10),
    "at full speed, as many as can be served": offered(None, round_trip=0),
    "at full speed, 2 × as many": offered(2, round_trip=0),
}
