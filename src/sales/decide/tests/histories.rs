//! Random histories: batch after batch over rows that live on, against a model that serves one command at a time.

use std::collections::{BTreeMap, HashSet};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::{
    entity::{order, order_item},
    sales::command::Canceller,
};

const TICKETS: u128 = 8;
const LIMIT: usize = 5;
const HELD_MAX: usize = 3;
const CANCELLABLE_UNTIL: i64 = 180;

/// What a customer does, naming holds and orders by their place among those there are.
#[derive(Clone, Debug)]
enum Step {
    Purchase(Vec<u128>),
    PurchaseAny(usize),
    Hold(Vec<u128>),
    HoldAny(usize),
    Extend(Index),
    Release(Index, Option<Index>),
    PurchaseHold(Index),
    Cancel(Index, Option<Index>),
    /// Sends a command that succeeded before once more.
    Repeat(Index),
}

fn step() -> impl Strategy<Value = Step> {
    let numbers = || {
        prop::collection::btree_set(0..TICKETS, 1..4)
            .prop_map(|numbers| numbers.into_iter().collect::<Vec<_>>())
    };
    let index = any::<Index>;
    prop_oneof![
        3 => numbers().prop_map(Step::Purchase),
        1 => (1..4usize).prop_map(Step::PurchaseAny),
        3 => numbers().prop_map(Step::Hold),
        1 => (1..4usize).prop_map(Step::HoldAny),
        2 => index().prop_map(Step::Extend),
        2 => (index(), proptest::option::of(index())).prop_map(|(a, b)| Step::Release(a, b)),
        3 => index().prop_map(Step::PurchaseHold),
        3 => (index(), proptest::option::of(index())).prop_map(|(a, b)| Step::Cancel(a, b)),
        1 => index().prop_map(Step::Repeat),
    ]
}

/// Batches, each some seconds after the last one.
fn history() -> impl Strategy<Value = Vec<(i64, Vec<(bool, Step)>)>> {
    let batch = (0..11i64, vec((any::<bool>(), step()), 1..8));
    vec(batch, 1..24)
}

/// A ticket's status, and its hold with the hold's end.
type Ticket = (ticket::Status, Option<(HoldId, DateTime<Utc>)>);

/// The rows, as the database would have them.
struct Rows {
    now: i64,
    tickets: BTreeMap<TicketId, Ticket>,
    holds: BTreeMap<HoldId, hold::Model>,
    orders: BTreeMap<OrderId, PlacedOrder>,
    keys: HashMap<(CustomerId, String), KeyFacts>,
    keys_len: usize,
}

impl Rows {
    fn new() -> Self {
        let free = (ticket::Status::Available, None);
        Self {
            now: 100,
            tickets: (0..TICKETS).map(|number| (ticket(number), free)).collect(),
            holds: BTreeMap::new(),
            orders: BTreeMap::new(),
            keys: HashMap::new(),
            keys_len: 0,
        }
    }

    fn type_of(id: TicketId) -> TicketTypeId {
        if id.0.as_u128().is_multiple_of(2) {
            STALLS
        } else {
            CIRCLE
        }
    }

