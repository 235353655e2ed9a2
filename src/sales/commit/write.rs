//! Writing what was decided: a handful of statements, whatever the batch's length.

use sea_orm::Statement;

use super::Transaction;
use crate::{
    entity::hold,
    sales::{
        decide::{Changes, TicketState},
        failure::Failure,
        sql,
    },
};

impl Transaction {
    /// Writes the changes, each table once for each kind of change. What ends comes first: the database refuses a second
    /// owner of a ticket at each statement, not only at the commit.
    pub(super) async fn write(&self, changes: &Changes) -> Result<(), Failure> {
        self.end_items(changes).await?;
        self.mark_tickets(changes).await?;
        self.place_orders(changes).await?;
        self.write_holds(changes).await?;
        if !changes.keys.is_empty() {
            let statement = sql::insert_keys(self.backend, changes.keys.iter());
            self.change("writing idempotency keys", statement, changes.keys.len())
                .await?;
        }
        Ok(())
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
