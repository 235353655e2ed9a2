//! What is asked of the desk, checked as far as that goes without a database.

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::{
    auth::Account,
    ids::{
        CustomerId, EventId, HoldId, ITEMS_PER_ORDER_MAX, OrderId, OrderItemId, TicketId,
        TicketTypeId,
    },
};

/// No order has more tickets than this, whatever its event allows: it bounds what one command can lock.
pub const TICKETS_PER_ORDER_MAX: usize = 1_000;
const _: () = assert!(TICKETS_PER_ORDER_MAX <= ITEMS_PER_ORDER_MAX);

/// The longest idempotency key, in characters.
pub const KEY_LEN_MAX: usize = 128;

/// The longest reason of a cancellation, in characters.
pub const REASON_LEN_MAX: usize = 500;

/// A write on its way to the desk.
#[derive(Clone, Debug)]
pub struct Command {
    pub event_id: EventId,
    /// Who asks; the key is theirs.
    pub account: Account,
    pub key: IdempotencyKey,
    pub action: Action,
    /// The staff, or the machine, who asks in the account's name. What the customer has asked for is something else than what
    /// staff ask for under the same key, who would otherwise be told what the customer was.
    pub staff: Option<Account>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Action {
    Purchase {
        /// Which of the two mutations it is.
        kind: Purchase,
        want: Want,
        /// The buyer refuses to pay anything else; in the event's currency.
        expected_total: Option<Decimal>,
    },
    Hold {
        want: Want,
    },
    ExtendHold {
        hold_id: HoldId,
    },
    ReleaseHold {
        hold_id: HoldId,
        /// These, in the order of their ids, none twice; none for all.
        tickets: Option<Vec<TicketId>>,
    },
    PurchaseHold {
        hold_id: HoldId,
        expected_total: Option<Decimal>,
    },
    CancelOrder {
        order_id: OrderId,
        /// These, in the order of their ids, none twice; none for all.
        items: Option<Vec<OrderItemId>>,
        by: Canceller,
        reason: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purchase {
    OneTicket,
    Tickets,
}

/// Who cancels an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canceller {
    /// The customer, if the order is theirs and as long as the event's rule allows it.
    Customer,
    /// Staff of the event's organizer, at any time. The order's customer decides whose gate it must pass.
    Staff { customer_id: CustomerId },
}

/// The mutation that a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PurchaseTicket,
    PurchaseTickets,
    HoldTickets,
    ExtendHold,
    ReleaseHold,
    PurchaseHold,
    CancelOrder,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::PurchaseTicket,
        Self::PurchaseTickets,
        Self::HoldTickets,
        Self::ExtendHold,
        Self::ReleaseHold,
        Self::PurchaseHold,
        Self::CancelOrder,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PurchaseTicket => "purchaseTicket",
            Self::PurchaseTickets => "purchaseTickets",
            Self::HoldTickets => "holdTickets",
            Self::ExtendHold => "extendHold",
            Self::ReleaseHold => "releaseHold",
            Self::PurchaseHold => "purchaseHold",
            Self::CancelOrder => "cancelOrder",
        }
    }

    /// None for a kind that only a later release knows.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Tickets of which nothing is known but that they shall be free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// These, in the order of their ids, none twice.
    Tickets(Vec<TicketId>),
    /// Any `quantity` of a type.
    AnyOf {
        ticket_type_id: TicketTypeId,
        quantity: usize,
    },
}

impl Want {
    pub fn quantity(&self) -> usize {
        match self {
            Self::Tickets(ids) => ids.len(),
            Self::AnyOf { quantity, .. } => *quantity,
        }
    }
}

/// Why a command is refused before it reaches the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The idempotency key is empty, too long or not printable.
    Key,
    /// No ticket or item at all.
    Nothing,
    /// More than [`TICKETS_PER_ORDER_MAX`].
    TooMany,
    /// The same ticket twice.
    TicketTwice(TicketId),
    /// The same item twice.
    ItemTwice(OrderItemId),
    /// The reason is empty, too long or not printable.
    Reason,
    /// Staff must say why.
    ReasonMissing,
}

