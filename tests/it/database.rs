//! What the database refuses by itself, whatever the code or a hand at the console does.

use chrono::{DateTime, Utc};
use rowlock::{
    entity::{event, order, order_item, organizer, ticket, ticket_type},
    ids::{CustomerId, EventId, OrderId, OrderItemId, OrganizerId, TicketId, TicketTypeId},
};
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, SqlErr,
};

use crate::harness::Database;

on_both_databases! {
    async fn a_second_owner_of_a_ticket_is_refused(database: Database) {
        let rows = database.connect().await;
        let sale = Sale::insert(&rows).await;
        let second = order_item::Model { id: OrderItemId(uuid::Uuid::now_v7()), ..sale.item() };

        let refused = insert_item(&rows, second.clone()).await.unwrap_err();
        assert!(matches!(refused.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))), "{refused}");

        // A cancelled item owns nothing, so any number of them may stand.
        let cancelled = order_item::Model { status: order_item::Status::Cancelled, ..second };
        insert_item(&rows, cancelled).await.unwrap();
    }

    async fn a_price_below_zero_is_refused(database: Database) {
        let rows = database.connect().await;
        let sale = Sale::insert(&rows).await;
        for (constraint, statement) in [
            ("ticket_types_price", "UPDATE ticket_types SET price_minor = -1"),
            ("order_items_price", "UPDATE order_items SET unit_price_minor = -1"),
            ("orders_total", "UPDATE orders SET total_minor = -1"),
        ] {
            assert_refused(&rows, constraint, statement).await;
        }
        assert_eq!(sale.reread(&rows).await, sale.item());
    }

    async fn an_unknown_status_is_refused(database: Database) {
        let rows = database.connect().await;
        Sale::insert(&rows).await;
        for (constraint, statement) in [
            ("events_status", "UPDATE events SET status = 'POSTPONED'"),
            ("tickets_status", "UPDATE tickets SET status = 'LOST'"),
            ("orders_status", "UPDATE orders SET status = 'PENDING'"),
            ("order_items_status", "UPDATE order_items SET status = 'GIVEN_AWAY'"),
        ] {
            assert_refused(&rows, constraint, statement).await;
        }
    }

    async fn a_hold_without_an_end_is_refused(database: Database) {
        let rows = database.connect().await;
        Sale::insert(&rows).await;
        assert_refused(&rows, "tickets_hold", "UPDATE tickets SET status = 'HELD'").await;
    }

    async fn a_seat_exists_once(database: Database) {
        let rows = database.connect().await;
        let sale = Sale::insert(&rows).await;
        let seat = |label: &str| ticket::Model { id: TicketId::mint(), seat_label: Some(label.into()), ..sale.ticket() };
        let insert = async |ticket: ticket::Model| ticket::Entity::insert(ticket.into_active_model()).exec(&rows).await.map(drop);
        let change = async |id: TicketId, label: &str| {
            let change = ticket::ActiveModel { seat_label: Set(Some(label.into())), ..seat(label).into_active_model() };
            let change = ticket::ActiveModel { id: Unchanged(id), ..change };
            ticket::Entity::update(change).exec(&rows).await.map(drop)
        };
        let refused = |result: Result<(), DbErr>| {
            let refused = result.unwrap_err();
            assert!(matches!(refused.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))), "{refused}");
        };

        refused(insert(seat("1")).await);
        let second = seat("2");
        insert(second.clone()).await.unwrap();
        refused(change(second.id, "1").await);

        // A seat that its ticket has left can be had again.
        change(second.id, "3").await.unwrap();
        refused(insert(seat("3")).await);
        let third = seat("2");
        insert(third.clone()).await.unwrap();
        ticket::Entity::delete_by_id((third.event_id, third.id)).exec(&rows).await.unwrap();
        insert(seat("2")).await.unwrap();
        refused(insert(seat("2")).await);

        // Those without one are no business of each other's.
        for _ in 0..2 {
            insert(ticket::Model { section: None, row_label: None, seat_label: None, row_index: None, seat_index: None, ..seat("") })
                .await.unwrap();
        }
    }

    async fn what_was_sold_cannot_be_deleted_under_its_owner(database: Database) {
        let rows = database.connect().await;
        Sale::insert(&rows).await;
        for status in ["ACTIVE", "CANCELLED"] {
            rows.execute_unprepared(&format!("UPDATE order_items SET status = '{status}'")).await.unwrap();
            for statement in ["DELETE FROM tickets", "DELETE FROM orders", "DELETE FROM ticket_types", "DELETE FROM events"] {
                let refused = rows.execute_unprepared(statement).await.unwrap_err();
                assert!(matches!(refused.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))), "{statement}: {refused}");
            }
        }
    }
}

async fn assert_refused(rows: &DatabaseConnection, constraint: &str, statement: &str) {
    let refused = rows
        .execute_unprepared(statement)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains(constraint), "{statement}: {refused}");
}

