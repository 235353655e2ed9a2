//! An event with a ticket in every state of its life, written by hand, so that it can be corrupted by hand; and a desk
//! without a server, which takes every command there is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rowlock::{
    entity::{
        customer, event, hold, idempotency_key, order, order_item, organizer, ticket, ticket_type,
    },
    ids::{CustomerId, EventId, HoldId, OrderId, OrderItemId, OrganizerId, TicketId, TicketTypeId},
    sales::{
        Action, Command, HeldTickets, Limits, Outcome, PlacedOrder, Sales, Want, command::Purchase,
        decide::Done,
    },
    store::Store,
};
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, IntoActiveModel,
};
use uuid::Uuid;

use crate::harness::{
    Database,
    rows::{recounting, relogging},
};

/// The rows of a scene.
const EVENT: &str = "event_id = {event}";

const PRICE_MINOR: i64 = 1250;

/// A connection on which nothing is refused that the database itself would refuse.
pub async fn scratch(database: &Database) -> DatabaseConnection {
    let mut options = ConnectOptions::new(database.url());
    // What is set below is this one session's.
    options
        .max_connections(1)
        .min_connections(1)
        .sqlx_logging(false);
    let rows = sea_orm::Database::connect(options).await.unwrap();
    let unguarded = match database.backend() {
        DbBackend::Postgres => {
            "SET session_replication_role = replica;
             ALTER TABLE tickets DROP CONSTRAINT tickets_status, DROP CONSTRAINT tickets_hold;
             ALTER TABLE holds DROP CONSTRAINT holds_order;
             ALTER TABLE seats DROP CONSTRAINT seats_one_ticket;
             ALTER TABLE ticket_changes_unnumbered ENABLE ALWAYS TRIGGER number_changes;"
        }
        _ => {
            "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;
             DROP TRIGGER keep_entries;"
        }
    };
    rows.execute_unprepared(unguarded).await.unwrap();
    rows.execute_unprepared("DROP INDEX order_items_one_owner")
        .await
        .unwrap();
    rows
}

pub struct Scene {
    pub event: EventId,
    /// An id that nothing has.
    pub unknown: Uuid,
    ticket_type: TicketTypeId,
    now: DateTime<Utc>,
    ids: BTreeMap<&'static str, Uuid>,
}

impl Scene {
    /// Ada owns two tickets of an order of three and holds two, and with that has all she may. Bob let a hold of two end,
    /// of which one ticket still names it; gave a hold back; bought a hold; and has an order that staff cancelled.
    pub async fn insert(rows: &DatabaseConnection) -> Self {
        let mut scene = Self {
            event: EventId::mint(),
            unknown: Uuid::now_v7(),
            ticket_type: TicketTypeId::mint(),
            now: rowlock::time::now(),
            ids: BTreeMap::new(),
        };
        scene.ids.insert("event", scene.event.0);
        scene.ids.insert("unknown", scene.unknown);
        scene.insert_catalogue(rows).await;
        let [ada, bob, staff] = [
            insert_customer(rows).await,
            insert_customer(rows).await,
            insert_customer(rows).await,
        ];
        let (alive, over) = (
            scene.now + TimeDelta::hours(1),
            scene.now - TimeDelta::minutes(1),
        );

        let order = scene.insert_order(rows, "order", ada, true, 3).await;
        for name in ["item", "second_item"] {
            let ticket = scene.ticket(rows, ticket::Status::Sold, None).await;
            scene.insert_item(rows, name, order, ticket, true).await;
            scene.ids.entry("sold").or_insert(ticket.0);
        }
        let given_back = scene.ticket(rows, ticket::Status::Available, None).await;
        scene
            .insert_item(rows, "given_back_item", order, given_back, false)
            .await;
        let cancelled = scene.insert_order(rows, "cancelled", bob, false, 1).await;
        let back = scene.ticket(rows, ticket::Status::Available, None).await;
        scene
            .insert_item(rows, "cancelled_item", cancelled, back, false)
            .await;
        let bought = scene.insert_order(rows, "bought", bob, true, 1).await;
        let third = scene.ticket(rows, ticket::Status::Sold, None).await;
        scene
            .insert_item(rows, "bought_item", bought, third, true)
            .await;

        let active = hold::Status::Active;
        let hold = scene.insert_hold(rows, "hold", ada, active, alive, 2).await;
        for _ in 0..2 {
            let held = scene
                .ticket(rows, ticket::Status::Held, Some((hold, alive)))
                .await;
            scene.ids.entry("held").or_insert(held.0);
        }
        let ended = scene
            .insert_hold(rows, "expired_hold", bob, active, over, 2)
            .await;
        let expired = scene
            .ticket(rows, ticket::Status::Held, Some((ended, over)))
            .await;
        scene.ids.insert("expired", expired.0);
        scene
            .insert_hold(rows, "ended_hold", bob, hold::Status::Released, alive, 0)
            .await;
        scene
            .insert_hold(rows, "bought_hold", bob, hold::Status::Purchased, alive, 1)
            .await;

        let free = scene.ticket(rows, ticket::Status::Available, None).await;
        scene.ids.insert("free", free.0);
        scene.ticket(rows, ticket::Status::Blocked, None).await;

        for (key, kind, customer, result) in [
            ("buy", "purchaseTickets", ada, order.0),
            ("hold", "holdTickets", ada, hold.0),
            ("release", "releaseHold", bob, scene.id("ended_hold")),
            ("checkout", "purchaseHold", bob, bought.0),
            // The key is the staff account's, and the order is not.
            ("cancel", "cancelOrder", staff, cancelled.0),
            ("later", "aLaterReleasesMutation", bob, Uuid::now_v7()),
        ] {
            scene.insert_key(rows, key, kind, customer, result).await;
        }
        scene.recount(rows).await;
        if rows.get_database_backend() == DbBackend::Postgres {
            let number = "DELETE FROM ticket_changes_unnumbered WHERE event_id = {event}";
            scene.run(rows, number).await;
        }
        scene
    }

