//! One test, two databases.

/// Makes a module of two tests, `on_postgres` and `on_sqlite`, of each function, which is given a database of its own.
#[allow(unused_macros, reason = "each test program uses a part of the harness")]
macro_rules! on_both_databases {
    ($($(#[$meta:meta])* async fn $name:ident($database:ident: Database) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn test($database: Database) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                test(Database::postgres().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                test(Database::sqlite().await).await;
            }
        }
    )+};
}
