//! The reception, in front of the desk: who is not known here by an id yet gets one, many at once.
//!
//! An on-sale is full of people who have never bought before. Their ids are looked up, and written, in statements of
//! their own on a connection of their own, so that neither a batch nor whoever is known already waits for that.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    customers::Customers,
    desk::back_off,
    entry::{Arrival, Entry, Late},
    failure::{Cause, Failure},
    lane::Lane,
};
use crate::{auth::Account, ids::CustomerId};

/// Accounts that are looked up, and written, by one statement.
const ACCOUNTS_MAX: usize = 1_000;

pub struct Reception {
    customers: Arc<Customers>,
    desk: mpsc::Sender<Entry>,
}

impl Reception {
    pub fn new(customers: Arc<Customers>, desk: mpsc::Sender<Entry>) -> Self {
        Self { customers, desk }
    }

    /// Serves until it is closed and everybody who came was sent on. `desk_close` is dropped then: nobody comes to the desk
    /// from here any more.
    pub async fn serve(
        self,
        mut lane: Lane,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut close: oneshot::Receiver<()>,
        desk_close: oneshot::Sender<()>,
    ) {
        loop {
            let first = tokio::select! {
                first = arrivals.recv() => first,
                // Nobody new from here on, but who is here is served.
                _ = &mut close, if !arrivals.is_closed() => {
                    arrivals.close();
                    continue;
                }
            };
            let Some(first) = first else { break };
            let mut group = vec![first];
            while group.len() < ACCOUNTS_MAX
                && let Ok(arrival) = arrivals.try_recv()
            {
                group.push(arrival);
            }
            self.receive(&mut lane, group).await;
        }
        drop(desk_close);
    }

    /// Sends everybody on, or gives them up at their deadline.
    async fn receive(&self, lane: &mut Lane, group: Vec<Arrival>) {
        let mut groups = vec![group];
        let mut failures = 0;
        while let Some(group) = groups.pop() {
            let group = in_time(group, failures);
            if group.is_empty() {
                continue;
            }
            let failure = match self.identify(lane, &group).await {
                Ok(ids) => {
                    self.send_on(group, &ids).await;
                    continue;
                }
                Err(failure) => failure,
            };
            if failures == 0 {
                tracing::warn!(
                    group.len = group.len(), cause = ?failure.cause, error = %failure.fault.source,
                    "{} failed for {} callers", failure.fault.step, group.len()
                );
            }
            failures += 1;
            groups.extend(match failure.cause {
                Cause::Data | Cause::SecondOwner | Cause::TooLarge => find_out(group, &failure),
                Cause::Lost | Cause::Conflict | Cause::TimedOut => {
                    lane.discard();
                    back_off(failures).await;
                    vec![group]
                }
            });
        }
    }

    /// Finds out who the callers are; new ones get an id.
    async fn identify(
        &self,
        lane: &mut Lane,
        group: &[Arrival],
    ) -> Result<HashMap<Account, CustomerId>, Failure> {
        let accounts: HashSet<&Account> = group
            .iter()
            .flat_map(|arrival| arrival.command.accounts())
            .collect();
        let mut ids = HashMap::new();
        let mut unknown = Vec::new();
        for &account in &accounts {
            match self.customers.known(account) {
                Some(id) => drop(ids.insert(account.clone(), id)),
                None => unknown.push(account.clone()),
            }
        }
        if !unknown.is_empty() {
            let db = lane.connection().await?;
            ids.extend(self.customers.identify(&db, unknown).await?);
        }
        if ids.len() < accounts.len() {
            return Err(Failure::bug("finding out who the callers are"));
        }
        Ok(ids)
    }

    async fn send_on(&self, group: Vec<Arrival>, ids: &HashMap<Account, CustomerId>) {
        for arrival in group {
            let entry = match arrival.ids(|account| ids.get(account).copied()) {
                Some(ids) => arrival.of(ids),
                None => unreachable!("every caller of a group has an id by now"),
            };
            // The desk is at work, so that there is room again before long; whoever is too late then is told so there.
            if let Err(mpsc::error::SendError(entry)) = self.desk.send(entry).await {
                entry.given_up(Late::Unreachable);
            }
        }
    }
}

/// Without those who are too late, or have withdrawn their command.
fn in_time(group: Vec<Arrival>, failures: u32) -> Vec<Arrival> {
    let now = Instant::now();
    let (in_time, too_late): (Vec<_>, Vec<_>) = group
        .into_iter()
        .partition(|arrival| now < arrival.deadline);
    let late = if failures == 0 {
        Late::Queued
    } else {
        Late::Unreachable
    };
    too_late
        .into_iter()
        .for_each(|arrival| arrival.given_up(late));
    in_time
}

/// Halves a group that the database refuses, until the caller stands alone whom it refuses.
fn find_out(mut group: Vec<Arrival>, failure: &Failure) -> Vec<Vec<Arrival>> {
    if group.len() == 1 {
        tracing::error!(error = %failure.fault.source, "a caller cannot be written: {} failed", failure.fault.step);
        group
            .into_iter()
            .for_each(|arrival| arrival.given_up(Late::Broken));
        return Vec::new();
    }
    let second = group.split_off(group.len() / 2);
    vec![second, group]
}
