//! What an event must be like: pure, from an operator's input to the row that is written.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;

use super::{Refusal, rules, search};
use crate::{
    entity::event::{ActiveModel, Model, Status},
    ids::EventId,
    time,
};

/// An event to be created; it starts as a draft.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub venue: String,
    pub currency: String,
    pub time_zone: String,
    pub starts_at: DateTime<Utc>,
    pub sales_open_at: DateTime<Utc>,
    pub sales_close_at: DateTime<Utc>,
    pub terms: Terms,
}

/// How much one buyer may have, for how long, and until when it can be given back.
#[derive(Clone, Debug)]
pub struct Terms {
    pub tickets_per_order_max: i32,
    pub hold_secs: i32,
    /// How old a hold can become by being extended.
    pub hold_secs_max: i32,
    pub held_per_customer_max: i32,
    /// None for no limit.
    pub tickets_per_customer_max: Option<i32>,
    /// None if customers cannot cancel.
    pub cancellable_until: Option<DateTime<Utc>>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            tickets_per_order_max: 10,
            hold_secs: 600,
            hold_secs_max: 1_800,
            held_per_customer_max: 10,
            tickets_per_customer_max: None,
            cancellable_until: None,
        }
    }
}

/// A change of an event: what is none stays as it is. The currency stays always, since every price is in it.
#[derive(Clone, Debug, Default)]
pub struct EventChange {
    pub slug: Option<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub venue: Option<String>,
    pub time_zone: Option<String>,
    pub starts_at: Option<DateTime<Utc>>,
    pub sales_open_at: Option<DateTime<Utc>>,
    pub sales_close_at: Option<DateTime<Utc>>,
    pub tickets_per_order_max: Option<i32>,
    pub hold_secs: Option<i32>,
    pub hold_secs_max: Option<i32>,
    pub held_per_customer_max: Option<i32>,
    /// Some none lifts the limit.
    pub tickets_per_customer_max: Option<Option<i32>>,
    /// Some none takes the right to cancel away.
    pub cancellable_until: Option<Option<DateTime<Utc>>>,
}

/// What a copy of an event does not take over.
#[derive(Clone, Debug)]
pub struct EventCopy {
    pub slug: String,
    /// None: the same.
    pub name: Option<String>,
    pub starts_at: DateTime<Utc>,
    pub sales_open_at: DateTime<Utc>,
    pub sales_close_at: DateTime<Utc>,
    /// None if customers cannot cancel.
    pub cancellable_until: Option<DateTime<Utc>>,
}

/// Why an event is not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateEventCode {
    UnknownOrganizer,
    OrganizerMissing,
    NotManager,
    SlugTaken,
    InvalidSlug,
    InvalidName,
    InvalidDescription,
    InvalidVenue,
    InvalidCurrency,
    InvalidTimeZone,
    InvalidStart,
    InvalidSalesWindow,
    InvalidTicketsPerOrder,
    InvalidHoldLength,
    InvalidHeldPerCustomer,
    InvalidTicketsPerCustomer,
    InvalidCancellableUntil,
}

/// Why an event is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateEventCode {
    UnknownEvent,
    EventCancelled,
    Stale,
    SlugTaken,
    InvalidSlug,
    InvalidName,
    InvalidDescription,
    InvalidVenue,
    InvalidTimeZone,
    InvalidStart,
    InvalidSalesWindow,
    InvalidTicketsPerOrder,
    InvalidHoldLength,
    InvalidHeldPerCustomer,
    InvalidTicketsPerCustomer,
    InvalidCancellableUntil,
}

/// Why an event is not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyEventCode {
    UnknownEvent,
    SlugTaken,
    InvalidSlug,
    InvalidName,
    InvalidStart,
    InvalidSalesWindow,
    InvalidCancellableUntil,
}

