//! Cancelling orders: who may, when, and what comes back.

use super::*;
use crate::{
    entity::{order, order_item},
    sales::command::Canceller,
};

const ORDER: OrderId = OrderId(Uuid::from_u128(0x50));
const BOX_OFFICE: CustomerId = CustomerId(Uuid::from_u128(0xb0));

fn item(number: u128) -> OrderItemId {
    OrderItemId(Uuid::from_u128(0x500 + number))
}

/// Ada's order of these tickets; customers may cancel before 180.
fn sold_to_ada(numbers: &[u128]) -> Facts {
    let mut facts = facts();
    facts.events.get_mut(&EVENT).unwrap().cancellable_until = Some(at(180));
    for number in numbers {
        add(
            &mut facts,
            ticket(*number),
            STALLS,
            ticket::Status::Sold,
            None,
        );
    }
    let items = numbers.iter().map(|number| order_item::Model {
        event_id: EVENT,
        id: item(*number),
        order_id: ORDER,
        ticket_id: ticket(*number),
        status: order_item::Status::Active,
        unit_price_minor: STALLS_PRICE,
        currency: "EUR".into(),
        ticket_type_name: "Stalls".into(),
        seat_label: None,
        admission_code: format!("CODE{number}"),
        cancelled_at: None,
        cancelled_by: None,
        cancel_reason: None,
    });
    let placed = PlacedOrder {
        items: items.collect(),
        order: order::Model {
            event_id: EVENT,
            id: ORDER,
            customer_id: ADA,
            placed_by: ADA,
            status: order::Status::Confirmed,
            total_minor: STALLS_PRICE * i64::try_from(numbers.len()).unwrap(),
            currency: "EUR".into(),
            placed_at: at(120),
        },
    };
    facts.orders.insert((EVENT, ORDER), placed);
    let allowance = AllowanceFacts {
        owned: Some(numbers.len()),
        holds: Some(vec![]),
    };
    facts.allowances.insert((EVENT, ADA), allowance);
    facts
}

fn cancel(key: &str, items: Option<&[u128]>) -> Command {
    cancel_by(key, items, Canceller::Customer, None)
}

fn cancel_by(key: &str, items: Option<&[u128]>, by: Canceller, reason: Option<&str>) -> Command {
    let account = Account {
        issuer: "i".into(),
        subject: "s".into(),
    };
    let action = Action::CancelOrder {
        order_id: ORDER,
        items: items.map(|numbers| numbers.iter().map(|n| item(*n)).collect()),
        by,
        reason: reason.map(str::to_owned),
    };
    Command::new(EVENT, account, key, action).unwrap()
}

fn order(decision: &Decision) -> &PlacedOrder {
    match decision {
        Decision::Done(Done::Order(placed)) => placed,
        other => panic!("no order: {other:?}"),
    }
}

fn active(placed: &PlacedOrder) -> Vec<OrderItemId> {
    let items = placed.items.iter();
    items
        .filter(|item| item.status == order_item::Status::Active)
        .map(|item| item.id)
        .collect()
}

#[test]
fn what_is_cancelled_can_be_bought_in_the_same_batch_under_a_new_code() {
    let decisions = decide_all(
        &sold_to_ada(&[1, 2]),
        &[
            (BOB, these("early", &[2])),
            (ADA, cancel("a", Some(&[2]))),
            (BOB, these("late", &[2])),
        ],
    );
    assert!(matches!(decisions[0], Decision::Refused(_)));
    let left = order(&decisions[1]);
    assert_eq!(left.order.status, order::Status::Confirmed);
    assert_eq!(left.order.total_minor, 2 * STALLS_PRICE);
    assert_eq!(active(left), [item(1)]);
    let bought = order(&decisions[2]);
    assert_eq!(bought.items[0].ticket_id, ticket(2));
    assert_ne!(bought.items[0].admission_code, "CODE2");
}

#[test]
fn cancelling_twice_is_harmless() {
    let decisions = decide_all(
        &sold_to_ada(&[1, 2]),
        &[
            (ADA, cancel("a", None)),
            (ADA, cancel("again", None)),
            (ADA, cancel("an item", Some(&[1]))),
        ],
    );
    for decision in &decisions {
        let placed = order(decision);
        assert_eq!(placed.order.status, order::Status::Cancelled);
        assert_eq!(active(placed), []);
    }
    assert_eq!(order(&decisions[0]), order(&decisions[1]));

    // The rows are written once, whoever asks again in the same batch.
    let (_, changes) = decide_with_changes(
        &sold_to_ada(&[1, 2]),
        &[
            (ADA, cancel("a", None)),
            (ADA, cancel("again", None)),
            (ADA, cancel("an item", Some(&[1]))),
        ],
    );
    assert_eq!(changes.cancelled_orders, [(EVENT, ORDER)]);
    assert_eq!(changes.cancelled_items.len(), 2);
}

