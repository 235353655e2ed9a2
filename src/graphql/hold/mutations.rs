//! `holdTickets`, `extendHold`, `releaseHold` and `purchaseHold`: the checkout.

use async_graphql::{Context, ID, InputObject, Object, OutputType, Result, SimpleObject};

use super::Hold;
use crate::{
    graphql::{
        buyer::{Buyer, CustomerInput},
        deadline,
        desk::{
            Alternatives, Asked, Code, ExtendHoldUserError, Fields, HoldTicketsUserError,
            PurchaseHoldUserError, Reason, ReleaseHoldUserError, Subject, TicketSelection,
            ask_for_hold, ask_for_order, read_held, split, unknown_hold, unknown_tickets,
        },
        global_id::GlobalId,
        money::Decimal,
        order::OrderPayload,
    },
    sales::Action,
};

/// What `holdTickets` needs.
#[derive(InputObject)]
pub struct HoldTicketsInput {
    /// In whose name staff hold, whose role or scope lets them sell; if absent, it is for yourself.
    on_behalf_of: Option<CustomerInput>,
    /// The tickets to hold.
    tickets: TicketSelection,
    /// 1 to 128 printable characters of your choice, new for every hold that the buyer intends and the same whenever you
    /// repeat it; a UUID serves. A key is remembered once its hold was made; a refusal leaves it free.
    idempotency_key: String,
}

/// What `extendHold` needs.
#[derive(InputObject)]
pub struct ExtendHoldInput {
    /// In whose name staff extend, whose role or scope lets them sell; if absent, it is for yourself.
    on_behalf_of: Option<CustomerInput>,
    /// The hold that shall last longer.
    hold_id: ID,
    /// 1 to 128 printable characters of your choice, new for every extension and the same whenever you repeat it; a UUID
    /// serves.
    idempotency_key: String,
}

/// What `releaseHold` needs.
#[derive(InputObject)]
pub struct ReleaseHoldInput {
    /// In whose name staff give back, whose role or scope lets them sell; if absent, it is for yourself.
    on_behalf_of: Option<CustomerInput>,
    /// The hold.
    hold_id: ID,
    /// The tickets of it to give back; all if absent, and then the hold is over.
    ticket_ids: Option<Vec<ID>>,
    /// 1 to 128 printable characters of your choice, new for every release and the same whenever you repeat it; a UUID
    /// serves.
    idempotency_key: String,
}

/// What `purchaseHold` needs.
#[derive(InputObject)]
pub struct PurchaseHoldInput {
    /// In whose name staff buy, whose role or scope lets them sell; if absent, it is for yourself.
    on_behalf_of: Option<CustomerInput>,
    /// The hold to buy: all its tickets become one order.
    hold_id: ID,
    /// 1 to 128 printable characters of your choice, new for every purchase that the buyer intends and the same whenever
    /// you repeat it; a UUID serves. A key is remembered once its purchase has succeeded; a refusal leaves it free.
    idempotency_key: String,
    /// What the buyer was told all of them cost, in the event's currency. If they cost something else by now, nothing is
    /// bought and the refusal is `PRICE_CHANGED`.
    expected_total: Option<Decimal>,
}

/// What became of `holdTickets`.
#[derive(SimpleObject)]
pub struct HoldTicketsPayload {
    /// The hold; null when it was refused.
    hold: Option<Hold>,
    /// Why the tickets are not held, one entry for each that is to blame; empty when they are.
    user_errors: Vec<HoldTicketsUserError>,
    #[graphql(flatten)]
    alternatives: Alternatives,
}

/// What became of a change of a hold.
#[derive(SimpleObject)]
#[graphql(concrete(name = "ExtendHoldPayload", params(ExtendHoldUserError)))]
#[graphql(concrete(name = "ReleaseHoldPayload", params(ReleaseHoldUserError)))]
pub struct HoldPayload<E: OutputType> {
    /// The hold as it is now; null when the change was refused.
    hold: Option<Hold>,
    /// Why nothing was changed; empty when it was.
    user_errors: Vec<E>,
}

#[derive(Default)]
pub struct HoldMutation;

#[Object]
impl HoldMutation {
    /// Takes tickets out of sale for you alone and for a limited time, so that you can fill in a form and pay: all of them
    /// or none. Buy them with `purchaseHold`. Needs a customer's token, or staff who may sell and say in whose name.
    ///
    /// If the answer is lost, send the same input again: the tickets are held once, and the answer is the same hold. A page
    /// that was reloaded finds its hold in `me { holds }`.
    async fn hold_tickets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tickets, and under which key.")] input: HoldTicketsInput,
    ) -> Option<Result<HoldTicketsPayload>> {
        Some(deadline::done(ctx, hold_tickets(ctx, input)).await)
    }

    /// Lets a hold last as long from now as a new one would, but not beyond its `extendableUntil`. Needs the token of the
    /// customer whose hold it is.
    async fn extend_hold(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which hold, and under which key.")] input: ExtendHoldInput,
    ) -> Option<Result<HoldPayload<ExtendHoldUserError>>> {
        Some(deadline::done(ctx, extend_hold(ctx, input)).await)
    }

    /// Gives tickets of a hold back, some or all: they can be bought again at once. Needs the token of the customer whose
    /// hold it is.
    async fn release_hold(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which hold, which of its tickets, and under which key.")]
        input: ReleaseHoldInput,
    ) -> Option<Result<HoldPayload<ReleaseHoldUserError>>> {
        Some(deadline::done(ctx, release_hold(ctx, input)).await)
    }

    /// Buys what you hold: all the hold's tickets as one order. To buy only some of them, give the others back first. Needs
    /// the token of the customer whose hold it is.
    ///
    /// If the answer is lost, send the same input again: the hold is bought once, and the answer is the same order.
    async fn purchase_hold(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which hold, and under which key.")] input: PurchaseHoldInput,
    ) -> Option<Result<OrderPayload<PurchaseHoldUserError>>> {
        Some(deadline::done(ctx, purchase_hold(ctx, input)).await)
    }
}

