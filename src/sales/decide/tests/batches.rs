//! Random batches of purchases, with some rows locked by others, against a model.

use proptest::prelude::*;

use super::*;

/// What a random ticket is like: its type, its status, the end of its hold, and whether its row is locked here.
#[derive(Clone, Debug)]
struct Seat {
    ticket_type_id: TicketTypeId,
    status: ticket::Status,
    held_until: i64,
    is_locked: bool,
}

const SEATS: usize = 6;

fn seats() -> impl Strategy<Value = Vec<Seat>> {
    let status = prop_oneof![
        4 => Just(ticket::Status::Available),
        1 => Just(ticket::Status::Held),
        1 => Just(ticket::Status::Sold),
        1 => Just(ticket::Status::Blocked),
    ];
    let seat = (
        prop::bool::ANY,
        status,
        148i64..153,
        prop::bool::weighted(0.8),
    )
        .prop_map(|(is_stalls, status, held_until, is_locked)| Seat {
            ticket_type_id: if is_stalls { STALLS } else { CIRCLE },
            status,
            held_until,
            is_locked,
        });
    prop::collection::vec(seat, SEATS)
}

fn commands() -> impl Strategy<Value = Vec<(CustomerId, Command)>> {
    let named = prop::collection::btree_set(0..=SEATS as u128, 1..4)
        .prop_map(|numbers| Want::Tickets(numbers.into_iter().map(ticket).collect()));
    let any = (prop::bool::ANY, 1..4usize).prop_map(|(is_stalls, quantity)| Want::AnyOf {
        ticket_type_id: if is_stalls { STALLS } else { CIRCLE },
        quantity,
    });
    let total = prop_oneof![4 => Just(None), 1 => Just(Some("12.50")), 1 => Just(Some("9.00"))];
    let command = (prop::bool::ANY, 0..5u8, prop_oneof![named, any], total).prop_map(
        |(is_ada, key, want, total)| {
            let customer = if is_ada { ADA } else { BOB };
            (customer, command(EVENT, &format!("key {key}"), want, total))
        },
    );
    prop::collection::vec(command, 1..10)
}

fn facts_of(seats: &[Seat]) -> Facts {
    let mut facts = facts();
    for (number, seat) in (0..).zip(seats) {
        let id = ticket(number);
        if seat.is_locked {
            let held_until = (seat.status == ticket::Status::Held).then_some(seat.held_until);
            add(&mut facts, id, seat.ticket_type_id, seat.status, held_until);
            facts
                .picks
                .entry((EVENT, seat.ticket_type_id))
                .or_default()
                .tickets
                .push(id);
        } else {
            let is_sold = seat.status == ticket::Status::Sold;
            let standing = if is_sold {
                Unlocked::Sold
            } else {
                Unlocked::Undecided
            };
            facts.unlocked.insert((EVENT, id), standing);
            if seat.status == ticket::Status::Available {
                facts
                    .picks
                    .entry((EVENT, seat.ticket_type_id))
                    .or_default()
                    .contested
                    .push(id);
            }
        }
    }
    facts
}

/// The rules once more, as plainly as they can be said: who owns what, and which keys did something.
struct Model<'a> {
    seats: &'a [Seat],
    owners: HashMap<TicketId, OrderId>,
    keys: HashMap<(CustomerId, String), ([u8; 32], OrderId)>,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Sold { quantity: usize },
    Repeated(OrderId),
    Refused,
    Undecided,
}