    /// What a transaction would read: here, every row is locked.
    fn facts(&self) -> Facts {
        let mut facts = super::facts();
        facts.now = at(self.now);
        let event = facts.events.get_mut(&EVENT).unwrap();
        event.tickets_per_customer_max = Some(LIMIT);
        event.held_per_customer_max = HELD_MAX;
        event.cancellable_until = Some(at(CANCELLABLE_UNTIL));
        for (id, (status, held)) in &self.tickets {
            let ticket = TicketFacts {
                ticket_type_id: Self::type_of(*id),
                status: *status,
                held: *held,
                seat_label: None,
            };
            facts.locked.insert((EVENT, *id), ticket);
            let is_free = match held {
                Some((_, until)) => *until <= at(self.now),
                None => *status == ticket::Status::Available,
            };
            if is_free {
                let picks = facts.picks.entry((EVENT, Self::type_of(*id))).or_default();
                picks.tickets.push(*id);
            }
        }
        for (id, hold) in &self.holds {
            let names_it = |held: &Option<(HoldId, DateTime<Utc>)>| {
                held.is_some_and(|(hold_id, _)| hold_id == *id)
            };
            let tickets = self.tickets.iter();
            let tickets = tickets
                .filter(|(_, (_, held))| names_it(held))
                .map(|(id, _)| *id);
            let hold = HoldFacts {
                hold: hold.clone(),
                tickets: tickets.collect(),
            };
            facts.holds.insert((EVENT, *id), hold);
        }
        for (id, placed) in &self.orders {
            facts.orders.insert((EVENT, *id), placed.clone());
        }
        for customer in [ADA, BOB] {
            let orders = self.orders.values();
            let owned = orders
                .filter(|placed| placed.order.customer_id == customer)
                .flat_map(|placed| &placed.items)
                .filter(|item| item.status == order_item::Status::Active)
                .count();
            let live = self.holds.values().filter(|hold| {
                hold.customer_id == customer
                    && hold.status == hold::Status::Active
                    && at(self.now) < hold.held_until
            });
            let holds = live.map(|hold| LiveHold {
                id: hold.id,
                held_until: hold.held_until,
                tickets_len: usize::try_from(hold.tickets_len).unwrap(),
            });
            let allowance = AllowanceFacts {
                owned: Some(owned),
                holds: Some(holds.collect()),
            };
            facts.allowances.insert((EVENT, customer), allowance);
        }
        for ((customer, key), bound) in &self.keys {
            facts.keys.insert((EVENT, *customer, key.clone()), *bound);
        }
        facts
    }

    fn write(&mut self, changes: Changes) {
        let ended: HashSet<_> = changes.cancelled_orders.iter().collect();
        assert_eq!(
            ended.len(),
            changes.cancelled_orders.len(),
            "an order ends once"
        );
        for item in &changes.cancelled_items {
            let items = self
                .orders
                .values_mut()
                .flat_map(|placed| &mut placed.items);
            let row = items.into_iter().find(|row| row.id == item.id).unwrap();
            assert_eq!(
                row.status,
                order_item::Status::Active,
                "an item is cancelled once"
            );
            row.status = order_item::Status::Cancelled;
            row.cancelled_at = Some(item.at);
            row.cancelled_by = Some(item.by);
        }
        for (_, id) in &changes.cancelled_orders {
            self.orders.get_mut(id).unwrap().order.status = order::Status::Cancelled;
        }
        for ((_, id), state) in &changes.tickets {
            let row = match *state {
                TicketState::Available => (ticket::Status::Available, None),
                TicketState::Sold => (ticket::Status::Sold, None),
                TicketState::Held { hold_id, until } => {
                    (ticket::Status::Held, Some((hold_id, until)))
                }
            };
            self.tickets.insert(*id, row);
        }
        for placed in changes.placed {
            self.orders.insert(placed.order.id, placed);
        }
        for hold in changes.new_holds {
            assert!(self.holds.insert(hold.id, hold).is_none());
        }
        for hold in changes.changed_holds {
            assert!(self.holds.insert(hold.id, hold).is_some());
        }
        for key in changes.keys {
            let bound = if key.kind.contains("Hold") && key.kind != "purchaseHold" {
                Bound::Hold(HoldId(key.result_id))
            } else {
                Bound::Order(OrderId(key.result_id))
            };
            let facts = KeyFacts {
                fingerprint: key.fingerprint.try_into().unwrap(),
                bound: Some(bound),
            };
            let before = self.keys.insert((key.customer_id, key.key), facts);
            assert!(before.is_none(), "a key is bound once");
        }
    }