impl Command {
    /// # Errors
    /// When the input makes no sense whatever the database holds.
    pub fn new(
        event_id: EventId,
        account: Account,
        key: &str,
        action: Action,
    ) -> Result<Self, Malformed> {
        let key = IdempotencyKey::new(key).ok_or(Malformed::Key)?;
        Ok(Self {
            event_id,
            account,
            key,
            action: action.checked()?,
            staff: None,
        })
    }

    /// The same, asked by staff in the account's name.
    pub fn by_staff(self, staff: Account) -> Self {
        Self {
            staff: Some(staff),
            ..self
        }
    }

    /// Whose ids must be known for it.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        std::iter::once(&self.account).chain(&self.staff)
    }

    /// Whether it can only make tickets free.
    pub fn gives_back(&self) -> bool {
        match &self.action {
            Action::ReleaseHold { .. } | Action::CancelOrder { .. } => true,
            Action::Purchase { .. }
            | Action::Hold { .. }
            | Action::ExtendHold { .. }
            | Action::PurchaseHold { .. } => false,
        }
    }

    /// Tickets that must be free, by their ids or by their type.
    pub fn want(&self) -> Option<&Want> {
        match &self.action {
            Action::Purchase { want, .. } | Action::Hold { want } => Some(want),
            Action::ExtendHold { .. }
            | Action::ReleaseHold { .. }
            | Action::PurchaseHold { .. }
            | Action::CancelOrder { .. } => None,
        }
    }

    /// The hold that the command is about.
    pub fn hold_id(&self) -> Option<HoldId> {
        match &self.action {
            Action::ExtendHold { hold_id }
            | Action::ReleaseHold { hold_id, .. }
            | Action::PurchaseHold { hold_id, .. } => Some(*hold_id),
            Action::Purchase { .. } | Action::Hold { .. } | Action::CancelOrder { .. } => None,
        }
    }

    /// The order that the command is about.
    pub fn order_id(&self) -> Option<OrderId> {
        match &self.action {
            Action::CancelOrder { order_id, .. } => Some(*order_id),
            Action::Purchase { .. }
            | Action::Hold { .. }
            | Action::ExtendHold { .. }
            | Action::ReleaseHold { .. }
            | Action::PurchaseHold { .. } => None,
        }
    }

    /// How many tickets it is about, as far as the command tells; at least one.
    pub fn tickets_len(&self) -> usize {
        match &self.action {
            Action::Purchase { want, .. } | Action::Hold { want } => want.quantity(),
            Action::ReleaseHold {
                tickets: Some(ids), ..
            } => ids.len(),
            Action::CancelOrder {
                items: Some(ids), ..
            } => ids.len(),
            Action::ExtendHold { .. }
            | Action::ReleaseHold { tickets: None, .. }
            | Action::PurchaseHold { .. }
            | Action::CancelOrder { items: None, .. } => 1,
        }
    }

    /// How many ids it names.
    pub fn named_len(&self) -> usize {
        match self.want() {
            Some(Want::AnyOf { .. }) => 0,
            Some(Want::Tickets(_)) | None => self.tickets_len(),
        }
    }

    pub fn kind(&self) -> Kind {
        match &self.action {
            Action::Purchase {
                kind: Purchase::OneTicket,
                ..
            } => Kind::PurchaseTicket,
            Action::Purchase {
                kind: Purchase::Tickets,
                ..
            } => Kind::PurchaseTickets,
            Action::Hold { .. } => Kind::HoldTickets,
            Action::ExtendHold { .. } => Kind::ExtendHold,
            Action::ReleaseHold { .. } => Kind::ReleaseHold,
            Action::PurchaseHold { .. } => Kind::PurchaseHold,
            Action::CancelOrder { .. } => Kind::CancelOrder,
        }
    }

    /// SHA-256 of the input in one form: the same purchase asked in another order or with another spelling of the price
    /// has the same fingerprint.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.kind().as_str());
        if self.staff.is_some() {
            hash.update(b"\0staff\0");
        }
        match &self.action {
            Action::Purchase {
                want,
                expected_total,
                ..
            } => {
                hash_want(&mut hash, want);
                hash_total(&mut hash, *expected_total);
            }
            Action::Hold { want } => hash_want(&mut hash, want),
            Action::ExtendHold { hold_id } => hash.update(hold_id.0.as_bytes()),
            Action::ReleaseHold { hold_id, tickets } => {
                hash.update(hold_id.0.as_bytes());
                hash_some(&mut hash, tickets.as_deref(), |id| id.0);
            }
            Action::PurchaseHold {
                hold_id,
                expected_total,
            } => {
                hash.update(hold_id.0.as_bytes());
                hash_total(&mut hash, *expected_total);
            }
            Action::CancelOrder {
                order_id,
                items,
                reason,
                by: _,
            } => {
                hash.update(order_id.0.as_bytes());
                hash_some(&mut hash, items.as_deref(), |id| id.0);
                if let Some(reason) = reason {
                    hash.update(b"\0reason\0");
                    hash.update(reason);
                }
            }
        }
        hash.finalize().into()
    }
}

