//! Holds: their end, their limits, and who may do what with them.

use super::*;

const HOLD: HoldId = HoldId(Uuid::from_u128(0x40));

/// Ada's hold of these tickets, which ends at `until` and was taken at 145.
fn held_by_ada(facts: &mut Facts, numbers: &[u128], until: i64) {
    let tickets: Vec<TicketId> = numbers.iter().map(|number| ticket(*number)).collect();
    for id in &tickets {
        let held = TicketFacts {
            ticket_type_id: STALLS,
            status: ticket::Status::Held,
            held: Some((HOLD, at(until))),
            seat_label: None,
        };
        facts.locked.insert((EVENT, *id), held);
    }
    let hold = hold::Model {
        event_id: EVENT,
        id: HOLD,
        customer_id: ADA,
        status: hold::Status::Active,
        held_until: at(until),
        extendable_until: at(170),
        tickets_len: i32::try_from(tickets.len()).unwrap(),
        order_id: None,
        created_at: at(145),
    };
    let live = LiveHold {
        id: HOLD,
        held_until: at(until),
        tickets_len: tickets.len(),
    };
    let allowance = AllowanceFacts {
        owned: Some(0),
        holds: Some(vec![live]),
    };
    facts.allowances.insert((EVENT, ADA), allowance);
    facts
        .holds
        .insert((EVENT, HOLD), HoldFacts { hold, tickets });
}

fn act(key: &str, action: Action) -> Command {
    let account = Account {
        issuer: "i".into(),
        subject: "s".into(),
    };
    Command::new(EVENT, account, key, action).unwrap()
}

fn hold(key: &str, numbers: &[u128]) -> Command {
    let want = Want::Tickets(numbers.iter().map(|n| ticket(*n)).collect());
    act(key, Action::Hold { want })
}

fn extend(key: &str) -> Command {
    act(key, Action::ExtendHold { hold_id: HOLD })
}

fn release(key: &str, numbers: Option<&[u128]>) -> Command {
    let tickets = numbers.map(|numbers| numbers.iter().map(|n| ticket(*n)).collect());
    act(
        key,
        Action::ReleaseHold {
            hold_id: HOLD,
            tickets,
        },
    )
}

fn purchase(key: &str) -> Command {
    let expected_total = None;
    act(
        key,
        Action::PurchaseHold {
            hold_id: HOLD,
            expected_total,
        },
    )
}

fn held(decision: Decision) -> HeldTickets {
    match decision {
        Decision::Done(Done::Hold(held)) => held,
        other => panic!("no hold: {other:?}"),
    }
}

#[test]
fn a_hold_lasts_its_events_time_and_no_longer_than_the_sale() {
    let mut facts = available([1, 2]);
    let taken = held(decide_single(&facts, hold("a", &[1, 2])));
    assert_eq!(taken.tickets, [ticket(1), ticket(2)]);
    assert_eq!(taken.hold.held_until, at(160));
    assert_eq!(taken.hold.extendable_until, at(175));
    facts.now = at(195);
    let taken = held(decide_single(&facts, hold("a", &[1])));
    assert_eq!(taken.hold.held_until, at(200));
}

#[test]
fn a_held_ticket_is_the_holders_until_the_very_end() {
    let mut facts = facts();
    held_by_ada(&mut facts, &[1], 151);
    let ended = Refusal::HoldEnded(HoldEnd::Expired { at: at(151) });
    facts.now = at(151) - chrono::TimeDelta::microseconds(1);
    assert_eq!(
        tickets_of(&decide_single(&facts, purchase("a"))),
        [ticket(1)]
    );
    let buyer = decide_all(&facts, &[(BOB, these("b", &[1]))]).remove(0);
    assert_eq!(
        refusal(buyer),
        Refusal::Held {
            ticket: ticket(1),
            until: at(151)
        }
    );
    facts.now = at(151);
    for command in [purchase("a"), extend("a"), release("a", None)] {
        assert_eq!(refusal(decide_single(&facts, command)), ended);
    }
    let buyer = decide_all(&facts, &[(BOB, these("b", &[1]))]).remove(0);
    assert_eq!(tickets_of(&buyer), [ticket(1)]);
}

#[test]
fn who_holds_a_ticket_buys_it_through_the_hold() {
    let mut facts = facts();
    held_by_ada(&mut facts, &[1], 160);
    assert_eq!(
        refusal(decide_single(&facts, these("a", &[1]))),
        Refusal::HeldByYou {
            ticket: ticket(1),
            hold_id: HOLD
        }
    );
}

#[test]
fn a_hold_is_extended_up_to_its_maximum_and_not_beyond() {
    let mut facts = facts();
    held_by_ada(&mut facts, &[1], 155);
    assert_eq!(
        held(decide_single(&facts, extend("a"))).hold.held_until,
        at(160)
    );
    facts.now = at(154);
    facts
        .holds
        .get_mut(&(EVENT, HOLD))
        .unwrap()
        .hold
        .extendable_until = at(158);
    assert_eq!(
        held(decide_single(&facts, extend("a"))).hold.held_until,
        at(158)
    );
    facts.holds.get_mut(&(EVENT, HOLD)).unwrap().hold.held_until = at(158);
    assert_eq!(
        refusal(decide_single(&facts, extend("a"))),
        Refusal::HoldAtMaximum { until: at(158) }
    );
}

