//! Rowlock as its clients, its operators and its database see it: over HTTP, against the real databases.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and says why on stderr"
)]

#[macro_use]
#[path = "../harness/harness.rs"]
mod harness;

mod alternatives;
mod audit;
mod boundaries;
mod callers;
mod cancel_order;
mod catalogue;
mod copies;
mod counts;
mod database;
mod deadlines;
mod demo;
mod deploy;
mod dockerfile;
mod errors;
mod faults;
mod federation;
mod folding;
mod hall;
mod holds;
mod http;
mod idempotency;
mod lifecycle;
mod limits;
mod live;
mod live_seats;
mod locking;
mod metrics;
mod migrations;
mod nights;
mod overload;
mod pairs;
mod plans;
mod purchase;
mod queries;
mod rates;
mod readme;
mod refusals;
mod revision;
mod roles;
mod rush;
mod schema;
mod search;
mod secrets;
mod security;
mod staff;
mod statements;
mod storefront;
mod terms;
mod tokens;
#[cfg(feature = "otlp")]
mod traces;
mod values;

/// The binary under test.
fn server() -> &'static str {
    env!("CARGO_BIN_EXE_rowlock")
}
