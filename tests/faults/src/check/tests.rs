//! The checker is tested on histories that are broken, each in one way, and on odd ones that are not.

use rowlock::{
    entity::ticket::Status,
    ids::{HoldId, OrderId, TicketId},
};
use uuid::Uuid;

use super::{Kind, check};
use crate::{
    history::{
        Action, Answer, Attempt, Command, CommandId, CustomerNo, History, Limits, Micros, Purpose,
        Reason, ToldHold, ToldItem, ToldOrder, Want,
    },
    tables::{Change, HoldRow, ItemRow, OrderRow, Tables, TicketRow},
};

const ADA: CustomerNo = CustomerNo(0);
const BOB: CustomerNo = CustomerNo(1);

/// Long against what clocks may differ.
const STEP: Micros = 1_000_000;

fn ticket(number: u128) -> TicketId {
    TicketId(Uuid::from_u128(number))
}

fn hold(number: u128) -> HoldId {
    HoldId(Uuid::from_u128(1_000 + number))
}

fn order(number: u128) -> OrderId {
    OrderId(Uuid::from_u128(2_048 * (1 + number)))
}

/// A history and its tables, made step by step: each command takes a step, and the next begins after it.
struct Story {
    history: History,
    tables: Tables,
    now: Micros,
}

impl Story {
    fn new(tickets: u128) -> Self {
        let tickets: Vec<TicketId> = (1..=tickets).map(ticket).collect();
        let available = TicketRow {
            status: Status::Available,
            hold: None,
            held_until: None,
        };
        Self {
            tables: Tables {
                tickets: tickets.iter().map(|id| (*id, available)).collect(),
                read_at: 1_000 * STEP,
                ..Tables::default()
            },
            history: History {
                limits: Limits {
                    tickets_per_customer_max: 2,
                    held_per_customer_max: 1,
                },
                tickets,
                commands: [].into(),
            },
            now: 0,
        }
    }

    /// Somebody holds a ticket, buys the hold, is in another's way, cancels, and the other buys: everything is right.
    fn of_one_ticket() -> Self {
        let mut story = Self::new(2);
        story.hold(ADA, 1, 1);
        story.buy_hold(ADA, CommandId(0), 1, 1, 1);
        story.refused(
            BOB,
            Action::Buy(Want::Tickets(vec![ticket(1)])),
            "ALREADY_SOLD",
            1,
        );
        story.cancel(ADA, CommandId(1), 1, 1);
        story.buy(BOB, 1, 2);
        story
    }

    /// Asks at the next step, and is answered half a step later.
    fn ask(&mut self, customer: CustomerNo, action: Action, answer: Answer) -> CommandId {
        let id = CommandId(self.history.commands.len());
        self.now += STEP;
        let attempt = Attempt {
            purpose: Purpose::Do,
            asked: self.now,
            answered: self.now + STEP / 2,
            answer,
        };
        let command = Command {
            customer,
            key: id.0.to_string(),
            action,
            attempts: vec![attempt],
        };
        self.history.commands.insert(id, command);
        id
    }

    fn bind(&mut self, id: CommandId, result: Uuid) {
        let command = &self.history.commands[&id];
        let key = (command.customer, command.key.clone());
        self.tables.keys.insert(key, result);
    }

    fn becomes(&mut self, number: u128, to: Status, of: Option<HoldId>) {
        let row = self.tables.tickets.get_mut(&ticket(number)).unwrap();
        self.tables.log.push(Change {
            ticket: ticket(number),
            from: row.status,
            to,
            hold: of,
        });
        row.status = to;
        row.hold = of.filter(|_| to == Status::Held);
        row.held_until = row.hold.map(|_| self.now + 100 * STEP);
    }

    fn hold(&mut self, customer: CustomerNo, on: u128, number: u128) -> CommandId {
        let until = self.now + STEP + 100 * STEP;
        let told = ToldHold {
            id: hold(number),
            until,
            tickets: vec![ticket(on)],
        };
        let action = Action::Hold(Want::Tickets(vec![ticket(on)]));
        let id = self.ask(customer, action, Answer::Hold(told));
        let row = HoldRow {
            customer,
            until,
            order: None,
        };
        self.tables.holds.insert(hold(number), row);
        self.becomes(on, Status::Held, Some(hold(number)));
        self.bind(id, hold(number).0);
        id
    }