impl Model<'_> {
    fn is_free(&self, number: usize) -> bool {
        let seat = &self.seats[number];
        let is_open = match seat.status {
            ticket::Status::Available => true,
            ticket::Status::Held => seat.held_until <= 150,
            ticket::Status::Sold | ticket::Status::Blocked => false,
        };
        seat.is_locked && is_open && !self.owners.contains_key(&ticket(number as u128))
    }

    fn expect(&self, customer: CustomerId, command: &Command) -> Expected {
        if let Some((fingerprint, order)) =
            self.keys.get(&(customer, command.key.as_str().to_owned()))
        {
            let is_same = *fingerprint == command.fingerprint();
            return if is_same {
                Expected::Repeated(*order)
            } else {
                Expected::Refused
            };
        }
        let (quantity, price_minor) = match command.want().unwrap() {
            Want::Tickets(ids) => {
                let numbers: Vec<usize> = ids
                    .iter()
                    .map(|id| (id.0.as_u128() - 0x100) as usize)
                    .collect();
                let is_hopeless = |&number: &usize| {
                    let Some(seat) = self.seats.get(number) else {
                        return true;
                    };
                    if seat.is_locked {
                        !self.is_free(number)
                    } else {
                        seat.status == ticket::Status::Sold
                    }
                };
                if numbers.iter().any(is_hopeless) {
                    return Expected::Refused;
                }
                if numbers.iter().any(|&number| !self.seats[number].is_locked) {
                    return Expected::Undecided;
                }
                (
                    ids.len(),
                    numbers
                        .iter()
                        .map(|&number| price(self.seats[number].ticket_type_id))
                        .sum(),
                )
            }
            Want::AnyOf {
                ticket_type_id,
                quantity,
            } => {
                let of_type =
                    |number: &usize| self.seats[*number].ticket_type_id == *ticket_type_id;
                let free = (0..SEATS)
                    .filter(of_type)
                    .filter(|&number| self.is_free(number))
                    .count();
                let contested = self.seats.iter().filter(|seat| {
                    seat.ticket_type_id == *ticket_type_id
                        && !seat.is_locked
                        && seat.status == ticket::Status::Available
                });
                if free + contested.count() < *quantity {
                    return Expected::Refused;
                }
                if free < *quantity {
                    return Expected::Undecided;
                }
                (
                    *quantity,
                    price(*ticket_type_id) * i64::try_from(*quantity).unwrap(),
                )
            }
        };
        let Action::Purchase { expected_total, .. } = &command.action else {
            unreachable!()
        };
        match expected_total {
            Some(total) if *total != rust_decimal::Decimal::new(price_minor, 2) => {
                Expected::Refused
            }
            _ => Expected::Sold { quantity },
        }
    }
}

fn price(ticket_type_id: TicketTypeId) -> i64 {
    if ticket_type_id == STALLS {
        STALLS_PRICE
    } else {
        CIRCLE_PRICE
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_batch_is_decided_as_the_model_says(seats in seats(), commands in commands()) {
        let facts = facts_of(&seats);
        let decisions = decide_all(&facts, &commands);
        prop_assert_eq!(decisions.len(), commands.len());
        let mut model = Model { seats: &seats, owners: HashMap::new(), keys: HashMap::new() };
        for ((customer, command), decision) in commands.iter().zip(&decisions) {
            let is_expected = match (model.expect(*customer, command), decision) {
                (Expected::Sold { quantity }, Decision::Done(Done::Order(placed))) => placed.items.len() == quantity,
                (Expected::Repeated(expected), Decision::Repeated(bound)) => Bound::Order(expected) == *bound,
                (Expected::Refused, Decision::Refused(refusals)) => !refusals.is_empty(),
                (Expected::Undecided, Decision::Undecided(_)) => true,
                _ => false,
            };
            prop_assert!(is_expected, "{:?} became {:?}, expected {:?}", command, decision, model.expect(*customer, command));
            if let Decision::Done(Done::Order(placed)) = decision {
                let sum: i64 = placed.items.iter().map(|item| item.unit_price_minor).sum();
                prop_assert_eq!(placed.order.total_minor, sum);
                for item in &placed.items {
                    let number = (item.ticket_id.0.as_u128() - 0x100) as usize;
                    prop_assert!(model.is_free(number), "{number} was not free");
                    prop_assert_eq!(item.unit_price_minor, price(seats[number].ticket_type_id));
                    model.owners.insert(item.ticket_id, placed.order.id);
                }
                let key = (*customer, command.key.as_str().to_owned());
                model.keys.insert(key, (command.fingerprint(), placed.order.id));
            }
        }
    }

    /// A refusal must not roll back its neighbours, nor help them.
    #[test]
    fn who_gets_nothing_changes_nothing(seats in seats(), commands in commands()) {
        let facts = facts_of(&seats);
        let decisions = decide_all(&facts, &commands);
        let (kept, expected): (Vec<_>, Vec<_>) = commands
            .iter()
            .cloned()
            .zip(decisions)
            .filter(|(_, decision)| matches!(decision, Decision::Done(_)))
            .unzip();
        let again = decide_all(&facts, &kept);
        let tickets = |decisions: &[Decision]| decisions.iter().map(tickets_of).collect::<Vec<_>>();
        prop_assert_eq!(tickets(&again), tickets(&expected));
    }
}