impl Action {
    fn checked(self) -> Result<Self, Malformed> {
        Ok(match self {
            Self::Purchase {
                kind,
                want,
                expected_total,
            } => Self::Purchase {
                kind,
                want: checked_want(want)?,
                expected_total: expected_total.map(|total| total.normalize()),
            },
            Self::Hold { want } => Self::Hold {
                want: checked_want(want)?,
            },
            Self::ExtendHold { hold_id } => Self::ExtendHold { hold_id },
            Self::ReleaseHold { hold_id, tickets } => Self::ReleaseHold {
                hold_id,
                tickets: tickets
                    .map(|ids| checked_ids(ids, Malformed::TicketTwice))
                    .transpose()?,
            },
            Self::PurchaseHold {
                hold_id,
                expected_total,
            } => Self::PurchaseHold {
                hold_id,
                expected_total: expected_total.map(|total| total.normalize()),
            },
            Self::CancelOrder {
                order_id,
                items,
                by,
                reason,
            } => {
                match (by, &reason) {
                    (_, Some(reason)) if !is_reason(reason) => return Err(Malformed::Reason),
                    (Canceller::Staff { .. }, None) => return Err(Malformed::ReasonMissing),
                    (Canceller::Staff { .. }, Some(_)) | (Canceller::Customer, _) => {}
                }
                Self::CancelOrder {
                    order_id,
                    items: items
                        .map(|ids| checked_ids(ids, Malformed::ItemTwice))
                        .transpose()?,
                    by,
                    reason,
                }
            }
        })
    }
}

/// 1 to [`REASON_LEN_MAX`] characters that can be shown in one line.
pub fn is_reason(reason: &str) -> bool {
    !reason.trim().is_empty()
        && reason.len() <= 4 * REASON_LEN_MAX
        && reason.chars().count() <= REASON_LEN_MAX
        && !reason.chars().any(char::is_control)
}

fn checked_want(want: Want) -> Result<Want, Malformed> {
    match want {
        Want::Tickets(ids) => checked_ids(ids, Malformed::TicketTwice).map(Want::Tickets),
        Want::AnyOf { quantity, .. } => {
            checked_len(quantity)?;
            Ok(want)
        }
    }
}

fn checked_len(len: usize) -> Result<(), Malformed> {
    match len {
        0 => Err(Malformed::Nothing),
        1..=TICKETS_PER_ORDER_MAX => Ok(()),
        _ => Err(Malformed::TooMany),
    }
}