/// The row of a new event, but for its organizer.
pub(super) fn draft(new: NewEvent) -> Result<ActiveModel, Vec<Refusal<CreateEventCode>>> {
    use CreateEventCode as Code;
    let mut checks = Checks::default();
    checks.rule(Code::InvalidSlug, "slug", rules::slug(&new.slug));
    checks.rule(Code::InvalidName, "name", rules::name(&new.name));
    let description = rules::description(&new.description);
    checks.rule(Code::InvalidDescription, "description", description);
    let venue = rules::line("a venue", &new.venue, rules::NAME_LEN_MAX);
    checks.rule(Code::InvalidVenue, "venue", venue);
    let currency = rules::currency(&new.currency).map(drop);
    checks.rule(Code::InvalidCurrency, "currency", currency);
    let time_zone = rules::time_zone(&new.time_zone);
    checks.rule(Code::InvalidTimeZone, "timeZone", time_zone);
    let terms = checks.terms(new.terms);
    let starts_at = checks.instant(Code::InvalidStart, "startsAt", new.starts_at);
    let (opens, closes) = (new.sales_open_at, new.sales_close_at);
    let (open_at, close_at) = checks.sales_window(Code::InvalidSalesWindow, opens, closes);
    checks.end()?;
    let now = time::now();
    Ok(ActiveModel {
        id: Set(EventId::mint()),
        search_text: Set(search::text_of(
            &new.name,
            &new.venue,
            &new.slug,
            &new.description,
        )),
        slug: Set(new.slug),
        name: Set(new.name),
        description: Set(new.description),
        venue: Set(new.venue),
        currency: Set(new.currency),
        time_zone: Set(new.time_zone),
        starts_at: Set(starts_at),
        sales_open_at: Set(open_at),
        sales_close_at: Set(close_at),
        tickets_per_order_max: Set(terms.tickets_per_order_max),
        hold_secs: Set(terms.hold_secs),
        hold_secs_max: Set(terms.hold_secs_max),
        held_per_customer_max: Set(terms.held_per_customer_max),
        held_per_customer_ever: Set(terms.held_per_customer_max),
        tickets_per_customer_max: Set(terms.tickets_per_customer_max),
        tickets_per_customer_ever: Set(terms.tickets_per_customer_max),
        cancellable_until: Set(terms.cancellable_until),
        status: Set(Status::Draft),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    })
}

/// What a change sets. It is judged together with what stays. What the limits ever were is not among it: only the
/// database knows that when it writes.
pub(super) fn changed(
    event: Model,
    change: EventChange,
) -> Result<ActiveModel, Vec<Refusal<UpdateEventCode>>> {
    if event.status == Status::Cancelled
        && let Some(field) = change.field_of_sale()
    {
        let text = "the event is cancelled: only its texts and its time zone can be changed";
        return Err(vec![Refusal::at(
            UpdateEventCode::EventCancelled,
            field,
            text,
        )]);
    }
    let whole = NewEvent {
        slug: change.slug.unwrap_or(event.slug),
        name: change.name.unwrap_or(event.name),
        description: change.description.unwrap_or(event.description),
        venue: change.venue.unwrap_or(event.venue),
        currency: event.currency,
        time_zone: change.time_zone.unwrap_or(event.time_zone),
        starts_at: change.starts_at.unwrap_or(event.starts_at),
        sales_open_at: change.sales_open_at.unwrap_or(event.sales_open_at),
        sales_close_at: change.sales_close_at.unwrap_or(event.sales_close_at),
        terms: Terms {
            tickets_per_order_max: change
                .tickets_per_order_max
                .unwrap_or(event.tickets_per_order_max),
            hold_secs: change.hold_secs.unwrap_or(event.hold_secs),
            hold_secs_max: change.hold_secs_max.unwrap_or(event.hold_secs_max),
            held_per_customer_max: change
                .held_per_customer_max
                .unwrap_or(event.held_per_customer_max),
            tickets_per_customer_max: change
                .tickets_per_customer_max
                .unwrap_or(event.tickets_per_customer_max),
            cancellable_until: change.cancellable_until.unwrap_or(event.cancellable_until),
        },
    };
    match draft(whole) {
        Ok(row) => Ok(ActiveModel {
            slug: row.slug,
            name: row.name,
            description: row.description,
            venue: row.venue,
            time_zone: row.time_zone,
            starts_at: row.starts_at,
            sales_open_at: row.sales_open_at,
            sales_close_at: row.sales_close_at,
            tickets_per_order_max: row.tickets_per_order_max,
            hold_secs: row.hold_secs,
            hold_secs_max: row.hold_secs_max,
            held_per_customer_max: row.held_per_customer_max,
            tickets_per_customer_max: row.tickets_per_customer_max,
            cancellable_until: row.cancellable_until,
            search_text: row.search_text,
            ..Default::default()
        }),
        Err(refusals) => Err(refusals
            .into_iter()
            .map(|refusal| refusal.with_code(CreateEventCode::of_update))
            .collect()),
    }
}

