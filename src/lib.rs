//! Rowlock

pub mod auth;
pub mod config;
pub mod entity;
pub mod fault;
pub mod ids;
pub mod migrate;
pub mod money;
pub mod page;
pub mod sales;
pub mod seat;
pub mod store;
pub mod time;
