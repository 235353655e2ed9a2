//! `purchaseTicket` and `purchaseTickets`: input to command, command to desk, outcome to payload.

mod refusal;
mod types;

use async_graphql::{Context, ID, Object, Result};

pub use self::refusal::instant;
use self::{
    refusal::{Fields, UserError, explain, malformed, unknown_ticket, unknown_ticket_type},
    types::{
        PurchaseTicketInput, PurchaseTicketPayload, PurchaseTicketsErrorCode, PurchaseTicketsInput,
        PurchaseTicketsPayload, TicketSelection,
    },
};
use super::{caller, domain, global_id::GlobalId, money::Decimal, order::Order};
use crate::{
    auth::Customer,
    ids::EventId,
    sales::{
        Action, Command, Done, Malformed, Outcome, RETRY_AFTER_SECS, Want,
        command::{Purchase, TICKETS_PER_ORDER_MAX},
    },
};

#[derive(Default)]
pub struct PurchaseMutation;

#[Object]
impl PurchaseMutation {
    /// Buys one ticket. Needs a customer's token.
    ///
    /// If the answer is lost, send the same input again: the ticket is bought once, and the answer is the same order.
    async fn purchase_ticket(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which ticket, and under which key.")] input: PurchaseTicketInput,
    ) -> Option<Result<PurchaseTicketPayload>> {
        Some(async { Ok(purchase_ticket(ctx, input).await?.into()) }.await)
    }

    /// Buys several tickets as one order: all of them or none. Needs a customer's token.
    ///
    /// If the answer is lost, send the same input again: the tickets are bought once, and the answer is the same order.
    async fn purchase_tickets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tickets, and under which key.")] input: PurchaseTicketsInput,
    ) -> Option<Result<PurchaseTicketsPayload>> {
        Some(async { Ok(purchase_tickets(ctx, input).await?.into()) }.await)
    }
}

type Answer = Result<Order, Vec<UserError>>;

async fn purchase_ticket(ctx: &Context<'_>, input: PurchaseTicketInput) -> Result<Answer> {
    let customer = caller(ctx).customer()?;
    let Some(GlobalId::Ticket(event_id, ticket_id)) = GlobalId::decode(&input.ticket_id) else {
        return Ok(Err(vec![unknown_ticket("ticketId".to_owned())]));
    };
    let fields = Fields {
        ids: vec![(ticket_id, "ticketId".to_owned())],
        selection: "ticketId",
    };
    let asked = Asked {
        event_id,
        kind: Purchase::OneTicket,
        want: Want::Tickets(vec![ticket_id]),
        key: &input.idempotency_key,
        expected_total: input.expected_total.as_ref(),
    };
    purchase(ctx, customer, asked, &fields).await
}

async fn purchase_tickets(ctx: &Context<'_>, input: PurchaseTicketsInput) -> Result<Answer> {
    let customer = caller(ctx).customer()?;
    let (event_id, want, fields) = match read_selection(&input.tickets) {
        Ok(read) => read,
        Err(errors) => return Ok(Err(errors)),
    };
    let asked = Asked {
        event_id,
        kind: Purchase::Tickets,
        want,
        key: &input.idempotency_key,
        expected_total: input.expected_total.as_ref(),
    };
    purchase(ctx, customer, asked, &fields).await
}

/// A purchase as it was asked for.
struct Asked<'a> {
    event_id: EventId,
    kind: Purchase,
    want: Want,
    key: &'a str,
    expected_total: Option<&'a Decimal>,
}

fn read_selection(selection: &TicketSelection) -> Result<(EventId, Want, Fields), Vec<UserError>> {
    match selection {
        TicketSelection::Ids(ids) => {
            // Checked before the ids are read: a megabyte of them would be work for nothing.
            if ids.len() > TICKETS_PER_ORDER_MAX {
                return Err(vec![malformed(
                    Malformed::TooMany,
                    &Fields {
                        ids: vec![],
                        selection: "tickets.ids",
                    },
                )]);
            }
            read_ids(ids)
        }
        TicketSelection::AnyOf(any) => {
            let Some(GlobalId::TicketType(event_id, ticket_type_id)) =
                GlobalId::decode(&any.ticket_type_id)
            else {
                return Err(vec![unknown_ticket_type()]);
            };
            let quantity = usize::try_from(any.quantity).unwrap_or(0);
            let fields = Fields {
                ids: vec![],
                selection: "tickets.anyOf.quantity",
            };
            Ok((
                event_id,
                Want::AnyOf {
                    ticket_type_id,
                    quantity,
                },
                fields,
            ))
        }
    }
}

fn read_ids(ids: &[ID]) -> Result<(EventId, Want, Fields), Vec<UserError>> {
    let mut tickets = Vec::with_capacity(ids.len());
    let mut unknown = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let field = format!("tickets.ids.{index}");
        match GlobalId::decode(id) {
            Some(GlobalId::Ticket(event_id, ticket_id)) => {
                tickets.push((event_id, ticket_id, field));
            }
            _ => unknown.push(unknown_ticket(field)),
        }
    }
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let fields = Fields {
        ids: tickets
            .iter()
            .map(|(_, id, field)| (*id, field.clone()))
            .collect(),
        selection: "tickets.ids",
    };
    let Some(&(event_id, ..)) = tickets.first() else {
        return Err(vec![malformed(Malformed::Nothing, &fields)]);
    };
    if let Some((_, _, field)) = tickets.iter().find(|(event, ..)| *event != event_id) {
        let message = "an order is of one event; buy these in several orders";
        return Err(vec![UserError::at(
            PurchaseTicketsErrorCode::MixedEvents,
            field.clone(),
            message,
        )]);
    }
    let want = Want::Tickets(tickets.into_iter().map(|(_, id, _)| id).collect());
    Ok((event_id, want, fields))
}

async fn purchase(
    ctx: &Context<'_>,
    customer: &Customer,
    asked: Asked<'_>,
    fields: &Fields,
) -> Result<Answer> {
    let action = Action::Purchase {
        kind: asked.kind,
        want: asked.want,
        expected_total: asked.expected_total.map(Decimal::number),
    };
    let command = Command::new(
        asked.event_id,
        customer.account().clone(),
        asked.key,
        action,
    );
    let command = match command {
        Ok(command) => command,
        Err(reason) => return Ok(Err(vec![malformed(reason, fields)])),
    };
    match domain(ctx).sales.carry_out(command).await? {
        Outcome::Done(Done::Order(placed)) | Outcome::Repeated(Done::Order(placed)) => {
            Ok(Ok(placed.into()))
        }
        Outcome::Done(Done::Hold(_)) | Outcome::Repeated(Done::Hold(_)) => {
            unreachable!("a purchase makes an order")
        }
        Outcome::Refused(refusals) => Ok(Err(refusals
            .iter()
            .map(|refusal| explain(refusal, fields))
            .collect())),
        Outcome::Contended => Ok(Err(vec![UserError {
            retry_after: Some(RETRY_AFTER_SECS),
            ..UserError::new(
                PurchaseTicketsErrorCode::Contended,
                "others were busy with this for too long; nothing happened, try again",
            )
        }])),
    }
}
