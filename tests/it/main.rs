//! Rowlock as its clients, its operators and its database see it: over HTTP, against the real databases.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and says why on stderr"
)]

#[macro_use]
#[path = "../harness/harness.rs"]
mod harness;

mod boundaries;
mod database;
mod idempotency;
mod locking;
mod migrations;
mod purchase;

/// The binary under test.
const SERVER: &str = env!("CARGO_BIN_EXE_rowlock");
