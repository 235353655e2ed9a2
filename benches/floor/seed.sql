-- :tickets tickets, spread over :events events on sale, each of one type, for every contestant the same. Ids are made from
-- numbers, so that a script of pgbench, which has no arrays of ids, can name the n-th ticket. The first event's slug is
-- bench, the others' are bench-2, bench-3 and so on.
CREATE FUNCTION bench_id(kind int, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
    RETURN ('0190' || lpad(to_hex(kind), 4, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid;

-- What the change log says of the purchase of a seat.
CREATE FUNCTION bench_changes(seat bigint, n bigint) RETURNS text IMMUTABLE LANGUAGE sql
    RETURN '[["' || replace(bench_id(4, seat)::text, '-', '') || '","AVAILABLE","SOLD","PURCHASE","'
        || replace(bench_id(6, n)::text, '-', '') || '",null]]';

INSERT INTO organizers (id, issuer, subject, name, created_at)
VALUES (bench_id(1, 1), 'rowlock', 'bench', 'bench', now());

INSERT INTO events (id, organizer_id, slug, name, description, venue, currency, time_zone, starts_at, sales_open_at,
    sales_close_at, tickets_per_order_max, status, version, created_at, updated_at)
SELECT bench_id(2, e), bench_id(1, 1), CASE e WHEN 1 THEN 'bench' ELSE 'bench-' || e END, 'Bench', '', 'Hall', 'EUR', 'UTC',
    now() + interval '30 days', now() - interval '1 day', now() + interval '20 days', 10, 'PUBLISHED', 1, now(), now()
FROM generate_series(1, :events) AS e;

INSERT INTO ticket_types (event_id, id, name, admission, price_minor, position, version, created_at, updated_at)
SELECT bench_id(2, e), bench_id(3, e), 'Regular', 'SEATED', 1250, 1, 1, now(), now() FROM generate_series(1, :events) AS e;

INSERT INTO tickets (event_id, id, ticket_type_id, status, section, row_label, seat_label, row_index, seat_index,
    is_accessible)
SELECT bench_id(2, 1 + n % :events), bench_id(4, n), bench_id(3, 1 + n % :events), 'AVAILABLE', 'Hall', (n / 1000)::text,
    (n % 1000)::text, n / 1000, n % 1000, false
FROM generate_series(0, :tickets - 1) AS n;

INSERT INTO ticket_counts (event_id, ticket_type_id, available, held, sold, blocked)
SELECT event_id, ticket_type_id, count(*), 0, 0, 0 FROM tickets GROUP BY event_id, ticket_type_id;

VACUUM ANALYZE;
