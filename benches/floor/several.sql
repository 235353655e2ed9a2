-- A purchase as Rowlock makes it, row for row, in a transaction of its own: gate, key, lock, read, write. What is sent is
-- prepared, and each statement is a round trip, as a careful application without Rowlock would do it. Seats are
-- bought in no order, as by rush.
\set i :i + 1
\set n :i * :clients + :client_id
\set seat permute(:n, :tickets)
BEGIN;
SELECT pg_try_advisory_xact_lock(:n);
SELECT kind, fingerprint, result_id FROM idempotency_keys
    WHERE event_id = bench_id(2, 1) AND customer_id = bench_id(5, :n) AND key = 'k';
SELECT event_id, id, ticket_type_id, status, hold_id, held_until, section, row_label, seat_label FROM tickets
    WHERE event_id = bench_id(2, 1) AND id = bench_id(4, :seat) AND status <> 'SOLD' FOR UPDATE;
SELECT clock_timestamp(), status, currency, sales_open_at, sales_close_at, tickets_per_order_max, tickets_per_customer_max
    FROM events WHERE id = bench_id(2, 1);
SELECT name, price_minor FROM ticket_types WHERE event_id = bench_id(2, 1) AND id = bench_id(3, 1);
UPDATE tickets SET status = 'SOLD', hold_id = NULL, held_until = NULL
    WHERE event_id = bench_id(2, 1) AND id = bench_id(4, :seat);
INSERT INTO orders (event_id, id, customer_id, placed_by, status, total_minor, currency, placed_at)
    VALUES (bench_id(2, 1), bench_id(6, :n), bench_id(5, :n), bench_id(5, :n), 'CONFIRMED', 1250, 'EUR', clock_timestamp());
INSERT INTO order_items (event_id, id, order_id, ticket_id, status, unit_price_minor, currency, ticket_type_name, seat_label,
    admission_code)
    VALUES (bench_id(2, 1), bench_id(7, :n), bench_id(6, :n), bench_id(4, :seat), 'ACTIVE', 1250, 'EUR', 'Regular',
        'Hall · Row 1 · Seat 1', 'AAAAAAAAAAAAAAAAAAAAAAAAAA');
INSERT INTO idempotency_keys (event_id, customer_id, key, kind, fingerprint, result_id, created_at)
    VALUES (bench_id(2, 1), bench_id(5, :n), 'k', 'purchaseTicket', decode(repeat('00', 32), 'hex'), bench_id(6, :n),
        clock_timestamp());
INSERT INTO ticket_count_deltas (event_id, ticket_type_id, id, available, held, sold, blocked)
    VALUES (bench_id(2, 1), bench_id(3, 1), bench_id(8, :n), -1, 0, 1, 0);
INSERT INTO ticket_changes_unnumbered (event_id, changes) VALUES (bench_id(2, 1), bench_changes(:seat, :n));
END;
