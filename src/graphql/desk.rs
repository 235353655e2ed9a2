//! The way of a buyer's mutation to the desk and back: a command, its outcome, and the payload that it becomes.
//!
//! What each mutation reads of its input stands with its subject: [`super::purchase`], [`super::hold`], [`super::order`].

mod alternatives;
mod reasons;
mod refusal;
mod selection;

use async_graphql::{Context, Error, Result};

use self::refusal::{contended, explain, malformed};
pub use self::{
    alternatives::{Alternatives, GROUPS_DEFAULT},
    reasons::{
        CancelOrderUserError, Code, ExtendHoldUserError, HoldTicketsUserError,
        PurchaseHoldUserError, PurchaseTicketUserError, PurchaseTicketsUserError, Reason,
        ReleaseHoldUserError, split,
    },
    refusal::{
        Fields, Subject, instant, unknown_hold, unknown_order, unknown_ticket, unknown_tickets,
    },
    selection::{TicketSelection, read_held, read_items},
};
use super::{domain, hold::Hold, loaders::load_own, order::Order};
use crate::{
    auth::Account,
    ids::EventId,
    sales::{Action, Command, Done, Outcome},
};

/// A command on its way.
pub struct Asked<'a> {
    pub account: &'a Account,
    /// The staff who ask in its name.
    pub staff: Option<&'a Account>,
    pub event_id: EventId,
    pub key: &'a str,
    pub action: Action,
    pub fields: Fields,
}

/// Brings a command to the desk. A refusal is an answer; what is an error is a fault.
pub async fn ask(ctx: &Context<'_>, asked: Asked<'_>) -> Result<Result<Done, Vec<Reason>>> {
    let Asked {
        account,
        staff,
        event_id,
        key,
        action,
        fields,
    } = asked;
    let command = match Command::new(event_id, account.clone(), key, action) {
        Ok(command) => match staff {
            Some(staff) => command.by_staff(staff.clone()),
            None => command,
        },
        Err(reason) => return Ok(Err(vec![malformed(reason, &fields)])),
    };
    let kind = command.kind();
    let count = |outcome: &str| domain(ctx).metrics.count_command(kind.as_str(), outcome);
    let outcome = domain(ctx).sales.carry_out(command).await;
    match outcome.inspect_err(|fault| count(fault.code().as_str()))? {
        Outcome::Done(done) => {
            count("DONE");
            Ok(Ok(done))
        }
        Outcome::Repeated(done) => {
            count("REPEATED");
            Ok(Ok(done))
        }
        Outcome::Refused(refusals) => {
            let mut reasons: Vec<Reason> = refusals
                .iter()
                .map(|refusal| explain(refusal, &fields))
                .collect();
            if let Some(first) = reasons.first() {
                count(&first.code.name());
            }
            read_details(ctx, event_id, &mut reasons).await?;
            Ok(Err(reasons))
        }
        Outcome::Contended => {
            let reason = contended();
            count(&reason.code.name());
            Ok(Err(vec![reason]))
        }
    }
}

/// As [`ask`], for what makes or changes an order.
pub async fn ask_for_order(
    ctx: &Context<'_>,
    asked: Asked<'_>,
) -> Result<Result<Order, Vec<Reason>>> {
    Ok(ask(ctx, asked).await?.map(|done| match done {
        Done::Order(placed) => placed.into(),
        Done::Hold(_) => unreachable!("a purchase and a cancellation are answered with an order"),
    }))
}

/// As [`ask`], for what makes or changes a hold.
pub async fn ask_for_hold(
    ctx: &Context<'_>,
    asked: Asked<'_>,
) -> Result<Result<Hold, Vec<Reason>>> {
    Ok(ask(ctx, asked).await?.map(|done| match done {
        Done::Hold(held) => held.into(),
        Done::Order(_) => unreachable!("what holds tickets is answered with a hold"),
    }))
}

/// The order or the hold that a reason speaks of, where the client asks for it.
async fn read_details(
    ctx: &Context<'_>,
    event_id: EventId,
    reasons: &mut [Reason],
) -> Result<(), Error> {
    let errors = ctx.look_ahead().field("userErrors");
    if errors.field("order").exists() {
        for reason in reasons.iter_mut() {
            if let Some(order_id) = reason.order_id {
                let row = load_own(ctx).load_one((event_id, order_id)).await?;
                reason.order = row.map(Order::from);
            }
        }
    }
    if errors.field("hold").exists() {
        let ids = reasons
            .iter()
            .filter_map(|reason| Some((event_id, reason.hold_id?)));
        let holds = load_own(ctx).load_many(ids.collect::<Vec<_>>()).await?;
        for reason in reasons {
            let held = reason.hold_id.and_then(|id| holds.get(&(event_id, id)));
            reason.hold = held.cloned().map(Hold::from);
        }
    }
    Ok(())
}
