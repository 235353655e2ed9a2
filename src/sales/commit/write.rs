//! Writing what was decided: a handful of statements, whatever the batch's length.

use sea_orm::Statement;

use super::Transaction;
use crate::{
    counts::Deltas,
    entity::{hold, ticket},
    sales::{
        decide::{Changes, Facts, TicketState},
        failure::Failure,
        sql,
    },
};

/// The step that every transaction which changes tickets ends with.
const APPENDING: &str = "appending to the counts of tickets";

impl Transaction {
    /// Writes the changes, each table once for each kind of change. What ends comes first: the database refuses a second
    /// owner of a ticket at each statement, not only at the commit.
    pub(super) async fn write(&self, facts: &Facts, changes: &Changes) -> Result<(), Failure> {
        self.end_items(changes).await?;
        self.mark_tickets(changes).await?;
        self.place_orders(changes).await?;
        self.write_holds(changes).await?;
        if !changes.keys.is_empty() {
            let statement = sql::insert_keys(self.backend, changes.keys.iter());
            self.change("writing idempotency keys", statement, changes.keys.len())
                .await?;
        }
        let deltas = deltas(facts, changes).ok_or_else(|| Failure::bug(APPENDING))?;
        self.append(&deltas).await
    }

    /// Appends what changes in the counts of tickets.
    pub async fn append(&self, deltas: &Deltas) -> Result<(), Failure> {
        if deltas.is_empty() {
            return Ok(());
        }
        let statement = sql::append_deltas(self.backend, deltas);
        self.change(APPENDING, statement, deltas.len()).await
    }

    async fn end_items(&self, changes: &Changes) -> Result<(), Failure> {
        let items = &changes.cancelled_items;
        if !items.is_empty() {
            let statement = sql::cancel_items(self.backend, items);
            self.change("cancelling order items", statement, items.len())
                .await?;
        }
        let orders = &changes.cancelled_orders;
        if !orders.is_empty() {
            let statement = sql::cancel_orders(self.backend, orders);
            self.change("cancelling orders", statement, orders.len())
                .await?;
        }
        Ok(())
    }

    async fn mark_tickets(&self, changes: &Changes) -> Result<(), Failure> {
        let (mut sold, mut available, mut held) = (Vec::new(), Vec::new(), Vec::new());
        for (&(event_id, id), state) in &changes.tickets {
            match *state {
                TicketState::Sold => sold.push((event_id, id)),
                TicketState::Available => available.push((event_id, id)),
                TicketState::Held { hold_id, until } => held.push((event_id, id, hold_id, until)),
            }
        }
        if !sold.is_empty() {
            let statement = sql::mark_sold(self.backend, &sold);
            self.change("marking tickets sold", statement, sold.len())
                .await?;
        }
        if !available.is_empty() {
            let statement = sql::mark_available(self.backend, &available);
            self.change("marking tickets available", statement, available.len())
                .await?;
        }
        if !held.is_empty() {
            let statement = sql::mark_held(self.backend, &held);
            self.change("marking tickets held", statement, held.len())
                .await?;
        }
        Ok(())
    }

    async fn place_orders(&self, changes: &Changes) -> Result<(), Failure> {
        let placed = &changes.placed;
        if placed.is_empty() {
            return Ok(());
        }
        let orders = placed.iter().map(|placed| &placed.order);
        let statement = sql::insert_orders(self.backend, orders);
        self.change("writing orders", statement, placed.len())
            .await?;
        let items = || placed.iter().flat_map(|placed| &placed.items);
        let statement = sql::insert_order_items(self.backend, items());
        self.change("writing order items", statement, items().count())
            .await
    }

    async fn write_holds(&self, changes: &Changes) -> Result<(), Failure> {
        let new = &changes.new_holds;
        if !new.is_empty() {
            let statement = sql::insert_holds(self.backend, new);
            self.change("writing holds", statement, new.len()).await?;
        }
        let purchased: Vec<_> = changes
            .changed_holds
            .iter()
            .filter_map(|hold| Some((hold.event_id, hold.id, hold.order_id?)))
            .collect();
        if !purchased.is_empty() {
            let statement = sql::purchase_holds(self.backend, &purchased);
            self.change("marking holds purchased", statement, purchased.len())
                .await?;
        }
        let others: Vec<&hold::Model> = changes
            .changed_holds
            .iter()
            .filter(|hold| hold.order_id.is_none())
            .collect();
        if !others.is_empty() {
            let statement = sql::change_holds(self.backend, others.iter().copied());
            self.change("changing holds", statement, others.len())
                .await?;
        }
        Ok(())
    }

    /// Runs a write that must touch exactly `rows`.
    async fn change(
        &self,
        step: &'static str,
        statement: Statement,
        rows: usize,
    ) -> Result<(), Failure> {
        if self.execute(step, statement).await? == rows as u64 {
            Ok(())
        } else {
            Err(Failure::bug(step))
        }
    }
}

/// What the changes change in the counts; none if a ticket is changed whose row was not locked.
fn deltas(facts: &Facts, changes: &Changes) -> Option<Deltas> {
    let mut deltas = Deltas::default();
    for (key, state) in &changes.tickets {
        let before = facts.locked.get(key)?;
        let after = match state {
            TicketState::Available => ticket::Status::Available,
            TicketState::Held { .. } => ticket::Status::Held,
            TicketState::Sold => ticket::Status::Sold,
        };
        deltas.change((key.0, before.ticket_type_id), before.status, after);
    }
    Some(deltas)
}
