//! The demo: believable events, made through the same functions as everybody's, and a first purchase to copy.

use std::{fmt::Debug, net::SocketAddr, path::Path, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE64;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use crate::{
    auth::{Account, Caller, Grant, KeyError, Permission, Role, TokenError, Tokens},
    catalogue::{self, Answer, NewEvent, NewTicketType, SeatRow, Seats, Terms, TicketFilter},
    entity::{event, ticket, ticket_type::Admission},
    fault::{Fault, Step},
    graphql::{Domain, global_id::GlobalId},
    ids::{EventId, TicketId, TicketTypeId},
    page::{Direction, Page},
    sales::{Action, Command, Outcome, SaleFault, Want, command::Purchase},
    store::{DatabaseUrl, Store, StoreError},
};

/// Where the demo keeps its tickets, in the current directory.
pub const SQLITE_FILE: &str = "rowlock-demo.db";

const CUSTOMER: &str = "demo-customer";
const ORGANIZER: &str = "demo-organizer";

/// Long enough to come back to it after a holiday.
const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The event that the first purchase is of.
const HALL: &str = "new-years-gala";
const FESTIVAL: &str = "harbour-festival";
const SOLD_OUT: &str = "cellar-session";
const NOT_YET: &str = "winter-premiere";

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("this database holds events that are not the demo's; name another one")]
    NotADemo,
    #[error("an earlier demo was interrupted while it was made; start over with --fresh")]
    Incomplete,
    #[error("the demo's {step} failed: {reason}")]
    Refused { step: &'static str, reason: String },
    #[error("{step} failed")]
    Database {
        step: &'static str,
        #[source]
        source: DbErr,
    },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl From<Fault> for DemoError {
    fn from(fault: Fault) -> Self {
        Self::Database {
            step: fault.step,
            source: fault.source,
        }
    }
}

/// A key for this run's tokens.
pub fn random_key() -> String {
    BASE64.encode(&rand::random::<[u8; 48]>())
}

/// Deletes what earlier demos left, and nothing else.
///
/// # Errors
/// When the database is in use, or holds events of somebody else's.
pub async fn forget(url: &DatabaseUrl) -> Result<(), DemoError> {
    let db = Store::connect_alone(url).await?;
    let result = async {
        let connection = db.connection();
        let failed = |source| DemoError::Database {
            step: "emptying the database",
            source,
        };
        let is_migrated = !crate::migrate::status(connection)
            .await
            .map_err(failed)?
            .iter()
            .all(|step| !step.is_applied);
        if !is_migrated {
            return Ok(());
        }
        if holds_others(connection).await.map_err(failed)? {
            return Err(DemoError::NotADemo);
        }
        Migrator::down(connection, None).await.map_err(failed)
    }
    .await;
    db.close().await;
    result
}

/// Whether there are events that are not the demo's.
async fn holds_others(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let others = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT 1 FROM events JOIN organizers ON organizers.id = events.organizer_id
         WHERE organizers.subject <> $1 LIMIT 1",
        [ORGANIZER.into()],
    );
    Ok(db.query_one_raw(others).await?.is_some())
}

/// Makes the demo's events, unless they are there.
///
/// # Errors
/// When the database fails, or an earlier demo was interrupted.
pub async fn fill(domain: &Domain, tokens: &Tokens) -> Result<(), DemoError> {
    let step = "looking for other events";
    let reader = domain.store.reader();
    if holds_others(reader).await.step(step)? {
        return Err(DemoError::NotADemo);
    }
    let caller = organizer(tokens)?;
    let mut found = 0;
    for slug in [HALL, FESTIVAL, SOLD_OUT, NOT_YET] {
        match catalogue::event_by_slug(&domain.store, &caller, slug).await? {
            Some(event) if event.status == event::Status::Published => found += 1,
            Some(_) => return Err(DemoError::Incomplete),
            None => {}
        }
    }
    match found {
        0 => {
            Maker {
                domain,
                grant: caller
                    .staff(Permission::Catalogue)
                    .expect("a token says what it was issued for"),
                now: crate::time::now(),
            }
            .make_all(tokens)
            .await
        }
        4 => Ok(()),
        _ => Err(DemoError::Incomplete),
    }
}

fn organizer(tokens: &Tokens) -> Result<Caller, DemoError> {
    let token = tokens.issue(Role::Organizer, ORGANIZER, TOKEN_LIFETIME)?;
    Ok(tokens.verify(&token)?.caller)
}

struct Maker<'a> {
    domain: &'a Domain,
    grant: Grant,
    now: DateTime<Utc>,
}