    /// What must hold after every batch, recounted from the rows.
    fn audit(&self) {
        let mut owners: HashMap<TicketId, OrderId> = HashMap::new();
        for placed in self.orders.values() {
            let active = placed
                .items
                .iter()
                .filter(|item| item.status == order_item::Status::Active);
            let mut active_len = 0;
            for item in active {
                active_len += 1;
                assert!(
                    owners.insert(item.ticket_id, placed.order.id).is_none(),
                    "two owners"
                );
                assert_eq!(self.tickets[&item.ticket_id].0, ticket::Status::Sold);
            }
            let is_confirmed = placed.order.status == order::Status::Confirmed;
            assert_eq!(is_confirmed, active_len > 0);
            let sum: i64 = placed.items.iter().map(|item| item.unit_price_minor).sum();
            assert_eq!(placed.order.total_minor, sum);
        }
        let mut held_len: HashMap<HoldId, usize> = HashMap::new();
        for (id, (status, held)) in &self.tickets {
            assert_eq!(*status == ticket::Status::Sold, owners.contains_key(id));
            assert_eq!(*status == ticket::Status::Held, held.is_some());
            if let Some((hold_id, until)) = held {
                let hold = &self.holds[hold_id];
                assert_eq!(hold.status, hold::Status::Active);
                assert_eq!(hold.held_until, *until);
                *held_len.entry(*hold_id).or_default() += 1;
            }
        }
        for hold in self.holds.values() {
            assert!(hold.held_until <= hold.extendable_until);
            if hold.status == hold::Status::Active && at(self.now) < hold.held_until {
                let len = held_len.get(&hold.id).copied().unwrap_or(0);
                assert_eq!(usize::try_from(hold.tickets_len).unwrap(), len);
            }
        }
        for allowance in self.facts().allowances.values() {
            let held: usize = allowance
                .holds
                .iter()
                .flatten()
                .map(|hold| hold.tickets_len)
                .sum();
            assert!(held <= HELD_MAX);
            assert!(allowance.owned.unwrap() + held <= LIMIT);
        }
    }
}

/// The rules once more, for one command at a time: whose each ticket is.
#[derive(Default)]
struct Model {
    now: i64,
    owned: HashMap<TicketId, (CustomerId, OrderId)>,
    held: HashMap<TicketId, HoldId>,
    holds: HashMap<HoldId, (CustomerId, DateTime<Utc>, DateTime<Utc>)>,
    orders: HashMap<OrderId, CustomerId>,
    items: HashMap<OrderItemId, (OrderId, TicketId)>,
    done: HashMap<(CustomerId, String), [u8; 32]>,
}

impl Model {
    fn is_on_sale(&self) -> bool {
        (100..200).contains(&self.now)
    }

    fn is_live(&self, hold: HoldId) -> bool {
        self.holds
            .get(&hold)
            .is_some_and(|(_, until, _)| at(self.now) < *until)
    }

    fn is_free(&self, id: TicketId) -> bool {
        !self.owned.contains_key(&id)
            && self.held.get(&id).is_none_or(|hold| !self.is_live(*hold))
            && id.0.as_u128() < 0x100 + TICKETS
    }

    fn held_len(&self, customer: CustomerId) -> usize {
        let held = self.held.values().filter(|hold| self.is_live(**hold));
        held.filter(|hold| self.holds[*hold].0 == customer).count()
    }

    fn owned_len(&self, customer: CustomerId) -> usize {
        self.owned
            .values()
            .filter(|(owner, _)| *owner == customer)
            .count()
    }

    fn tickets_of(&self, hold: HoldId) -> Vec<TicketId> {
        let named = self.held.iter().filter(|(_, other)| **other == hold);
        let mut tickets: Vec<TicketId> = named.map(|(id, _)| *id).collect();
        tickets.sort_unstable();
        tickets
    }

    fn can_have(&self, want: &Want) -> bool {
        match want {
            Want::Tickets(ids) => ids.iter().all(|id| self.is_free(*id)),
            Want::AnyOf {
                ticket_type_id,
                quantity,
            } => {
                let all = (0..TICKETS).map(ticket);
                let free = all
                    .filter(|id| Rows::type_of(*id) == *ticket_type_id)
                    .filter(|id| self.is_free(*id));
                free.count() >= *quantity
            }
        }
    }

