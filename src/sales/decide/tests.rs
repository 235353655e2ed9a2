//! The rules, one claim a test; random batches, and random histories of batches, against models that know nothing but the
//! words of the rules.

mod batches;
mod cancellations;
mod histories;
mod holds;

use std::collections::HashMap;

use uuid::Uuid;

use super::*;
use crate::{
    auth::Account,
    entity::ticket,
    ids::TicketTypeId,
    money::Currency,
    sales::command::{Purchase, TICKETS_PER_ORDER_MAX},
};

const EVENT: EventId = EventId(Uuid::from_u128(0xe));
const OTHER_EVENT: EventId = EventId(Uuid::from_u128(0xf));
const STALLS: TicketTypeId = TicketTypeId(Uuid::from_u128(0x1));
const CIRCLE: TicketTypeId = TicketTypeId(Uuid::from_u128(0x2));
const ADA: CustomerId = CustomerId(Uuid::from_u128(0xa));
const BOB: CustomerId = CustomerId(Uuid::from_u128(0xb));
/// Whose it is, nobody here knows.
const OTHERS_HOLD: HoldId = HoldId(Uuid::from_u128(0xbad));
const STALLS_PRICE: i64 = 1_250;
const CIRCLE_PRICE: i64 = 900;

fn at(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(secs, 0).unwrap()
}

fn ticket(number: u128) -> TicketId {
    TicketId(Uuid::from_u128(0x100 + number))
}

/// On sale from 100 to 200, at most four tickets an order; it is 150 now.
fn facts() -> Facts {
    let event = EventFacts {
        status: event::Status::Published,
        currency: Currency::EUR,
        sales_open_at: at(100),
        sales_close_at: at(200),
        tickets_per_order_max: 4,
        tickets_per_customer_max: None,
        held_per_customer_max: 10,
        hold_secs: 10,
        hold_secs_max: 25,
        cancellable_until: None,
    };
    Facts {
        now: at(150),
        events: HashMap::from([(EVENT, event)]),
        ticket_types: HashMap::from([
            (
                (EVENT, STALLS),
                TypeFacts {
                    name: "Stalls".into(),
                    price_minor: STALLS_PRICE,
                },
            ),
            (
                (EVENT, CIRCLE),
                TypeFacts {
                    name: "Circle".into(),
                    price_minor: CIRCLE_PRICE,
                },
            ),
        ]),
        ..Facts::default()
    }
}

fn add(
    facts: &mut Facts,
    id: TicketId,
    ticket_type_id: TicketTypeId,
    status: ticket::Status,
    held_until: Option<i64>,
) {
    let seat_label = Some(format!("seat {id}"));
    let ticket = TicketFacts {
        ticket_type_id,
        status,
        held: held_until.map(|until| (OTHERS_HOLD, at(until))),
        seat_label,
    };
    facts.locked.insert((EVENT, id), ticket);
}

fn available(numbers: impl IntoIterator<Item = u128>) -> Facts {
    let mut facts = facts();
    for number in numbers {
        add(
            &mut facts,
            ticket(number),
            STALLS,
            ticket::Status::Available,
            None,
        );
    }
    facts
}

fn command(event_id: EventId, key: &str, want: Want, total: Option<&str>) -> Command {
    let buyer = Account {
        issuer: "i".into(),
        subject: "s".into(),
    };
    let action = Action::Purchase {
        kind: Purchase::Tickets,
        want,
        expected_total: total.map(|t| t.parse().unwrap()),
    };
    Command::new(event_id, buyer, key, action).unwrap()
}

fn these(key: &str, numbers: &[u128]) -> Command {
    command(
        EVENT,
        key,
        Want::Tickets(numbers.iter().map(|n| ticket(*n)).collect()),
        None,
    )
}

fn any_of(key: &str, ticket_type_id: TicketTypeId, quantity: usize) -> Command {
    command(
        EVENT,
        key,
        Want::AnyOf {
            ticket_type_id,
            quantity,
        },
        None,
    )
}

fn decide_all(facts: &Facts, commands: &[(CustomerId, Command)]) -> Vec<Decision> {
    decide_with_changes(facts, commands).0
}

fn decide_with_changes(
    facts: &Facts,
    commands: &[(CustomerId, Command)],
) -> (Vec<Decision>, Changes) {
    let minted: Vec<Minted> = commands
        .iter()
        .map(|(_, command)| Minted::new(command.tickets_len().max(8)))
        .collect();
    let requests: Vec<Request<'_>> = commands
        .iter()
        .map(|(customer_id, command)| Request {
            command,
            customer_id: *customer_id,
            staff_id: None,
        })
        .collect();
    decide(facts, &requests, &minted)
}

