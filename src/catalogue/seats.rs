//! Rows of seats become tickets: pure, from the operator's short description and the seats that stand already.

use std::collections::{HashMap, HashSet};

use super::{Refusal, rules};

/// A hall's largest addition: what one call reads, checks and writes stays within seconds.
pub const SEATS_PER_CALL_MAX: usize = 100_000;

/// The largest stadium has some three thousand rows; more in one call is a mistake.
pub const ROWS_PER_CALL_MAX: usize = 10_000;

/// The largest seat number; it also bounds where a seat stands in its row.
pub const SEAT_NUMBER_MAX: i32 = 99_999;

/// Section labels are printed in one line of a ticket.
pub const SECTION_LEN_MAX: usize = 60;

/// Row and seat labels are printed side by side.
pub const LABEL_LEN_MAX: usize = 20;

/// A wrong input of 80,000 seats is not answered with 80,000 sentences.
const REFUSALS_MAX: usize = 20;

/// A row of seats, or a part of one.
#[derive(Clone, Debug)]
pub struct SeatRow {
    pub section: String,
    pub row: String,
    pub seats: Seats,
    /// Where the first of them stands in the row. None: a range's seats stand at their numbers, labelled seats after
    /// the row's last one.
    pub position: Option<i32>,
    /// The labels of those that are accessible.
    pub accessible: Vec<String>,
}

/// The seats of a row, from one end to the other.
#[derive(Clone, Debug)]
pub enum Seats {
    /// Numbered from … to, both included.
    Range { from: i32, to: i32 },
    /// Labelled, in the order in which they stand.
    Labels(Vec<String>),
}

/// Why seats are not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddSeatsCode {
    UnknownTicketType,
    EventCancelled,
    NotSeated,
    NoSeats,
    TooManySeats,
    TooManyTickets,
    InvalidLabel,
    InvalidRange,
    InvalidPosition,
    UnknownAccessibleSeat,
    SeatTwice,
    SeatExists,
    PositionTaken,
    Busy,
}

/// A seat of the event: one that stands already, or one to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlacedSeat {
    pub section: String,
    pub row: String,
    pub seat: String,
    pub row_index: i32,
    pub seat_index: i32,
    pub is_accessible: bool,
}

type Refusals = Vec<Refusal<AddSeatsCode>>;

/// Whether a section can have this label. PostgreSQL would not even take every text for a parameter.
pub(super) fn is_section(label: &str) -> bool {
    rules::line("a section", label, SECTION_LEN_MAX).is_ok()
}

/// Checks what can be checked without knowing which seats stand already. How many seats it is, if nothing is wrong.
pub(super) fn check(rows: &[SeatRow]) -> Result<usize, Refusals> {
    use AddSeatsCode as Code;
    if rows.len() > ROWS_PER_CALL_MAX {
        let text = format!("at most {ROWS_PER_CALL_MAX} rows are added at once");
        return Err(vec![Refusal::at(Code::TooManySeats, "rows", text)]);
    }
    let mut refusals = vec![];
    let mut seats_len = 0_usize;
    for (n, row) in rows.iter().enumerate() {
        check_row(n, row, &mut refusals);
        seats_len = seats_len.saturating_add(row.seats.len());
    }
    if seats_len > SEATS_PER_CALL_MAX {
        let text = format!("at most {SEATS_PER_CALL_MAX} seats are added at once");
        refusals.insert(0, Refusal::at(Code::TooManySeats, "rows", text));
    } else if seats_len == 0 && refusals.is_empty() {
        refusals.push(Refusal::at(
            Code::NoSeats,
            "rows",
            "there is no seat to add",
        ));
    }
    refusals.truncate(REFUSALS_MAX);
    if refusals.is_empty() {
        Ok(seats_len)
    } else {
        Err(refusals)
    }
}

