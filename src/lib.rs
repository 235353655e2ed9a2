//! Rowlock

pub mod auth;
pub mod catalogue;
pub mod config;
pub mod entity;
pub mod fault;
pub mod graphql;
pub mod http;
pub mod ids;
pub mod migrate;
pub mod money;
pub mod page;
pub mod sales;
pub mod seat;
pub mod store;
pub mod time;