fn decide_single(facts: &Facts, command: Command) -> Decision {
    decide_all(facts, &[(ADA, command)]).remove(0)
}

fn refusal(decision: Decision) -> Refusal {
    match decision {
        Decision::Refused(mut refusals) if refusals.len() == 1 => refusals.remove(0),
        other => panic!("not refused for one reason: {other:?}"),
    }
}

fn tickets_of(decision: &Decision) -> Vec<TicketId> {
    match decision {
        Decision::Done(Done::Order(placed)) => {
            placed.items.iter().map(|item| item.ticket_id).collect()
        }
        Decision::Done(Done::Hold(held)) => held.tickets.clone(),
        Decision::Repeated(_) | Decision::Refused(_) | Decision::Undecided(_) => vec![],
    }
}

#[test]
fn the_first_in_line_gets_the_seat() {
    let decisions = decide_all(
        &available([1]),
        &[(ADA, these("a", &[1])), (BOB, these("b", &[1]))],
    );
    assert_eq!(tickets_of(&decisions[0]), [ticket(1)]);
    assert_eq!(
        decisions[1],
        Decision::Refused(vec![Refusal::AlreadySold(ticket(1))])
    );
}

#[test]
fn an_order_is_all_or_nothing() {
    let mut facts = available([1, 2]);
    add(&mut facts, ticket(3), STALLS, ticket::Status::Sold, None);
    let decisions = decide_all(
        &facts,
        &[(ADA, these("a", &[1, 3])), (BOB, these("b", &[1, 2]))],
    );
    assert_eq!(
        decisions[0],
        Decision::Refused(vec![Refusal::AlreadySold(ticket(3))])
    );
    assert_eq!(tickets_of(&decisions[1]), [ticket(1), ticket(2)]);
}

#[test]
fn a_hold_ends_exactly_when_it_says() {
    let mut facts = facts();
    add(
        &mut facts,
        ticket(1),
        STALLS,
        ticket::Status::Held,
        Some(151),
    );
    assert_eq!(
        refusal(decide_single(&facts, these("a", &[1]))),
        Refusal::Held {
            ticket: ticket(1),
            until: at(151)
        }
    );
    facts.now = at(151);
    assert_eq!(
        tickets_of(&decide_single(&facts, these("a", &[1]))),
        [ticket(1)]
    );
}

#[test]
fn the_sale_opens_and_closes_exactly_when_it_says() {
    let mut facts = available([1]);
    for (now, expected) in [
        (99, Some(Refusal::NotOnSaleYet { opens_at: at(100) })),
        (100, None),
        (199, None),
        (200, Some(Refusal::SaleOver { closed_at: at(200) })),
    ] {
        facts.now = at(now);
        let decision = decide_single(&facts, these("a", &[1]));
        match expected {
            Some(expected) => assert_eq!(refusal(decision), expected),
            None => assert_eq!(tickets_of(&decision), [ticket(1)]),
        }
    }
}

#[test]
fn drafts_and_events_that_are_not_there_look_the_same() {
    let mut facts = available([1]);
    let elsewhere = command(OTHER_EVENT, "a", Want::Tickets(vec![ticket(1)]), None);
    assert_eq!(
        refusal(decide_single(&facts, elsewhere)),
        Refusal::UnknownEvent
    );
    facts.events.get_mut(&EVENT).unwrap().status = event::Status::Draft;
    assert_eq!(
        refusal(decide_single(&facts, these("a", &[1]))),
        Refusal::UnknownEvent
    );
    facts.events.get_mut(&EVENT).unwrap().status = event::Status::Cancelled;
    assert_eq!(
        refusal(decide_single(&facts, these("a", &[1]))),
        Refusal::EventCancelled
    );
}

#[test]
fn a_repeat_gets_its_order_even_when_the_sale_is_over() {
    let mut facts = available([1]);
    let first = these("a", &[1]);
    let order_id = OrderId::mint();
    let bound = KeyFacts {
        fingerprint: first.fingerprint(),
        bound: Some(Bound::Order(order_id)),
    };
    facts.keys.insert((EVENT, ADA, "a".into()), bound);
    facts.now = at(500);
    assert_eq!(
        decide_single(&facts, these("a", &[1])),
        Decision::Repeated(Bound::Order(order_id))
    );
    assert_eq!(
        refusal(decide_single(&facts, these("a", &[2]))),
        Refusal::KeyReused
    );
}

