//! What became of a command, by what was answered.

use crate::history::{Answer, Command, Micros, Purpose};

#[derive(Clone, Copy, Debug)]
pub enum Fate<'h> {
    /// It happened once, somewhere from `from` to `to`.
    Done {
        answer: &'h Answer,
        from: Micros,
        to: Micros,
    },
    /// It happened after `from`, or never: the tables tell.
    InDoubt { from: Micros },
    /// It never happened.
    NotDone,
}

/// An attempt of unknown outcome leaves it open from when it was asked. A success says that it has happened by now. A refusal
/// says that it had not when that was asked, since a key that has done something is not refused; what was sent before may
/// still be on its way.
pub fn of(command: &Command) -> Fate<'_> {
    let mut open_since = None;
    for attempt in &command.attempts {
        if attempt.purpose != Purpose::Do {
            continue;
        }
        match &attempt.answer {
            answer @ (Answer::Order(_) | Answer::Hold(_)) => {
                return Fate::Done {
                    answer,
                    from: open_since.unwrap_or(attempt.asked),
                    to: attempt.answered,
                };
            }
            Answer::Unknown(_) => open_since = open_since.or(Some(attempt.asked)),
            Answer::Refused(_) => open_since = open_since.map(|_| attempt.asked),
            Answer::Nothing(_) => {}
        }
    }
    match open_since {
        Some(from) => Fate::InDoubt { from },
        None => Fate::NotDone,
    }
}
