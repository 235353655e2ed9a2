//! What has become of a ticket, for its event's organizer.

use async_graphql::{Context, Enum, ID, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::ticket::TicketStatus;
use crate::{
    auth::{Account, ApiKey, Caller},
    catalogue,
    changes::{
        self, Actor, Cause, Whose,
        history::{Entry, history},
    },
    graphql::{caller, deadline::read, domain, global_id::GlobalId},
    ids::{EventId, TicketId},
};

/// What a ticket's history costs: its event's log is searched for it.
pub const HISTORY_COST: u64 = 200;

/// Why a ticket's status changed.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Cause")]
pub enum TicketChangeCause {
    /// It was so when the log began.
    Found,
    /// It was bought.
    Purchase,
    /// A buyer took it for a limited time.
    Hold,
    /// The buyer gave it back.
    Release,
    /// The hold was over.
    Expiry,
    /// It was taken out of its order, or all of the order was cancelled.
    OrderCancellation,
    /// The event was cancelled.
    EventCancellation,
    /// The organizer withheld it from sale.
    Block,
    /// The organizer put it on sale again.
    Unblock,
}

/// Who changed a ticket.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Actor")]
pub enum TicketChangeActor {
    /// Whose order or hold it is.
    Customer,
    /// The event's organizer, also in a customer's name.
    Organizer,
    /// The server, unasked.
    System,
}

/// A change of a ticket's status.
#[derive(SimpleObject)]
pub struct TicketChange {
    /// The version of the event's tickets that it led to, as `ticketsChanged` tells it.
    version: i64,
    /// When it was committed, by the database's clock.
    at: DateTime<Utc>,
    /// What the ticket was.
    from: TicketStatus,
    /// What it became.
    to: TicketStatus,
    /// Why.
    cause: TicketChangeCause,
    /// By whom.
    actor: TicketChangeActor,
    /// Which of the organizer's people or machines it was, if it was one of them.
    staff: Option<StaffAccount>,
    /// The id of the order that it is about, if it is about one.
    order_id: Option<ID>,
    /// The id of the hold that it is about, if it is about one.
    hold_id: Option<ID>,
}

/// A person or a machine who acts for an organizer.
#[derive(SimpleObject)]
pub struct StaffAccount {
    /// The issuer (`iss`) of their tokens. A machine's is `rowlock:api-key`, and whoever runs the command line is
    /// `rowlock:operator`.
    issuer: String,
    /// The subject (`sub`) of their tokens.
    subject: String,
    /// The id of the machine's key, if it was a machine.
    api_key_id: Option<ID>,
}

/// None for everybody but the event's own organizer.
pub async fn history_of(
    ctx: &Context<'_>,
    event_id: EventId,
    ticket_id: TicketId,
) -> Result<Option<Vec<TicketChange>>> {
    let Caller::Staff(staff) = caller(ctx) else {
        return Ok(None);
    };
    let grant = staff.reading();
    let store = &domain(ctx).store;
    let entries = async {
        if catalogue::own_event(store, &grant, event_id)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        history(store, event_id, ticket_id).await.map(Some)
    };
    let entries = read(ctx, entries).await?;
    Ok(entries.map(|entries| {
        let told = |entry| TicketChange::of(event_id, entry);
        entries.into_iter().map(told).collect()
    }))
}

impl From<Account> for StaffAccount {
    fn from(account: Account) -> Self {
        let key = ApiKey::id_of(&account);
        Self {
            api_key_id: key.map(|id| GlobalId::ApiKey(id).encode()),
            issuer: account.issuer,
            subject: account.subject,
        }
    }
}

impl TicketChange {
    fn of(event_id: EventId, entry: Entry) -> Self {
        let changes::Change {
            from,
            to,
            cause,
            whose,
            ..
        } = entry.change;
        let (order_id, hold_id) = match whose {
            Whose::Order(id) => (Some(GlobalId::Order(event_id, id).encode()), None),
            Whose::Hold(id) => (None, Some(GlobalId::Hold(event_id, id).encode())),
            Whose::Nobody => (None, None),
        };
        Self {
            version: entry.version,
            at: entry.at,
            from: from.into(),
            to: to.into(),
            cause: cause.into(),
            actor: entry.change.actor().into(),
            staff: entry.staff.map(StaffAccount::from),
            order_id,
            hold_id,
        }
    }
}
