//! An order, told again whenever it has changed.

use std::{sync::Arc, time::Duration};

use async_graphql::{Context, ID, Result, Subscription};
use futures_util::{Stream, stream};
use sea_orm::{DbErr, RuntimeErr};
use tokio::time::{sleep, timeout};

use super::Order;
use crate::{
    entity::order,
    fault::Fault,
    graphql::{
        caller,
        deadline::read,
        domain,
        fault::{Code, log, masked},
        global_id::GlobalId,
    },
    ids::{CustomerId, EventId, OrderId},
    live::OrderWatch,
    sales::{PlacedOrder, Sales},
};

/// A change that nobody told of is seen after so long: word from another process may be lost.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How long the database may take to say how an order is.
const READ_MAX: Duration = Duration::from_secs(5);

/// After a fault of the database.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Orders as they change.
#[derive(Default)]
pub struct OrderSubscription;

#[Subscription]
impl OrderSubscription {
    /// An order of yours: as it is now, and again whenever it has changed, as when the house cancels it. Needs a customer's
    /// token.
    ///
    /// Whoever subscribes again after a lost connection hears at once how the order is by then, so that nothing is missed.
    async fn order_updated<'ctx>(
        &self,
        ctx: &Context<'ctx>,
        #[graphql(desc = "The order's id.")] id: ID,
    ) -> Result<impl Stream<Item = Result<Order>> + use<'ctx>> {
        let customer = caller(ctx).customer()?;
        let unknown = || Code::BadUserInput.error("there is no order of yours with this id");
        let (event_id, order_id) = GlobalId::decode(&id)
            .and_then(GlobalId::order)
            .ok_or_else(unknown)?;
        let sales = &domain(ctx).sales;
        let customer_id = read(ctx, sales.customer_id(customer)).await?;
        let customer_id = customer_id.ok_or_else(unknown)?;
        let mut told = Told {
            // Before the first look, so that nothing falls between the two.
            watch: sales.live().watch_order(event_id, order_id),
            sales: Arc::clone(sales),
            customer_id,
            key: (event_id, order_id),
            last: None,
            has_failed: false,
        };
        let first = told.read().await?.ok_or_else(unknown)?;
        let first = stream::once(std::future::ready(Ok(told.tell(first))));
        let others = stream::unfold(told, async |mut told| {
            let next = told.next().await;
            Some((next, told))
        });
        Ok(stream::StreamExt::chain(first, others))
    }
}

/// An order, and what was told of it.
struct Told {
    sales: Arc<Sales>,
    watch: OrderWatch,
    customer_id: CustomerId,
    key: (EventId, OrderId),
    last: Option<PlacedOrder>,
    has_failed: bool,
}

impl Told {
    /// The order when it is another than it was when it was last told; or, once for an outage, that it cannot be read.
    async fn next(&mut self) -> Result<Order> {
        loop {
            if self.has_failed {
                sleep(RETRY_AFTER).await;
            } else {
                // Either way it is looked at.
                let _ = timeout(LOOK_AGAIN_AFTER, self.watch.changed()).await;
            }
            match self.read().await {
                Ok(Some(order)) => {
                    self.has_failed = false;
                    if self.last.as_ref() != Some(&order) {
                        return Ok(self.tell(order));
                    }
                }
                // Nothing deletes orders.
                Ok(None) => {}
                Err(_) if self.has_failed => {}
                Err(fault) => {
                    self.has_failed = true;
                    log(&fault);
                    return Err(masked(&fault));
                }
            }
        }
    }

    fn tell(&mut self, order: PlacedOrder) -> Order {
        self.last = Some(order.clone());
        Order::from(order)
    }

    /// The order and its items as they were at one moment: only the order's own row says that all of it is cancelled, and
    /// it is not so between the two readings.
    async fn read(&self) -> std::result::Result<Option<PlacedOrder>, Fault> {
        let reading = async {
            let keys = [self.key];
            let mut order = self.order().await?;
            loop {
                let Some(before) = order else {
                    return Ok(None);
                };
                let items = self.sales.items_of_orders(&keys).await?;
                order = self.order().await?;
                if order.as_ref() == Some(&before) {
                    return Ok(Some(PlacedOrder {
                        order: before,
                        items,
                    }));
                }
            }
        };
        timeout(READ_MAX, reading).await.unwrap_or_else(|_| {
            Err(Fault {
                step: "reading a watched order",
                source: DbErr::Conn(RuntimeErr::Internal("no answer in time".to_owned())),
            })
        })
    }

    async fn order(&self) -> std::result::Result<Option<order::Model>, Fault> {
        let found = self
            .sales
            .orders_by_ids(self.customer_id, &[self.key])
            .await?;
        Ok(found.into_iter().next())
    }
}
