//! The comparison itself. Pure: what was told and what was found in, differences out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Findings;
use crate::rush::{
    record::{Sale, Unsettled},
    wants::Want,
};

/// An order as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundOrder {
    pub id: String,
    pub is_confirmed: bool,
    pub items: Vec<FoundItem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundItem {
    pub id: String,
    pub ticket: String,
    /// The item is active and its ticket is sold.
    pub is_sold: bool,
}

/// In which way what was told and what is there differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    OrderMissing,
    OrderUntold,
    OrderToldTwice,
    ItemsDiffer,
    TicketsDiffer,
    TicketSoldTwice,
    NotSold,
    RowsDiffer,
    VersionGap,
    NotPushed,
    PushedDiffers,
    ToldDifferently,
    Violation,
}

impl Difference {
    /// Its name in the result.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderMissing => "orderMissing",
            Self::OrderUntold => "orderUntold",
            Self::OrderToldTwice => "orderToldTwice",
            Self::ItemsDiffer => "itemsDiffer",
            Self::TicketsDiffer => "ticketsDiffer",
            Self::TicketSoldTwice => "ticketSoldTwice",
            Self::NotSold => "notSold",
            Self::RowsDiffer => "rowsDiffer",
            Self::VersionGap => "versionGap",
            Self::NotPushed => "notPushed",
            Self::PushedDiffers => "pushedDiffers",
            Self::ToldDifferently => "toldDifferently",
            Self::Violation => "violation",
        }
    }

    pub fn sentence(self) -> &'static str {
        match self {
            Self::OrderMissing => "a buyer was told of an order that is not there",
            Self::OrderUntold => "there is an order that no buyer was told of",
            Self::OrderToldTwice => "two purchases were told of the same order",
            Self::ItemsDiffer => "an order has other items than its buyer was told",
            Self::TicketsDiffer => "an order has other tickets than its buyer asked for",
            Self::TicketSoldTwice => "a ticket was sold twice",
            Self::NotSold => "a ticket of an order is not its buyer's",
            Self::RowsDiffer => "the database's rows differ from what buyers were told",
            Self::VersionGap => "a watcher was told of changes that do not follow what they know",
            Self::NotPushed => "a watcher was not told of changes",
            Self::PushedDiffers => "a seat is something else than watchers were told",
            Self::ToldDifferently => "watchers were told different things of one version",
            Self::Violation => "the rows contradict each other",
        }
    }
}

/// What buyers were told, by customer, and what was seen of it so far.
pub struct Comparison<'a> {
    told: HashMap<usize, Vec<&'a Sale>>,
    /// How many purchases of a customer may have made an order that nobody knows of.
    open: HashMap<usize, usize>,
    sales: &'a [Sale],
    tickets: &'a [String],
    tickets_found: HashSet<String>,
}

impl<'a> Comparison<'a> {
    pub fn new(sales: &'a [Sale], unsettled: &[Unsettled], tickets: &'a [String]) -> Self {
        let mut told: HashMap<usize, Vec<&Sale>> = HashMap::new();
        for sale in sales {
            told.entry(sale.customer).or_default().push(sale);
        }
        let mut open: HashMap<usize, usize> = HashMap::new();
        for purchase in unsettled {
            *open.entry(purchase.customer).or_default() += 1;
        }
        Self {
            told,
            open,
            sales,
            tickets,
            tickets_found: HashSet::new(),
        }
    }

    /// What buyers were told must not contradict itself: no order and no ticket twice.
    pub fn told(&self, findings: &mut Findings) {
        let mut orders = HashSet::new();
        let mut tickets = HashSet::new();
        for sale in self.sales {
            if !orders.insert(sale.order.as_str()) {
                findings.add(Difference::OrderToldTwice, 1, &sale.order);
                continue;
            }
            let Want::Tickets(places) = &sale.want else {
                continue;
            };
            for place in places {
                if !tickets.insert(*place) {
                    findings.add(Difference::TicketSoldTwice, 1, self.ticket(*place));
                }
            }
        }
    }