    fn told_order(number: u128, on: u128, is_active: bool) -> Answer {
        let item = ToldItem {
            id: order(number).item(0).unwrap(),
            ticket: ticket(on),
            code: is_active.then(|| format!("code {number}")),
        };
        Answer::Order(ToldOrder {
            id: order(number),
            items: vec![item],
        })
    }

    fn place(&mut self, id: CommandId, customer: CustomerNo, on: u128, number: u128) {
        let item = ItemRow {
            ticket: ticket(on),
            is_active: true,
            code: format!("code {number}"),
        };
        let row = OrderRow {
            customer,
            placed_at: self.now,
            items: vec![item],
        };
        self.tables.orders.insert(order(number), row);
        self.becomes(on, Status::Sold, None);
        self.bind(id, order(number).0);
    }

    fn buy(&mut self, customer: CustomerNo, on: u128, number: u128) -> CommandId {
        let action = Action::Buy(Want::Tickets(vec![ticket(on)]));
        let id = self.ask(customer, action, Self::told_order(number, on, true));
        self.place(id, customer, on, number);
        id
    }

    fn buy_hold(
        &mut self,
        customer: CustomerNo,
        made_by: CommandId,
        on: u128,
        of: u128,
        number: u128,
    ) -> CommandId {
        let action = Action::BuyHold { hold: made_by };
        let id = self.ask(customer, action, Self::told_order(number, on, true));
        self.place(id, customer, on, number);
        self.tables.holds.get_mut(&hold(of)).unwrap().order = Some(order(number));
        id
    }

    fn cancel(&mut self, customer: CustomerNo, placed_by: CommandId, on: u128, number: u128) {
        let action = Action::Cancel {
            order: placed_by,
            tickets: None,
        };
        let id = self.ask(customer, action, Self::told_order(number, on, false));
        let row = self.tables.orders.get_mut(&order(number)).unwrap();
        row.items[0].is_active = false;
        self.becomes(on, Status::Available, None);
        self.bind(id, order(number).0);
    }

    fn refused(&mut self, customer: CustomerNo, action: Action, code: &str, on: u128) -> CommandId {
        let reason = Reason {
            code: code.to_owned(),
            ticket: Some(ticket(on)),
        };
        self.ask(customer, action, Answer::Refused(vec![reason]))
    }

    fn command(&mut self, id: usize) -> &mut Command {
        self.history.commands.get_mut(&CommandId(id)).unwrap()
    }

    /// Another attempt at a command, after everything so far.
    fn again(&mut self, id: usize, purpose: Purpose, answer: Answer) {
        self.now += STEP;
        let (asked, answered) = (self.now, self.now + STEP / 2);
        self.command(id).attempts.push(Attempt {
            purpose,
            asked,
            answered,
            answer,
        });
    }

    #[track_caller]
    fn is_clean(&self) {
        let found = check(&self.history, &self.tables);
        assert!(found.is_empty(), "{found:#?}");
    }

    #[track_caller]
    fn is_found_to_be(&self, kind: Kind) {
        let found = check(&self.history, &self.tables);
        assert!(
            found.iter().any(|violation| violation.kind == kind),
            "no {kind:?} in {found:#?}"
        );
    }
}

#[test]
fn what_is_right_is_clean() {
    Story::of_one_ticket().is_clean();
}

#[test]
fn two_owners_at_a_time_are_found_and_so_are_two_holders() {
    let mut story = Story::new(1);
    story.buy(ADA, 1, 1);
    story.buy(BOB, 1, 2);
    story.is_found_to_be(Kind::NotLinearizable);

    let mut story = Story::new(1);
    story.hold(ADA, 1, 1);
    story.hold(BOB, 1, 2);
    story.is_found_to_be(Kind::NotLinearizable);
}

#[test]
fn two_owners_are_found_however_they_overlap() {
    let mut story = Story::new(1);
    story.buy(ADA, 1, 1);
    story.buy(BOB, 1, 2);
    // Both were asked for at the same time, and both got it.
    let asked = story.command(0).attempts[0].asked;
    story.command(1).attempts[0].asked = asked;
    story.is_found_to_be(Kind::NotLinearizable);
}

