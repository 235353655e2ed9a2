//! The organizer's own audit of the event, where the server has one.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Difference, Findings, Inventory};
use crate::{
    auth::Role,
    rush::{
        RushError,
        client::Line,
        event::{ask, has_field},
        run::{Run, bearer},
    },
};

const INVENTORY_AUDIT: &str = "query($id: ID!) { inventoryAudit(eventId: $id) {
    isClean tickets { total sold } orders { confirmed } violations { kind message count }
} }";

const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// One audit runs at a time on each server.
const TRIES_MAX: usize = 10;
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Asks for the audit as the organizer `subject`, and adds what it finds.
pub async fn organizers_view(run: &Arc<Run>, subject: &str, findings: &mut Findings) {
    // It reads every row of the event.
    let answer_wait = run.answer_wait.max(Duration::from_secs(15));
    let mut line = Line::new(Arc::clone(&run.servers), 0, answer_wait);
    if !has_field(&mut line, "Query", "inventoryAudit").await {
        run.add_problem("this server has no inventoryAudit for organizers".to_owned());
        return;
    }
    for event in &run.events {
        match look(run, &mut line, subject, &event.id).await {
            Ok(audit) if audit.is_null() => run.add_problem(format!(
                "the event is not of the organizer {subject:?}, who is not told of its inventory"
            )),
            Ok(audit) => add(&audit, findings),
            Err(error) => {
                run.add_problem(format!("inventoryAudit could not be asked for: {error}"));
            }
        }
    }
}

async fn look(
    run: &Run,
    line: &mut Line,
    subject: &str,
    event_id: &str,
) -> Result<Value, RushError> {
    let token = run.tokens.issue(Role::Organizer, subject, TOKEN_LIFETIME)?;
    let caller = bearer(&token);
    let mut tries = 0;
    loop {
        tries += 1;
        let variables = json!({ "id": event_id });
        match ask(line, Some(&caller), INVENTORY_AUDIT, variables).await {
            Ok(mut data) => return Ok(data["inventoryAudit"].take()),
            Err(RushError::Asking { code, .. }) if code == "OVERLOADED" && tries < TRIES_MAX => {
                sleep(AGAIN_AFTER).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn add(audit: &Value, findings: &mut Findings) {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let is_clean = audit["isClean"] == true;
    let mut violations = 0;
    for violation in audit["violations"].as_array().into_iter().flatten() {
        let count = number(&violation["count"]).max(1);
        violations += count;
        let message = violation["message"].as_str().unwrap_or("(nothing)");
        let message: String = message
            .chars()
            .filter(|c| !c.is_control())
            .take(300)
            .collect();
        findings.add(Difference::Violation, count, &message);
    }
    if !is_clean && violations == 0 {
        findings.add(Difference::Violation, 1, "inventoryAudit is not clean");
    }
    let before = findings.inventory.unwrap_or(Inventory {
        is_clean: true,
        ..Inventory::default()
    });
    findings.inventory = Some(Inventory {
        is_clean: before.is_clean && is_clean,
        tickets: before.tickets + number(&audit["tickets"]["total"]),
        tickets_sold: before.tickets_sold + number(&audit["tickets"]["sold"]),
        orders_confirmed: before.orders_confirmed + number(&audit["orders"]["confirmed"]),
        violations: before.violations + violations,
    });
}
