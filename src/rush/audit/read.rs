//! Orders as their customers see them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use super::{FoundItem, FoundOrder, joined, lines};
use crate::rush::{
    RushError,
    client::Line,
    event::ask,
    run::{Customer, Run},
};

const ORDERS: &str = "query($after: String) { me { orders(first: 100, after: $after) {
    nodes { id status items { id status ticket { id status } } } pageInfo { hasNextPage endCursor }
} } }";

/// A server that is busy is asked again so often.
const TRIES_MAX: usize = 5;
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Customers by number, one queue for each server.
type Queues = Arc<Vec<Mutex<Vec<(usize, Customer)>>>>;

/// Every customer's orders, of all customers that could be read.
pub async fn orders_of_all(run: &Arc<Run>) -> Vec<(usize, Vec<FoundOrder>)> {
    let servers = run.servers.len();
    let queues: Vec<Mutex<Vec<_>>> = (0..servers).map(|_| Mutex::default()).collect();
    for (number, customer) in run.customers().iter().enumerate() {
        // Another server than the one that told them.
        let queue = &queues[(customer.home + 1) % servers];
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((number, customer.clone()));
    }
    let queues: Queues = Arc::new(queues);
    let orders_max = usize::try_from(run.recorder().counts.asked).unwrap_or(usize::MAX);
    let mut reading = JoinSet::new();
    for (number, line) in lines(run).enumerate() {
        let at = number % servers;
        reading.spawn(work(
            Arc::clone(run),
            line,
            Arc::clone(&queues),
            at,
            orders_max,
        ));
    }
    let mut read = Vec::new();
    while let Some(part) = joined(&mut reading).await {
        read.extend(part);
    }
    read
}

async fn work(
    run: Arc<Run>,
    mut line: Line,
    queues: Queues,
    at: usize,
    orders_max: usize,
) -> Vec<(usize, Vec<FoundOrder>)> {
    let mut read = Vec::new();
    let next = || {
        queues[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    };
    while let Some((number, customer)) = next() {
        match orders_of(&mut line, &customer, orders_max).await {
            Ok(orders) => read.push((number, orders)),
            Err(error) => {
                run.add_problem(format!("the audit could not read orders back: {error}"));
                return read;
            }
        }
    }
    read
}

async fn orders_of(
    line: &mut Line,
    customer: &Customer,
    orders_max: usize,
) -> Result<Vec<FoundOrder>, RushError> {
    let mut orders = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut data = ask_again(line, customer, json!({ "after": after })).await?;
        let page = &mut data["me"]["orders"];
        let nodes = page["nodes"].as_array().ok_or(RushError::StrangeAnswer)?;
        for node in nodes {
            orders.push(read(node).ok_or(RushError::StrangeAnswer)?);
        }
        let is_more = page["pageInfo"]["hasNextPage"] == true;
        // More orders than were asked for are a difference already, and pages must come to an end.
        if !is_more || nodes.is_empty() || orders.len() > orders_max {
            return Ok(orders);
        }
        after = page["pageInfo"]["endCursor"].take();
    }
}

async fn ask_again(
    line: &mut Line,
    customer: &Customer,
    variables: Value,
) -> Result<Value, RushError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match ask(line, Some(&customer.caller), ORDERS, variables.clone()).await {
            Err(RushError::NoServer { urls, trouble }) if !trouble.is_passing() => {
                return Err(RushError::NoServer { urls, trouble });
            }
            Err(error) if tries == TRIES_MAX => return Err(error),
            Err(_) => sleep(AGAIN_AFTER).await,
            Ok(data) => return Ok(data),
        }
    }
}

fn read(node: &Value) -> Option<FoundOrder> {
    let items = node["items"].as_array()?;
    Some(FoundOrder {
        id: node["id"].as_str()?.to_owned(),
        is_confirmed: node["status"] == "CONFIRMED",
        items: items.iter().map(read_item).collect::<Option<_>>()?,
    })
}

fn read_item(item: &Value) -> Option<FoundItem> {
    let ticket = &item["ticket"];
    Some(FoundItem {
        id: item["id"].as_str()?.to_owned(),
        ticket: ticket["id"].as_str().unwrap_or_default().to_owned(),
        is_sold: item["status"] == "ACTIVE" && ticket["status"] == "SOLD",
    })
}