#[test]
fn an_order_in_real_time_that_nobody_can_have_seen_is_found() {
    let mut story = Story::of_one_ticket();
    // Bob is told that it is sold before Ada has asked for it.
    let refusal = &mut story.command(2).attempts[0];
    (refusal.asked, refusal.answered) = (STEP / 10, STEP / 5);
    story.is_found_to_be(Kind::NotLinearizable);
}

#[test]
fn a_hold_that_is_somebody_elses_after_its_end_is_right_and_before_it_is_not() {
    let mut story = Story::new(1);
    story.hold(ADA, 1, 1);
    story.now += 200 * STEP;
    story.becomes(1, Status::Available, None);
    story.buy(BOB, 1, 1);
    story.is_clean();

    let purchase = &mut story.command(1).attempts[0];
    (purchase.asked, purchase.answered) = (50 * STEP, 51 * STEP);
    story.is_found_to_be(Kind::NotLinearizable);
}

#[test]
fn a_hold_that_was_bought_when_it_was_over_is_found() {
    let mut story = Story::of_one_ticket();
    let until = story.tables.holds[&hold(1)].until;
    let row = story.tables.orders.get_mut(&order(1)).unwrap();
    row.placed_at = until;
    story.is_found_to_be(Kind::DeadHoldSold);
}

#[test]
fn an_acknowledged_sale_that_is_gone_is_found() {
    let mut story = Story::of_one_ticket();
    story.tables.orders.remove(&order(2));
    story.is_found_to_be(Kind::AcknowledgedLost);

    let mut story = Story::of_one_ticket();
    let row = story.tables.orders.get_mut(&order(2)).unwrap();
    row.items[0].is_active = false;
    story.is_found_to_be(Kind::AcknowledgedLost);

    let mut story = Story::of_one_ticket();
    let row = story.tables.orders.get_mut(&order(2)).unwrap();
    row.items[0].code = "another".to_owned();
    story.is_found_to_be(Kind::AcknowledgedLost);

    let mut story = Story::of_one_ticket();
    let row = story.tables.orders.get_mut(&order(2)).unwrap();
    row.customer = ADA;
    story.is_found_to_be(Kind::AcknowledgedLost);
}

#[test]
fn a_sale_whose_ticket_is_available_again_is_found() {
    let mut story = Story::of_one_ticket();
    let row = story.tables.tickets.get_mut(&ticket(1)).unwrap();
    row.status = Status::Available;
    story.is_found_to_be(Kind::NotLinearizable);
}

#[test]
fn a_denial_of_what_was_acknowledged_is_found() {
    let mut story = Story::of_one_ticket();
    let action = Action::Cancel {
        order: CommandId(4),
        tickets: None,
    };
    story.refused(BOB, action, "UNKNOWN_ORDER", 1);
    story.is_found_to_be(Kind::AcknowledgedLost);
}

#[test]
fn a_sale_that_nobody_asked_for_is_found() {
    let mut story = Story::of_one_ticket();
    let row = story.tables.orders[&order(2)].clone();
    story.tables.orders.insert(order(3), row);
    story.is_found_to_be(Kind::Unasked);
}

#[test]
fn a_sale_that_was_refused_and_happened_is_found() {
    let mut story = Story::of_one_ticket();
    story.bind(CommandId(2), order(2).0);
    story.is_found_to_be(Kind::Unasked);
}

#[test]
fn half_an_order_is_found() {
    let mut story = Story::of_one_ticket();
    story.command(4).action = Action::Buy(Want::Tickets(vec![ticket(1), ticket(2)]));
    story.is_found_to_be(Kind::NotAllOrNothing);
}

#[test]
fn a_key_that_is_answered_otherwise_is_found() {
    let mut story = Story::of_one_ticket();
    story.again(4, Purpose::Repeat, Story::told_order(2, 1, true));
    story.is_clean();

    story.again(4, Purpose::Repeat, Story::told_order(3, 1, true));
    story.is_found_to_be(Kind::RepeatDiffers);
}

