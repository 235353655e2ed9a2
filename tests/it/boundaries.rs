//! The rooms of the code and what none of them knows: invariants written as absences, read from the source text.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file of the server, without comments and without its unit tests.
struct Source {
    /// Relative to `src`, as in `sales/decide.rs`.
    path: String,
    code: String,
}

#[test]
fn the_decision_knows_no_database_clock_randomness_async_or_graphql() {
    for source in only(&["sales/decide"]) {
        source.names_none_of(&[
            "sea_orm",
            "sqlx",
            "DatabaseConnection",
            "tokio",
            "async ",
            ".await",
            "async_graphql",
            "Utc::now",
            "time::now",
            "Instant",
            "SystemTime",
            "rand::",
            "mint(",
            "now_v7",
            "tracing",
        ]);
    }
}

#[test]
fn only_http_names_axum() {
    for source in all_but(&["http"]) {
        source.names_none_of(&["axum"]);
    }
}

#[test]
fn only_graphql_and_http_name_async_graphql() {
    for source in all_but(&["graphql", "http"]) {
        source.names_none_of(&["async_graphql"]);
    }
}

/// A resolver that may answer null and may fail is an `Option<Result<T>>`: when a `Result<Option<T>>` fails, the engine
/// treats its field as one that cannot be null.
#[test]
fn a_field_that_may_be_null_fails_as_null() {
    let mut resolvers = 0;
    for source in only(&["graphql"]) {
        let code = source.code.split_whitespace().collect::<Vec<_>>().join(" ");
        for block in code.split("#[Object").skip(1) {
            // Up to whatever is no part of the block any more; a block's own functions follow each other.
            let block = block
                .split(" } } ")
                .next()
                .expect("split gives one part at least");
            for function in block.split("async fn ").skip(1) {
                let Some((_, result)) = function.split_once(" -> ") else {
                    continue;
                };
                let (result, _) = result.split_once('{').expect("a function has a body");
                resolvers += 1;
                let bare = result.replace(' ', "");
                assert!(
                    !bare.starts_with("Result<Option<")
                        && !bare.starts_with("async_graphql::Result<Option<"),
                    "src/{}: {} answers {result}: make it Option<Result<_>>",
                    source.path,
                    identifier(function)
                );
            }
        }
    }
    assert!(resolvers > 80, "only {resolvers} resolvers were looked at");
}

#[test]
fn a_table_is_no_graphql_type_and_has_no_rules() {
    for source in only(&["entity"]) {
        source.names_none_of(&[
            "graphql",
            "SimpleObject",
            "InputObject",
            "(Enum",
            ", Enum,",
            "crate::sales",
            "crate::catalogue",
            "crate::store",
        ]);
    }
}

#[test]
fn imports_only_go_down() {
    for source in only(&["graphql"]) {
        source.imports_none_of(&["http"]);
    }
    for source in only(&["audit", "sales", "catalogue"]) {
        source.imports_none_of(&["http", "graphql"]);
    }
    for source in only(&["sales"]) {
        source.imports_none_of(&["catalogue", "audit"]);
    }
    for source in only(&["catalogue"]) {
        source.imports_none_of(&["sales", "audit"]);
    }
    // A rehearsal is a client: it knows the server by what it answers.
    for source in only(&["rush"]) {
        source.imports_none_of(&["http", "graphql", "sales", "catalogue", "entity"]);
    }
    for source in all_but(&["rush", "main"]) {
        source.imports_none_of(&["rush"]);
    }
    for source in only(&["counts", "entity", "store", "ids", "money"]) {
        source.imports_none_of(&["http", "graphql", "audit", "sales", "catalogue"]);
    }
    for source in only(&["store", "ids", "money"]) {
        source.imports_none_of(&["entity"]);
    }
}

/// Who is calling is known before anything else is, and keys are in one room.
#[test]
fn only_auth_knows_tokens_and_it_knows_nothing_else() {
    for source in all_but(&["auth"]) {
        source.names_none_of(&["jsonwebtoken", "tokio_rustls", "webpki_roots"]);
    }
    for source in only(&["auth"]) {
        source.imports_none_of(&[
            "http",
            "graphql",
            "audit",
            "sales",
            "catalogue",
            "entity",
            "store",
        ]);
    }
}

#[test]
fn only_sales_writes_a_tickets_status() {
    for source in all_but(&["sales"]) {
        source.names_none_of(&[
            "lock_exclusive",
            "lock_with_behavior",
            "UPDATE tickets SET status",
            "ticket::Entity::update",
        ]);
    }
    for source in all_but(&["sales", "store"]) {
        source.names_none_of(&["connect_sales"]);
    }
}

