//! Who acts for organizers, and what they are about to do.
//!
//! A token says that somebody is staff, not whose: that is for the database, which keeps every organizer's members and their
//! roles. A machine's key is one organizer's alone and says itself what it allows.

use chrono::{DateTime, Utc};

use super::{Account, Denial};
use crate::{
    config::RESERVED_ISSUERS,
    ids::{ApiKeyId, OrganizerId},
};

/// The issuer of accounts that are keys, one of the reserved ones.
const KEY_ISSUER: &str = "rowlock:api-key";

/// What somebody may do for an organizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// See what is not public: drafts, why tickets are withheld, audits.
    Read,
    /// Hold, buy and give back tickets in a customer's name.
    Sell,
    /// Withhold tickets from sale, and let them be sold again.
    Block,
    /// Create and change events, ticket types and their tickets.
    Catalogue,
    /// Cancel orders and events.
    Cancel,
    /// Say who else may do what, by membership and keys.
    Administer,
}

/// A verified machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub organizer_id: OrganizerId,
    pub permissions: Vec<Permission>,
    pub expires_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Whose account it is, if it is a machine's.
    pub fn id_of(account: &Account) -> Option<ApiKeyId> {
        let id = (account.issuer == KEY_ISSUER).then_some(&account.subject)?;
        id.parse().ok().map(ApiKeyId)
    }
}

/// Somebody who acts for organizers.
#[derive(Clone, Debug)]
pub struct Staff {
    account: Account,
    by: By,
}

/// By what they act.
#[derive(Clone, Debug)]
pub enum By {
    /// A token; their permissions are in the database.
    Membership,
    /// A machine's key.
    Key(ApiKey),
    /// Whoever runs the command line has the database itself.
    CommandLine,
}

/// Staff about to use one of their permissions. Whether a person has it, and for which organizers, is asked of the database by the
/// statement that finds what they act on.
#[derive(Clone, Debug)]
pub struct Grant {
    pub staff: Staff,
    pub permission: Permission,
}

impl Staff {
    pub(super) fn member(account: Account) -> Self {
        Self {
            account,
            by: By::Membership,
        }
    }

    /// Whoever runs the command line.
    pub fn operator() -> Self {
        Self {
            account: Account {
                issuer: format!("{RESERVED_ISSUERS}operator"),
                subject: "command-line".to_owned(),
            },
            by: By::CommandLine,
        }
    }

    pub(super) fn machine(key: ApiKey) -> Self {
        Self {
            account: Account {
                issuer: KEY_ISSUER.to_owned(),
                subject: key.id.to_string(),
            },
            by: By::Key(key),
        }
    }

    /// Whose name stands under what they do.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// By what they act.
    pub fn by(&self) -> &By {
        &self.by
    }

    /// The machine's key, if it is a machine.
    pub fn key(&self) -> Option<&ApiKey> {
        match &self.by {
            By::Key(key) => Some(key),
            By::Membership | By::CommandLine => None,
        }
    }

    /// What they are about to do.
    ///
    /// # Errors
    /// When their key does not allow it, for whichever organizer.
    pub fn about_to(&self, permission: Permission) -> Result<Grant, Denial> {
        let is_in_scope = self
            .key()
            .is_none_or(|key| key.permissions.contains(&permission));
        if !is_in_scope {
            return Err(Denial::OutOfScope { needs: permission });
        }
        Ok(Grant {
            staff: self.clone(),
            permission,
        })
    }

    /// What they look at.
    pub fn reading(&self) -> Grant {
        Grant {
            staff: self.clone(),
            permission: Permission::Read,
        }
    }
}

impl Grant {
    pub fn account(&self) -> &Account {
        self.staff.account()
    }
}
