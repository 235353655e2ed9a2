//! Seats that are offered instead of those that a buyer did not get: as near as there are, side by side, at the same
//! price.
//!
//! An offer, not a promise: nothing is locked, and somebody else may be quicker. It is read only for who asks, and never
//! more than a few rows around the wanted seats, since in a burst most buyers are refused and all of them may ask.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait,
    Statement,
};

use super::tickets::{self, Row, Ticket};
use crate::{
    entity::{
        event,
        ticket::{Column, Entity, Status},
        ticket_import::IS_SHOWN_SQLITE,
    },
    fault::{Fault, Step},
    ids::{EventId, TicketId, TicketTypeId},
    store::{
        Store,
        bulk::{Kind, rows_source},
        dialect::{clock, is_one_of},
    },
};

/// How many rows in front of a wanted seat, and how many behind it, are looked at.
const ROWS_AROUND: i32 = 5;

/// How many seats on either side of the wanted ones are looked at in each row.
const SEATS_AROUND: i32 = 60;

/// The longest part of a row that is looked at, however far apart the wanted seats are.
const ROW_PART_LEN_MAX: i32 = 400;

/// Around how many rows with wanted seats; an order that is spread over more is looked at in part.
const WANTED_ROWS_MAX: usize = 8;

/// How many seats are read at most, the rows that are nearest first.
const CANDIDATES_MAX: i64 = 5_000;

/// Up to `groups_max` groups of available seats to take instead of `wanted`, the seats of one refused order. A group
/// replaces all seats of one ticket type that has a seat which cannot be had; if by now all can be had, they are offered
/// themselves. None for general admission, or when so many seats are not left nearby, or the event is not public.
pub async fn alternatives(
    store: &Store,
    event_id: EventId,
    wanted: &[TicketId],
    groups_max: usize,
) -> Result<Vec<Vec<Ticket>>, Fault> {
    let wanted = wanted_seats(store, event_id, wanted).await?;
    if wanted.is_empty() {
        return Ok(vec![]);
    }
    let mut available = HashMap::<TicketTypeId, (Vec<Spot>, Vec<Ticket>)>::new();
    for row in around(store, event_id, &wanted).await? {
        let Some(spot) = Spot::of(&row) else { continue };
        let ticket = row.into_ticket();
        let (spots, tickets) = available.entry(ticket.ticket_type_id).or_default();
        spots.push(spot);
        tickets.push(ticket);
    }
    let of_each_type = groups_max.div_ceil(wanted.len());
    let mut offered = vec![];
    for (ticket_type_id, wanted) in &wanted {
        let Some((spots, tickets)) = available.get(ticket_type_id) else {
            continue;
        };
        let len_max = of_each_type.min(groups_max - offered.len());
        for group in groups(spots, wanted, wanted.len(), len_max) {
            offered.push(group.into_iter().map(|n| tickets[n].clone()).collect());
        }
    }
    Ok(offered)
}

/// The wanted seats of each ticket type that not all can be had of; of all types if by now all can.
async fn wanted_seats(
    store: &Store,
    event_id: EventId,
    wanted: &[TicketId],
) -> Result<BTreeMap<TicketTypeId, Vec<Spot>>, Fault> {
    let backend = store.backend();
    let public = event::Entity::find_by_id(event_id)
        .select_only()
        .column(event::Column::Id)
        .filter(event::Column::Status.eq(event::Status::Published))
        .into_query();
    let rows = tickets::public(backend)
        .filter(Column::EventId.eq(event_id))
        .filter(Column::EventId.in_subquery(public))
        .filter(is_one_of(
            backend,
            (Entity, Column::Id),
            wanted.iter().map(|id| id.0),
        ))
        .into_model::<Row>()
        .all(store.reader())
        .await
        .step("reading the seats that alternatives are wanted for")?;
    let mut seats = BTreeMap::<_, Vec<_>>::new();
    let mut conflicts = BTreeSet::new();
    for row in rows {
        let Some(spot) = Spot::of(&row) else { continue };
        let ticket = row.into_ticket();
        if ticket.status != Status::Available {
            conflicts.insert(ticket.ticket_type_id);
        }
        seats.entry(ticket.ticket_type_id).or_default().push(spot);
    }
    if !conflicts.is_empty() {
        seats.retain(|ticket_type_id, _| conflicts.contains(ticket_type_id));
    }
    Ok(seats)
}