/// The row of a copy. Only what is new is judged: what is taken over was, by the rules of its time.
pub(super) fn copied(
    event: &Model,
    copy: EventCopy,
) -> Result<ActiveModel, Vec<Refusal<CopyEventCode>>> {
    use CopyEventCode as Code;
    let name = copy.name.unwrap_or_else(|| event.name.clone());
    let mut checks = Checks::default();
    checks.rule(Code::InvalidSlug, "slug", rules::slug(&copy.slug));
    checks.rule(Code::InvalidName, "name", rules::name(&name));
    let starts_at = checks.instant(Code::InvalidStart, "startsAt", copy.starts_at);
    let (opens, closes) = (copy.sales_open_at, copy.sales_close_at);
    let (open_at, close_at) = checks.sales_window(Code::InvalidSalesWindow, opens, closes);
    let cancellable_until = copy
        .cancellable_until
        .map(|at| checks.instant(Code::InvalidCancellableUntil, "cancellableUntil", at));
    checks.end()?;
    let now = time::now();
    Ok(ActiveModel {
        id: Set(EventId::mint()),
        organizer_id: Set(event.organizer_id),
        search_text: Set(search::text_of(
            &name,
            &event.venue,
            &copy.slug,
            &event.description,
        )),
        slug: Set(copy.slug),
        name: Set(name),
        description: Set(event.description.clone()),
        venue: Set(event.venue.clone()),
        currency: Set(event.currency.clone()),
        time_zone: Set(event.time_zone.clone()),
        starts_at: Set(starts_at),
        sales_open_at: Set(open_at),
        sales_close_at: Set(close_at),
        tickets_per_order_max: Set(event.tickets_per_order_max),
        hold_secs: Set(event.hold_secs),
        hold_secs_max: Set(event.hold_secs_max),
        held_per_customer_max: Set(event.held_per_customer_max),
        held_per_customer_ever: Set(event.held_per_customer_max),
        tickets_per_customer_max: Set(event.tickets_per_customer_max),
        tickets_per_customer_ever: Set(event.tickets_per_customer_max),
        cancellable_until: Set(cancellable_until),
        status: Set(Status::Draft),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    })
}

/// What speaks against an input, rule by rule.
struct Checks<C>(Vec<Refusal<C>>);

impl<C> Default for Checks<C> {
    fn default() -> Self {
        Self(vec![])
    }
}

impl<C: Copy> Checks<C> {
    fn rule(&mut self, code: C, field: &str, checked: Result<(), String>) {
        self.0
            .extend(checked.err().map(|text| Refusal::at(code, field, text)));
    }

    /// As exact as the databases keep it.
    fn instant(&mut self, code: C, field: &str, at: DateTime<Utc>) -> DateTime<Utc> {
        match rules::instant(at) {
            Ok(at) => at,
            Err(text) => {
                self.rule(code, field, Err(text));
                at
            }
        }
    }

    fn sales_window(
        &mut self,
        code: C,
        open_at: DateTime<Utc>,
        close_at: DateTime<Utc>,
    ) -> (DateTime<Utc>, DateTime<Utc>) {
        let open_at = self.instant(code, "salesOpenAt", open_at);
        let close_at = self.instant(code, "salesCloseAt", close_at);
        let window = rules::sales_window(open_at, close_at);
        self.rule(code, "salesCloseAt", window);
        (open_at, close_at)
    }

