//! An audit's findings for people and for machines.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Audit, EventAudit, Violation};

/// A calm page of text: each event, and one line of summary at the end.
pub fn text(audit: &Audit) -> String {
    let mut page = format!("Checked in one snapshot at {}\n", time(audit));
    for event in &audit.events {
        page.push('\n');
        write_event(&mut page, event);
    }
    if !audit.strays.is_empty() {
        page.push_str("\nRows of no event\n");
        write_violations(&mut page, &audit.strays);
    }
    let _ = write!(page, "\n{}\n", summary(audit));
    page
}

fn write_event(page: &mut String, event: &EventAudit) {
    let (tickets, orders) = (event.tickets, event.orders);
    let name = shown(&event.name);
    let _ = writeln!(page, "{name} ({}, {})", shown(&event.slug), event.id);
    let _ = writeln!(
        page,
        "  tickets  {}: {} available, {} held, {} sold, {} blocked",
        tickets.total(),
        tickets.available,
        tickets.held,
        tickets.sold,
        tickets.blocked
    );
    let _ = writeln!(
        page,
        "  orders   {} confirmed, {} cancelled",
        orders.confirmed, orders.cancelled
    );
    if event.is_being_cancelled {
        let _ = writeln!(
            page,
            "  note     cancellation under way: whether orders and holds are settled is not checked yet"
        );
    }
    write_violations(page, &event.violations);
}

fn write_violations(page: &mut String, violations: &[Violation]) {
    for violation in violations {
        let (kind, count) = (violation.kind, violation.count);
        let noun = kind.subject().noun(count);
        let _ = writeln!(
            page,
            "  WRONG    {}, {count} {noun}: {}",
            kind.as_str(),
            kind.message()
        );
        for id in &violation.ids {
            let _ = writeln!(page, "             {id}");
        }
        let rest = more(violation);
        if rest > 0 {
            let _ = writeln!(page, "             and {rest} more");
        }
    }
}

/// How many rows of a violation are not named.
fn more(violation: &Violation) -> i64 {
    violation.count - i64::try_from(violation.ids.len()).unwrap_or(violation.count)
}

fn summary(audit: &Audit) -> String {
    let events = match audit.events.len() {
        1 => "1 event".to_owned(),
        len => format!("{len} events"),
    };
    let tickets: i64 = audit.events.iter().map(|event| event.tickets.total()).sum();
    let found = match audit.violations().count() {
        0 => "everything agrees".to_owned(),
        1 => "1 violation".to_owned(),
        len => format!("{len} violations"),
    };
    let noun = if tickets == 1 { "ticket" } else { "tickets" };
    format!("{events}, {tickets} {noun}: {found}")
}

/// Rows may have been written by hand: nothing in them reaches a terminal's controls.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn time(audit: &Audit) -> String {
    audit
        .checked_at
        .to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// The same as one JSON object.
pub fn json(audit: &Audit) -> Value {
    json!({
        "checkedAt": time(audit),
        "isClean": audit.is_clean(),
        "events": audit.events.iter().map(event_json).collect::<Vec<_>>(),
        "violationsOfNoEvent": violations_json(&audit.strays),
    })
}

fn event_json(event: &EventAudit) -> Value {
    let (tickets, orders) = (event.tickets, event.orders);
    json!({
        "id": event.id.to_string(),
        "slug": event.slug,
        "name": event.name,
        "isBeingCancelled": event.is_being_cancelled,
        "tickets": {
            "total": tickets.total(),
            "available": tickets.available,
            "held": tickets.held,
            "sold": tickets.sold,
            "blocked": tickets.blocked,
        },
        "orders": { "confirmed": orders.confirmed, "cancelled": orders.cancelled },
        "violations": violations_json(&event.violations),
    })
}

fn violations_json(violations: &[Violation]) -> Value {
    let violation = |violation: &Violation| {
        let ids: Vec<String> = violation.ids.iter().map(ToString::to_string).collect();
        json!({
            "kind": violation.kind.as_str(),
            "message": violation.kind.message(),
            "count": violation.count,
            "ids": ids,
        })
    };
    violations.iter().map(violation).collect()
}