    /// Whether a command that is new succeeds.
    fn succeeds(&self, customer: CustomerId, action: &Action) -> bool {
        let total = self.owned_len(customer) + self.held_len(customer);
        let is_mine = |hold: &HoldId| self.is_live(*hold) && self.holds[hold].0 == customer;
        match action {
            Action::Purchase { want, .. } => {
                self.is_on_sale() && total + want.quantity() <= LIMIT && self.can_have(want)
            }
            Action::Hold { want } => {
                self.is_on_sale()
                    && total + want.quantity() <= LIMIT
                    && self.held_len(customer) + want.quantity() <= HELD_MAX
                    && self.can_have(want)
            }
            Action::ExtendHold { hold_id } => {
                self.is_on_sale() && is_mine(hold_id) && {
                    let (_, until, extendable) = self.holds[hold_id];
                    until < extendable.min(at(200))
                }
            }
            Action::ReleaseHold { hold_id, tickets } => {
                is_mine(hold_id)
                    && tickets
                        .iter()
                        .flatten()
                        .all(|id| self.held.get(id) == Some(hold_id))
            }
            Action::PurchaseHold { hold_id, .. } => self.is_on_sale() && is_mine(hold_id),
            Action::CancelOrder {
                order_id, items, ..
            } => {
                let is_meant = |id: &TicketId| {
                    items
                        .as_ref()
                        .is_none_or(|items| items.iter().any(|item| self.items[item].1 == *id))
                };
                let mut meant = self.owned.iter().filter(|(id, _)| is_meant(id));
                let is_over = !meant.any(|(_, (_, order))| order == order_id);
                self.orders.get(order_id) == Some(&customer)
                    && (self.now < CANCELLABLE_UNTIL || is_over)
                    && items.iter().flatten().all(|item| {
                        self.items
                            .get(item)
                            .is_some_and(|(order, _)| order == order_id)
                    })
            }
        }
    }

    /// Takes over what a command did, after looking whether it may have done that.
    fn take(&mut self, customer: CustomerId, action: &Action, done: &Done) {
        match (action, done) {
            (Action::Purchase { want, .. }, Done::Order(placed)) => {
                assert_eq!(placed.items.len(), want.quantity());
                for item in &placed.items {
                    assert!(self.is_free(item.ticket_id));
                }
                self.own(customer, placed);
            }
            (Action::Hold { want }, Done::Hold(held)) => {
                assert_eq!(held.tickets.len(), want.quantity());
                for id in &held.tickets {
                    assert!(self.is_free(*id));
                    self.held.insert(*id, held.hold.id);
                }
                let until = at(self.now + 10).min(at(200));
                assert_eq!(held.hold.held_until, until);
                let ends = (customer, until, at(self.now + 25));
                self.holds.insert(held.hold.id, ends);
            }
            (Action::ExtendHold { hold_id }, Done::Hold(held)) => {
                assert_eq!(held.tickets, self.tickets_of(*hold_id));
                let hold = self.holds.get_mut(hold_id).unwrap();
                hold.1 = at(self.now + 10).min(hold.2).min(at(200)).max(hold.1);
                assert_eq!(held.hold.held_until, hold.1);
            }
            (Action::ReleaseHold { hold_id, tickets }, Done::Hold(held)) => {
                match tickets {
                    Some(ids) => self.held.retain(|id, _| !ids.contains(id)),
                    None => self.held.retain(|_, hold| hold != hold_id),
                }
                let kept = self.tickets_of(*hold_id);
                assert_eq!(held.tickets, kept);
                if kept.is_empty() {
                    self.holds.remove(hold_id);
                }
            }
            (Action::PurchaseHold { hold_id, .. }, Done::Order(placed)) => {
                let bought: Vec<TicketId> =
                    placed.items.iter().map(|item| item.ticket_id).collect();
                assert_eq!(bought, self.tickets_of(*hold_id));
                self.held.retain(|_, hold| hold != hold_id);
                self.holds.remove(hold_id);
                self.own(customer, placed);
            }
            (
                Action::CancelOrder {
                    order_id, items, ..
                },
                Done::Order(_),
            ) => {
                let of_items: Option<Vec<TicketId>> = items
                    .as_ref()
                    .map(|items| items.iter().map(|item| self.items[item].1).collect());
                self.owned.retain(|id, (_, order)| {
                    order != order_id || of_items.as_ref().is_some_and(|ids| !ids.contains(id))
                });
            }
            (action, done) => panic!("{action:?} became {done:?}"),
        }
    }

    fn own(&mut self, customer: CustomerId, placed: &PlacedOrder) {
        self.orders.insert(placed.order.id, customer);
        for item in &placed.items {
            self.held.remove(&item.ticket_id);
            self.owned
                .insert(item.ticket_id, (customer, placed.order.id));
            self.items
                .insert(item.id, (placed.order.id, item.ticket_id));
        }
    }
}