#[test]
fn a_key_that_is_refused_after_its_success_is_found() {
    let refusal = |code: &str| {
        Answer::Refused(vec![Reason {
            code: code.to_owned(),
            ticket: None,
        }])
    };
    let mut story = Story::of_one_ticket();
    story.again(4, Purpose::Repeat, refusal("CONTENDED"));
    story.is_clean();
    story.again(4, Purpose::Repeat, refusal("ALREADY_SOLD"));
    story.is_found_to_be(Kind::RepeatRefused);

    let mut story = Story::of_one_ticket();
    story.again(4, Purpose::ReuseKey, refusal("IDEMPOTENCY_KEY_REUSED"));
    story.is_clean();
    story.again(4, Purpose::ReuseKey, refusal("NOT_ENOUGH_LEFT"));
    story.is_found_to_be(Kind::ReusedKeyTaken);
}

#[test]
fn a_key_that_does_something_else_is_found() {
    let mut story = Story::of_one_ticket();
    story.again(4, Purpose::ReuseKey, Story::told_order(3, 2, true));
    story.is_found_to_be(Kind::ReusedKeyTaken);
}

#[test]
fn what_is_in_doubt_may_have_happened_or_not() {
    let unknown = || Answer::Unknown("NO_ANSWER".to_owned());
    // It happened: the tables say so.
    let mut story = Story::of_one_ticket();
    story.command(4).attempts[0].answer = unknown();
    story.is_clean();

    // It did not.
    let mut story = Story::new(1);
    story.ask(ADA, Action::Buy(Want::Tickets(vec![ticket(1)])), unknown());
    story.buy(BOB, 1, 1);
    story.is_clean();

    // Its key settles it.
    let mut story = Story::new(1);
    let id = story.ask(ADA, Action::Buy(Want::Tickets(vec![ticket(1)])), unknown());
    story.place(id, ADA, 1, 1);
    story.again(0, Purpose::Do, Story::told_order(1, 1, true));
    story.is_clean();
}

#[test]
fn what_is_in_doubt_may_not_be_done_twice() {
    let mut story = Story::new(2);
    let wanted = Action::Buy(Want::Tickets(vec![ticket(1)]));
    let id = story.ask(ADA, wanted, Answer::Unknown("NO_ANSWER".to_owned()));
    story.place(id, ADA, 1, 1);
    // It had happened, was not found again, and was done for the second time.
    story.place(id, ADA, 2, 2);
    story.again(0, Purpose::Do, Story::told_order(2, 2, true));
    story.is_found_to_be(Kind::Unasked);
}

#[test]
fn more_than_a_customer_may_have_is_found() {
    let mut story = Story::new(3);
    for number in 1..=2 {
        story.buy(ADA, number, number);
    }
    story.is_clean();
    story.buy(ADA, 3, 3);
    story.is_found_to_be(Kind::LimitExceeded);

    let mut story = Story::new(2);
    story.hold(ADA, 1, 1);
    story.hold(ADA, 2, 2);
    story.is_found_to_be(Kind::LimitExceeded);
}

#[test]
fn a_refusal_for_a_limit_or_for_want_of_tickets_must_be_possible() {
    let any = || Action::Buy(Want::Any(2));
    for code in ["CUSTOMER_LIMIT", "NOT_ENOUGH_LEFT"] {
        let mut story = Story::new(2);
        story.buy(ADA, 1, 1);
        story.refused(ADA, any(), code, 1);
        story.is_clean();

        let mut story = Story::new(2);
        story.refused(ADA, any(), code, 1);
        story.is_found_to_be(Kind::RefusedWithoutReason);
    }
}

#[test]
fn a_log_that_does_not_lead_to_the_tickets_is_found() {
    let mut story = Story::of_one_ticket();
    story.tables.log.pop();
    story.is_found_to_be(Kind::LogDiffers);

    let mut story = Story::of_one_ticket();
    story.tables.log.remove(1);
    story.is_found_to_be(Kind::LogDiffers);
}

#[test]
fn many_at_the_same_time_are_decided() {
    let mut story = Story::new(1);
    let winner = story.buy(ADA, 1, 1);
    for _ in 0..60 {
        story.refused(
            BOB,
            Action::Buy(Want::Tickets(vec![ticket(1)])),
            "ALREADY_SOLD",
            1,
        );
    }
    // All of them at once.
    for command in story.history.commands.values_mut() {
        (command.attempts[0].asked, command.attempts[0].answered) = (STEP, 2 * STEP);
    }
    story.is_clean();
    // And if nobody won, nobody can have lost.
    story.history.commands.remove(&winner);
    story.is_found_to_be(Kind::NotLinearizable);
}
