//! Rowlock

pub mod auth;
pub mod entity;
pub mod fault;
pub mod ids;
pub mod money;
pub mod page;
pub mod sales;
pub mod seat;
pub mod store;
pub mod time;
