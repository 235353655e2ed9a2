//! `purchaseTicket` and `purchaseTickets`: input to command, command to desk, outcome to payload.

use async_graphql::{
    Context, Enum, Error, ID, InputObject, Object, OneofObject, Result, SimpleObject,
};

use super::{
    caller, domain,
    fault::{Code, retry},
    global_id::GlobalId,
    money::{Decimal, Money},
    order::Order,
};
use crate::{
    auth::Customer,
    ids::{EventId, TicketId},
    sales::{
        Command, Malformed, Outcome, RETRY_AFTER_SECS, Refusal, SaleFault, Want,
        command::{KEY_LEN_MAX, Kind, TICKETS_PER_ORDER_MAX},
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

/// What `purchaseTicket` needs.
#[derive(InputObject)]
pub struct PurchaseTicketInput {
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
    /// The tickets to buy.
    tickets: TicketSelection,
    /// 1 to 128 printable characters of your choice, new for every purchase that the buyer intends and the same whenever
    /// you repeat it; a UUID serves. A key is remembered once its purchase has succeeded; a refusal leaves it free.
    idempotency_key: String,
    /// What the buyer was told all of them cost, in the event's currency. If they cost something else by now, nothing is
    /// bought and the refusal is `PRICE_CHANGED`.
    expected_total: Option<Decimal>,
}

/// Tickets by their ids, or any of a type.
#[derive(OneofObject)]
pub enum TicketSelection {
    /// These tickets, all of one event, each once.
    Ids(Vec<ID>),
    /// So many of a type, whichever they are.
    AnyOf(AnyOfInput),
}

/// Any tickets of a type.
#[derive(InputObject)]
pub struct AnyOfInput {
    /// The ticket type.
    ticket_type_id: ID,
    /// How many.
    quantity: i32,
}

/// What became of `purchaseTicket`.
#[derive(SimpleObject)]
pub struct PurchaseTicketPayload {
    /// The order; null when the purchase was refused.
    order: Option<Order>,
    /// Why the purchase was refused; empty when it succeeded.
    user_errors: Vec<PurchaseTicketUserError>,
}

/// What became of `purchaseTickets`.
#[derive(SimpleObject)]
pub struct PurchaseTicketsPayload {
    /// The order; null when the purchase was refused.
    order: Option<Order>,
    /// Why the purchase was refused, one entry for each ticket that is to blame; empty when it succeeded.
    user_errors: Vec<PurchaseTicketsUserError>,
}

/// Why a ticket was not bought.
#[derive(SimpleObject)]
pub struct PurchaseTicketUserError {
    /// What to react to.
    code: PurchaseTicketErrorCode,
    /// A plain sentence in English.
    message: String,
    /// The field of the input that is to blame; null when none is.
    field: Option<String>,
    /// Seconds after which the same request may succeed; null when it will not.
    retry_after: Option<u32>,
    /// What it costs now, with `PRICE_CHANGED`.
    total: Option<Money>,
}

/// Why tickets were not bought.
#[derive(SimpleObject)]
pub struct PurchaseTicketsUserError {
    /// What to react to.
    code: PurchaseTicketsErrorCode,
    /// A plain sentence in English.
    message: String,
    /// The field of the input that is to blame, with dots into lists and objects, as in `tickets.ids.2`; null when none is.
    field: Option<String>,
    /// Seconds after which the same request may succeed; null when it will not.
    retry_after: Option<u32>,
    /// What they cost now, with `PRICE_CHANGED`.
    total: Option<Money>,
}

/// Reasons of `purchaseTicket`.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum PurchaseTicketErrorCode {
    /// Somebody else has bought it.
    AlreadySold,
    /// The organizer has withheld it.
    Blocked,
    /// Others were busy with it for too long. Nothing happened; try again after `retryAfter`.
    Contended,
    /// The event has been cancelled.
    EventCancelled,
    /// Somebody else is about to buy it; it may come back.
    Held,
    /// The key was used for another purchase.
    IdempotencyKeyReused,
    /// The key is empty, longer than 128 characters or not printable.
    InvalidIdempotencyKey,
    /// The sale has not begun.
    NotOnSaleYet,
    /// It costs something else by now; see `total`.
    PriceChanged,
    /// The sale has ended.
    SaleOver,
    /// There is no such ticket.
    UnknownTicket,
}

/// Reasons of `purchaseTickets`.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum PurchaseTicketsErrorCode {
    /// Somebody else has bought one of them.
    AlreadySold,
    /// The organizer has withheld one of them.
    Blocked,
    /// Others were busy with one of them for too long. Nothing happened; try again after `retryAfter`.
    Contended,
    /// The same ticket is named twice.
    DuplicateTicket,
    /// The event has been cancelled.
    EventCancelled,
    /// Somebody else is about to buy one of them; it may come back.
    Held,
    /// The key was used for another purchase.
    IdempotencyKeyReused,
    /// The key is empty, longer than 128 characters or not printable.
    InvalidIdempotencyKey,
    /// The tickets are of several events.
    MixedEvents,
    /// There are not as many left of the type.
    NotEnoughLeft,
    /// The sale has not begun.
    NotOnSaleYet,
    /// No ticket was asked for.
    NoTickets,
    /// They cost something else by now; see `total`.
    PriceChanged,
    /// The sale has ended.
    SaleOver,
    /// More tickets than the event allows in one order.
    TooManyTickets,
    /// There is no such ticket.
    UnknownTicket,
    /// There is no such ticket type.
    UnknownTicketType,
}