impl Maker<'_> {
    async fn make_all(&self, tokens: &Tokens) -> Result<(), DemoError> {
        self.make_hall().await?;
        self.make_festival().await?;
        self.make_sold_out(tokens).await?;
        self.make_not_yet().await
    }

    /// A hall with numbered seats in sections and rows.
    async fn make_hall(&self) -> Result<(), DemoError> {
        let event = self
            .event(
                HALL,
                "New Year's Gala",
                "Waltzes, polkas and a midnight toast.",
                "Grand Hall",
                "Europe/Vienna",
                40,
                -7,
                8,
            )
            .await?;
        let stalls = self
            .ticket_type(event, "Stalls", Admission::Seated, "95.00")
            .await?;
        let circle = self
            .ticket_type(event, "Circle", Admission::Seated, "62.00")
            .await?;
        let balcony = self
            .ticket_type(event, "Balcony", Admission::Seated, "34.50")
            .await?;
        self.seats(event, stalls, "Stalls", 'A'..='L', 24, &["1", "24"])
            .await?;
        self.seats(event, circle, "Circle", 'A'..='F', 20, &[])
            .await?;
        self.seats(event, balcony, "Balcony", 'A'..='H', 18, &[])
            .await?;
        self.publish(event).await
    }

    /// General admission: places without numbers.
    async fn make_festival(&self) -> Result<(), DemoError> {
        let text = "Two days by the water. Bring a raincoat.";
        let event = self
            .event(
                FESTIVAL,
                "Harbour Festival",
                text,
                "Pier 4",
                "Europe/Berlin",
                200,
                -1,
                6,
            )
            .await?;
        let day = self
            .ticket_type(event, "Weekend pass", Admission::General, "79.00")
            .await?;
        let backstage = self
            .ticket_type(event, "Backstage", Admission::General, "240.00")
            .await?;
        self.places(event, day, 5_000).await?;
        self.places(event, backstage, 50).await?;
        self.publish(event).await
    }

    /// Sold out, by sales like any other.
    async fn make_sold_out(&self, tokens: &Tokens) -> Result<(), DemoError> {
        let text = "Forty chairs, one piano. Gone in a minute.";
        let event = self
            .event(
                SOLD_OUT,
                "Cellar Session",
                text,
                "The Cellar",
                "Europe/London",
                14,
                -3,
                4,
            )
            .await?;
        let chair = self
            .ticket_type(event, "Chair", Admission::General, "18.00")
            .await?;
        self.places(event, chair, 40).await?;
        self.publish(event).await?;
        let token = tokens.issue(Role::Customer, "demo-fan", TOKEN_LIFETIME)?;
        let account = tokens
            .verify(&token)?
            .caller
            .customer()
            .expect("a token says what it was issued for")
            .account()
            .clone();
        for number in 0..10 {
            self.buy_four(event, chair, account.clone(), number).await?;
        }
        Ok(())
    }

    async fn make_not_yet(&self) -> Result<(), DemoError> {
        let text =
            "The sale opens next week; until then a purchase is refused with NOT_ON_SALE_YET.";
        let event = self
            .event(
                NOT_YET,
                "Winter Premiere",
                text,
                "City Theatre",
                "America/New_York",
                60,
                7,
                4,
            )
            .await?;
        let seat = self
            .ticket_type(event, "Orchestra", Admission::Seated, "120.00")
            .await?;
        self.seats(event, seat, "Orchestra", 'A'..='J', 16, &["1"])
            .await?;
        self.publish(event).await
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "an event has many words, and four calls name them in one line each"
    )]
    async fn event(
        &self,
        slug: &str,
        name: &str,
        description: &str,
        venue: &str,
        time_zone: &str,
        starts_in_days: i64,
        sale_opens_in_days: i64,
        tickets_per_order_max: i32,
    ) -> Result<EventId, DemoError> {
        let currency = match time_zone {
            "Europe/London" => "GBP",
            "America/New_York" => "USD",
            _ => "EUR",
        };
        let starts_at = self.now + TimeDelta::days(starts_in_days);
        let new = NewEvent {
            slug: slug.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
            venue: venue.to_owned(),
            currency: currency.to_owned(),
            time_zone: time_zone.to_owned(),
            starts_at,
            sales_open_at: self.now + TimeDelta::days(sale_opens_in_days),
            sales_close_at: starts_at,
            terms: Terms {
                tickets_per_order_max,
                cancellable_until: Some(starts_at),
                ..Terms::default()
            },
        };
        let answer = catalogue::create_event(&self.domain.store, &self.grant, None, new).await;
        accepted("event", answer).map(|event| event.id)
    }

    async fn ticket_type(
        &self,
        event: EventId,
        name: &str,
        admission: Admission,
        price: &str,
    ) -> Result<TicketTypeId, DemoError> {
        let new = NewTicketType {
            name: name.to_owned(),
            admission,
            price: price.to_owned(),
            position: None,
        };
        let answer =
            catalogue::create_ticket_type(&self.domain.store, &self.grant, event, new).await;
        accepted("ticket type", answer).map(|ticket_type| ticket_type.id)
    }

    async fn seats(
        &self,
        event: EventId,
        ticket_type: TicketTypeId,
        section: &str,
        rows: std::ops::RangeInclusive<char>,
        seats_per_row: i32,
        accessible: &[&str],
    ) -> Result<(), DemoError> {
        let rows = rows
            .map(|row| SeatRow {
                section: section.to_owned(),
                row: row.to_string(),
                seats: Seats::Range {
                    from: 1,
                    to: seats_per_row,
                },
                position: None,
                accessible: accessible.iter().map(|&label| label.to_owned()).collect(),
            })
            .collect();
        let answer =
            catalogue::add_seats(&self.domain.store, &self.grant, (event, ticket_type), rows).await;
        accepted("seats", answer).map(|_| ())
    }

    async fn places(
        &self,
        event: EventId,
        ticket_type: TicketTypeId,
        capacity: i64,
    ) -> Result<(), DemoError> {
        let store = &self.domain.store;
        let answer =
            catalogue::set_capacity(store, &self.grant, (event, ticket_type), capacity).await;
        accepted("places", answer).map(|_| ())
    }

    async fn publish(&self, event: EventId) -> Result<(), DemoError> {
        let answer = catalogue::publish_event(&self.domain.store, &self.grant, event).await;
        accepted("publication", answer).map(|_| ())
    }

    async fn buy_four(
        &self,
        event_id: EventId,
        ticket_type_id: TicketTypeId,
        buyer: Account,
        number: usize,
    ) -> Result<(), DemoError> {
        let want = Want::AnyOf {
            ticket_type_id,
            quantity: 4,
        };
        let key = format!("demo-{number}");
        let action = Action::Purchase {
            kind: Purchase::Tickets,
            want,
            expected_total: None,
        };
        let command = Command::new(event_id, buyer, &key, action)
            .map_err(|malformed| refused("purchase", malformed))?;
        match self.domain.sales.carry_out(command).await {
            Ok(Outcome::Done(_) | Outcome::Repeated(_)) => Ok(()),
            Ok(other @ (Outcome::Refused(_) | Outcome::Contended)) => {
                Err(refused("purchase", other))
            }
            Err(fault) => Err(refused::<SaleFault>("purchase", fault)),
        }
    }
}