    pub fn id(&self, name: &str) -> Uuid {
        self.ids[name]
    }

    /// Changes one row, counts the tickets anew and logs what has changed of them, so that what is found is not that they
    /// were miscounted.
    pub async fn corrupt(&self, rows: &DatabaseConnection, statement: &str) {
        self.miscount(rows, statement).await;
        self.recount(rows).await;
    }

    async fn recount(&self, rows: &DatabaseConnection) {
        let backend = rows.get_database_backend();
        for sql in [recounting(backend, EVENT), relogging(backend, EVENT)] {
            self.run(rows, &sql).await;
        }
    }

    /// Changes one row and leaves the counts and the log as they are.
    pub async fn miscount(&self, rows: &DatabaseConnection, statement: &str) {
        assert_eq!(self.run(rows, statement).await, 1, "{statement}");
    }

    /// Runs a statement in which names in braces are ids of the scene, and tells how many rows it changed.
    pub async fn run(&self, rows: &DatabaseConnection, statement: &str) -> u64 {
        let mut sql = statement.to_owned();
        for (name, id) in &self.ids {
            let literal = match rows.get_database_backend() {
                DbBackend::Postgres => format!("'{id}'"),
                _ => format!("x'{}'", id.simple()),
            };
            sql = sql.replace(&format!("{{{name}}}"), &literal);
        }
        let done = rows.execute_unprepared(&sql).await.unwrap();
        done.rows_affected()
    }