    fn end(self) -> Result<(), Vec<Refusal<C>>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.0)
        }
    }
}

impl Checks<CreateEventCode> {
    fn terms(&mut self, terms: Terms) -> Terms {
        use CreateEventCode as Code;
        let per_order = rules::tickets_per_order(terms.tickets_per_order_max);
        self.rule(
            Code::InvalidTicketsPerOrder,
            "ticketsPerOrderMax",
            per_order,
        );
        let length = rules::hold_secs(terms.hold_secs);
        // A length that is none has no maximum to be compared with.
        if length.is_ok() {
            let oldest = rules::hold_secs_max(terms.hold_secs_max, terms.hold_secs);
            self.rule(Code::InvalidHoldLength, "holdSecondsMax", oldest);
        }
        self.rule(Code::InvalidHoldLength, "holdSeconds", length);
        let held = rules::held_per_customer(terms.held_per_customer_max);
        self.rule(Code::InvalidHeldPerCustomer, "heldPerCustomerMax", held);
        let owned = rules::tickets_per_customer(terms.tickets_per_customer_max);
        self.rule(
            Code::InvalidTicketsPerCustomer,
            "ticketsPerCustomerMax",
            owned,
        );
        let cancellable_until = terms
            .cancellable_until
            .map(|at| self.instant(Code::InvalidCancellableUntil, "cancellableUntil", at));
        Terms {
            cancellable_until,
            ..terms
        }
    }
}

impl EventChange {
    /// A field that is about the sale or the performance, which a cancelled event has no more, if one is changed.
    fn field_of_sale(&self) -> Option<&'static str> {
        let Self {
            slug: _,
            name: _,
            description: _,
            venue: _,
            time_zone: _,
            starts_at,
            sales_open_at,
            sales_close_at,
            tickets_per_order_max,
            hold_secs,
            hold_secs_max,
            held_per_customer_max,
            tickets_per_customer_max,
            cancellable_until,
        } = self;
        [
            ("startsAt", starts_at.is_some()),
            ("salesOpenAt", sales_open_at.is_some()),
            ("salesCloseAt", sales_close_at.is_some()),
            ("ticketsPerOrderMax", tickets_per_order_max.is_some()),
            ("holdSeconds", hold_secs.is_some()),
            ("holdSecondsMax", hold_secs_max.is_some()),
            ("heldPerCustomerMax", held_per_customer_max.is_some()),
            ("ticketsPerCustomerMax", tickets_per_customer_max.is_some()),
            ("cancellableUntil", cancellable_until.is_some()),
        ]
        .into_iter()
        .find_map(|(field, is_changed)| is_changed.then_some(field))
    }
}

impl CreateEventCode {
    fn of_update(self) -> UpdateEventCode {
        match self {
            Self::SlugTaken => UpdateEventCode::SlugTaken,
            Self::InvalidSlug => UpdateEventCode::InvalidSlug,
            Self::InvalidName => UpdateEventCode::InvalidName,
            Self::InvalidDescription => UpdateEventCode::InvalidDescription,
            Self::InvalidVenue => UpdateEventCode::InvalidVenue,
            Self::UnknownOrganizer
            | Self::OrganizerMissing
            | Self::NotManager
            | Self::InvalidCurrency => {
                unreachable!("an event keeps the organizer and the currency it was created with")
            }
            Self::InvalidTimeZone => UpdateEventCode::InvalidTimeZone,
            Self::InvalidStart => UpdateEventCode::InvalidStart,
            Self::InvalidSalesWindow => UpdateEventCode::InvalidSalesWindow,
            Self::InvalidTicketsPerOrder => UpdateEventCode::InvalidTicketsPerOrder,
            Self::InvalidHoldLength => UpdateEventCode::InvalidHoldLength,
            Self::InvalidHeldPerCustomer => UpdateEventCode::InvalidHeldPerCustomer,
            Self::InvalidTicketsPerCustomer => UpdateEventCode::InvalidTicketsPerCustomer,
            Self::InvalidCancellableUntil => UpdateEventCode::InvalidCancellableUntil,
        }
    }
}