fn accepted<T, C: Debug>(step: &'static str, answer: Answer<T, C>) -> Result<T, DemoError> {
    answer?.map_err(|refusals| refused(step, refusals))
}

fn refused<R: Debug>(step: &'static str, reason: R) -> DemoError {
    DemoError::Refused {
        step,
        reason: format!("{reason:?}"),
    }
}

/// What a newcomer is told: where to look, and a purchase to copy.
///
/// # Errors
/// When the database fails.
pub async fn introduce(
    address: SocketAddr,
    url: &DatabaseUrl,
    domain: &Domain,
    tokens: &Tokens,
) -> Result<String, DemoError> {
    let customer = tokens.issue(Role::Customer, CUSTOMER, TOKEN_LIFETIME)?;
    let organizer = tokens.issue(Role::Organizer, ORGANIZER, TOKEN_LIFETIME)?;
    let place = match url.sqlite_path() {
        Some(path) => format!("SQLite, in {}", absolute(&path)),
        None => "PostgreSQL, where you said".to_owned(),
    };
    let purchase = match first_free_seat(domain).await? {
        Some((event_id, ticket_id)) => format!(
            "Buy a seat:\n\n\
             curl -s http://{address}/graphql \\\n  \
             -H 'Content-Type: application/json' \\\n  \
             -H 'Authorization: Bearer {customer}' \\\n  \
             -d '{}'\n",
            first_purchase(&GlobalId::Ticket(event_id, ticket_id).encode()),
        ),
        None => "Every seat of the gala is sold; start over with --fresh.\n".to_owned(),
    };
    Ok(format!(
        "Rowlock's demo is ready. It keeps its tickets in {place}\n\n\
         Playground:  http://{address}/\n\n\
         A customer's token, for the header Authorization: Bearer …\n\n{customer}\n\n\
         An organizer's token\n\n{organizer}\n\n{purchase}"
    ))
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}

async fn first_free_seat(domain: &Domain) -> Result<Option<(EventId, TicketId)>, Fault> {
    let caller = Caller::Anonymous;
    let Some(event) = catalogue::event_by_slug(&domain.store, &caller, HALL).await? else {
        return Ok(None);
    };
    let filter = TicketFilter {
        status: Some(ticket::Status::Available),
        ..TicketFilter::default()
    };
    let page = Page {
        after: None,
        before: None,
        direction: Direction::Forward,
        len_max: 1,
    };
    let seats = catalogue::tickets_page(&domain.store, &caller, event.id, &filter, &page).await?;
    Ok(seats.rows.first().map(|ticket| (event.id, ticket.id)))
}

/// The key is the seat's own: after a restart the seat is another one, and the key of the last one is bound to that.
fn first_purchase(ticket_id: &str) -> String {
    let query = "mutation($input: PurchaseTicketInput!) { purchaseTicket(input: $input) { \
                 order { id total { amount currency } items { seatLabel admissionCode } } \
                 userErrors { code message } } }";
    serde_json::json!({
        "query": query,
        "variables": { "input": { "ticketId": ticket_id, "idempotencyKey": format!("my-{ticket_id}") } },
    })
    .to_string()
}