    async fn insert_catalogue(&self, rows: &DatabaseConnection) {
        let organizer_id = OrganizerId::mint();
        let organizer = organizer::Model {
            id: organizer_id,
            issuer: "rowlock".into(),
            subject: organizer_id.to_string(),
            name: "The Hall".into(),
            created_at: self.now,
        };
        organizer::Entity::insert(organizer.into_active_model())
            .exec(rows)
            .await
            .unwrap();
        let event = event::Model {
            id: self.event,
            organizer_id,
            slug: format!("scene-{}", self.event),
            name: "A Scene".into(),
            description: String::new(),
            venue: "The Hall".into(),
            currency: "EUR".into(),
            time_zone: "Europe/Vienna".into(),
            starts_at: self.now,
            sales_open_at: self.now,
            sales_close_at: self.now + TimeDelta::days(1),
            tickets_per_order_max: 10,
            status: event::Status::Published,
            hold_secs: 600,
            hold_secs_max: 1800,
            held_per_customer_max: 1,
            // What was allowed once, not what is.
            held_per_customer_ever: 2,
            tickets_per_customer_max: Some(1),
            tickets_per_customer_ever: Some(4),
            cancellable_until: None,
            cancelled_at: None,
            cancelled_by: None,
            cancel_reason: None,
            cancellation_done_at: None,
            version: 1,
            created_at: self.now,
            updated_at: self.now,
            search_text: String::new(),
            import_id: None,
        };
        event::Entity::insert(event.into_active_model())
            .exec(rows)
            .await
            .unwrap();
        let ticket_type = ticket_type::Model {
            event_id: self.event,
            id: self.ticket_type,
            name: "Regular".into(),
            admission: ticket_type::Admission::General,
            price_minor: PRICE_MINOR,
            position: 1,
            version: 1,
            created_at: self.now,
            updated_at: self.now,
        };
        ticket_type::Entity::insert(ticket_type.into_active_model())
            .exec(rows)
            .await
            .unwrap();
    }

    async fn ticket(
        &self,
        rows: &DatabaseConnection,
        status: ticket::Status,
        hold: Option<(HoldId, DateTime<Utc>)>,
    ) -> TicketId {
        let id = TicketId::mint();
        self.insert_ticket(rows, id, status, hold).await;
        id
    }

    pub async fn insert_ticket(
        &self,
        rows: &DatabaseConnection,
        id: TicketId,
        status: ticket::Status,
        hold: Option<(HoldId, DateTime<Utc>)>,
    ) {
        let ticket = ticket::Model {
            event_id: self.event,
            id,
            ticket_type_id: self.ticket_type,
            status,
            hold_id: hold.map(|(id, _)| id),
            held_until: hold.map(|(_, until)| until),
            section: None,
            row_label: None,
            seat_label: None,
            row_index: None,
            seat_index: None,
            is_accessible: false,
            import_id: None,
            block_reason: None,
        };
        ticket::Entity::insert(ticket.into_active_model())
            .exec(rows)
            .await
            .unwrap();
    }

    async fn insert_order(
        &mut self,
        rows: &DatabaseConnection,
        name: &'static str,
        customer_id: CustomerId,
        is_confirmed: bool,
        items_len: i64,
    ) -> OrderId {
        let id = OrderId::mint();
        let order = order::Model {
            event_id: self.event,
            id,
            customer_id,
            placed_by: customer_id,
            status: if is_confirmed {
                order::Status::Confirmed
            } else {
                order::Status::Cancelled
            },
            total_minor: items_len * PRICE_MINOR,
            currency: "EUR".into(),
            placed_at: self.now,
        };
        order::Entity::insert(order.into_active_model())
            .exec(rows)
            .await
            .unwrap();
        self.ids.insert(name, id.0);
        id
    }

    async fn insert_item(
        &mut self,
        rows: &DatabaseConnection,
        name: &'static str,
        order_id: OrderId,
        ticket_id: TicketId,
        is_active: bool,
    ) {
        let id = OrderItemId(Uuid::now_v7());
        let item = order_item::Model {
            event_id: self.event,
            id,
            order_id,
            ticket_id,
            status: if is_active {
                order_item::Status::Active
            } else {
                order_item::Status::Cancelled
            },
            unit_price_minor: PRICE_MINOR,
            currency: "EUR".into(),
            ticket_type_name: "Regular".into(),
            seat_label: None,
            admission_code: id.to_string(),
            cancelled_at: (!is_active).then_some(self.now),
            cancelled_by: None,
            cancel_reason: None,
        };
        order_item::Entity::insert(item.into_active_model())
            .exec(rows)
            .await
            .unwrap();
        self.ids.insert(name, id.0);
    }

    async fn insert_hold(
        &mut self,
        rows: &DatabaseConnection,
        name: &'static str,
        customer_id: CustomerId,
        status: hold::Status,
        held_until: DateTime<Utc>,
        tickets_len: i32,
    ) -> HoldId {
        let id = HoldId::mint();
        let order_id = (status == hold::Status::Purchased).then(|| OrderId(self.id("bought")));
        let hold = hold::Model {
            event_id: self.event,
            id,
            customer_id,
            status,
            held_until,
            extendable_until: held_until,
            tickets_len,
            order_id,
            created_at: self.now - TimeDelta::hours(1),
        };
        hold::Entity::insert(hold.into_active_model())
            .exec(rows)
            .await
            .unwrap();
        self.ids.insert(name, id.0);
        id
    }