/// The available seats around the wanted ones, of their types.
async fn around(
    store: &Store,
    event_id: EventId,
    wanted: &BTreeMap<TicketTypeId, Vec<Spot>>,
) -> Result<Vec<Row>, Fault> {
    let backend = store.backend();
    let kinds = [
        Kind::Uuid,
        Kind::Text,
        Kind::Integer,
        Kind::Integer,
        Kind::Integer,
        Kind::Integer,
    ];
    let near = wanted
        .iter()
        .flat_map(|(ticket_type_id, wanted)| {
            near_rows(wanted).into_iter().map(|near| {
                vec![
                    ticket_type_id.0.into(),
                    near.section.into(),
                    near.row.into(),
                    near.seat_from.into(),
                    near.seat_to.into(),
                    near.distance.into(),
                ]
            })
        })
        .collect();
    let (source, mut values) = rows_source(backend, &kinds, near);
    // Holds that have ended: the statement's time can be looked up in the index of holds, and an offer need not be exact.
    let (event, len_max, now) = match backend {
        DbBackend::Postgres => ("$7", "$8", "statement_timestamp()"),
        _ => ("?2", "?3", clock(backend)),
    };
    let of_near = "tickets.ticket_type_id = near.ticket_type_id AND tickets.section = near.section
        AND tickets.row_index = near.row_index AND tickets.seat_index BETWEEN near.seat_from AND near.seat_to";
    let columns = "tickets.event_id, tickets.id, tickets.ticket_type_id, 'AVAILABLE' AS status, tickets.held_until,
        CAST(NULL AS TEXT) AS block_reason, tickets.section, tickets.row_label, tickets.seat_label, tickets.row_index,
        tickets.seat_index, tickets.is_accessible";
    let free = "tickets.status = 'AVAILABLE' AND tickets.section IS NOT NULL";
    let free_again = format!("tickets.status = 'HELD' AND tickets.held_until <= {now}");
    let in_rows = |is_free: &str| {
        let of_event = format!("tickets.event_id = {event} AND {of_near} AND {is_free}");
        match backend {
            // The limit bounds nothing, but makes the planner look up each row in the index. Without it, it would walk
            // through a hall that was added a moment ago, and of which it has no statistics, from end to end.
            DbBackend::Postgres => format!(
                "SELECT seats.*, near.distance FROM near CROSS JOIN LATERAL (
                    SELECT {columns} FROM tickets WHERE {of_event} LIMIT {ROW_PART_LEN_MAX} + 1
                ) AS seats"
            ),
            _ => format!(
                "SELECT {columns}, near.distance FROM near CROSS JOIN tickets
                WHERE {of_event} AND {IS_SHOWN_SQLITE}"
            ),
        }
    };
    // Two statements in one: no index serves "available, or held until a time past" at once.
    let sql = format!(
        "WITH near (ticket_type_id, section, row_index, seat_from, seat_to, distance) AS ({source})
        SELECT * FROM ({} UNION ALL {}) AS candidates ORDER BY distance LIMIT {len_max}",
        in_rows(free),
        in_rows(&free_again),
    );
    values.extend([event_id.0.into(), CANDIDATES_MAX.into()]);
    Row::find_by_statement(Statement::from_sql_and_values(backend, sql, values))
        .all(store.reader())
        .await
        .step("reading alternatives")
}

/// Where a seat stands: rows and seats in a row are numbered in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spot {
    section: String,
    row: i32,
    seat: i32,
}

impl Spot {
    fn of(ticket: &Row) -> Option<Self> {
        let (section, row, seat) = ticket.place()?;
        Some(Self {
            section: section.to_owned(),
            row,
            seat,
        })
    }
}

/// A part of a row that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NearRow {
    section: String,
    row: i32,
    seat_from: i32,
    seat_to: i32,
    /// In rows, from the nearest row with a wanted seat.
    distance: i32,
}

/// First and last wanted seat of each row.
type WantedRows<'a> = BTreeMap<(&'a str, i32), (i32, i32)>;

fn wanted_rows(wanted: &[Spot]) -> WantedRows<'_> {
    let mut rows = WantedRows::new();
    for spot in wanted {
        let ends = rows
            .entry((&spot.section, spot.row))
            .or_insert((spot.seat, spot.seat));
        *ends = (ends.0.min(spot.seat), ends.1.max(spot.seat));
    }
    rows
}

fn near_rows(wanted: &[Spot]) -> Vec<NearRow> {
    let mut near = BTreeMap::<(&str, i32), NearRow>::new();
    for ((section, row), (first, last)) in wanted_rows(wanted).into_iter().take(WANTED_ROWS_MAX) {
        for distance in -ROWS_AROUND..=ROWS_AROUND {
            let row = row.saturating_add(distance);
            let seat_from = first.saturating_sub(SEATS_AROUND);
            let part = NearRow {
                section: section.to_owned(),
                row,
                seat_from,
                seat_to: last
                    .saturating_add(SEATS_AROUND)
                    .min(seat_from.saturating_add(ROW_PART_LEN_MAX)),
                distance: distance.abs(),
            };
            near.entry((section, row))
                .and_modify(|known| {
                    // Each part once, and a seat in it once: the one that is nearer.
                    if part.distance < known.distance {
                        *known = part.clone();
                    }
                })
                .or_insert(part);
        }
    }
    near.into_values().collect()
}

