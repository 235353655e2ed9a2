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
mod callers;
mod catalogue;
mod database;
mod demo;
mod faults;
mod http;
mod idempotency;
mod lifecycle;
mod locking;
mod migrations;
mod purchase;
mod readme;
mod refusals;
mod rush;
mod schema;
mod statements;

/// The binary under test.
const SERVER: &str = env!("CARGO_BIN_EXE_rowlock");
