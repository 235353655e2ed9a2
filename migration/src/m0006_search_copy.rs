//! Events found by their words, copied with their seats, and seats that are offered instead of others.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DbErr, Statement, Value},
};
use unicode_normalization::UnicodeNormalization;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// How many events are read and written at once.
const PAGE_LEN: i64 = 500;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &[
                // What a search looks at: folded by the catalogue, so that both databases find the same.
                "ALTER TABLE events ADD COLUMN search_text TEXT NOT NULL DEFAULT ''",
                // The unfinished copy that hides this event, as tickets.import_id hides tickets (SQLite only).
                "ALTER TABLE events ADD COLUMN import_id UUID",
                // The seats around those that somebody did not get. A sale takes a row out of it and puts none in.
                "CREATE INDEX tickets_around ON tickets (event_id, ticket_type_id, section, row_index, seat_index)
                    WHERE status = 'AVAILABLE' AND section IS NOT NULL",
            ],
        )
        .await?;
        fill_search_text(manager.get_connection()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::run(
            manager,
            &[
                "DROP INDEX tickets_around",
                "ALTER TABLE events DROP COLUMN import_id",
                "ALTER TABLE events DROP COLUMN search_text",
            ],
        )
        .await
    }
}

/// No function of SQLite takes accents off or knows other capitals than those of ASCII, so that the events that are there
/// are folded here and not in SQL.
async fn fill_search_text(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let mut after = String::new();
    loop {
        let page = Statement::from_sql_and_values(
            backend,
            "SELECT slug, name, venue, substr(description, 1, 2000) AS description FROM events
             WHERE slug > $1 ORDER BY slug LIMIT $2",
            [after.clone().into(), PAGE_LEN.into()],
        );
        let rows = db.query_all_raw(page).await?;
        for row in &rows {
            let field = |name: &str| row.try_get::<String>("", name);
            let slug = field("slug")?;
            let text = [
                field("name")?,
                field("venue")?,
                slug.clone(),
                field("description")?,
            ]
            .join("\n");
            let values: [Value; 2] = [folded(&text).into(), slug.clone().into()];
            let update = "UPDATE events SET search_text = $1 WHERE slug = $2";
            db.execute_raw(Statement::from_sql_and_values(backend, update, values))
                .await?;
            after = slug;
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// As the catalogue folded text when this step was written; a released step does not change with it.
fn folded(text: &str) -> String {
    let is_accent = |c: &char| {
        matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
    };
    text.nfkd()
        .filter(|c| !is_accent(c))
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| !is_accent(c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .flat_map(plain_letters)
        .nfc()
        .collect()
}

/// Letters of Latin that are no base with an accent to Unicode, but to whoever types without them.
fn plain_letters(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'þ' => ('t', Some('h')),
        'ø' => ('o', None),
        'ł' => ('l', None),
        'đ' | 'ð' => ('d', None),
        'ħ' => ('h', None),
        'ŧ' => ('t', None),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}
