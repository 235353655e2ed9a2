//! Rowlock

pub mod auth;
pub mod catalogue;
pub mod entity;
pub mod fault;
pub mod graphql;
pub mod ids;
pub mod money;
pub mod page;
pub mod store;
