//! Writing what was decided: what ends in statements of its own, the rest in one, whatever the batch's length.

use sea_orm::{DbBackend, Statement};

use super::Transaction;
use crate::{
    entity::hold,
    sales::{
        decide::{Changes, Facts, TicketState},
        failure::Failure,
        journal::Journal,
        sql,
    },
};

/// A statement that must touch exactly so many rows.
struct Write {
    step: &'static str,
    statement: Statement,
    rows: usize,
}

/// The writes of a batch, in the order in which they are made where each is a statement of its own.
struct Writes {
    backend: DbBackend,
    writes: Vec<Write>,
}

/// The steps that every transaction which changes tickets ends with.
const COUNTING: &str = "appending to the counts of tickets";
const LOGGING: &str = "appending to the log of changes";

impl Writes {
    fn of(backend: DbBackend) -> Self {
        let writes = Vec::new();
        Self { backend, writes }
    }

    /// Adds a write of these rows, unless there are none.
    fn add<T>(
        &mut self,
        step: &'static str,
        rows: &[T],
        statement: impl Fn(DbBackend, &[T]) -> Statement,
    ) {
        if !rows.is_empty() {
            self.writes.push(Write {
                step,
                statement: statement(self.backend, rows),
                rows: rows.len(),
            });
        }
    }

    fn append(&mut self, journal: &Journal) {
        let Journal { counts, changes } = journal;
        if !counts.is_empty() {
            self.writes.push(Write {
                step: COUNTING,
                statement: sql::append_deltas(self.backend, counts),
                rows: counts.len(),
            });
        }
        if !changes.is_empty() {
            self.writes.push(Write {
                step: LOGGING,
                statement: sql::append_changes(self.backend, changes),
                rows: changes.len(),
            });
        }
    }

    fn end_items(&mut self, changes: &Changes) {
        let items = &changes.cancelled_items;
        self.add("cancelling order items", items, sql::cancel_items);
        let orders = &changes.cancelled_orders;
        self.add("cancelling orders", orders, sql::cancel_orders);
    }

    fn mark_tickets(&mut self, changes: &Changes) {
        let (mut sold, mut available, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for (&(event_id, id), state) in &changes.tickets {
            match *state {
                TicketState::Sold => sold.push((event_id, id)),
                TicketState::Available => available.push((event_id, id)),
                TicketState::Held { hold_id, until } => held.push((event_id, id, hold_id, until)),
            }
        }
        self.add("marking tickets sold", &sold, sql::mark_sold);
        self.add("marking tickets available", &available, sql::mark_available);
        self.add("marking tickets held", &held, sql::mark_held);
    }

    fn place_orders(&mut self, changes: &Changes) {
        let placed = &changes.placed;
        let orders: Vec<_> = placed.iter().map(|placed| &placed.order).collect();
        self.add("writing orders", &orders, sql::insert_orders);
        let items: Vec<_> = placed.iter().flat_map(|placed| &placed.items).collect();
        self.add("writing order items", &items, sql::insert_order_items);
    }

    fn write_holds(&mut self, changes: &Changes) {
        self.add("writing holds", &changes.new_holds, sql::insert_holds);
        let purchased: Vec<_> = changes
            .changed_holds
            .iter()
            .filter_map(|hold| Some((hold.event_id, hold.id, hold.held_until, hold.order_id?)))
            .collect();
        self.add("marking holds purchased", &purchased, sql::purchase_holds);
        let others: Vec<&hold::Model> = changes
            .changed_holds
            .iter()
            .filter(|hold| hold.order_id.is_none())
            .collect();
        self.add("changing holds", &others, sql::change_holds);
    }
}

impl Transaction {
    /// Writes the changes. What ends comes first: the database refuses a second owner of a ticket at each statement, not
    /// only at the commit. The rest touches different rows, so that one round trip can carry all of it.
    pub(super) async fn write(&self, facts: &Facts, changes: &Changes) -> Result<(), Failure> {
        let mut ends = Writes::of(self.backend);
        ends.end_items(changes);
        self.carry_out_each(ends.writes).await?;

        let mut rest = Writes::of(self.backend);
        rest.mark_tickets(changes);
        rest.place_orders(changes);
        rest.write_holds(changes);
        rest.add("writing idempotency keys", &changes.keys, sql::insert_keys);
        rest.append(&Journal::of(facts, changes).ok_or_else(|| Failure::bug(LOGGING))?);
        match self.backend {
            DbBackend::Postgres if rest.writes.len() > 1 => {
                self.carry_out_at_once(rest.writes).await
            }
            _ => self.carry_out_each(rest.writes).await,
        }
    }

    /// Appends what changes of tickets, for a transaction that changes them another way.
    pub async fn append(&self, journal: &Journal) -> Result<(), Failure> {
        let mut writes = Writes::of(self.backend);
        writes.append(journal);
        self.carry_out_each(writes.writes).await
    }

    async fn carry_out_each(&self, writes: Vec<Write>) -> Result<(), Failure> {
        for write in writes {
            let touched = self.execute(write.step, write.statement).await?;
            expect(write.step, write.rows, touched)?;
        }
        Ok(())
    }

    async fn carry_out_at_once(&self, writes: Vec<Write>) -> Result<(), Failure> {
        let step = "writing a batch";
        let (expected, statements): (Vec<_>, Vec<_>) = writes
            .into_iter()
            .map(|write| ((write.step, write.rows), write.statement))
            .unzip();
        let [counts]: [sql::TouchedRow; 1] = self
            .rows(step, sql::at_once(statements))
            .await?
            .try_into()
            .map_err(|_| Failure::bug(step))?;
        for ((step, rows), touched) in expected.into_iter().zip(counts.touched) {
            expect(step, rows, u64::try_from(touched).unwrap_or_default())?;
        }
        Ok(())
    }
}

fn expect(step: &'static str, rows: usize, touched: u64) -> Result<(), Failure> {
    if touched == rows as u64 {
        Ok(())
    } else {
        Err(Failure::bug(step))
    }
}