/// How far a group is from the wanted seats: in rows first, then along the row, in half seats from middle to middle.
type Distance = (u32, u32);

/// Up to `groups_max` groups of `len` of the available seats, as their indexes: side by side in one row, the nearest to the
/// wanted seats first, none in two groups. If nowhere so many are side by side, the nearest single seats.
fn groups(available: &[Spot], wanted: &[Spot], len: usize, groups_max: usize) -> Vec<Vec<usize>> {
    if len == 0 || groups_max == 0 {
        return vec![];
    }
    let wanted = wanted_rows(wanted);
    let mut rows = BTreeMap::<(&str, i32), Vec<usize>>::new();
    for (n, spot) in available.iter().enumerate() {
        rows.entry((&spot.section, spot.row)).or_default().push(n);
    }
    let mut windows: Vec<(Distance, (&str, i32), &[usize])> = vec![];
    for seats in rows.values_mut() {
        seats.sort_unstable_by_key(|n| available[*n].seat);
    }
    for (row, seats) in &rows {
        let runs =
            seats.chunk_by(|a, b| available[*a].seat.checked_add(1) == Some(available[*b].seat));
        for window in runs.flat_map(|run| run.windows(len)) {
            if let Some(distance) = distance(&wanted, *row, ends(available, window)) {
                windows.push((distance, *row, window));
            }
        }
    }
    windows.sort_by_key(|(distance, row, window)| (*distance, *row, available[window[0]].seat));
    let mut taken = HashSet::<usize>::new();
    let mut chosen: Vec<Vec<usize>> = vec![];
    for (_, _, window) in windows {
        if chosen.len() == groups_max {
            break;
        }
        if window.iter().all(|n| !taken.contains(n)) {
            taken.extend(window);
            chosen.push(window.to_vec());
        }
    }
    if chosen.is_empty() {
        chosen = singles(available, &wanted, len, groups_max);
    }
    chosen
}

/// The nearest seats, wherever each stands.
fn singles(
    available: &[Spot],
    wanted: &WantedRows<'_>,
    len: usize,
    groups_max: usize,
) -> Vec<Vec<usize>> {
    let mut seats: Vec<_> = available
        .iter()
        .enumerate()
        .filter_map(|(n, spot)| {
            let row = (spot.section.as_str(), spot.row);
            Some((
                distance(wanted, row, (spot.seat, spot.seat))?,
                row,
                spot.seat,
                n,
            ))
        })
        .collect();
    seats.sort_unstable();
    let seats: Vec<usize> = seats.into_iter().map(|(.., n)| n).collect();
    seats
        .chunks_exact(len)
        .take(groups_max)
        .map(<[usize]>::to_vec)
        .collect()
}

fn ends(available: &[Spot], window: &[usize]) -> (i32, i32) {
    let seat = |n: Option<&usize>| n.map_or(0, |n| available[*n].seat);
    (seat(window.first()), seat(window.last()))
}