fn check_row(n: usize, row: &SeatRow, refusals: &mut Refusals) {
    use AddSeatsCode as Code;
    let mut refuse = |code, field: &str, text: String| {
        if refusals.len() < REFUSALS_MAX {
            refusals.push(Refusal::at(code, format!("rows.{n}.{field}"), text));
        }
    };
    if let Err(text) = rules::line("a section", &row.section, SECTION_LEN_MAX) {
        refuse(Code::InvalidLabel, "section", text);
    }
    if let Err(text) = rules::line("a row", &row.row, LABEL_LEN_MAX) {
        refuse(Code::InvalidLabel, "row", text);
    }
    match &row.seats {
        Seats::Range { from, to } => {
            if *from < 1 || from > to || *to > SEAT_NUMBER_MAX {
                let text = format!("a range goes from 1 or more up to at most {SEAT_NUMBER_MAX}");
                refuse(Code::InvalidRange, "seats", text);
            }
        }
        Seats::Labels(labels) => {
            for label in labels {
                if let Err(text) = rules::line("a seat", label, LABEL_LEN_MAX) {
                    refuse(Code::InvalidLabel, "labels", text);
                }
            }
        }
    }
    if let Some(position) = row.position
        && !(1..=SEAT_NUMBER_MAX).contains(&position)
    {
        let text = format!("a position lies between 1 and {SEAT_NUMBER_MAX}");
        refuse(Code::InvalidPosition, "position", text);
    }
}

/// Gives each new seat its place, row for row in the order given: a new row stands behind its section's last one.
/// `rows` have passed [`check`]; `standing` are the event's seats in these sections.
pub(super) fn place(
    rows: &[SeatRow],
    standing: &[PlacedSeat],
) -> Result<Vec<PlacedSeat>, Refusals> {
    let mut hall = Hall::of(standing);
    let mut placed = vec![];
    let mut refusals = vec![];
    for (n, row) in rows.iter().enumerate() {
        if let Err(refusal) = place_row(n, row, &mut hall, &mut placed) {
            refusals.push(refusal);
            if refusals.len() == REFUSALS_MAX {
                break;
            }
        }
    }
    if refusals.is_empty() {
        Ok(placed)
    } else {
        Err(refusals)
    }
}

fn place_row<'a>(
    n: usize,
    row: &'a SeatRow,
    hall: &mut Hall<'a>,
    placed: &mut Vec<PlacedSeat>,
) -> Result<(), Refusal<AddSeatsCode>> {
    use AddSeatsCode as Code;
    let refuse = |code, text: String| Err(Refusal::at(code, format!("rows.{n}"), text));
    let (section, row_label) = (&row.section, &row.row);
    let line = hall.row(section, row_label);
    let first = match (row.position, &row.seats) {
        (Some(position), _) => position,
        (None, Seats::Range { from, .. }) => *from,
        (None, Seats::Labels(_)) => line.last_index + 1,
    };
    let mut accessible: HashSet<&str> = row.accessible.iter().map(String::as_str).collect();
    for (index, seat) in (first..).zip(row.seats.labels()) {
        let name = format!("seat {seat} of row {row_label} in section {section}");
        match line.seats.get(&seat) {
            Some(Origin::Standing) => return refuse(Code::SeatExists, format!("{name} exists")),
            Some(Origin::Input) => {
                return refuse(Code::SeatTwice, format!("{name} is given twice"));
            }
            None => {}
        }
        if !line.indexes.insert(index) {
            let text = format!("{name} would stand at position {index}, where another seat stands");
            return refuse(Code::PositionTaken, text);
        }
        line.last_index = line.last_index.max(index);
        line.seats.insert(seat.clone(), Origin::Input);
        placed.push(PlacedSeat {
            section: section.clone(),
            row: row_label.clone(),
            is_accessible: accessible.remove(seat.as_str()),
            seat,
            row_index: line.row_index,
            seat_index: index,
        });
    }
    match accessible.into_iter().next() {
        None => Ok(()),
        Some(label) => Err(Refusal::at(
            Code::UnknownAccessibleSeat,
            format!("rows.{n}.accessible"),
            format!("{label:?} is not one of the seats given here"),
        )),
    }
}

/// What stands where, with what this addition has placed so far.
#[derive(Default)]
struct Hall<'a> {
    rows: HashMap<(&'a str, &'a str), Line>,
    /// The last row of each section.
    last_rows: HashMap<&'a str, i32>,
}