    /// What a customer was told against the orders that the customer has.
    pub fn customer(&mut self, customer: usize, orders: &[FoundOrder], findings: &mut Findings) {
        findings.orders_found += orders.len() as u64;
        let mut found: BTreeMap<&str, &FoundOrder> = BTreeMap::new();
        for order in orders {
            findings.tickets_found += order.items.len() as u64;
            for item in &order.items {
                if item.is_sold && !self.tickets_found.insert(item.ticket.clone()) {
                    findings.add(Difference::TicketSoldTwice, 1, &item.ticket);
                }
            }
            found.insert(&order.id, order);
        }
        let mut told = BTreeSet::new();
        for sale in self.told.get(&customer).into_iter().flatten() {
            if !told.insert(sale.order.as_str()) {
                continue;
            }
            match found.get(sale.order.as_str()) {
                Some(order) => self.order(sale, order, findings),
                None => findings.add(Difference::OrderMissing, 1, &sale.order),
            }
        }
        let untold: Vec<&&str> = found.keys().filter(|id| !told.contains(**id)).collect();
        // One that was never settled may have made an order; that the audit is incomplete is said elsewhere.
        let open = self.open.get(&customer).copied().unwrap_or(0);
        for id in untold.into_iter().skip(open) {
            findings.add(Difference::OrderUntold, 1, id);
        }
    }

    fn order(&self, sale: &Sale, order: &FoundOrder, findings: &mut Findings) {
        let told: BTreeSet<&str> = sale.items.iter().map(String::as_str).collect();
        let found: BTreeSet<&str> = order.items.iter().map(|item| item.id.as_str()).collect();
        if told != found || sale.items.len() != order.items.len() {
            findings.add(Difference::ItemsDiffer, 1, &order.id);
        }
        let has_tickets = match &sale.want {
            Want::Any(quantity) => order.items.len() == usize::from(*quantity),
            Want::Tickets(places) => {
                let asked: BTreeSet<&str> =
                    places.iter().map(|place| self.ticket(*place)).collect();
                asked
                    == order
                        .items
                        .iter()
                        .map(|item| item.ticket.as_str())
                        .collect()
            }
        };
        if !has_tickets {
            findings.add(Difference::TicketsDiffer, 1, &order.id);
        }
        let lost = order
            .items
            .iter()
            .filter(|item| !item.is_sold || !order.is_confirmed);
        for item in lost {
            findings.add(Difference::NotSold, 1, &item.ticket);
        }
    }

    fn ticket(&self, place: u32) -> &str {
        self.tickets
            .get(place as usize)
            .map_or("(none)", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::*;

    fn tickets() -> Vec<String> {
        (0..4).map(|place| format!("T{place}")).collect()
    }

    /// Customer `customer` was told of order `O<number>` with the ticket at `place`.
    fn sale(customer: usize, number: u32, place: u32) -> Sale {
        Sale {
            customer,
            order: format!("O{number}"),
            items: vec![format!("I{number}")],
            want: Want::Tickets(Box::new([place])),
        }
    }

    fn order(number: u32, place: u32) -> FoundOrder {
        FoundOrder {
            id: format!("O{number}"),
            is_confirmed: true,
            items: vec![FoundItem {
                id: format!("I{number}"),
                ticket: format!("T{place}"),
                is_sold: true,
            }],
        }
    }

    fn compare(sales: &[Sale], found: &[(usize, Vec<FoundOrder>)]) -> BTreeMap<&'static str, u64> {
        compare_with_open(sales, &[], found)
    }

    fn compare_with_open(
        sales: &[Sale],
        unsettled: &[Unsettled],
        found: &[(usize, Vec<FoundOrder>)],
    ) -> BTreeMap<&'static str, u64> {
        let tickets = tickets();
        let mut findings = Findings::default();
        let mut comparison = Comparison::new(sales, unsettled, &tickets);
        comparison.told(&mut findings);
        for (customer, orders) in found {
            comparison.customer(*customer, orders, &mut findings);
        }
        findings.differences.by_kind
    }

