//! An operator's session holds the row of a ticket that everybody wants.

use rand::{RngExt, rngs::StdRng};
use rowlock::entity::ticket;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, EntityTrait,
    QueryFilter, QuerySelect, TransactionTrait,
};

use super::console;
use crate::stage::Stage;

/// Among the first tickets of the hall, which half of the customers want.
const AMONG: usize = 4;

pub struct Locked {
    console: DatabaseConnection,
    lock: DatabaseTransaction,
}

pub async fn inject(stage: &Stage, random: &mut StdRng) -> Result<Locked, String> {
    let console = console(stage).await?;
    let ticket = stage.hall.tickets[random.random_range(0..AMONG)];
    let locked = async {
        let lock = console.begin().await?;
        // Longer than any sale has it, also one whose server is not heard of: its session ends after two seconds. Another
        // operator may have it for a minute.
        lock.execute_unprepared("SET LOCAL lock_timeout = '4s'")
            .await?;
        ticket::Entity::find()
            .filter(ticket::Column::Id.eq(ticket))
            .lock_exclusive()
            .one(&lock)
            .await?;
        Ok::<_, sea_orm::DbErr>(lock)
    };
    let lock = locked.await.map_err(|error| error.to_string())?;
    Ok(Locked { console, lock })
}

impl Locked {
    /// The session may have ended with its database.
    pub async fn heal(self) {
        let _ = self.lock.rollback().await;
        let _ = self.console.close().await;
    }
}
