//! What operators' writes answer: what was written, or everything that speaks against it.

use crate::fault::Fault;

/// Why a write was refused, in words for the operator: a value, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<C> {
    pub code: C,
    /// A plain sentence.
    pub message: String,
    /// The field of the input that is to blame, if one is.
    pub field: Option<String>,
}

/// What a write answers: what it wrote, or everything that speaks against it.
pub type Answer<T, C> = Result<Result<T, Vec<Refusal<C>>>, Fault>;

impl<C> Refusal<C> {
    pub(crate) fn with_code<D>(self, code: impl FnOnce(C) -> D) -> Refusal<D> {
        Refusal {
            code: code(self.code),
            message: self.message,
            field: self.field,
        }
    }

    pub(crate) fn new(code: C, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
        }
    }

    /// Another organizer's event is as unknown as one that is not there.
    pub fn unknown_event(code: C) -> Self {
        Self::new(code, "there is no such event of yours")
    }

    /// Another organizer's ticket type is as unknown as one that is not there.
    pub fn unknown_ticket_type(code: C) -> Self {
        Self::new(code, "there is no such ticket type of yours")
    }

    /// An organizer of others is as unknown as one that is not there.
    pub fn unknown_organizer(code: C) -> Self {
        Self::new(code, "there is no such organizer of yours")
    }

    /// Another write of many tickets holds the event.
    pub(crate) fn busy(code: C) -> Self {
        Self::new(
            code,
            "tickets of this event are being added or removed right now: try again when that is done",
        )
    }

    pub(crate) fn event_cancelled(code: C) -> Self {
        Self::new(code, "the event is cancelled")
    }

    pub(crate) fn at(code: C, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: Some(field.into()),
        }
    }
}

/// The answer that refuses for one reason.
pub(crate) fn refused<T, C>(refusal: Refusal<C>) -> Answer<T, C> {
    Ok(Err(vec![refusal]))
}