    #[test]
    fn what_was_told_and_is_there_makes_no_difference() {
        let sales = [sale(0, 1, 0), sale(0, 2, 1), sale(1, 3, 2)];
        let found = [
            (0, vec![order(2, 1), order(1, 0)]),
            (1, vec![order(3, 2)]),
            (2, vec![]),
        ];
        assert!(compare(&sales, &found).is_empty());
    }

    #[test]
    fn an_order_that_is_not_there_and_one_that_nobody_was_told_of_are_found() {
        let found = compare(&[sale(0, 1, 0)], &[(0, vec![order(2, 1)])]);
        assert_eq!(
            found,
            BTreeMap::from([("orderMissing", 1), ("orderUntold", 1)])
        );
    }

    #[test]
    fn an_order_of_another_customer_is_no_order_of_this_one() {
        let found = compare(&[sale(0, 1, 0)], &[(0, vec![]), (1, vec![order(1, 0)])]);
        assert_eq!(
            found,
            BTreeMap::from([("orderMissing", 1), ("orderUntold", 1)])
        );
    }

    #[test]
    fn a_ticket_sold_twice_is_found_among_the_told_and_among_the_found() {
        let sales = [sale(0, 1, 0), sale(1, 2, 0)];
        let found = [(0, vec![order(1, 0)]), (1, vec![order(2, 0)])];
        assert_eq!(
            compare(&sales, &found),
            BTreeMap::from([("ticketSoldTwice", 2)])
        );
    }

    #[test]
    fn other_tickets_other_items_and_tickets_that_are_not_sold_are_found() {
        assert_eq!(
            compare(&[sale(0, 1, 0)], &[(0, vec![order(1, 3)])]),
            BTreeMap::from([("ticketsDiffer", 1)])
        );
        let mut other_items = order(1, 0);
        other_items.items[0].id = "I9".to_owned();
        assert_eq!(
            compare(&[sale(0, 1, 0)], &[(0, vec![other_items])]),
            BTreeMap::from([("itemsDiffer", 1)])
        );
        let mut unsold = order(1, 0);
        unsold.items[0].is_sold = false;
        assert_eq!(
            compare(&[sale(0, 1, 0)], &[(0, vec![unsold])]),
            BTreeMap::from([("notSold", 1)])
        );
        let mut cancelled = order(1, 0);
        cancelled.is_confirmed = false;
        assert_eq!(
            compare(&[sale(0, 1, 0)], &[(0, vec![cancelled])]),
            BTreeMap::from([("notSold", 1)])
        );
    }

    #[test]
    fn an_order_told_to_two_purchases_is_found() {
        let sales = [sale(0, 1, 0), sale(0, 1, 1)];
        let found = compare(&sales, &[(0, vec![order(1, 0)])]);
        assert_eq!(found, BTreeMap::from([("orderToldTwice", 1)]));
    }

    #[test]
    fn any_tickets_are_as_many_as_were_asked_for() {
        let any = Sale {
            want: Want::Any(2),
            ..sale(0, 1, 0)
        };
        let found = compare(&[any], &[(0, vec![order(1, 3)])]);
        assert_eq!(found, BTreeMap::from([("ticketsDiffer", 1)]));
    }

    #[test]
    fn an_order_of_a_purchase_that_was_never_settled_is_nobodys_lie() {
        let open = Unsettled {
            customer: 0,
            body: Bytes::new(),
            want: Want::Any(1),
        };
        let orders = [(0, vec![order(1, 0), order(2, 1)])];
        let found = compare_with_open(&[], std::slice::from_ref(&open), &orders);
        assert_eq!(found, BTreeMap::from([("orderUntold", 1)]));
    }
}
