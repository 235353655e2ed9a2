//! What buyers were told against what the server has: every order is read back as its buyer would see it, from another
//! server than the one that told of it where there are several.
//!
//! Nothing is taken from the answers to the purchases but what they claim.

mod compare;
mod inventory;
mod read;
mod settle;

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use tokio::task::JoinSet;

use self::compare::Comparison;
pub use self::{
    compare::{Difference, FoundItem, FoundOrder},
    inventory::organizers_view,
    settle::settle,
};
use super::{client::Line, run::Run};

/// Connections that the audit reads over.
const LINES: usize = 32;

/// So many differences are described; the others are counted.
const EXAMPLES_MAX: usize = 20;

/// What the audit found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// Everything agrees, and everything was looked at.
    pub is_clean: bool,
    /// Everything that was to be looked at was.
    pub is_complete: bool,
    /// Customers whose orders were read back, of how many.
    pub customers_read: u64,
    pub customers: u64,
    pub orders_told: u64,
    pub orders_found: u64,
    pub tickets_told: u64,
    /// Tickets of the orders that were found.
    pub tickets_found: u64,
    pub settled: Settled,
    /// What the database's own rows say, if a database was named.
    pub database: Option<Rows>,
    /// What the organizer's inventoryAudit says, if it was asked for.
    pub inventory: Option<Inventory>,
    /// What the audit of the whole database says, if one was made.
    pub violations: Option<u64>,
    pub differences: Differences,
}

/// Purchases whose answer was lost, and what they came to when they were repeated under their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    pub sold: u64,
    pub refused: u64,
    /// Nobody knows what became of these.
    pub open: u64,
}

/// What is in the tables, of this run's customers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rows {
    pub orders: u64,
    pub items: u64,
    /// Tickets of these items that are sold.
    pub tickets_sold: u64,
    /// Tickets of the whole event, or of all of them, with more than one active item.
    pub tickets_with_two_owners: u64,
}

/// The organizer's view of the events, counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    pub is_clean: bool,
    pub tickets: u64,
    pub tickets_sold: u64,
    pub orders_confirmed: u64,
    pub violations: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Differences {
    pub total: u64,
    pub by_kind: BTreeMap<&'static str, u64>,
    /// The first of them, in words.
    pub examples: Vec<String>,
}

impl Findings {
    pub fn add(&mut self, difference: Difference, count: u64, what: &str) {
        if count == 0 {
            return;
        }
        let differences = &mut self.differences;
        differences.total += count;
        *differences.by_kind.entry(difference.as_str()).or_default() += count;
        if differences.examples.len() < EXAMPLES_MAX {
            let sentence = difference.sentence();
            differences.examples.push(format!("{sentence}: {what}"));
        }
        self.judge();
    }

    /// Draws the conclusion from what was found so far.
    pub fn judge(&mut self) {
        self.is_complete = self.settled.open == 0 && self.customers_read == self.customers;
        self.is_clean = self.is_complete && self.differences.total == 0;
    }
}

/// Lines for the audit's own questions.
fn lines(run: &Run) -> impl Iterator<Item = Line> {
    (0..LINES).map(|number| Line::new(Arc::clone(&run.servers), number, run.answer_wait))
}

/// Reads back every customer's orders and compares them with what the customer was told.
pub async fn audit(run: &Arc<Run>, settled: Settled) -> Findings {
    let read = read::orders_of_all(run).await;
    let mut findings = Findings {
        customers: run.customers().len() as u64,
        customers_read: read.len() as u64,
        settled,
        ..Findings::default()
    };
    let recorder = run.recorder();
    let mut comparison = Comparison::new(&recorder.sales, &recorder.unsettled, &run.tickets);
    findings.orders_told = recorder.sales.len() as u64;
    findings.tickets_told = recorder
        .sales
        .iter()
        .map(|sale| sale.items.len() as u64)
        .sum();
    comparison.told(&mut findings);
    for (customer, orders) in &read {
        comparison.customer(*customer, orders, &mut findings);
    }
    findings.judge();
    findings
}

async fn joined<T: 'static>(tasks: &mut JoinSet<T>) -> Option<T> {
    match tasks.join_next().await? {
        Ok(value) => Some(value),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