#[test]
fn the_same_key_twice_in_one_batch_buys_once() {
    let decisions = decide_all(
        &available([1, 2]),
        &[
            (ADA, these("a", &[1])),
            (ADA, these("a", &[1])),
            (ADA, these("a", &[2])),
        ],
    );
    let Decision::Done(Done::Order(placed)) = &decisions[0] else {
        panic!("{:?}", decisions[0]);
    };
    let order_id = placed.order.id;
    assert_eq!(decisions[1], Decision::Repeated(Bound::Order(order_id)));
    assert_eq!(decisions[2], Decision::Refused(vec![Refusal::KeyReused]));
}

#[test]
fn a_refusal_leaves_its_key_free() {
    let decisions = decide_all(
        &available([1, 2]),
        &[
            (BOB, these("b", &[1])),
            (ADA, these("a", &[1])),
            (ADA, these("a", &[2])),
        ],
    );
    assert_eq!(
        decisions[1],
        Decision::Refused(vec![Refusal::AlreadySold(ticket(1))])
    );
    assert_eq!(tickets_of(&decisions[2]), [ticket(2)]);
}

#[test]
fn the_price_is_what_was_expected_or_nothing_is_bought() {
    let facts = available([1, 2]);
    let both = |total| {
        command(
            EVENT,
            "a",
            Want::Tickets(vec![ticket(1), ticket(2)]),
            Some(total),
        )
    };
    let total = Money {
        minor: 2 * STALLS_PRICE,
        currency: Currency::EUR,
    };
    assert_eq!(
        refusal(decide_single(&facts, both("24.99"))),
        Refusal::PriceChanged { total }
    );
    assert_eq!(
        refusal(decide_single(&facts, both("25.001"))),
        Refusal::PriceChanged { total }
    );
    match decide_single(&facts, both("25")) {
        Decision::Done(Done::Order(placed)) => assert_eq!(placed.order.total_minor, 2_500),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_over_the_events_limit_is_refused() {
    let facts = available(1..=5);
    assert_eq!(
        refusal(decide_single(&facts, these("a", &[1, 2, 3, 4, 5]))),
        Refusal::TooManyTickets { max: 4 }
    );
    assert_eq!(
        tickets_of(&decide_single(&facts, these("a", &[1, 2, 3, 4]))).len(),
        4
    );
}

#[test]
fn a_ticket_named_by_one_who_is_refused_is_left_for_any() {
    let mut facts = available([1]);
    add(&mut facts, ticket(2), STALLS, ticket::Status::Sold, None);
    let decisions = decide_all(
        &facts,
        &[(ADA, these("a", &[1, 2])), (BOB, any_of("b", STALLS, 1))],
    );
    assert_eq!(tickets_of(&decisions[1]), [ticket(1)]);
}

#[test]
fn too_few_is_final_unless_the_contested_ones_could_make_it_up() {
    let mut facts = available([1]);
    let picks = Picks {
        tickets: vec![ticket(1)],
        contested: vec![ticket(7)],
    };
    facts.picks.insert((EVENT, STALLS), picks);
    assert_eq!(
        refusal(decide_single(&facts, any_of("a", STALLS, 3))),
        Refusal::NotEnoughLeft { left: 1 }
    );
    assert_eq!(
        decide_single(&facts, any_of("a", STALLS, 2)),
        Decision::Undecided(None)
    );
    assert_eq!(
        tickets_of(&decide_single(&facts, any_of("a", STALLS, 1))),
        [ticket(1)]
    );
}

#[test]
fn the_largest_order_at_the_highest_price_fits() {
    let mut facts = available((0..).take(TICKETS_PER_ORDER_MAX));
    facts.events.get_mut(&EVENT).unwrap().tickets_per_order_max = TICKETS_PER_ORDER_MAX;
    let price_minor = 1_000_000_000_000_000;
    facts
        .ticket_types
        .get_mut(&(EVENT, STALLS))
        .unwrap()
        .price_minor = price_minor;
    let numbers: Vec<u128> = (0..).take(TICKETS_PER_ORDER_MAX).collect();
    match decide_single(&facts, these("a", &numbers)) {
        Decision::Done(Done::Order(placed)) => {
            assert_eq!(placed.order.total_minor, 1_000 * price_minor);
        }
        other => panic!("{other:?}"),
    }
}
