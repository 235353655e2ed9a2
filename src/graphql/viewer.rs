//! Whoever sends the request: `me`, and what is theirs.

use async_graphql::{Context, Enum, ID, Object, Result, connection::Connection};

use super::{
    caller, deadline, domain,
    global_id::GlobalId,
    hold::Hold,
    loaders::{OwnReader, load_own},
    order::Order,
    organizer::{self, Membership},
    page::{self, Cursor},
};
use crate::{
    auth::{Account, Caller},
    fault::Fault,
    ids::{CustomerId, HoldId, OrderId},
    page::Slice,
};

#[derive(Default)]
pub struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// Who you are to this server. Needs a token.
    async fn me(&self, ctx: &Context<'_>) -> Option<Result<Viewer>> {
        Some(viewer(caller(ctx)))
    }

    /// An order of yours; null when there is none with this id. Needs a customer's token.
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] id: ID,
    ) -> Option<Result<Order>> {
        find_order(ctx, &id).await.transpose()
    }
}

async fn find_order(ctx: &Context<'_>, id: &ID) -> Result<Option<Order>> {
    caller(ctx).customer()?;
    match GlobalId::require(id)? {
        GlobalId::Order(event_id, order_id) => {
            let row = load_own(ctx).load_one((event_id, order_id)).await?;
            Ok(row.map(Order::from))
        }
        _ => Ok(None),
    }
}

fn viewer(caller: &Caller) -> Result<Viewer> {
    let (account, role) = match caller {
        Caller::Anonymous => return Err(crate::auth::Denial::Unauthenticated.into()),
        Caller::Customer(customer) => (customer.account(), Role::Customer),
        Caller::Staff(staff) => (staff.account(), Role::Organizer),
    };
    Ok(Viewer {
        account: account.clone(),
        role,
    })
}

pub struct Viewer {
    account: Account,
    role: Role,
}

/// What a token allows.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Buys tickets and sees their own orders.
    Customer,
    /// Staff: acts for the organizers whose member they are.
    Organizer,
}

/// Whoever sends the request.
#[Object]
impl Viewer {
    /// The issuer (`iss`) of your token.
    async fn issuer(&self) -> &str {
        &self.account.issuer
    }

    /// The subject (`sub`) of your token.
    async fn subject(&self) -> &str {
        &self.account.subject
    }

    /// What your token allows.
    async fn role(&self) -> Role {
        self.role
    }

    /// The organizers for whom you act, oldest first; a machine's key has none. Needs an organizer's token.
    async fn memberships(&self, ctx: &Context<'_>) -> Option<Result<Vec<Membership>>> {
        Some(organizer::memberships(ctx).await)
    }

    /// Your orders, latest first. Needs a customer's token.
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the beginning, 1 to 100; 20 when neither end is asked for."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only those behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only those in front of this cursor.")] before: Option<String>,
    ) -> Result<Connection<Cursor<OrderId>, Order>> {
        let customer = caller(ctx).customer()?;
        let page = page::read(first, after, last, before)?;
        let sales = &domain(ctx).sales;
        let orders = deadline::read(ctx, async {
            match sales.customer_id(customer).await? {
                Some(customer_id) => sales.orders(customer_id, &page).await,
                // Who has never bought anything has no orders.
                None => Ok(Slice::empty()),
            }
        });
        let orders = orders.await?;
        Ok(page::connection(orders, |row| row.id, Order::from))
    }

    /// What you hold at this moment, latest first: a page that was reloaded finds its checkout here. Needs a customer's
    /// token.
    async fn holds(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the beginning, 1 to 100; 20 when neither end is asked for."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only those behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only those in front of this cursor.")] before: Option<String>,
    ) -> Result<Connection<Cursor<HoldId>, Hold>> {
        let customer = caller(ctx).customer()?;
        let page = page::read(first, after, last, before)?;
        let sales = &domain(ctx).sales;
        let holds = deadline::read(ctx, async {
            match sales.customer_id(customer).await? {
                Some(customer_id) => sales.live_holds(customer_id, &page).await,
                None => Ok(Slice::empty()),
            }
        });
        let holds = holds.await?;
        Ok(page::connection(holds, |held| held.hold.id, Hold::from))
    }
}

impl OwnReader {
    /// None of a caller who is no customer, or has never bought anything.
    pub(super) async fn customer_id(&self) -> Result<Option<CustomerId>, Fault> {
        match &self.caller {
            Caller::Customer(customer) => self.sales.customer_id(customer).await,
            Caller::Anonymous | Caller::Staff(_) => Ok(None),
        }
    }
}
