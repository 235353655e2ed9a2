//! What the tables themselves say of this run's customers, counted by the database: no server is asked.

mod seats;

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, FromQueryResult, Statement};

pub use self::seats::{SeatRows, seat_rows};
use super::{
    audit::{Difference, Findings, Rows},
    run::Run,
};
use crate::store::{DatabaseUrl, Store};

/// Orders of customers of this run, a line for each customer. `$1` is how all their subjects begin, `$2` the event's slug:
/// orders are found by event and customer.
const OF_CUSTOMERS: &str = "
    SELECT customers.subject AS subject,
           COUNT(DISTINCT orders.id) AS orders,
           COUNT(order_items.id) AS items,
           COUNT(CASE WHEN tickets.status = 'SOLD' THEN 1 END) AS sold
    FROM customers
    JOIN events ON events.slug = $2 AND events.status <> 'DRAFT'
    JOIN orders ON orders.event_id = events.id AND orders.customer_id = customers.id AND orders.status = 'CONFIRMED'
    LEFT JOIN order_items ON order_items.event_id = orders.event_id AND order_items.order_id = orders.id
         AND order_items.status = 'ACTIVE'
    LEFT JOIN tickets ON tickets.event_id = order_items.event_id AND tickets.id = order_items.ticket_id
    WHERE customers.subject LIKE $1
    GROUP BY customers.subject";

/// Tickets of an event, by its slug, that more than one item claims.
const TWO_OWNERS: &str = "
    SELECT COUNT(*) AS tickets FROM (
        SELECT order_items.ticket_id FROM order_items
        JOIN events ON events.id = order_items.event_id
        WHERE events.slug = $1 AND events.status <> 'DRAFT' AND order_items.status = 'ACTIVE'
        GROUP BY order_items.ticket_id HAVING COUNT(*) > 1
    ) AS claimed";

#[derive(FromQueryResult)]
struct OfCustomer {
    subject: String,
    orders: i64,
    items: i64,
    sold: i64,
}

/// Counts and compares.
///
/// # Errors
/// When the database cannot be read, in a sentence.
pub async fn compare(run: &Run, url: &DatabaseUrl, findings: &mut Findings) -> Result<(), String> {
    let db = Store::connect_reader(url)
        .await
        .map_err(|error| format!("the database could not be asked: {error}"))?;
    let read = read(&db, run).await;
    // It only read.
    let _ = db.close().await;
    let (customers, tickets_with_two_owners) =
        read.map_err(|error| format!("the database could not be asked: {error}"))?;
    add(run, &customers, tickets_with_two_owners, findings);
    Ok(())
}

async fn read(db: &DatabaseConnection, run: &Run) -> Result<(Vec<OfCustomer>, u64), DbErr> {
    let backend: DbBackend = db.get_database_backend();
    let pattern = format!("{}-%", run.prefix);
    let (mut customers, mut tickets_with_two_owners) = (Vec::new(), 0);
    for event in &run.events {
        let slug = event.slug.as_str();
        let values = [pattern.as_str().into(), slug.into()];
        let of_customers = Statement::from_sql_and_values(backend, OF_CUSTOMERS, values);
        customers.extend(OfCustomer::find_by_statement(of_customers).all(db).await?);
        let two_owners = Statement::from_sql_and_values(backend, TWO_OWNERS, [slug.into()]);
        let row = db.query_one_raw(two_owners).await?;
        let tickets: i64 = row.map_or(Ok(0), |row| row.try_get("", "tickets"))?;
        tickets_with_two_owners += count(tickets);
    }
    Ok((customers, tickets_with_two_owners))
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn add(run: &Run, customers: &[OfCustomer], tickets_with_two_owners: u64, findings: &mut Findings) {
    let mut rows = Rows {
        tickets_with_two_owners,
        ..Rows::default()
    };
    let mut of_tables: HashMap<&str, (u64, u64, u64)> = HashMap::new();
    for customer in customers {
        let counted = (
            count(customer.orders),
            count(customer.items),
            count(customer.sold),
        );
        rows.orders += counted.0;
        rows.items += counted.1;
        rows.tickets_sold += counted.2;
        let of_customer = of_tables.entry(&customer.subject).or_default();
        of_customer.0 += counted.0;
        of_customer.1 += counted.1;
        of_customer.2 += counted.2;
    }
    let (told, open) = told(run);
    for subject in &open {
        of_tables.remove(subject.as_str());
    }
    for (subject, (orders, items)) in &told {
        let (found_orders, found_items, sold) =
            of_tables.remove(subject.as_str()).unwrap_or_default();
        if (found_orders, found_items, sold) != (*orders, *items, *items) {
            findings.add(
                Difference::RowsDiffer,
                1,
                &format!(
                    "{subject} was told of {orders} orders with {items} tickets and has {found_orders} with \
                     {found_items}, of which {sold} are sold"
                ),
            );
        }
    }
    for (subject, (orders, items, _)) in of_tables {
        findings.add(
            Difference::RowsDiffer,
            1,
            &format!("{subject} was told of no order and has {orders} with {items} tickets"),
        );
    }
    findings.add(
        Difference::TicketSoldTwice,
        tickets_with_two_owners,
        "the event's rows have two owners for a ticket",
    );
    findings.database = Some(rows);
}

/// Orders and items that each customer was told of; and, apart, who has something that was never settled.
fn told(run: &Run) -> (HashMap<String, (u64, u64)>, HashSet<String>) {
    let subject = |customer: usize| format!("{}-{customer}", run.prefix);
    let recorder = run.recorder();
    let open: HashSet<String> = recorder
        .unsettled
        .iter()
        .map(|purchase| subject(purchase.customer))
        .collect();
    let mut told: HashMap<String, (u64, u64)> = HashMap::new();
    for sale in &recorder.sales {
        let (orders, items) = told.entry(subject(sale.customer)).or_default();
        *orders += 1;
        *items += sale.items.len() as u64;
    }
    told.retain(|subject, _| !open.contains(subject));
    (told, open)
}
