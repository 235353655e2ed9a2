-- The same rows written by one statement, which is its own transaction: the best that SQL one purchase at a time can do.
-- It is less than a sale of Rowlock's: its reads are as old as the statement, from before it had the lock.
\set i :i + 1
\set n :i * :clients + :client_id
\set seat permute(:n, :tickets)
WITH gate AS (
    SELECT pg_try_advisory_xact_lock(:n) AS is_open
), ticket AS (
    SELECT tickets.id, ticket_types.name, ticket_types.price_minor, events.currency
    FROM tickets
    JOIN ticket_types ON ticket_types.event_id = tickets.event_id AND ticket_types.id = tickets.ticket_type_id
    JOIN events ON events.id = tickets.event_id
    WHERE tickets.event_id = bench_id(2, 1) AND tickets.id = bench_id(4, :seat) AND tickets.status = 'AVAILABLE'
        AND events.status = 'PUBLISHED' AND events.sales_open_at <= clock_timestamp()
        AND clock_timestamp() < events.sales_close_at AND (SELECT is_open FROM gate)
        AND NOT EXISTS (SELECT 1 FROM idempotency_keys
            WHERE event_id = bench_id(2, 1) AND customer_id = bench_id(5, :n) AND key = 'k')
    FOR UPDATE OF tickets
), sold AS (
    UPDATE tickets SET status = 'SOLD', hold_id = NULL, held_until = NULL FROM ticket
    WHERE tickets.event_id = bench_id(2, 1) AND tickets.id = ticket.id
    RETURNING tickets.id
), placed AS (
    INSERT INTO orders (event_id, id, customer_id, placed_by, status, total_minor, currency, placed_at)
    SELECT bench_id(2, 1), bench_id(6, :n), bench_id(5, :n), bench_id(5, :n), 'CONFIRMED', ticket.price_minor,
        ticket.currency, clock_timestamp()
    FROM ticket JOIN sold ON sold.id = ticket.id
    RETURNING id
), item AS (
    INSERT INTO order_items (event_id, id, order_id, ticket_id, status, unit_price_minor, currency, ticket_type_name,
        seat_label, admission_code)
    SELECT bench_id(2, 1), bench_id(7, :n), placed.id, ticket.id, 'ACTIVE', ticket.price_minor, ticket.currency,
        ticket.name, 'Hall · Row 1 · Seat 1', 'AAAAAAAAAAAAAAAAAAAAAAAAAA'
    FROM ticket, placed
), delta AS (
    INSERT INTO ticket_count_deltas (event_id, ticket_type_id, id, available, held, sold, blocked)
    SELECT bench_id(2, 1), bench_id(3, 1), bench_id(8, :n), -1, 0, 1, 0 FROM placed
), change AS (
    INSERT INTO ticket_changes_unnumbered (event_id, changes) SELECT bench_id(2, 1), bench_changes(:seat, :n) FROM placed
)
INSERT INTO idempotency_keys (event_id, customer_id, key, kind, fingerprint, result_id, created_at)
SELECT bench_id(2, 1), bench_id(5, :n), 'k', 'purchaseTicket', decode(repeat('00', 32), 'hex'), placed.id, clock_timestamp()
FROM placed;
