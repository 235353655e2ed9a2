//! What a buyer asks of the desk, checked as far as that goes without a database.

use data_encoding::BASE32_NOPAD;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::{
    auth::Account,
    ids::{EventId, OrderId, OrderItemId, TicketId, TicketTypeId},
};

/// No order has more tickets than this, whatever its event allows: it bounds what one command can lock.
pub const TICKETS_PER_ORDER_MAX: usize = 1_000;

/// The longest idempotency key, in characters.
pub const KEY_LEN_MAX: usize = 128;

/// A purchase on its way to the desk.
#[derive(Clone, Debug)]
pub struct Command {
    pub event_id: EventId,
    pub buyer: Account,
    pub key: IdempotencyKey,
    pub kind: Kind,
    pub want: Want,
    /// The buyer refuses to pay anything else; in the event's currency.
    pub expected_total: Option<Decimal>,
}

/// Which mutation the key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PurchaseTicket,
    PurchaseTickets,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PurchaseTicket => "purchaseTicket",
            Self::PurchaseTickets => "purchaseTickets",
        }
    }
}

/// The tickets a command wants.
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

    /// How many tickets are named.
    pub fn named_len(&self) -> usize {
        match self {
            Self::Tickets(ids) => ids.len(),
            Self::AnyOf { .. } => 0,
        }
    }
}

/// Why a command is refused before it reaches the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The idempotency key is empty, too long or not printable.
    Key,
    /// No ticket at all.
    Nothing,
    /// More than [`TICKETS_PER_ORDER_MAX`].
    TooMany,
    /// The same ticket twice.
    TicketTwice(TicketId),
}

impl Command {
    /// # Errors
    /// When the input makes no sense whatever the database holds.
    pub fn new(
        event_id: EventId,
        buyer: Account,
        key: &str,
        kind: Kind,
        want: Want,
        expected_total: Option<Decimal>,
    ) -> Result<Self, Malformed> {
        let key = IdempotencyKey::new(key).ok_or(Malformed::Key)?;
        let want = checked(want)?;
        Ok(Self {
            event_id,
            buyer,
            key,
            kind,
            want,
            expected_total: expected_total.map(|total| total.normalize()),
        })
    }

    /// SHA-256 of the input in one form: the same purchase asked in another order or with another spelling of the price
    /// has the same fingerprint.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.kind.as_str());
        match &self.want {
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
        match self.expected_total {
            Some(total) => hash.update(format!("\0total\0{total}")),
            None => hash.update(b"\0no total"),
        }
        hash.finalize().into()
    }
}

fn checked(want: Want) -> Result<Want, Malformed> {
    match want.quantity() {
        0 => return Err(Malformed::Nothing),
        1..=TICKETS_PER_ORDER_MAX => {}
        _ => return Err(Malformed::TooMany),
    }
    match want {
        Want::Tickets(mut ids) => {
            ids.sort_unstable();
            match ids.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => Err(Malformed::TicketTwice(pair[0])),
                None => Ok(Want::Tickets(ids)),
            }
        }
        any @ Want::AnyOf { .. } => Ok(any),
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

/// Ids and secrets of the order that a command may become: made for each attempt, because the decision knows no
/// randomness, and not before, because most commands of a burst become nothing.
#[derive(Clone, Debug)]
pub struct Minted {
    pub order_id: OrderId,
    pub items: Vec<(OrderItemId, AdmissionCode)>,
}

impl Minted {
    pub fn new(quantity: usize) -> Self {
        Self {
            order_id: OrderId::mint(),
            items: (0..quantity)
                .map(|_| (OrderItemId::mint(), AdmissionCode::mint()))
                .collect(),
        }
    }
}

/// What the door scans: 128 random bits in base32 (RFC 4648), 26 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct AdmissionCode(String);

impl AdmissionCode {
    fn mint() -> Self {
        Self(BASE32_NOPAD.encode(&rand::random::<[u8; 16]>()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A ticket to whoever reads it, so it stays out of logs.
impl std::fmt::Debug for AdmissionCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdmissionCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(key: &str, want: Want, total: Option<&str>) -> Result<Command, Malformed> {
        let buyer = Account {
            issuer: "i".into(),
            subject: "s".into(),
        };
        let event = EventId(uuid::Uuid::nil());
        Command::new(
            event,
            buyer,
            key,
            Kind::PurchaseTickets,
            want,
            total.map(|t| t.parse().unwrap()),
        )
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
