//! A hold that is about to end.

use std::{sync::Arc, time::Duration};

use async_graphql::{Context, ID, Result, Subscription};
use chrono::TimeDelta;
use futures_util::{Stream, stream};
use tokio::time::sleep;

use super::Hold;
use crate::{
    graphql::{caller, deadline::read, domain, fault::Code, global_id::GlobalId},
    ids::{CustomerId, EventId, HoldId},
    sales::{HeldTickets, Sales, Standing},
};

/// How long before its end a hold can be told of at the earliest.
const SECONDS_BEFORE_MAX: i32 = 3_600;

/// After the end of a hold, before it is looked at: clocks differ a little.
const END_MARGIN: Duration = Duration::from_millis(100);

#[derive(Default)]
pub struct HoldSubscription;

#[Subscription]
impl HoldSubscription {
    /// A hold of yours: as it is now, so many seconds before it ends, again if it was extended since, and when it has ended;
    /// then the subscription is complete. Needs a customer's token.
    async fn hold_expiring<'ctx>(
        &self,
        ctx: &Context<'ctx>,
        #[graphql(desc = "The hold's id.")] id: ID,
        #[graphql(desc = "How many seconds before its end, 0 to 3600.", default = 60)]
        seconds_before: i32,
    ) -> Result<impl Stream<Item = Result<Hold>> + use<'ctx>> {
        let customer = caller(ctx).customer()?;
        if !(0..=SECONDS_BEFORE_MAX).contains(&seconds_before) {
            return Err(Code::BadUserInput.error("secondsBefore is a number from 0 to 3600"));
        }
        let unknown = || Code::BadUserInput.error("there is no hold of yours with this id");
        let Some(GlobalId::Hold(event_id, hold_id)) = GlobalId::decode(&id) else {
            return Err(unknown());
        };
        let sales = &domain(ctx).sales;
        let customer_id = read(ctx, sales.customer_id(customer)).await?;
        let watched = Watched {
            sales: Arc::clone(sales),
            customer_id: customer_id.ok_or_else(unknown)?,
            key: (event_id, hold_id),
            before: TimeDelta::seconds(seconds_before.into()),
            has_been_told: false,
            told: None,
        };
        let first = read(ctx, watched.read()).await?.ok_or_else(unknown)?;
        Ok(stream::unfold(Some((watched, first)), async |state| {
            let (watched, held) = state?;
            watched.next(held).await
        }))
    }
}

/// A hold, and what was told of it.
struct Watched {
    sales: Arc<Sales>,
    customer_id: CustomerId,
    key: (EventId, HoldId),
    before: TimeDelta,
    has_been_told: bool,
    /// The end that was told to be near.
    told: Option<chrono::DateTime<chrono::Utc>>,
}

/// What is told, and how the hold was then; nobody watches any more what has ended.
type Told = (Result<Hold>, Option<(Watched, HeldTickets)>);

impl Watched {
    /// Waits, as often as the hold is extended meanwhile, until there is something to tell.
    async fn next(mut self, mut held: HeldTickets) -> Option<Told> {
        loop {
            if held.standing() != Standing::Active {
                return Some((Ok(Hold::from(held)), None));
            }
            let end = held.hold.held_until;
            if !self.has_been_told {
                self.has_been_told = true;
                self.told = (end - self.before <= held.as_of).then_some(end);
                return Some((Ok(Hold::from(held.clone())), Some((self, held))));
            }
            let is_told = self.told == Some(end);
            let at = if is_told { end } else { end - self.before };
            // By the database's clock, which also says when the hold ends.
            match (at - held.as_of).to_std() {
                Ok(wait) => sleep(wait + END_MARGIN).await,
                Err(_) if is_told => sleep(END_MARGIN).await,
                Err(_) => {
                    self.told = Some(end);
                    return Some((Ok(Hold::from(held.clone())), Some((self, held))));
                }
            }
            held = match self.read().await {
                Ok(Some(held)) => held,
                // Nothing deletes holds.
                Ok(None) => return None,
                Err(fault) => return Some((Err(fault.into()), None)),
            };
        }
    }

    async fn read(&self) -> std::result::Result<Option<HeldTickets>, crate::fault::Fault> {
        let keys = [self.key];
        let found = self.sales.holds_by_ids(self.customer_id, &keys);
        Ok(found.await?.into_iter().next())
    }
}