#[derive(Default)]
struct Line {
    row_index: i32,
    last_index: i32,
    seats: HashMap<String, Origin>,
    indexes: HashSet<i32>,
}

#[derive(Clone, Copy)]
enum Origin {
    Standing,
    Input,
}

impl<'a> Hall<'a> {
    fn of(standing: &'a [PlacedSeat]) -> Self {
        let mut hall = Self::default();
        for seat in standing {
            let line = hall.rows.entry((&seat.section, &seat.row)).or_default();
            line.row_index = seat.row_index;
            line.last_index = line.last_index.max(seat.seat_index);
            line.seats.insert(seat.seat.clone(), Origin::Standing);
            line.indexes.insert(seat.seat_index);
            let last = hall.last_rows.entry(&seat.section).or_default();
            *last = (*last).max(seat.row_index);
        }
        hall
    }

    /// The row of these labels; a new one behind the section's last.
    fn row(&mut self, section: &'a str, row: &'a str) -> &mut Line {
        self.rows.entry((section, row)).or_insert_with(|| {
            let last = self.last_rows.entry(section).or_default();
            *last += 1;
            Line {
                row_index: *last,
                ..Line::default()
            }
        })
    }
}

impl Seats {
    /// How many they are; none if the range is none.
    fn len(&self) -> usize {
        match self {
            Self::Range { from, to } => {
                usize::try_from(i64::from(*to) - i64::from(*from) + 1).unwrap_or(0)
            }
            Self::Labels(labels) => labels.len(),
        }
    }

