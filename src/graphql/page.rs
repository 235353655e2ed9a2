//! Connections: the arguments and cursors that all of them share.
//!
//! A list gives its key a [`Key`] implementation, reads its arguments with [`read`], asks the domain for that
//! [`Page`], and shapes the answer with [`connection`].

use async_graphql::{
    Error, OutputType,
    connection::{Connection, CursorType, Edge},
};
use chrono::DateTime;
use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::fault::Code;
use crate::{
    catalogue::{self, EventKey},
    ids::{EventId, TicketId},
    page::{Direction, Page, Slice},
};

/// How many items a page has when the client does not say.
pub const PAGE_LEN_DEFAULT: i32 = 20;

/// The longest page: what one answer reads, and what one request may cost, stays bounded.
pub const PAGE_LEN_MAX: i32 = 100;

/// The longest cursor that is one: the longest key in base64.
const CURSOR_LEN_MAX: usize = 64;

/// A key that orders a list, as bytes for a cursor. The first byte names the list, so that another list's cursor is
/// refused and not misread.
pub trait Key: Sized + Send + Sync {
    fn to_bytes(&self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// A key that clients hold without looking inside.
pub struct Cursor<K>(pub K);

/// Reads a connection's arguments: either `first` (with `after`) or `last` (with `before`), the first
/// [`PAGE_LEN_DEFAULT`] if neither.
///
/// # Errors
/// `BAD_USER_INPUT` when a length is out of range, both ends are asked for, or a cursor is not this list's.
pub fn read<K: Key>(
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
) -> Result<Page<K>, Error> {
    let (direction, len) = match (first, last) {
        (Some(_), Some(_)) => {
            return Err(Code::BadUserInput.error("ask for first or for last, not for both"));
        }
        (Some(first), None) => (Direction::Forward, first),
        (None, Some(last)) => (Direction::Backward, last),
        (None, None) => (Direction::Forward, PAGE_LEN_DEFAULT),
    };
    let len_max = match u64::try_from(len) {
        Ok(len_max @ 1..) if len <= PAGE_LEN_MAX => len_max,
        Ok(_) | Err(_) => {
            return Err(Code::BadUserInput
                .error(format!("first and last are between 1 and {PAGE_LEN_MAX}")));
        }
    };
    Ok(Page {
        after: after.map(decode).transpose()?,
        before: before.map(decode).transpose()?,
        direction,
        len_max,
    })
}

fn decode<K: Key>(cursor: String) -> Result<K, Error> {
    Cursor::decode_cursor(&cursor)
        .map(|Cursor(key)| key)
        .map_err(|message| Code::BadUserInput.error(message))
}

/// Shapes what the domain read.
pub fn connection<K: Key, R, N: OutputType>(
    slice: Slice<R>,
    key: impl Fn(&R) -> K,
    node: impl Fn(R) -> N,
) -> Connection<Cursor<K>, N> {
    let mut connection = Connection::new(slice.has_previous, slice.has_next);
    connection.edges = slice
        .rows
        .into_iter()
        .map(|row| Edge::new(Cursor(key(&row)), node(row)))
        .collect();
    connection
}

impl<K: Key> CursorType for Cursor<K> {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        (text.len() <= CURSOR_LEN_MAX)
            .then(|| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
            .flatten()
            .and_then(|bytes| K::from_bytes(&bytes))
            .map(Self)
            .ok_or("the cursor is not one of this list's")
    }

    fn encode_cursor(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0.to_bytes())
    }
}

impl Key for EventKey {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![b'e'];
        bytes.extend(self.starts_at.timestamp_micros().to_be_bytes());
        bytes.extend(self.id.0.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (micros, id) = bytes.strip_prefix(b"e")?.split_first_chunk()?;
        let starts_at = DateTime::from_timestamp_micros(i64::from_be_bytes(*micros))?;
        Some(Self {
            // No other was ever stored, and no database could compare with it.
            starts_at: catalogue::instant(starts_at).ok()?,
            id: EventId(Uuid::from_slice(id).ok()?),
        })
    }
}

impl Key for TicketId {
    fn to_bytes(&self) -> Vec<u8> {
        [b"t", self.0.as_bytes().as_slice()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes.strip_prefix(b"t")?).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> EventKey {
        EventKey {
            starts_at: DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap(),
            id: EventId::mint(),
        }
    }

    #[test]
    fn a_cursor_reads_back_as_the_key_it_was_made_of() {
        let key = key();
        let text = Cursor(key).encode_cursor();
        let page = read::<EventKey>(Some(1), Some(text.clone()), None, Some(text)).unwrap();
        assert_eq!((page.after, page.before), (Some(key), Some(key)));
    }

    #[test]
    fn another_lists_cursor_and_garbage_are_refused() {
        let other = Cursor(key()).encode_cursor();
        for text in [&other, "", "x", "dA", "é", &"A".repeat(1_000_000)] {
            assert!(
                read::<TicketId>(None, Some(text.to_owned()), None, None).is_err(),
                "{text:.40}"
            );
        }
        // A time that no calendar has.
        let text = BASE64URL_NOPAD.encode(&[b"e".as_slice(), &[0x7f; 24]].concat());
        assert!(read::<EventKey>(None, Some(text), None, None).is_err());
    }

    #[test]
    fn a_page_is_asked_for_from_one_end_and_within_bounds() {
        let of = |first, last| read::<TicketId>(first, None, last, None);
        assert_eq!(of(None, None).unwrap().len_max, 20);
        assert_eq!(of(Some(100), None).unwrap().direction, Direction::Forward);
        assert_eq!(of(None, Some(1)).unwrap().direction, Direction::Backward);
        for (first, last) in [
            (Some(0), None),
            (Some(101), None),
            (Some(-1), None),
            (None, Some(0)),
            (None, Some(i32::MIN)),
            (Some(1), Some(1)),
        ] {
            assert!(of(first, last).is_err(), "{first:?} {last:?}");
        }
    }
}
