//! An order item's references are checked where they can break: when a ticket or an order is deleted.
//!
//! As foreign keys they were checked at each sale too, which had just locked the ticket and written the order itself: an
//! eighth of what a sale costs PostgreSQL, besides an index that every sale wrote for those who remove tickets. A trigger
//! refuses the deletion instead; an item that names nothing, which no code writes, is what an audit finds.
//!
//! SQLite keeps its foreign keys: it cannot drop one without writing the table anew, and checks them for a fraction of that.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        super::run(
            manager,
            &[
                "ALTER TABLE order_items DROP CONSTRAINT order_items_order, DROP CONSTRAINT order_items_ticket",
                "DROP INDEX order_items_by_ticket",
                // Beside order_items_one_owner, which has the active ones.
                "CREATE INDEX order_items_cancelled ON order_items (event_id, ticket_id) WHERE status = 'CANCELLED'",
                // Each condition is what its partial index is for. A statement of a volatile function sees what was committed
                // before it began, and the row that is deleted is locked by then: a sale of it is over or has not begun.
                "CREATE FUNCTION keep_ordered_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF EXISTS (SELECT 1 FROM order_items
                            WHERE event_id = OLD.event_id AND ticket_id = OLD.id AND status = 'ACTIVE')
                        OR EXISTS (SELECT 1 FROM order_items
                            WHERE event_id = OLD.event_id AND ticket_id = OLD.id AND status = 'CANCELLED')
                    THEN
                        RAISE EXCEPTION 'ticket % is in an order', OLD.id USING ERRCODE = 'foreign_key_violation',
                            CONSTRAINT = 'order_items_ticket', TABLE = 'tickets';
                    END IF;
                    RETURN OLD;
                END $$",
                "CREATE TRIGGER keep_ordered BEFORE DELETE ON tickets
                    FOR EACH ROW EXECUTE FUNCTION keep_ordered_ticket()",
                "CREATE FUNCTION keep_order_with_items() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF EXISTS (SELECT 1 FROM order_items WHERE event_id = OLD.event_id AND order_id = OLD.id) THEN
                        RAISE EXCEPTION 'order % has items', OLD.id USING ERRCODE = 'foreign_key_violation',
                            CONSTRAINT = 'order_items_order', TABLE = 'orders';
                    END IF;
                    RETURN OLD;
                END $$",
                "CREATE TRIGGER keep_with_items BEFORE DELETE ON orders
                    FOR EACH ROW EXECUTE FUNCTION keep_order_with_items()",
            ],
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        super::run(
            manager,
            &[
                "DROP TRIGGER keep_with_items ON orders",
                "DROP TRIGGER keep_ordered ON tickets",
                "DROP FUNCTION keep_order_with_items()",
                "DROP FUNCTION keep_ordered_ticket()",
                "DROP INDEX order_items_cancelled",
                "CREATE INDEX order_items_by_ticket ON order_items (event_id, ticket_id)",
                "ALTER TABLE order_items
                    ADD CONSTRAINT order_items_order FOREIGN KEY (event_id, order_id) REFERENCES orders (event_id, id),
                    ADD CONSTRAINT order_items_ticket FOREIGN KEY (event_id, ticket_id) REFERENCES tickets (event_id, id)",
            ],
        )
        .await
    }
}
