//! Opaque global ids: what kind of object, of which event, and which one.
//!
//! An id carries its event's id, so that on a distributed database the object is found on one shard. Clients must not
//! take it apart; that it is base64url of a kind and UUIDs may change.

use async_graphql::{Error, ID};
use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::fault::Code;
use crate::ids::{
    ApiKeyId, EventId, HoldId, OrderId, OrderItemId, OrganizerId, TicketId, TicketTypeId,
};

/// The longest id that is one: a kind and two UUIDs in base64.
const ID_LEN_MAX: usize = 44;

/// An object that `node` finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobalId {
    Organizer(OrganizerId),
    Event(EventId),
    TicketType(EventId, TicketTypeId),
    Ticket(EventId, TicketId),
    Order(EventId, OrderId),
    OrderItem(EventId, OrderItemId),
    Hold(EventId, HoldId),
    ApiKey(ApiKeyId),
}

impl GlobalId {
    pub fn encode(self) -> ID {
        let (kind, event, own) = match self {
            Self::Organizer(OrganizerId(id)) => (b'G', None, id),
            Self::Event(EventId(id)) => (b'E', None, id),
            Self::TicketType(EventId(event), TicketTypeId(id)) => (b'Y', Some(event), id),
            Self::Ticket(EventId(event), TicketId(id)) => (b'T', Some(event), id),
            Self::Order(EventId(event), OrderId(id)) => (b'O', Some(event), id),
            Self::OrderItem(EventId(event), OrderItemId(id)) => (b'I', Some(event), id),
            Self::Hold(EventId(event), HoldId(id)) => (b'H', Some(event), id),
            Self::ApiKey(ApiKeyId(id)) => (b'K', None, id),
        };
        let mut bytes = vec![kind];
        bytes.extend(event.iter().flat_map(|event| *event.as_bytes()));
        bytes.extend(own.as_bytes());
        ID(BASE64URL_NOPAD.encode(&bytes))
    }

    /// None when `id` is not one that this server made.
    pub fn decode(id: &ID) -> Option<Self> {
        if id.len() > ID_LEN_MAX {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(id.as_bytes()).ok()?;
        let (kind, uuids) = bytes.split_first()?;
        let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
        match uuids.len() {
            16 => {
                let id = uuid(uuids)?;
                match kind {
                    b'G' => Some(Self::Organizer(OrganizerId(id))),
                    b'E' => Some(Self::Event(EventId(id))),
                    b'K' => Some(Self::ApiKey(ApiKeyId(id))),
                    _ => None,
                }
            }
            32 => {
                let (event, id) = (EventId(uuid(&uuids[..16])?), uuid(&uuids[16..])?);
                match kind {
                    b'Y' => Some(Self::TicketType(event, TicketTypeId(id))),
                    b'T' => Some(Self::Ticket(event, TicketId(id))),
                    b'O' => Some(Self::Order(event, OrderId(id))),
                    b'I' => Some(Self::OrderItem(event, OrderItemId(id))),
                    b'H' => Some(Self::Hold(event, HoldId(id))),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The organizer's id, if it names an organizer.
    pub fn organizer(self) -> Option<OrganizerId> {
        let Self::Organizer(id) = self else {
            return None;
        };
        Some(id)
    }

    /// The event's id, if it names an event.
    pub fn event(self) -> Option<EventId> {
        let Self::Event(id) = self else {
            return None;
        };
        Some(id)
    }

    /// The ticket type's id, if it names a ticket type.
    pub fn ticket_type(self) -> Option<(EventId, TicketTypeId)> {
        let Self::TicketType(event, id) = self else {
            return None;
        };
        Some((event, id))
    }

    /// The ticket's id, if it names a ticket.
    pub fn ticket(self) -> Option<(EventId, TicketId)> {
        let Self::Ticket(event, id) = self else {
            return None;
        };
        Some((event, id))
    }

    /// The order's id, if it names one.
    pub fn order(self) -> Option<(EventId, OrderId)> {
        let Self::Order(event, id) = self else {
            return None;
        };
        Some((event, id))
    }

    /// The item's id, if it names one.
    pub fn order_item(self) -> Option<(EventId, OrderItemId)> {
        let Self::OrderItem(event, id) = self else {
            return None;
        };
        Some((event, id))
    }

    /// The hold's id, if it names one.
    pub fn hold(self) -> Option<(EventId, HoldId)> {
        let Self::Hold(event, id) = self else {
            return None;
        };
        Some((event, id))
    }

    /// The id of a machine's key, if it names one.
    pub fn api_key(self) -> Option<ApiKeyId> {
        let Self::ApiKey(id) = self else {
            return None;
        };
        Some(id)
    }

    /// As [`Self::decode`], with the coded error of a query's argument.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` when `id` is not one that this server made.
    pub fn require(id: &ID) -> Result<Self, Error> {
        Self::decode(id)
            .ok_or_else(|| Code::BadUserInput.error("the id is not one of this server's ids"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_id_reads_back_as_it_was_written() {
        let (event, own) = (EventId::mint(), Uuid::now_v7());
        for id in [
            GlobalId::Organizer(OrganizerId(own)),
            GlobalId::Event(event),
            GlobalId::TicketType(event, TicketTypeId(own)),
            GlobalId::Ticket(event, TicketId(own)),
            GlobalId::Order(event, OrderId(own)),
            GlobalId::OrderItem(event, OrderItemId(own)),
            GlobalId::Hold(event, HoldId(own)),
        ] {
            assert_eq!(GlobalId::decode(&id.encode()), Some(id));
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let ticket = GlobalId::Ticket(EventId::mint(), TicketId::mint()).encode();
        for text in [
            "",
            "x",
            "1",
            "AAAA",
            "T=",
            "é",
            &ticket[..43],
            &format!("{}A", *ticket),
            &"A".repeat(1_000_000),
        ] {
            assert_eq!(GlobalId::decode(&ID(text.to_owned())), None, "{text:.50}");
        }
    }
}
