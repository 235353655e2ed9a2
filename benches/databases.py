"""Databases with events on sale, made the same way for every contestant."""

import atexit
import datetime
import os
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
import urllib.parse

from processes import HERE, ROWLOCK


def psql(database, *options):
    command = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, *map(str, options)]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


class Postgres:
    """A database of the cluster that scripts/with-postgres has started, made anew for a run."""

    # What was seeded is kept and copied: five million tickets are made once.
    seeded = {}

    def __init__(self, tickets, events=1):
        self.name = f"bench_{secrets.token_hex(4)}"
        template = self.template(tickets, events)
        # PostgreSQL 15 would write the copy to its log row by row.
        copied = "" if int(psql("postgres", "-At", "-c", "SHOW server_version_num")) < 150_000 else "STRATEGY file_copy"
        psql("postgres", "-c", f"CREATE DATABASE {self.name} TEMPLATE {template} {copied}")
        psql("postgres", "-c", "CHECKPOINT")
        self.url = url_of(self.name)
        pid = psql("postgres", "-At", "-c", "SELECT pg_read_file('postmaster.pid', 0, 20)")
        self.pid = int(pid.split()[0])

    @classmethod
    def template(cls, tickets, events):
        if (tickets, events) not in cls.seeded:
            name = f"bench_seeded_{tickets}_{events}_{secrets.token_hex(4)}"
            psql("postgres", "-c", f"CREATE DATABASE {name}")
            cls.seeded[tickets, events] = name
            migrate(url_of(name))
            psql(name, "-v", f"tickets={tickets}", "-v", f"events={events}", "-f", HERE / "floor" / "seed.sql")
        return cls.seeded[tickets, events]

    @classmethod
    def forget(cls, tickets, events=1):
        """Drops what was kept for copying."""
        name = cls.seeded.pop((tickets, events), None)
        if name:
            psql("postgres", "-c", f"DROP DATABASE {name} WITH (FORCE)")

    @classmethod
    def forget_all(cls):
        for tickets, events in list(cls.seeded):
            cls.forget(tickets, events)

    def count(self, table):
        return int(psql(self.name, "-At", "-c", f"SELECT count(*) FROM {table}"))

    def drop(self):
        psql("postgres", "-c", f"DROP DATABASE {self.name} WITH (FORCE)")


atexit.register(Postgres.forget_all)


class Sqlite:
    """The same event in an SQLite file."""

    pid = None

    def __init__(self, tickets):
        self.directory = tempfile.mkdtemp(prefix="rowlock-bench-")
        path = f"{self.directory}/bench.sqlite"
        self.url = f"sqlite:{path}"
        migrate(self.url)

        def id_of(kind, number):
            return bytes.fromhex(f"0190{kind:04x}0000700080000000{number:08x}")

        def at(days):
            moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
            return moment.isoformat(timespec="microseconds")

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
        rows.execute("INSERT INTO ticket_counts VALUES (?, ?, ?, 0, 0, 0)", (id_of(2, 1), id_of(3, 1), tickets))
        rows.commit()
        rows.close()

    def drop(self):
        shutil.rmtree(self.directory)


def url_of(name):
    base = urllib.parse.urlsplit(os.environ["ROWLOCK_TEST_POSTGRES_URL"])
    return base._replace(path=f"/{name}").geturl()


def migrate(url):
    environment = dict(os.environ, ROWLOCK_DATABASE_URL=url)
    subprocess.run([ROWLOCK, "migrate", "up"], env=environment, check=True, stdout=subprocess.DEVNULL)
