//! Who buys: the customer who asks, or one in whose name staff ask.

use async_graphql::{Context, InputObject, Result};

use super::{access::permit, caller, fault::Code};
use crate::{
    auth::{Account, Customer, Grant, Permission, RESERVED_ISSUERS},
    ids::EventId,
};

/// A customer in whose name the box office or a shop's backend acts.
#[derive(InputObject)]
pub struct CustomerInput {
    /// The issuer (`iss`) of the customer's tokens. If absent, it is that of your own token; to a machine's key, the customers
    /// are then those of its organizer alone, whom no token speaks for.
    issuer: Option<String>,
    /// The subject (`sub`) of the customer's tokens, or what else you call them: 1 to 255 bytes.
    subject: String,
}

/// Whoever buys, and whether others act in their name.
pub enum Buyer<'a> {
    Customer(&'a Customer),
    InTheirName { grant: Grant, account: Account },
}

impl<'a> Buyer<'a> {
    /// Whoever asks, or the customer they name.
    ///
    /// # Errors
    /// When they are no customer and name none, or may not act for others.
    pub fn of(ctx: &Context<'a>, named: Option<CustomerInput>) -> Result<Self> {
        let caller = caller(ctx);
        let Some(CustomerInput { issuer, subject }) = named else {
            return Ok(Self::Customer(caller.customer()?));
        };
        let grant = caller.staff(Permission::Sell)?;
        if issuer
            .as_deref()
            .is_some_and(|it| it.starts_with(RESERVED_ISSUERS))
        {
            return Err(malformed());
        }
        let issuer = issuer.unwrap_or_else(|| match grant.staff.key() {
            Some(key) => format!("{RESERVED_ISSUERS}organizer:{}", key.organizer_id),
            None => grant.account().issuer.clone(),
        });
        let account = Account { issuer, subject };
        if !account.is_well_formed() {
            return Err(malformed());
        }
        Ok(Self::InTheirName { grant, account })
    }

    /// The customer, if they can be served with this event's tickets by whoever asks. Nobody sells another organizer's: to them
    /// its tickets, holds and orders are not there.
    ///
    /// # Errors
    /// `FORBIDDEN` to a member whose role does not allow it.
    pub async fn at(&self, ctx: &Context<'_>, event_id: EventId) -> Result<Option<&Account>> {
        Ok(match self {
            Self::Customer(customer) => Some(customer.account()),
            Self::InTheirName { grant, account } => {
                permit(ctx, grant, event_id).await?.then_some(account)
            }
        })
    }

    /// Who acts in their name, if it is not they themselves.
    pub fn staff(&self) -> Option<&Account> {
        match self {
            Self::Customer(_) => None,
            Self::InTheirName { grant, .. } => Some(grant.account()),
        }
    }
}

fn malformed() -> async_graphql::Error {
    Code::BadUserInput.error(
        "a customer's issuer and subject have 1 to 255 bytes, no control characters, and the issuer is none of Rowlock's own",
    )
}