/// None in a section where no seat is wanted.
fn distance(
    wanted: &WantedRows<'_>,
    (section, row): (&str, i32),
    (first, last): (i32, i32),
) -> Option<Distance> {
    wanted
        .range((section, i32::MIN)..=(section, i32::MAX))
        .map(|((_, wanted_row), (from, to))| {
            let along = i64::from(first) + i64::from(last) - i64::from(*from) - i64::from(*to);
            let along = u32::try_from(along.unsigned_abs()).unwrap_or(u32::MAX);
            (row.abs_diff(*wanted_row), along)
        })
        .min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spot(section: &str, row: i32, seat: i32) -> Spot {
        Spot {
            section: section.into(),
            row,
            seat,
        }
    }

    fn row_of(row: i32, seats: impl IntoIterator<Item = i32>) -> Vec<Spot> {
        seats.into_iter().map(|seat| spot("S", row, seat)).collect()
    }

    /// Row and seats of each group.
    fn offered(available: &[Spot], wanted: &[Spot], groups_max: usize) -> Vec<Vec<(i32, i32)>> {
        groups(available, wanted, wanted.len(), groups_max)
            .into_iter()
            .map(|group| {
                group
                    .into_iter()
                    .map(|n| (available[n].row, available[n].seat))
                    .collect()
            })
            .collect()
    }

    #[test]
    fn seats_side_by_side_in_the_same_row_come_first_and_the_nearest_of_them() {
        let wanted = row_of(5, [10, 11]);
        let available = [row_of(5, [1, 2, 3, 11, 12, 13, 20]), row_of(4, [10, 11])].concat();
        assert_eq!(
            offered(&available, &wanted, 3),
            [[(5, 11), (5, 12)], [(5, 2), (5, 3)], [(4, 10), (4, 11)]]
        );
    }

    #[test]
    fn other_rows_follow_by_their_distance_and_other_sections_never() {
        let wanted = row_of(5, [10]);
        let available = [
            row_of(8, [10]),
            row_of(6, [50]),
            row_of(4, [12]),
            vec![spot("T", 5, 10)],
        ]
        .concat();
        assert_eq!(
            offered(&available, &wanted, 9),
            [[(4, 12)], [(6, 50)], [(8, 10)]]
        );
    }

    #[test]
    fn an_aisle_parts_neighbours() {
        let wanted = row_of(1, [5, 6, 7]);
        let available = row_of(1, [1, 2, 4, 5, 6, 8, 9, 10]);
        assert_eq!(
            offered(&available, &wanted, 9),
            [[(1, 4), (1, 5), (1, 6)], [(1, 8), (1, 9), (1, 10)]]
        );
    }

    #[test]
    fn where_nothing_is_side_by_side_the_nearest_single_seats_are_offered() {
        let wanted = row_of(3, [10, 11]);
        let available = [row_of(3, [8, 14, 30]), row_of(2, [10]), row_of(4, [1])].concat();
        assert_eq!(
            offered(&available, &wanted, 2),
            [[(3, 8), (3, 14)], [(3, 30), (2, 10)]]
        );
        // Fewer than wanted are no alternative.
        assert_eq!(offered(&available[..1], &wanted, 2), Vec::<Vec<_>>::new());
    }

    #[test]
    fn seats_wanted_in_two_rows_are_near_in_both() {
        let wanted = [row_of(1, [5]), row_of(9, [5])].concat();
        let available = [row_of(5, [5, 6]), row_of(9, [1, 2]), row_of(2, [5, 6])].concat();
        assert_eq!(
            offered(&available, &wanted, 9),
            [[(9, 1), (9, 2)], [(2, 5), (2, 6)], [(5, 5), (5, 6)]]
        );
    }

    #[test]
    fn only_a_bounded_part_of_the_hall_is_looked_at() {
        let wanted: Vec<Spot> = (1..=1_000).map(|n| spot("S", n * 20, n * 99)).collect();
        let near = near_rows(&wanted);
        assert_eq!(near.len(), WANTED_ROWS_MAX * 11);
        assert!(near.iter().all(|part| part.distance <= ROWS_AROUND));
        let apart = [row_of(1, [1, 99_999]), row_of(2, [i32::MAX, i32::MIN])].concat();
        for part in near_rows(&apart) {
            assert!(part.seat_to.abs_diff(part.seat_from) <= ROW_PART_LEN_MAX.unsigned_abs());
        }
        // Two rows near each other share what lies between them.
        let near = near_rows(&[row_of(1, [5]), row_of(2, [5])].concat());
        assert_eq!(near.len(), 12);
    }

    proptest! {
        #[test]
        fn groups_are_whole_available_disjoint_and_the_nearest_first(
            seats in prop::collection::btree_set((0..3_i32, 0..4_i32, 0..12_i32), 0..60),
            wanted in prop::collection::btree_set((0..3_i32, 0..4_i32, 0..12_i32), 1..5),
            groups_max in 0..6_usize,
        ) {
            let spots = |all: BTreeSet<(i32, i32, i32)>| -> Vec<Spot> {
                all.into_iter().map(|(section, row, seat)| spot(&section.to_string(), row, seat)).collect()
            };
            let (available, wanted) = (spots(seats), spots(wanted));
            let len = wanted.len();
            let groups = groups(&available, &wanted, len, groups_max);
            prop_assert!(groups.len() <= groups_max);
            let all: Vec<usize> = groups.iter().flatten().copied().collect();
            prop_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            let is_adjacent = |group: &[usize]| group.windows(2).all(|pair| {
                let (a, b) = (&available[pair[0]], &available[pair[1]]);
                (&a.section, a.row, a.seat + 1) == (&b.section, b.row, b.seat)
            });
            let rows = wanted_rows(&wanted);
            let distances: Vec<_> = groups.iter().map(|group| {
                assert_eq!(group.len(), len);
                let first = &available[group[0]];
                distance(&rows, (&first.section, first.row), ends(&available, group)).unwrap()
            }).collect();
            if groups.iter().all(|group| is_adjacent(group)) {
                prop_assert!(distances.is_sorted());
            } else {
                // Then nowhere in the wanted sections are so many side by side.
                prop_assert!(!groups.iter().any(|group| is_adjacent(group)) || len == 1);
                for spot in &available {
                    let run = (0..i32::try_from(len).unwrap()).all(|n| available.iter().any(|other| {
                        (&other.section, other.row, other.seat) == (&spot.section, spot.row, spot.seat + n)
                    }));
                    prop_assert!(!run || !wanted.iter().any(|wanted| wanted.section == spot.section));
                }
            }
        }
    }
}