/// A refusal of either mutation. `purchaseTicket` shows those that can happen to a single named ticket.
struct UserError {
    code: PurchaseTicketsErrorCode,
    message: String,
    field: Option<String>,
    retry_after: Option<u32>,
    total: Option<Money>,
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
        kind: Kind::PurchaseTicket,
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
        kind: Kind::PurchaseTickets,
        want,
        key: &input.idempotency_key,
        expected_total: input.expected_total.as_ref(),
    };
    purchase(ctx, customer, asked, &fields).await
}

/// A purchase as it was asked for.
struct Asked<'a> {
    event_id: EventId,
    kind: Kind,
    want: Want,
    key: &'a str,
    expected_total: Option<&'a Decimal>,
}

/// Which field of the input a refusal is about.
struct Fields {
    ids: Vec<(TicketId, String)>,
    selection: &'static str,
}

impl Fields {
    fn of(&self, ticket: TicketId) -> Option<String> {
        self.ids
            .iter()
            .find(|(id, _)| *id == ticket)
            .map(|(_, field)| field.clone())
    }

    /// Of a ticket that is named twice it is the repetition that is to blame.
    fn of_last(&self, ticket: TicketId) -> Option<String> {
        let last = self.ids.iter().rev().find(|(id, _)| *id == ticket);
        last.map(|(_, field)| field.clone())
    }
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
    let expected_total = asked.expected_total.map(Decimal::number);
    let command = Command::new(
        asked.event_id,
        customer.account().clone(),
        asked.key,
        asked.kind,
        asked.want,
        expected_total,
    );
    let command = match command {
        Ok(command) => command,
        Err(reason) => return Ok(Err(vec![malformed(reason, fields)])),
    };
    match domain(ctx).sales.purchase(command).await? {
        Outcome::Sold(placed) | Outcome::Repeated(placed) => Ok(Ok(placed.into())),
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

impl UserError {
    fn new(code: PurchaseTicketsErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
            retry_after: None,
            total: None,
        }
    }

    fn at(
        code: PurchaseTicketsErrorCode,
        field: impl Into<Option<String>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            field: field.into(),
            ..Self::new(code, message)
        }
    }
}

fn unknown_ticket(field: impl Into<Option<String>>) -> UserError {
    UserError::at(
        PurchaseTicketsErrorCode::UnknownTicket,
        field,
        "there is no such ticket",
    )
}

fn unknown_ticket_type() -> UserError {
    let field = "tickets.anyOf.ticketTypeId".to_owned();
    UserError::at(
        PurchaseTicketsErrorCode::UnknownTicketType,
        field,
        "there is no such ticket type",
    )
}

fn malformed(reason: Malformed, fields: &Fields) -> UserError {
    use PurchaseTicketsErrorCode as C;
    let selection = fields.selection.to_owned();
    match reason {
        Malformed::Key => UserError::at(
            C::InvalidIdempotencyKey,
            "idempotencyKey".to_owned(),
            format!("the key needs 1 to {KEY_LEN_MAX} printable characters"),
        ),
        Malformed::Nothing => UserError::at(C::NoTickets, selection, "ask for at least one ticket"),
        Malformed::TooMany => UserError::at(
            C::TooManyTickets,
            selection,
            format!("no order has more than {TICKETS_PER_ORDER_MAX} tickets"),
        ),
        Malformed::TicketTwice(id) => UserError::at(
            C::DuplicateTicket,
            fields.of_last(id),
            "this ticket is named twice",
        ),
    }
}