    fn labels(&self) -> Box<dyn Iterator<Item = String> + '_> {
        match self {
            Self::Range { from, to } => Box::new((*from..=*to).map(|number| number.to_string())),
            Self::Labels(labels) => Box::new(labels.iter().cloned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(section: &str, row: &str, from: i32, to: i32) -> SeatRow {
        SeatRow {
            section: section.into(),
            row: row.into(),
            seats: Seats::Range { from, to },
            position: None,
            accessible: vec![],
        }
    }

    fn labels(section: &str, row: &str, labels: &[&str]) -> SeatRow {
        SeatRow {
            seats: Seats::Labels(labels.iter().map(|&label| label.into()).collect()),
            ..range(section, row, 1, 1)
        }
    }

    fn codes<T>(result: Result<T, Refusals>) -> Vec<AddSeatsCode> {
        result
            .err()
            .unwrap_or_default()
            .iter()
            .map(|refusal| refusal.code)
            .collect()
    }

    #[test]
    fn a_range_stands_at_its_numbers_and_rows_in_the_order_given() {
        let seats = place(
            &[range("Stalls", "B", 5, 7), range("Stalls", "A", 1, 2)],
            &[],
        )
        .unwrap();
        let places: Vec<_> = seats
            .iter()
            .map(|seat| {
                (
                    seat.row.as_str(),
                    seat.seat.as_str(),
                    seat.row_index,
                    seat.seat_index,
                )
            })
            .collect();
        assert_eq!(
            places,
            [
                ("B", "5", 1, 5),
                ("B", "6", 1, 6),
                ("B", "7", 1, 7),
                ("A", "1", 2, 1),
                ("A", "2", 2, 2)
            ]
        );
    }

    #[test]
    fn labelled_seats_stand_side_by_side_in_the_order_given() {
        let rows = [
            labels("S", "A", &["1", "3", "5"]),
            labels("S", "A", &["6", "4", "2"]),
        ];
        let seats = place(&rows, &[]).unwrap();
        let places: Vec<_> = seats
            .iter()
            .map(|seat| (seat.seat.as_str(), seat.seat_index))
            .collect();
        assert_eq!(
            places,
            [("1", 1), ("3", 2), ("5", 3), ("6", 4), ("4", 5), ("2", 6)]
        );
    }

    #[test]
    fn a_row_that_stands_is_continued_and_a_new_one_stands_behind_the_last() {
        let standing = place(&[range("S", "A", 1, 3), range("S", "B", 1, 3)], &[]).unwrap();
        let rows = [
            range("S", "A", 4, 4),
            labels("S", "B", &["x"]),
            range("S", "C", 1, 1),
            range("T", "A", 1, 1),
        ];
        let seats = place(&rows, &standing).unwrap();
        let places: Vec<_> = seats
            .iter()
            .map(|seat| (seat.row_index, seat.seat_index))
            .collect();
        assert_eq!(places, [(1, 4), (2, 4), (3, 1), (1, 1)]);
    }

    #[test]
    fn a_seat_twice_or_that_stands_already_is_refused() {
        let standing = place(&[range("S", "A", 1, 3)], &[]).unwrap();
        assert_eq!(
            codes(place(&[range("S", "A", 3, 4)], &standing)),
            [AddSeatsCode::SeatExists]
        );
        assert_eq!(
            codes(place(&[range("S", "A", 1, 3), range("S", "A", 3, 4)], &[])),
            [AddSeatsCode::SeatTwice]
        );
        assert_eq!(
            codes(place(&[labels("S", "A", &["a", "a"])], &[])),
            [AddSeatsCode::SeatTwice]
        );
        // The same labels in another section are other seats.
        assert!(place(&[range("T", "A", 1, 3)], &standing).is_ok());
    }

    #[test]
    fn two_seats_cannot_stand_at_one_position() {
        let standing = place(&[labels("S", "A", &["x", "y"])], &[]).unwrap();
        assert_eq!(
            codes(place(&[range("S", "A", 1, 3)], &standing)),
            [AddSeatsCode::PositionTaken]
        );
        let moved = SeatRow {
            position: Some(3),
            ..range("S", "A", 1, 3)
        };
        assert_eq!(place(&[moved], &standing).unwrap()[0].seat_index, 3);
    }

    #[test]
    fn accessible_seats_are_marked_and_must_be_among_those_given() {
        let row = SeatRow {
            accessible: vec!["2".into()],
            ..range("S", "A", 1, 3)
        };
        let seats = place(&[row], &[]).unwrap();
        assert_eq!(
            seats
                .iter()
                .map(|seat| seat.is_accessible)
                .collect::<Vec<_>>(),
            [false, true, false]
        );
        let row = SeatRow {
            accessible: vec!["9".into()],
            ..range("S", "A", 1, 3)
        };
        assert_eq!(
            codes(place(&[row], &[])),
            [AddSeatsCode::UnknownAccessibleSeat]
        );
    }

    #[test]
    fn what_is_no_row_is_refused_before_anything_is_expanded() {
        use AddSeatsCode::{InvalidLabel, InvalidPosition, InvalidRange, NoSeats, TooManySeats};
        assert_eq!(codes(check(&[])), [NoSeats]);
        assert_eq!(codes(check(&[labels("S", "A", &[])])), [NoSeats]);
        assert_eq!(codes(check(&[range("", "A", 1, 2)])), [InvalidLabel]);
        assert_eq!(codes(check(&[labels("S", "A", &[" 1"])])), [InvalidLabel]);
        for (from, to) in [
            (0, 1),
            (2, 1),
            (-5, 5),
            (1, SEAT_NUMBER_MAX + 1),
            (i32::MAX, i32::MIN),
        ] {
            assert_eq!(
                codes(check(&[range("S", "A", from, to)])),
                [InvalidRange],
                "{from} {to}"
            );
        }
        assert_eq!(
            codes(check(&[range("S", "A", i32::MIN, i32::MAX)])),
            [TooManySeats, InvalidRange]
        );
        let row = SeatRow {
            position: Some(0),
            ..range("S", "A", 1, 2)
        };
        assert_eq!(codes(check(&[row])), [InvalidPosition]);
        let many: Vec<_> = (0..100).map(|n| range("S", &n.to_string(), 0, 1)).collect();
        assert_eq!(codes(check(&many)).len(), REFUSALS_MAX);
    }

    #[test]
    fn a_hall_of_eighty_thousand_seats_is_a_few_rows_of_input() {
        let rows: Vec<_> = (1..=400)
            .map(|n| range("Arena", &n.to_string(), 1, 200))
            .collect();
        assert_eq!(check(&rows), Ok(80_000));
        assert_eq!(place(&rows, &[]).unwrap().len(), 80_000);
    }
}
