//! The statements of a sale, both databases' side by side where they differ.
//!
//! Each has one shape whatever the batch's length: arrays on PostgreSQL, one JSON text on SQLite. SQLite has no row locks;
//! its write transaction is begun `IMMEDIATE`, which keeps every other writer out.

mod fold;
mod lock;
mod log;
mod pick;
mod read;
pub mod staff;
mod together;
mod write;

pub use self::{fold::*, lock::*, log::*, pick::*, read::*, together::*, write::*};
