//! How many tickets of each type there are, so that nobody counts rows to know it.
//!
//! Whatever changes tickets appends here what that changes in the counts, in its own transaction, and a task of the
//! server folds what was appended into `ticket_counts`: no sale updates a row that another one wants. Neither table refers
//! to another by a foreign key, whose check would lock such a row.
//!
//! No release has run on the schema before this step: one would write tickets without appending anything.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &[
                // By the status in the tickets' rows, also where a hold is over and nobody has tidied it.
                "CREATE TABLE ticket_counts (
                    event_id UUID NOT NULL,
                    ticket_type_id UUID NOT NULL,
                    available BIGINT NOT NULL,
                    held BIGINT NOT NULL,
                    sold BIGINT NOT NULL,
                    blocked BIGINT NOT NULL,
                    PRIMARY KEY (event_id, ticket_type_id)
                )",
                "CREATE TABLE ticket_count_deltas (
                    event_id UUID NOT NULL,
                    ticket_type_id UUID NOT NULL,
                    id UUID NOT NULL,
                    available BIGINT NOT NULL,
                    held BIGINT NOT NULL,
                    sold BIGINT NOT NULL,
                    blocked BIGINT NOT NULL,
                    PRIMARY KEY (event_id, ticket_type_id, id)
                )",
            ],
        )
        .await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            // Nobody may sell between the count and the commit.
            super::run(manager, &["LOCK TABLE tickets IN SHARE MODE"]).await?;
        }
        super::run(
            manager,
            &[
                // Tickets of an addition that is not finished are nobody's yet; on PostgreSQL there are none.
                "INSERT INTO ticket_counts (event_id, ticket_type_id, available, held, sold, blocked)
                 SELECT event_id, ticket_type_id,
                     COUNT(*) FILTER (WHERE status = 'AVAILABLE'),
                     COUNT(*) FILTER (WHERE status = 'HELD'),
                     COUNT(*) FILTER (WHERE status = 'SOLD'),
                     COUNT(*) FILTER (WHERE status = 'BLOCKED')
                 FROM tickets
                 WHERE import_id IS NULL OR NOT EXISTS (SELECT 1 FROM ticket_imports
                     WHERE ticket_imports.event_id = tickets.event_id AND ticket_imports.id = tickets.import_id)
                 GROUP BY event_id, ticket_type_id",
            ],
        )
        .await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            super::run(
                manager,
                &[
                    // All of its rows die young: it is cleaned after so many, however many it has, and at once. What is
                    // cleaned is not given back: giving back would keep writers out for a moment.
                    "ALTER TABLE ticket_count_deltas SET (
                        autovacuum_vacuum_scale_factor = 0,
                        autovacuum_vacuum_threshold = 1000,
                        autovacuum_vacuum_cost_delay = 0,
                        vacuum_truncate = off
                    )",
                    // A session keeps a plan that was made while the table was empty, and would read all of it for each
                    // ticket type while it grows. So it is born with some pages, which it keeps: the planner takes no
                    // table of so many for one that is best read from end to end.
                    "INSERT INTO ticket_count_deltas
                     SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 0, 0, 0, 0
                     FROM generate_series(1, 2000)",
                    "DELETE FROM ticket_count_deltas",
                    // Each fold writes the same rows anew: there is room for that in their pages.
                    "ALTER TABLE ticket_counts SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
                        autovacuum_vacuum_threshold = 1000)",
                ],
            )
            .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &["DROP TABLE ticket_count_deltas", "DROP TABLE ticket_counts"],
        )
        .await
    }
}
