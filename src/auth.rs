//! Who is calling: a signed token becomes a caller with a role.
//!
//! Authorization is a type. What only a customer may do takes a [`Customer`], what only staff may do takes a [`Grant`],
//! and neither can be made except from a verified token or key, so that a resolver cannot forget the check. For which
//! organizers staff act, and as what, is in the database (`organizers`).
//!
//! A token is verified in `tokens.rs` by the issuer that it names (`issuer.rs`), with a key of that issuer's that is meant
//! for the token's algorithm (`key.rs`), and its claims say the role (`roles.rs`); who comes again is recognized (`verified.rs`). Keys come from where the operator has
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
mod staff;
mod tokens;
mod upkeep;
mod verified;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use crate::config::RESERVED_ISSUERS;

pub use self::{
    issuer::TokenError,
    key::{KEY_LEN_MIN, KeyError},
    roles::ClaimPath,
    source::SourceError,
    staff::{ApiKey, By, Grant, Permission, Staff},
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

impl Account {
    /// Whether a token could speak for it.
    pub fn is_well_formed(&self) -> bool {
        is_account_part(&self.issuer) && is_account_part(&self.subject)
    }
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
    /// Staff: acts for the organizers whose member they are.
    Organizer,
}

/// A verified customer.
#[derive(Clone, Debug)]
pub struct Customer(Account);

impl Customer {
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
    Staff(Staff),
}

/// Why a caller may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// There is no token: send one.
    Unauthenticated,
    /// The token's role is another.
    Forbidden { needs: Role },
    /// The machine's key does not allow it.
    OutOfScope { needs: Permission },
    /// They are staff of that organizer, but in a role that does not allow it.
    NotInRole { needs: Permission },
}

impl Caller {
    /// Who the token speaks for, if there is one.
    pub fn account(&self) -> Option<&Account> {
        match self {
            Self::Anonymous => None,
            Self::Customer(customer) => Some(customer.account()),
            Self::Staff(staff) => Some(staff.account()),
        }
    }

    pub fn customer(&self) -> Result<&Customer, Denial> {
        match self {
            Self::Customer(customer) => Ok(customer),
            Self::Anonymous => Err(Denial::Unauthenticated),
            Self::Staff(_) => Err(Denial::Forbidden {
                needs: Role::Customer,
            }),
        }
    }

    /// Staff, about to use this permission.
    ///
    /// # Errors
    /// When they are no staff, or their key does not allow it.
    pub fn staff(&self, permission: Permission) -> Result<Grant, Denial> {
        match self {
            Self::Staff(staff) => staff.about_to(permission),
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

    /// Of a machine, whose key the database has.
    pub fn of_key(key: ApiKey) -> Self {
        Self {
            expires_at: key.expires_at.map(SystemTime::from),
            caller: Caller::Staff(Staff::machine(key)),
        }
    }
}

fn is_account_part(text: &str) -> bool {
    (1..=ACCOUNT_LEN_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}
