//! Reads that need nothing of each other: one round trip on PostgreSQL. SQLite is in this process and has none.

use sea_orm::{DbBackend, FromQueryResult, QueryResult};

use super::Transaction;
use crate::{
    fault::Step,
    sales::{
        failure::Failure,
        sql::{self, Read},
    },
};

/// What one of them answered.
#[derive(Default)]
pub(super) struct Rows {
    prefix: String,
    rows: Vec<QueryResult>,
}

impl Rows {
    pub(super) fn read<T: FromQueryResult>(&self, step: &'static str) -> Result<Vec<T>, Failure> {
        let rows = self.rows.iter();
        let rows = rows.map(|row| T::from_query_result(row, &self.prefix));
        Ok(rows.collect::<Result<_, _>>().step(step)?)
    }
}

impl Transaction {
    /// What each of these answers; nothing where nothing is asked.
    pub(super) async fn read_together<const N: usize>(
        &self,
        step: &'static str,
        reads: [Option<Read>; N],
    ) -> Result<[Rows; N], Failure> {
        let mut answers = std::array::from_fn(|_| Rows::default());
        let (places, reads): (Vec<usize>, Vec<Read>) = reads
            .into_iter()
            .enumerate()
            .filter_map(|(place, read)| Some((place, read?)))
            .unzip();
        if self.backend != DbBackend::Postgres || reads.len() < 2 {
            for (place, read) in places.into_iter().zip(reads) {
                answers[place].rows = self.query(step, read.statement).await?;
            }
            return Ok(answers);
        }
        for (part, &place) in places.iter().enumerate() {
            answers[place].prefix = sql::prefix(part);
        }
        for row in self.query(step, sql::together(reads)).await? {
            let part: i32 = row.try_get("", sql::PART).step(step)?;
            let place = usize::try_from(part).ok().and_then(|part| places.get(part));
            let place = place.ok_or_else(|| Failure::bug(step))?;
            answers[*place].rows.push(row);
        }
        Ok(answers)
    }
}