async fn insert_item(rows: &DatabaseConnection, item: order_item::Model) -> Result<(), DbErr> {
    order_item::Entity::insert(item.into_active_model())
        .exec(rows)
        .await
        .map(drop)
}

/// One sold seat, written by hand.
struct Sale {
    now: DateTime<Utc>,
    organizer_id: OrganizerId,
    event_id: EventId,
    ticket_type_id: TicketTypeId,
    ticket_id: TicketId,
    order_id: OrderId,
    item_id: OrderItemId,
}

impl Sale {
    async fn insert(rows: &DatabaseConnection) -> Self {
        let sale = Self {
            now: "2026-11-23T18:30:00Z".parse().unwrap(),
            organizer_id: OrganizerId::mint(),
            event_id: EventId::mint(),
            ticket_type_id: TicketTypeId::mint(),
            ticket_id: TicketId::mint(),
            order_id: OrderId::mint(),
            item_id: OrderItemId(uuid::Uuid::now_v7()),
        };
        organizer::Entity::insert(sale.organizer().into_active_model())
            .exec(rows)
            .await
            .unwrap();
        event::Entity::insert(sale.event().into_active_model())
            .exec(rows)
            .await
            .unwrap();
        ticket_type::Entity::insert(sale.ticket_type().into_active_model())
            .exec(rows)
            .await
            .unwrap();
        ticket::Entity::insert(sale.ticket().into_active_model())
            .exec(rows)
            .await
            .unwrap();
        order::Entity::insert(sale.order().into_active_model())
            .exec(rows)
            .await
            .unwrap();
        insert_item(rows, sale.item()).await.unwrap();
        sale
    }

    async fn reread(&self, rows: &DatabaseConnection) -> order_item::Model {
        order_item::Entity::find_by_id((self.event_id, self.item_id))
            .one(rows)
            .await
            .unwrap()
            .unwrap()
    }

    fn organizer(&self) -> organizer::Model {
        organizer::Model {
            id: self.organizer_id,
            issuer: "rowlock".into(),
            subject: "the hall".into(),
            name: "The Hall".into(),
            created_at: self.now,
        }
    }

    fn event(&self) -> event::Model {
        event::Model {
            id: self.event_id,
            organizer_id: self.organizer_id,
            slug: "concert".into(),
            name: "Concert".into(),
            description: String::new(),
            venue: "The Hall".into(),
            currency: "EUR".into(),
            time_zone: "Europe/Vienna".into(),
            starts_at: self.now,
            sales_open_at: self.now,
            sales_close_at: self.now + chrono::TimeDelta::days(1),
            tickets_per_order_max: 10,
            status: event::Status::Published,
            hold_secs: 600,
            hold_secs_max: 1800,
            held_per_customer_max: 10,
            held_per_customer_ever: 10,
            tickets_per_customer_max: None,
            tickets_per_customer_ever: None,
            cancellable_until: None,
            cancelled_at: None,
            cancelled_by: None,
            cancel_reason: None,
            cancellation_done_at: None,
            search_text: String::new(),
            import_id: None,
            version: 1,
            created_at: self.now,
            updated_at: self.now,
        }
    }

    fn ticket_type(&self) -> ticket_type::Model {
        ticket_type::Model {
            event_id: self.event_id,
            id: self.ticket_type_id,
            name: "Regular".into(),
            admission: ticket_type::Admission::Seated,
            price_minor: 1250,
            position: 1,
            version: 1,
            created_at: self.now,
            updated_at: self.now,
        }
    }

    fn ticket(&self) -> ticket::Model {
        ticket::Model {
            event_id: self.event_id,
            id: self.ticket_id,
            ticket_type_id: self.ticket_type_id,
            status: ticket::Status::Sold,
            hold_id: None,
            held_until: None,
            section: Some("Parkett".into()),
            row_label: Some("1".into()),
            seat_label: Some("1".into()),
            row_index: Some(1),
            seat_index: Some(1),
            is_accessible: false,
            import_id: None,
            block_reason: None,
        }
    }

    fn order(&self) -> order::Model {
        let customer_id = CustomerId::mint();
        order::Model {
            event_id: self.event_id,
            id: self.order_id,
            customer_id,
            placed_by: customer_id,
            status: order::Status::Confirmed,
            total_minor: 1250,
            currency: "EUR".into(),
            placed_at: self.now,
        }
    }

    fn item(&self) -> order_item::Model {
        order_item::Model {
            event_id: self.event_id,
            id: self.item_id,
            order_id: self.order_id,
            ticket_id: self.ticket_id,
            status: order_item::Status::Active,
            unit_price_minor: 1250,
            currency: "EUR".into(),
            ticket_type_name: "Regular".into(),
            seat_label: Some("Parkett, row 1, seat 1".into()),
            admission_code: "AAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
            cancelled_at: None,
            cancelled_by: None,
            cancel_reason: None,
        }
    }
}