/// The ids in their order, if there are some, not too many, and none twice.
pub(super) fn checked_ids<I: Copy + Ord>(
    mut ids: Vec<I>,
    twice: impl Fn(I) -> Malformed,
) -> Result<Vec<I>, Malformed> {
    checked_len(ids.len())?;
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(twice(pair[0])),
        None => Ok(ids),
    }
}

fn hash_want(hash: &mut Sha256, want: &Want) {
    match want {
        Want::Tickets(ids) => {
            hash.update(b"\0tickets\0");
            for id in ids {
                hash.update(id.0.as_bytes());
            }
        }
        Want::AnyOf {
            ticket_type_id,
            quantity,
        } => {
            hash.update(b"\0any\0");
            hash.update(ticket_type_id.0.as_bytes());
            hash.update(quantity.to_be_bytes());
        }
    }
}

fn hash_some<I>(hash: &mut Sha256, ids: Option<&[I]>, uuid: impl Fn(&I) -> uuid::Uuid) {
    match ids {
        None => hash.update(b"\0all"),
        Some(ids) => {
            hash.update(b"\0some\0");
            for id in ids {
                hash.update(uuid(id).as_bytes());
            }
        }
    }
}

fn hash_total(hash: &mut Sha256, expected_total: Option<Decimal>) {
    match expected_total {
        Some(total) => hash.update(format!("\0total\0{total}")),
        None => hash.update(b"\0no total"),
    }
}

/// 1 to [`KEY_LEN_MAX`] printable characters, chosen by the client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn new(key: &str) -> Option<Self> {
        // Four bytes a character at most: counting a megabyte of them would be work for nothing.
        let is_short = key.len() <= 4 * KEY_LEN_MAX && key.chars().count() <= KEY_LEN_MAX;
        (!key.is_empty() && is_short && !key.chars().any(char::is_control))
            .then(|| Self(key.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(key: &str, action: Action) -> Result<Command, Malformed> {
        let account = Account {
            issuer: "i".into(),
            subject: "s".into(),
        };
        Command::new(EventId(uuid::Uuid::nil()), account, key, action)
    }

    fn command(key: &str, want: Want, total: Option<&str>) -> Result<Command, Malformed> {
        let action = Action::Purchase {
            kind: Purchase::Tickets,
            want,
            expected_total: total.map(|t| t.parse().unwrap()),
        };
        new(key, action)
    }

    #[test]
    fn the_fingerprint_is_of_what_is_asked_not_of_how() {
        let (a, b) = (TicketId::mint(), TicketId::mint());
        let one = command("k", Want::Tickets(vec![a, b]), Some("5.5")).unwrap();
        let same = command("other key", Want::Tickets(vec![b, a]), Some("5.50")).unwrap();
        let other = command("k", Want::Tickets(vec![a]), Some("5.5")).unwrap();
        let unpriced = command("k", Want::Tickets(vec![a, b]), None).unwrap();
        assert_eq!(one.fingerprint(), same.fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_ne!(one.fingerprint(), unpriced.fingerprint());
    }

    #[test]
    fn what_makes_no_sense_never_reaches_the_desk() {
        let a = TicketId::mint();
        let any = |quantity| Want::AnyOf {
            ticket_type_id: TicketTypeId::mint(),
            quantity,
        };
        for (key, want, error) in [
            ("", any(1), Malformed::Key),
            ("tab\there", any(1), Malformed::Key),
            ("nul\0", any(1), Malformed::Key),
            (&*"ü".repeat(129), any(1), Malformed::Key),
            (&*"x".repeat(1_000_000), any(1), Malformed::Key),
            ("k", any(0), Malformed::Nothing),
            ("k", any(usize::MAX), Malformed::TooMany),
            ("k", Want::Tickets(vec![]), Malformed::Nothing),
            ("k", Want::Tickets(vec![a, a]), Malformed::TicketTwice(a)),
        ] {
            assert_eq!(command(key, want, None).err(), Some(error));
        }
        assert!(command(&"ü".repeat(128), any(1_000), None).is_ok());
    }
}