#[test]
fn the_audit_writes_nothing_and_locks_nobody() {
    for source in only(&["audit"]) {
        source.names_none_of(&[
            "INSERT ",
            "UPDATE ",
            "DELETE ",
            "FOR SHARE",
            "writer()",
            "ActiveModel",
        ]);
    }
}

#[test]
fn only_sales_writes_orders() {
    for source in all_but(&["sales", "entity"]) {
        source.names_none_of(&[
            "INTO orders",
            "UPDATE orders",
            "INTO order_items",
            "UPDATE order_items",
            "INTO idempotency_keys",
            "order::ActiveModel",
            "order_item::ActiveModel",
            "idempotency_key::ActiveModel",
        ]);
    }
}

#[test]
fn nothing_sold_is_ever_deleted() {
    for source in all_but(&[]) {
        source.names_none_of(&[
            "DELETE FROM orders",
            "DELETE FROM order_items",
            "DELETE FROM idempotency_keys",
            "order::Entity::delete",
            "order_item::Entity::delete",
            "idempotency_key::Entity::delete",
        ]);
    }
}

/// `now()` is the time at which the transaction began, before it waited for its locks.
#[test]
fn a_sale_reads_the_time_after_its_locks() {
    for source in only(&["sales"]) {
        let without_rust = source.code.replace("::now()", "");
        for banned in [
            "now()",
            "NOW()",
            "CURRENT_TIMESTAMP",
            "transaction_timestamp",
        ] {
            assert!(
                !without_rust.contains(banned),
                "src/{} names {banned}: use clock_timestamp()",
                source.path
            );
        }
    }
}

/// READ COMMITTED is what makes the lock decide: with REPEATABLE READ a ticket is oversold in spite of it. The audit's
/// transaction alone is another, and cannot write.
#[test]
fn no_transaction_that_writes_changes_its_isolation() {
    for source in all_but(&["audit"]) {
        source.names_none_of(&[
            "IsolationLevel",
            "isolation_level",
            "REPEATABLE READ",
            "SERIALIZABLE",
        ]);
    }
}

/// Leaving the lock out is for the package in `tests/without-lock` alone.
#[test]
fn only_sales_can_be_built_without_its_lock() {
    for source in all_but(&["sales"]) {
        source.names_none_of(&["without_lock"]);
    }
}

impl Source {
    fn names_none_of(&self, banned: &[&str]) {
        for name in banned {
            assert!(!self.code.contains(name), "src/{} names {name}", self.path);
        }
    }

    /// No path into these rooms, whether written out or in a braced import from the crate.
    fn imports_none_of(&self, rooms: &[&str]) {
        let imported = self.imported_rooms();
        for room in rooms {
            assert!(
                !imported.contains(&(*room).to_owned()),
                "src/{} imports crate::{room}",
                self.path
            );
        }
    }

    fn imported_rooms(&self) -> Vec<String> {
        let mut rooms = Vec::new();
        for after in self.code.split("crate::").skip(1) {
            match after.strip_prefix('{') {
                None => rooms.push(identifier(after)),
                Some(list) => rooms.extend(first_level(list)),
            }
        }
        rooms
    }

    fn is_in(&self, rooms: &[&str]) -> bool {
        rooms.iter().any(|room| {
            self.path
                .strip_prefix(room)
                .is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
        })
    }
}

/// The names at the first level of a braced import, whose opening brace is before `list`.
fn first_level(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut item) = (1, Vec::new(), String::new());
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && character == ',') {
            names.push(identifier(item.trim_start()));
            item.clear();
        } else {
            item.push(character);
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect()
}

/// The files of these rooms; a room that is not there is a test that tests nothing.
fn only(rooms: &[&str]) -> Vec<Source> {
    let sources = all_but(&[]);
    for room in rooms {
        assert!(
            sources.iter().any(|source| source.is_in(&[room])),
            "there is no src/{room}.rs or src/{room}/"
        );
    }
    sources
        .into_iter()
        .filter(|source| source.is_in(rooms))
        .collect()
}

fn all_but(rooms: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    read_into(&mut sources, &root, &root);
    sources.retain(|source| !source.is_in(rooms));
    sources
}

fn read_into(sources: &mut Vec<Source>, root: &Path, directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            read_into(sources, root, &path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_unit_tests = path.file_stem().is_some_and(|stem| stem == "tests");
            if !is_unit_tests {
                let relative = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                sources.push(Source {
                    path: relative,
                    code: code_of(&fs::read_to_string(&path).unwrap()),
                });
            }
        }
    }
}

/// Unit tests stand at the end of a file, behind `#[cfg(test)]`.
fn code_of(text: &str) -> String {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}