#[test]
fn nobody_touches_a_hold_of_somebody_else() {
    let mut facts = facts();
    held_by_ada(&mut facts, &[1], 160);
    for command in [purchase("b"), extend("b"), release("b", None)] {
        let decision = decide_all(&facts, &[(BOB, command)]).remove(0);
        assert_eq!(refusal(decision), Refusal::NotYourHold);
    }
    facts.holds.clear();
    assert_eq!(
        refusal(decide_single(&facts, purchase("a"))),
        Refusal::UnknownHold
    );
}

#[test]
fn what_is_released_can_be_bought_in_the_same_batch() {
    let mut facts = facts();
    held_by_ada(&mut facts, &[1, 2], 160);
    let decisions = decide_all(
        &facts,
        &[
            (BOB, these("early", &[2])),
            (ADA, release("a", Some(&[2]))),
            (BOB, these("late", &[2])),
            (ADA, purchase("rest")),
        ],
    );
    assert!(matches!(decisions[0], Decision::Refused(_)));
    assert_eq!(tickets_of(&decisions[1]), [ticket(1)]);
    assert_eq!(tickets_of(&decisions[2]), [ticket(2)]);
    assert_eq!(tickets_of(&decisions[3]), [ticket(1)]);
}

#[test]
fn a_ticket_that_is_not_in_the_hold_cannot_be_released() {
    let mut facts = available([3]);
    held_by_ada(&mut facts, &[1], 160);
    assert_eq!(
        refusal(decide_single(&facts, release("a", Some(&[1, 3])))),
        Refusal::NotInHold(ticket(3))
    );
}

#[test]
fn a_hold_is_bought_once() {
    let mut facts = facts();
    held_by_ada(&mut facts, &[1, 2], 160);
    let decisions = decide_all(
        &facts,
        &[
            (ADA, purchase("a")),
            (ADA, purchase("again")),
            (ADA, purchase("a")),
            (ADA, release("give back", None)),
        ],
    );
    let Decision::Done(Done::Order(placed)) = &decisions[0] else {
        panic!("{:?}", decisions[0]);
    };
    let order_id = placed.order.id;
    let bought = Refusal::HoldEnded(HoldEnd::Purchased(Some(order_id)));
    assert_eq!(decisions[1], Decision::Refused(vec![bought.clone()]));
    assert_eq!(decisions[2], Decision::Repeated(Bound::Order(order_id)));
    assert_eq!(decisions[3], Decision::Refused(vec![bought]));
}

#[test]
fn half_a_hold_is_no_hold() {
    let mut facts = facts();
    held_by_ada(&mut facts, &[1, 2], 160);
    // As after a clock that went back: one of its tickets was sold on.
    let sold = facts.locked.get_mut(&(EVENT, ticket(2))).unwrap();
    (sold.status, sold.held) = (ticket::Status::Sold, None);
    for command in [purchase("a"), extend("a"), release("a", None)] {
        assert_eq!(
            refusal(decide_single(&facts, command)),
            Refusal::HoldEnded(HoldEnd::Released)
        );
    }
}

#[test]
fn a_hold_whose_ticket_somebody_has_locked_waits_for_it() {
    let mut facts = facts();
    held_by_ada(&mut facts, &[1, 2], 160);
    facts.locked.remove(&(EVENT, ticket(2)));
    let unlocked = Unlocked::Held {
        hold_id: HOLD,
        until: at(160),
    };
    facts.unlocked.insert((EVENT, ticket(2)), unlocked);
    for command in [purchase("a"), extend("a"), release("a", None)] {
        assert_eq!(
            decide_single(&facts, command),
            Decision::Undecided(Some(ticket(2)))
        );
    }
}

#[test]
fn one_customer_holds_and_owns_no_more_than_the_event_allows() {
    let mut facts = available([3, 4, 5, 6]);
    held_by_ada(&mut facts, &[1, 2], 160);
    let event = facts.events.get_mut(&EVENT).unwrap();
    event.held_per_customer_max = 3;
    event.tickets_per_customer_max = Some(4);
    let decisions = decide_all(
        &facts,
        &[
            (ADA, hold("two more", &[3, 4])),
            (ADA, hold("one more", &[3])),
            (ADA, these("buys one", &[4])),
            (ADA, these("buys another", &[5])),
            (ADA, purchase("what she holds")),
            (ADA, these("still another", &[5])),
        ],
    );
    assert_eq!(
        decisions[0],
        Decision::Refused(vec![Refusal::TooManyHeld { max: 3, left: 1 }])
    );
    assert_eq!(tickets_of(&decisions[1]), [ticket(3)]);
    assert_eq!(tickets_of(&decisions[2]), [ticket(4)]);
    let full = Decision::Refused(vec![Refusal::CustomerLimit { max: 4, left: 0 }]);
    assert_eq!(decisions[3], full);
    assert_eq!(tickets_of(&decisions[4]).len(), 2);
    assert_eq!(decisions[5], full);
}

#[test]
fn a_hold_that_has_ended_counts_no_more() {
    let mut facts = available([3, 4, 5]);
    held_by_ada(&mut facts, &[1, 2], 150);
    facts.events.get_mut(&EVENT).unwrap().held_per_customer_max = 3;
    let taken = decide_single(&facts, hold("a", &[3, 4, 5]));
    assert_eq!(tickets_of(&taken).len(), 3);
}

#[test]
fn a_cancelled_event_neither_sells_nor_takes_back() {
    let mut facts = available([3]);
    held_by_ada(&mut facts, &[1], 160);
    facts.events.get_mut(&EVENT).unwrap().status = event::Status::Cancelled;
    for command in [
        purchase("a"),
        extend("a"),
        release("a", None),
        hold("a", &[3]),
    ] {
        assert_eq!(
            refusal(decide_single(&facts, command)),
            Refusal::EventCancelled
        );
    }
}