fn explain(refusal: &Refusal, fields: &Fields) -> UserError {
    use PurchaseTicketsErrorCode as C;
    let selection = || fields.selection.to_owned();
    match refusal {
        Refusal::KeyReused => UserError::at(
            C::IdempotencyKeyReused,
            "idempotencyKey".to_owned(),
            "the key was used for another purchase; take a new one",
        ),
        // An event that buyers cannot see has no tickets that they can know.
        Refusal::UnknownEvent => match fields.ids.first() {
            Some((_, field)) => unknown_ticket(field.clone()),
            None => unknown_ticket_type(),
        },
        Refusal::EventCancelled => {
            UserError::new(C::EventCancelled, "the event has been cancelled")
        }
        Refusal::NotOnSaleYet { opens_at } => UserError::new(
            C::NotOnSaleYet,
            format!("the sale begins at {}", instant(*opens_at)),
        ),
        Refusal::SaleOver { closed_at } => UserError::new(
            C::SaleOver,
            format!("the sale ended at {}", instant(*closed_at)),
        ),
        Refusal::TooManyTickets { max } => UserError::at(
            C::TooManyTickets,
            selection(),
            format!("an order of this event has at most {max} tickets"),
        ),
        Refusal::UnknownTicket(id) => unknown_ticket(fields.of(*id)),
        Refusal::UnknownTicketType => unknown_ticket_type(),
        Refusal::AlreadySold(id) => UserError::at(
            C::AlreadySold,
            fields.of(*id),
            "somebody else has bought this ticket",
        ),
        Refusal::Held(id) => UserError::at(
            C::Held,
            fields.of(*id),
            "somebody else is about to buy this ticket; it may come back",
        ),
        Refusal::Blocked(id) => UserError::at(
            C::Blocked,
            fields.of(*id),
            "the organizer has withheld this ticket",
        ),
        Refusal::NotEnoughLeft { left } => UserError::at(
            C::NotEnoughLeft,
            selection(),
            match left {
                0 => "none of this type is left".to_owned(),
                left => format!("only {left} of this type can be had"),
            },
        ),
        Refusal::PriceChanged { total } => UserError {
            total: Some((*total).into()),
            ..UserError::at(
                C::PriceChanged,
                "expectedTotal".to_owned(),
                format!("it costs {} {} now", total.amount(), total.currency.code()),
            )
        },
    }
}

fn instant(time: chrono::DateTime<chrono::Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

impl From<Answer> for PurchaseTicketsPayload {
    fn from(answer: Answer) -> Self {
        let (order, errors) = split(answer);
        let shape = |error: UserError| PurchaseTicketsUserError {
            code: error.code,
            message: error.message,
            field: error.field,
            retry_after: error.retry_after,
            total: error.total,
        };
        Self {
            order,
            user_errors: errors.into_iter().map(shape).collect(),
        }
    }
}

impl From<Answer> for PurchaseTicketPayload {
    fn from(answer: Answer) -> Self {
        let (order, errors) = split(answer);
        let shape = |error: UserError| PurchaseTicketUserError {
            code: error.code.into(),
            message: error.message,
            field: error.field,
            retry_after: error.retry_after,
            total: error.total,
        };
        Self {
            order,
            user_errors: errors.into_iter().map(shape).collect(),
        }
    }
}

fn split(answer: Answer) -> (Option<Order>, Vec<UserError>) {
    match answer {
        Ok(order) => (Some(order), vec![]),
        Err(errors) => (None, errors),
    }
}

/// The reason as it concerns a single named ticket.
impl From<PurchaseTicketsErrorCode> for PurchaseTicketErrorCode {
    fn from(code: PurchaseTicketsErrorCode) -> Self {
        use PurchaseTicketsErrorCode as C;
        match code {
            C::AlreadySold => Self::AlreadySold,
            C::Blocked => Self::Blocked,
            C::Contended => Self::Contended,
            C::EventCancelled => Self::EventCancelled,
            C::Held => Self::Held,
            C::IdempotencyKeyReused => Self::IdempotencyKeyReused,
            C::InvalidIdempotencyKey => Self::InvalidIdempotencyKey,
            C::NotOnSaleYet => Self::NotOnSaleYet,
            C::PriceChanged => Self::PriceChanged,
            C::SaleOver => Self::SaleOver,
            C::UnknownTicket => Self::UnknownTicket,
            C::DuplicateTicket
            | C::MixedEvents
            | C::NotEnoughLeft
            | C::NoTickets
            | C::TooManyTickets
            | C::UnknownTicketType => {
                unreachable!("one named ticket is neither too many nor too few")
            }
        }
    }
}

/// A sale without an outcome.
impl From<SaleFault> for Error {
    fn from(fault: SaleFault) -> Self {
        match fault {
            SaleFault::Overloaded => {
                retry(Code::Overloaded.error("too many are buying at this moment; nothing happened, try again"))
            }
            SaleFault::Unavailable => {
                retry(Code::Unavailable.error("the database is out of reach; nothing happened, try again"))
            }
            SaleFault::OutcomeUnknown => retry(Code::OutcomeUnknown.error(
                "the purchase may have happened; send the same input with the same idempotency key to find out",
            )),
            SaleFault::Internal => {
                Code::Internal.error("the purchase could not be written; nothing happened, and the fault is logged")
            }
        }
    }
}
