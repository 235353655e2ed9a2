//! What watchers ask for, and what they are told.

use serde::Deserialize;
use serde_json::Value;

use super::{
    history::Heard,
    known::{Map, Message},
};
use crate::rush::answers::{NOT_UNDERSTOOD, TopError, fault_of};

pub const SEAT_MAP: &str =
    "query($id: ID!) { seatMap(eventId: $id) { version layout ticketIds statuses } }";

pub const TICKETS_CHANGED: &str = "subscription($id: ID!, $since: Int!) { ticketsChanged(eventId: $id, since: $since) { previousVersion version tickets { id status } } }";

/// What came after the version is not kept any more.
const TOO_OLD: &str = "TOO_OLD";

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
    #[serde(borrow, default)]
    errors: Option<Vec<TopError<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    tickets_changed: Message<'a>,
}

/// The message in an answer; what becomes of the watcher where there is none.
pub fn read(answer: &[u8]) -> Result<Message<'_>, Heard> {
    let not_understood = || Heard::Refused(NOT_UNDERSTOOD.to_owned());
    let answer: Answer<'_> = serde_json::from_slice(answer).map_err(|_| not_understood())?;
    match (fault_of(answer.errors.as_deref()), answer.data) {
        (Some(fault), _) if fault.code == TOO_OLD => Err(Heard::TooOld),
        (Some(fault), _) => Err(Heard::Refused(fault.code)),
        (None, Some(data)) => Ok(data.tickets_changed),
        (None, None) => Err(not_understood()),
    }
}

/// The map in what is answered to [`SEAT_MAP`].
pub fn map(mut data: Value) -> Option<Map> {
    serde_json::from_value(data["seatMap"].take()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_and_what_is_refused_is_told_by_its_code() {
        let told = br#"{"data":{"ticketsChanged":{"previousVersion":1,"version":2,"tickets":[{"id":"T","status":"SOLD"}]}},"extensions":{"cost":{}}}"#;
        let message = read(told).ok().unwrap();
        assert_eq!(
            (
                message.previous_version,
                message.version,
                message.tickets.len()
            ),
            (1, 2, 1)
        );
        let too_old = br#"{"data":null,"errors":[{"extensions":{"code":"TOO_OLD"}}]}"#;
        assert!(matches!(read(too_old), Err(Heard::TooOld)));
        let refused = br#"{"errors":[{"extensions":{"code":"OVERLOADED"}}]}"#;
        assert!(matches!(read(refused), Err(Heard::Refused(code)) if code == "OVERLOADED"));
        for garbage in [&b""[..], b"{}", br#"{"data":{"ticketsChanged":null}}"#] {
            assert!(matches!(read(garbage), Err(Heard::Refused(code)) if code == NOT_UNDERSTOOD));
        }
    }
}
