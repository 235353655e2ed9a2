//! `purchaseTicket` and `purchaseTickets`: tickets that are free become an order at once.

use async_graphql::{Context, ID, InputObject, Object, OutputType, Result, SimpleObject};

use super::{
    buyer::{Buyer, CustomerInput},
    deadline,
    desk::{
        Alternatives, Asked, Fields, PurchaseTicketUserError, PurchaseTicketsUserError, Reason,
        Subject, TicketSelection, ask_for_order, split, unknown_ticket, unknown_tickets,
    },
    global_id::GlobalId,
    money::Decimal,
    order::Order,
};
use crate::sales::{Action, Want, command::Purchase};

/// What `purchaseTicket` needs.
#[derive(InputObject)]
pub struct PurchaseTicketInput {
    /// In whose name staff buy, whose role or scope lets them sell; if absent, you buy yourself.
    on_behalf_of: Option<CustomerInput>,
    /// The ticket to buy.
    ticket_id: ID,
    /// 1 to 128 printable characters of your choice, new for every purchase that the buyer intends and the same whenever
    /// you repeat it; a UUID serves. A key is remembered once its purchase has succeeded; a refusal leaves it free.
    idempotency_key: String,
    /// What the buyer was told it costs, in the event's currency. If it costs something else by now, nothing is bought and
    /// the refusal is `PRICE_CHANGED`.
    expected_total: Option<Decimal>,
}

/// What `purchaseTickets` needs.
#[derive(InputObject)]
pub struct PurchaseTicketsInput {
    /// In whose name staff buy, whose role or scope lets them sell; if absent, you buy yourself.
    on_behalf_of: Option<CustomerInput>,
    /// The tickets to buy.
    tickets: TicketSelection,
    /// 1 to 128 printable characters of your choice, new for every purchase that the buyer intends and the same whenever
    /// you repeat it; a UUID serves. A key is remembered once its purchase has succeeded; a refusal leaves it free.
    idempotency_key: String,
    /// What the buyer was told all of them cost, in the event's currency. If they cost something else by now, nothing is
    /// bought and the refusal is `PRICE_CHANGED`.
    expected_total: Option<Decimal>,
}

/// What became of a purchase.
#[derive(SimpleObject)]
#[graphql(concrete(name = "PurchaseTicketPayload", params(PurchaseTicketUserError)))]
#[graphql(concrete(name = "PurchaseTicketsPayload", params(PurchaseTicketsUserError)))]
pub struct PurchasePayload<E: OutputType> {
    /// The order; null when the purchase was refused.
    order: Option<Order>,
    /// Why the purchase was refused, one entry for each ticket that is to blame; empty when it succeeded.
    user_errors: Vec<E>,
    #[graphql(flatten)]
    alternatives: Alternatives,
}

#[derive(Default)]
pub struct PurchaseMutation;

#[Object]
impl PurchaseMutation {
    /// Buys one ticket. Needs a customer's token, or staff who may sell and say in whose name.
    ///
    /// If the answer is lost, send the same input again: the ticket is bought once, and the answer is the same order.
    async fn purchase_ticket(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which ticket, and under which key.")] input: PurchaseTicketInput,
    ) -> Option<Result<PurchasePayload<PurchaseTicketUserError>>> {
        Some(deadline::done(ctx, purchase_ticket(ctx, input)).await)
    }

    /// Buys several tickets as one order: all of them or none. Needs a customer's token, or staff who may sell and
    /// say in whose name.
    ///
    /// If the answer is lost, send the same input again: the tickets are bought once, and the answer is the same order.
    async fn purchase_tickets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tickets, and under which key.")] input: PurchaseTicketsInput,
    ) -> Option<Result<PurchasePayload<PurchaseTicketsUserError>>> {
        Some(deadline::done(ctx, purchase_tickets(ctx, input)).await)
    }
}

async fn purchase_ticket(
    ctx: &Context<'_>,
    input: PurchaseTicketInput,
) -> Result<PurchasePayload<PurchaseTicketUserError>> {
    let buyer = Buyer::of(ctx, input.on_behalf_of)?;
    let unknown = || unknown_ticket("ticketId".to_owned());
    let Some((event_id, id)) = GlobalId::decode(&input.ticket_id).and_then(GlobalId::ticket) else {
        return payload(Err(vec![unknown()]), Alternatives::none());
    };
    let Some(account) = buyer.at(ctx, event_id).await? else {
        return payload(Err(vec![unknown()]), Alternatives::none());
    };
    let asked = Asked {
        account,
        staff: buyer.staff(),
        event_id,
        key: &input.idempotency_key,
        action: Action::Purchase {
            kind: Purchase::OneTicket,
            want: Want::Tickets(vec![id]),
            expected_total: input.expected_total.as_ref().map(Decimal::number),
        },
        fields: Fields::of_tickets(Subject::Ticket, vec![id]),
    };
    let answer = ask_for_order(ctx, asked)
        .await?
        .map(|order| order.handed_out_by(&buyer));
    let alternatives = Alternatives::to(event_id, vec![id], &answer);
    payload(answer, alternatives)
}

async fn purchase_tickets(
    ctx: &Context<'_>,
    input: PurchaseTicketsInput,
) -> Result<PurchasePayload<PurchaseTicketsUserError>> {
    let buyer = Buyer::of(ctx, input.on_behalf_of)?;
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
        action: Action::Purchase {
            kind: Purchase::Tickets,
            want,
            expected_total: input.expected_total.as_ref().map(Decimal::number),
        },
        fields,
    };
    let answer = ask_for_order(ctx, asked)
        .await?
        .map(|order| order.handed_out_by(&buyer));
    let alternatives = Alternatives::to(event_id, named, &answer);
    payload(answer, alternatives)
}

fn payload<E: OutputType + TryFrom<Reason, Error = super::desk::Code>>(
    answer: Result<Order, Vec<Reason>>,
    alternatives: Alternatives,
) -> Result<PurchasePayload<E>> {
    let (order, user_errors) = split(answer)?;
    Ok(PurchasePayload {
        order,
        user_errors,
        alternatives,
    })
}
