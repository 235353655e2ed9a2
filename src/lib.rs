//! Rowlock sells tickets over GraphQL, and never one twice: the database's row lock decides.
//!
//! # The way of one sale
//! ```text
//! resolver ──command──▶ desk (bounded queue) ──batch──▶ one transaction ──outcome──▶ reply slot
//!                                                       gate · lock · read · decide · write · commit
//! ```
//! Read it in this order: [`graphql`]`/purchase.rs` turns the input into a command; [`sales`] hands it to
//! `sales/desk.rs`, which gathers a batch; `sales/commit.rs` takes the batch through its one transaction, and
//! [`sales::decide`], a pure function, says who gets what. What somebody else's lock keeps from being settled waits in
//! `sales/waiting.rs`.
//!
//! # Rooms, from the top
//! Imports only go down: `main` → [`http`] → [`graphql`] → [`audit`] → [`sales`] | [`catalogue`] → [`organizers`] → [`entity`] → [`store`], with
//! [`ids`], [`money`], [`seat`], [`page`], [`time`], [`metrics`], [`traces`] and [`config`] below all. [`demo`] and [`rush`]
//! stand beside `main`. [`live`] tells whoever waits in this process, and other processes, that something has changed; `sales`
//! rings, and `graphql` listens. What a change of tickets changes in their counts is said in `counts`, which `sales` and `catalogue`
//! both append to. [`changes`] is the log of what changes of tickets: `sales` appends to it, and `graphql` reads it.

pub mod audit;
pub mod auth;
mod by_itself;
pub mod catalogue;
pub mod changes;
pub mod config;
mod counts;
pub mod demo;
pub mod entity;
pub mod fault;
pub mod graphql;
pub mod http;
pub mod ids;
pub mod live;
pub mod metrics;
pub mod migrate;
pub mod money;
pub mod organizers;
pub mod page;
pub mod refusal;
pub mod rush;
pub mod sales;
pub mod seat;
pub mod store;
mod text;
pub mod time;
pub mod traces;