#[test]
fn an_item_that_is_cancelled_already_is_so_after_the_events_instant_too() {
    let mut facts = sold_to_ada(&[1, 2]);
    let gone = &mut facts.orders.get_mut(&(EVENT, ORDER)).unwrap().items[0];
    gone.status = order_item::Status::Cancelled;
    facts.now = at(190);
    let decision = decide_single(&facts, cancel("a", Some(&[1])));
    assert_eq!(active(order(&decision)), [item(2)]);
    let since = Some(at(180));
    assert_eq!(
        refusal(decide_single(&facts, cancel("b", None))),
        Refusal::NotCancellable { since }
    );
}

#[test]
fn a_customer_cancels_before_the_events_instant_and_staff_at_any_time() {
    let mut facts = sold_to_ada(&[1]);
    facts.now = at(180);
    let since = Some(at(180));
    assert_eq!(
        refusal(decide_single(&facts, cancel("a", None))),
        Refusal::NotCancellable { since }
    );
    let by = Canceller::Staff { customer_id: ADA };
    let command = cancel_by("b", None, by, Some("the seat is broken"));
    let decision = decide_all(&facts, &[(BOX_OFFICE, command)]).remove(0);
    let gone = &order(&decision).items[0];
    assert_eq!(gone.cancelled_by, Some(BOX_OFFICE));
    assert_eq!(gone.cancel_reason.as_deref(), Some("the seat is broken"));

    facts.events.get_mut(&EVENT).unwrap().cancellable_until = None;
    assert_eq!(
        refusal(decide_single(&facts, cancel("a", None))),
        Refusal::NotCancellable { since: None }
    );
}

#[test]
fn orders_of_others_and_orders_that_are_not_there_look_the_same() {
    let mut facts = sold_to_ada(&[1]);
    let bobs = decide_all(&facts, &[(BOB, cancel("b", None))]).remove(0);
    assert_eq!(refusal(bobs), Refusal::UnknownOrder);
    // The gate that was passed is another customer's.
    let by = Canceller::Staff { customer_id: BOB };
    let command = cancel_by("c", None, by, Some("why"));
    let staffs = decide_all(&facts, &[(BOX_OFFICE, command)]).remove(0);
    assert_eq!(refusal(staffs), Refusal::UnknownOrder);
    facts.orders.clear();
    assert_eq!(
        refusal(decide_single(&facts, cancel("a", None))),
        Refusal::UnknownOrder
    );
}

#[test]
fn an_item_of_another_order_refuses_the_cancellation() {
    let facts = sold_to_ada(&[1]);
    assert_eq!(
        refusal(decide_single(&facts, cancel("a", Some(&[1, 7])))),
        Refusal::UnknownItem(item(7))
    );
}

#[test]
fn cancelling_gives_the_allowance_back() {
    let mut facts = sold_to_ada(&[1, 2]);
    add(
        &mut facts,
        ticket(3),
        STALLS,
        ticket::Status::Available,
        None,
    );
    facts
        .events
        .get_mut(&EVENT)
        .unwrap()
        .tickets_per_customer_max = Some(2);
    let decisions = decide_all(
        &facts,
        &[
            (ADA, these("too many", &[3])),
            (ADA, cancel("a", Some(&[1]))),
            (ADA, these("instead", &[3])),
        ],
    );
    let full = Refusal::CustomerLimit { max: 2, left: 0 };
    assert_eq!(decisions[0], Decision::Refused(vec![full]));
    assert_eq!(tickets_of(&decisions[2]), [ticket(3)]);
}

#[test]
fn a_cancellation_waits_for_its_tickets() {
    let mut facts = sold_to_ada(&[1, 2]);
    facts.locked.remove(&(EVENT, ticket(2)));
    facts.unlocked.insert((EVENT, ticket(2)), Unlocked::Sold);
    assert_eq!(
        decide_single(&facts, cancel("a", None)),
        Decision::Undecided(Some(ticket(2)))
    );
}
