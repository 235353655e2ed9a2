//! Rowlock

pub mod auth;
pub mod entity;
pub mod fault;
pub mod ids;
pub mod money;
pub mod store;