/// A step as a command; none when there is nothing yet that it could name.
fn command_of(
    rows: &mut Rows,
    sent: &[(CustomerId, Command)],
    customer: CustomerId,
    step: &Step,
) -> Option<(CustomerId, Command)> {
    let these = |numbers: &[u128]| Want::Tickets(numbers.iter().map(|n| ticket(*n)).collect());
    let any_of = |quantity: usize| Want::AnyOf {
        ticket_type_id: STALLS,
        quantity,
    };
    let buy = |want| Action::Purchase {
        kind: Purchase::Tickets,
        want,
        expected_total: None,
    };
    let hold_at = |rows: &Rows, index: &Index| {
        let ids: Vec<HoldId> = rows.holds.keys().copied().collect();
        (!ids.is_empty()).then(|| *index.get(&ids))
    };
    let action = match step {
        Step::Purchase(numbers) => buy(these(numbers)),
        Step::PurchaseAny(quantity) => buy(any_of(*quantity)),
        Step::Hold(numbers) => Action::Hold {
            want: these(numbers),
        },
        Step::HoldAny(quantity) => Action::Hold {
            want: any_of(*quantity),
        },
        Step::Extend(index) => Action::ExtendHold {
            hold_id: hold_at(rows, index)?,
        },
        Step::Release(index, one) => Action::ReleaseHold {
            hold_id: hold_at(rows, index)?,
            tickets: one.map(|one| vec![ticket(one.index(8) as u128)]),
        },
        Step::PurchaseHold(index) => Action::PurchaseHold {
            hold_id: hold_at(rows, index)?,
            expected_total: None,
        },
        Step::Cancel(index, one) => {
            let orders: Vec<&PlacedOrder> = rows.orders.values().collect();
            let placed = *(!orders.is_empty()).then(|| index.get(&orders))?;
            Action::CancelOrder {
                order_id: placed.order.id,
                items: one.map(|one| vec![one.get(&placed.items).id]),
                by: Canceller::Customer,
                reason: None,
            }
        }
        Step::Repeat(index) => {
            return (!sent.is_empty()).then(|| index.get(sent).clone());
        }
    };
    rows.keys_len += 1;
    let account = Account {
        issuer: "i".into(),
        subject: "s".into(),
    };
    let key = format!("key {}", rows.keys_len);
    Some((
        customer,
        Command::new(EVENT, account, &key, action).unwrap(),
    ))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_history_is_one_of_commands_served_one_at_a_time(history in history()) {
        let mut rows = Rows::new();
        let mut model = Model::default();
        let mut sent: Vec<(CustomerId, Command)> = Vec::new();
        for (secs, steps) in history {
            rows.now += secs;
            model.now = rows.now;
            let commands: Vec<(CustomerId, Command)> = steps
                .iter()
                .filter_map(|(is_ada, step)| {
                    command_of(&mut rows, &sent, if *is_ada { ADA } else { BOB }, step)
                })
                .collect();
            let (decisions, changes) = decide_with_changes(&rows.facts(), &commands);
            for ((customer, command), decision) in commands.iter().zip(&decisions) {
                let key = (*customer, command.key.as_str().to_owned());
                if let Some(fingerprint) = model.done.get(&key) {
                    prop_assert_eq!(*fingerprint, command.fingerprint());
                    prop_assert!(matches!(decision, Decision::Repeated(_)), "{:?} became {:?}", command, decision);
                    continue;
                }
                let succeeds = model.succeeds(*customer, &command.action);
                match decision {
                    Decision::Done(done) => {
                        prop_assert!(succeeds, "{:?} became {:?}", command, decision);
                        model.take(*customer, &command.action, done);
                        model.done.insert(key, command.fingerprint());
                        sent.push((*customer, command.clone()));
                    }
                    Decision::Refused(refusals) => {
                        prop_assert!(!succeeds, "{:?} was refused: {:?}", command, refusals);
                        prop_assert!(!refusals.is_empty());
                    }
                    other => prop_assert!(false, "{:?} became {:?}", command, other),
                }
            }
            rows.write(changes);
            rows.audit();
        }
    }
}
