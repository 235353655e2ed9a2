//! Reading holds: what a customer has to themselves at this moment. A customer's own and nobody else's.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, ExprTrait, FromQueryResult, Order,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};

use super::{HeldTickets, Sales, sql};
use crate::{
    entity::hold,
    fault::{Fault, Step},
    ids::{CustomerId, EventId, HoldId, TicketId},
    page::{Direction, Page, Slice},
    store::dialect::clock,
};

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    /// Its time was over before it was bought or given back. No row says so.
    Expired,
    Released,
    Purchased,
}

impl HeldTickets {
    /// Where the hold stood at [`Self::as_of`].
    pub fn standing(&self) -> Standing {
        let tickets_len = usize::try_from(self.hold.tickets_len).unwrap_or(0);
        match self.hold.status {
            hold::Status::Released => Standing::Released,
            hold::Status::Purchased => Standing::Purchased,
            hold::Status::Active if self.as_of >= self.hold.held_until => Standing::Expired,
            // The cancellation of the event, which alone takes tickets out of a live hold, is on its way to it.
            hold::Status::Active if self.tickets.len() < tickets_len => Standing::Released,
            hold::Status::Active => Standing::Active,
        }
    }

    /// Its tickets; none once it has ended, whatever their rows still say.
    pub fn live_tickets(&self) -> &[TicketId] {
        match self.standing() {
            Standing::Active => &self.tickets,
            Standing::Expired | Standing::Released | Standing::Purchased => &[],
        }
    }
}

/// Each hold with its tickets, of rows that are in the order of the holds.
pub(super) fn held_tickets(rows: Vec<sql::StandingRow>) -> Vec<HeldTickets> {
    let mut holds: Vec<HeldTickets> = Vec::new();
    for row in rows {
        match holds.last_mut() {
            Some(held) if held.hold.id == row.id => held.tickets.extend(row.ticket_id),
            Some(_) | None => holds.push(row.into()),
        }
    }
    holds
}

impl Sales {
    /// Those of these holds that are this customer's, in no order.
    ///
    /// # Errors
    /// When the database cannot be read, as with everything here.
    pub async fn holds_by_ids(
        &self,
        customer_id: CustomerId,
        ids: &[(EventId, HoldId)],
    ) -> Result<Vec<HeldTickets>, Fault> {
        let step = "reading holds";
        let statement = sql::read_holds(self.store.backend(), ids).statement;
        let rows = self
            .store
            .reader()
            .query_all_raw(statement)
            .await
            .step(step)?;
        let rows: Result<Vec<_>, DbErr> = rows
            .iter()
            .map(|row| sql::StandingRow::from_query_result(row, ""))
            .collect();
        let mut found = held_tickets(rows.step(step)?);
        found.retain(|held| held.hold.customer_id == customer_id);
        Ok(found)
    }

    /// A page of what the customer holds at this moment, latest first: ids are in the order of time.
    pub async fn live_holds(
        &self,
        customer_id: CustomerId,
        page: &Page<HoldId>,
    ) -> Result<Slice<HeldTickets>, Fault> {
        let direction = match page.direction {
            Direction::Forward => Order::Desc,
            Direction::Backward => Order::Asc,
        };
        let ids: Vec<(EventId, HoldId)> = hold::Entity::find()
            .select_only()
            .columns([hold::Column::EventId, hold::Column::Id])
            .filter(hold::Column::CustomerId.eq(customer_id))
            .filter(Expr::cust("status = 'ACTIVE'"))
            .filter(Expr::col(hold::Column::HeldUntil).gt(Expr::cust(clock(self.store.backend()))))
            .apply_if(page.after, |query, id| {
                query.filter(hold::Column::Id.lt(id))
            })
            .apply_if(page.before, |query, id| {
                query.filter(hold::Column::Id.gt(id))
            })
            .order_by(hold::Column::Id, direction)
            .limit(page.read_max())
            .into_tuple()
            .all(self.store.reader())
            .await
            .step("reading a page of holds")?;
        let slice = page.cut(ids);
        let mut held = self.holds_by_ids(customer_id, &slice.rows).await?;
        // What has ended since the page was read is none of the list.
        held.retain(|held| held.standing() == Standing::Active);
        held.sort_unstable_by_key(|held| std::cmp::Reverse(held.hold.id));
        Ok(Slice {
            rows: held,
            has_previous: slice.has_previous,
            has_next: slice.has_next,
        })
    }
}
