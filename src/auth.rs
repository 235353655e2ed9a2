//! Who is calling: a signed token becomes a caller with a role.
//!
//! Authorization is a type. What only a customer may do takes a [`Customer`], what only an organizer may do takes an
//! [`Organizer`], and neither can be made except from a verified token, so that a resolver cannot forget the check.
//!
//! A token is verified in `tokens.rs` by the issuer that it names (`issuer.rs`), with a key of that issuer's that is meant
//! for the token's algorithm (`key.rs`), and its claims say the role (`roles.rs`). Keys come from where the operator has
//! them (`source.rs`: a secret, a file, an identity provider over `fetch.rs`), and `upkeep.rs` looks there again, by itself
//! and when a token names a key that is not known yet (`look.rs`).
//!
//! Knows nothing about HTTP requests, GraphQL, tickets or the database. Nothing here writes a key or a token anywhere.

mod fetch;
mod issuer;
mod jwks;
mod key;
mod look;
mod roles;
mod source;
mod tokens;
mod upkeep;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use self::{
    issuer::TokenError,
    key::{KEY_LEN_MIN, KeyError},
    roles::ClaimPath,
    source::SourceError,
    tokens::{OpenError, Tokens},
    upkeep::Upkeep,
};

/// A longer issuer or subject is refused: both are kept in the database, and the subject is an index key.
const ACCOUNT_LEN_MAX: usize = 255;

/// Who a token speaks for: its issuer and its subject.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Account {
    pub issuer: String,
    pub subject: String,
}

/// Accounts are customer data and stay out of logs, also by accident.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(..)")
    }
}

/// What a caller may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys tickets and sees their own orders.
    Customer,
    /// Creates events and sells their tickets.
    Organizer,
}

/// A verified customer.
#[derive(Clone, Debug)]
pub struct Customer(Account);

/// A verified organizer.
#[derive(Clone, Debug)]
pub struct Organizer(Account);

impl Customer {
    pub fn account(&self) -> &Account {
        &self.0
    }
}

impl Organizer {
    pub fn account(&self) -> &Account {
        &self.0
    }
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// No token.
    Anonymous,
    Customer(Customer),
    Organizer(Organizer),
}

/// Why a caller may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// There is no token: send one.
    Unauthenticated,
    /// The token's role is another.
    Forbidden { needs: Role },
}

impl Caller {
    /// Who the token speaks for, if there is one.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Anonymous => None,
            Self::Customer(customer) => Some(customer.account()),
            Self::Organizer(organizer) => Some(organizer.account()),
        }
    }

    pub fn customer(&self) -> Result<&Customer, Denial> {
        match self {
            Self::Customer(customer) => Ok(customer),
            Self::Anonymous => Err(Denial::Unauthenticated),
            Self::Organizer(_) => Err(Denial::Forbidden {
                needs: Role::Customer,
            }),
        }
    }

    pub fn organizer(&self) -> Result<&Organizer, Denial> {
        match self {
            Self::Organizer(organizer) => Ok(organizer),
            Self::Anonymous => Err(Denial::Unauthenticated),
            Self::Customer(_) => Err(Denial::Forbidden {
                needs: Role::Organizer,
            }),
        }
    }
}

/// Who is calling, and until when that can be believed.
#[derive(Clone, Debug)]
pub struct Identity {
    pub caller: Caller,
    /// The end of the token's time, if there is one.
    pub expires_at: Option<SystemTime>,
}

impl Identity {
    pub fn anonymous() -> Self {
        Self {
            caller: Caller::Anonymous,
            expires_at: None,
        }
    }
}

fn is_account_part(text: &str) -> bool {
    (1..=ACCOUNT_LEN_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}