async fn hold_tickets(ctx: &Context<'_>, input: HoldTicketsInput) -> Result<HoldTicketsPayload> {
    let buyer = Buyer::of(ctx, input.on_behalf_of)?;
    let payload = |answer, alternatives| {
        let (hold, user_errors) = split(answer)?;
        Ok(HoldTicketsPayload {
            hold,
            user_errors,
            alternatives,
        })
    };
    let (event_id, want, fields) = match input.tickets.read() {
        Ok(read) => read,
        Err(reasons) => return payload(Err(reasons), Alternatives::none()),
    };
    let Some(account) = buyer.at(ctx, event_id).await? else {
        return payload(Err(unknown_tickets(&fields)), Alternatives::none());
    };
    let named = fields.tickets.clone();
    let asked = Asked {
        account,
        staff: buyer.staff(),
        event_id,
        key: &input.idempotency_key,
        action: Action::Hold { want },
        fields,
    };
    let answer = ask_for_hold(ctx, asked).await?;
    let alternatives = Alternatives::to(event_id, named, &answer);
    payload(answer, alternatives)
}

async fn extend_hold(
    ctx: &Context<'_>,
    input: ExtendHoldInput,
) -> Result<HoldPayload<ExtendHoldUserError>> {
    let buyer = Buyer::of(ctx, input.on_behalf_of)?;
    let Some((event_id, hold_id)) = GlobalId::decode(&input.hold_id).and_then(GlobalId::hold)
    else {
        return payload(Err(vec![unknown_hold()]));
    };
    let Some(account) = buyer.at(ctx, event_id).await? else {
        return payload(Err(vec![unknown_hold()]));
    };
    let asked = Asked {
        account,
        staff: buyer.staff(),
        event_id,
        key: &input.idempotency_key,
        action: Action::ExtendHold { hold_id },
        fields: Fields::new(Subject::Hold),
    };
    payload(ask_for_hold(ctx, asked).await?)
}

async fn release_hold(
    ctx: &Context<'_>,
    input: ReleaseHoldInput,
) -> Result<HoldPayload<ReleaseHoldUserError>> {
    let buyer = Buyer::of(ctx, input.on_behalf_of)?;
    let Some((event_id, hold_id)) = GlobalId::decode(&input.hold_id).and_then(GlobalId::hold)
    else {
        return payload(Err(vec![unknown_hold()]));
    };
    let Some(account) = buyer.at(ctx, event_id).await? else {
        return payload(Err(vec![unknown_hold()]));
    };
    let tickets = match input
        .ticket_ids
        .map(|ids| read_held(&ids, event_id))
        .transpose()
    {
        Ok(tickets) => tickets,
        Err(reasons) => return payload(Err(reasons)),
    };
    let named = tickets.clone().unwrap_or_default();
    let asked = Asked {
        account,
        staff: buyer.staff(),
        event_id,
        key: &input.idempotency_key,
        action: Action::ReleaseHold { hold_id, tickets },
        fields: Fields::of_tickets(Subject::TicketsOfHold, named),
    };
    payload(ask_for_hold(ctx, asked).await?)
}

async fn purchase_hold(
    ctx: &Context<'_>,
    input: PurchaseHoldInput,
) -> Result<OrderPayload<PurchaseHoldUserError>> {
    let buyer = Buyer::of(ctx, input.on_behalf_of)?;
    let Some((event_id, hold_id)) = GlobalId::decode(&input.hold_id).and_then(GlobalId::hold)
    else {
        return OrderPayload::new(Err(vec![unknown_hold()]));
    };
    let Some(account) = buyer.at(ctx, event_id).await? else {
        return OrderPayload::new(Err(vec![unknown_hold()]));
    };
    let asked = Asked {
        account,
        staff: buyer.staff(),
        event_id,
        key: &input.idempotency_key,
        action: Action::PurchaseHold {
            hold_id,
            expected_total: input.expected_total.as_ref().map(Decimal::number),
        },
        fields: Fields::new(Subject::Hold),
    };
    let answer = ask_for_order(ctx, asked).await?;
    OrderPayload::new(answer.map(|order| order.handed_out_by(&buyer)))
}

fn payload<E: OutputType + TryFrom<Reason, Error = Code>>(
    answer: Result<Hold, Vec<Reason>>,
) -> Result<HoldPayload<E>> {
    let (hold, user_errors) = split(answer)?;
    Ok(HoldPayload { hold, user_errors })
}