    async fn insert_key(
        &self,
        rows: &DatabaseConnection,
        key: &str,
        kind: &str,
        customer_id: CustomerId,
        result_id: Uuid,
    ) {
        let key = idempotency_key::Model {
            event_id: self.event,
            customer_id,
            key: key.into(),
            kind: kind.into(),
            fingerprint: vec![0; 32],
            result_id,
            created_at: self.now,
        };
        idempotency_key::Entity::insert(key.into_active_model())
            .exec(rows)
            .await
            .unwrap();
    }
}

async fn insert_customer(rows: &DatabaseConnection) -> CustomerId {
    let id = CustomerId::mint();
    let customer = customer::Model {
        id,
        issuer: "rowlock".into(),
        subject: id.to_string(),
        created_at: rowlock::time::now(),
    };
    customer::Entity::insert(customer.into_active_model())
        .exec(rows)
        .await
        .unwrap();
    id
}

/// The desk of a server that has no HTTP, for the only event of its database, which has places of one type.
pub struct Desk {
    sales: Sales,
    store: Arc<Store>,
    event_id: EventId,
    ticket_type_id: TicketTypeId,
}

impl Desk {
    pub async fn open(database: &Database) -> Self {
        let url = database.url().parse().unwrap();
        let store = Arc::new(
            Store::connect(&url, 2, Duration::from_secs(30))
                .await
                .unwrap(),
        );
        let ticket_type = ticket_type::Entity::find()
            .one(store.reader())
            .await
            .unwrap()
            .unwrap();
        let limits = Limits {
            queue_len_max: 100,
            queue_wait_max: Duration::from_secs(1),
            batch_len_max: 100,
            waiting_len_max: 100,
            waiting_lanes: 2,
            deadline: std::time::Duration::from_secs(20),
            slow: None,
        };
        Self {
            sales: Sales::open(store.clone(), limits, &Arc::default()).unwrap(),
            store,
            event_id: ticket_type.event_id,
            ticket_type_id: ticket_type.id,
        }
    }

    fn any(&self, quantity: usize) -> Want {
        Want::AnyOf {
            ticket_type_id: self.ticket_type_id,
            quantity,
        }
    }

    /// What became of a command that must not be refused.
    pub async fn done(&self, who: &str, key: &str, action: Action) -> Done {
        let account = rowlock::auth::Account {
            issuer: "rowlock".into(),
            subject: who.into(),
        };
        let command = Command::new(self.event_id, account, key, action).unwrap();
        match self.sales.carry_out(command).await.unwrap() {
            Outcome::Done(done) => done,
            refused @ (Outcome::Repeated(_) | Outcome::Refused(_) | Outcome::Contended) => {
                panic!("{key}: {refused:?}")
            }
        }
    }

    pub async fn buy(&self, who: &str, quantity: usize) -> PlacedOrder {
        let want = self.any(quantity);
        let action = Action::Purchase {
            kind: Purchase::Tickets,
            want,
            expected_total: None,
        };
        match self.done(who, "buy", action).await {
            Done::Order(order) => order,
            Done::Hold(_) => unreachable!("a purchase is an order"),
        }
    }

    pub async fn hold(&self, who: &str, quantity: usize) -> HeldTickets {
        let want = self.any(quantity);
        let key = Uuid::now_v7().to_string();
        match self.done(who, &key, Action::Hold { want }).await {
            Done::Hold(hold) => hold,
            Done::Order(_) => unreachable!("a hold is no order"),
        }
    }

    /// From now on a hold lasts a second.
    pub async fn shorten_holds(&self) {
        let shorten = "UPDATE events SET hold_secs = 1, hold_secs_max = 1";
        self.store
            .writer()
            .execute_unprepared(shorten)
            .await
            .unwrap();
    }

    pub async fn close(self) {
        self.sales.close();
        self.sales.ended().await;
    }
}
