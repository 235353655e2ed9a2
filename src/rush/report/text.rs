//! The result in words, for a terminal.

use std::{collections::BTreeMap, fmt::Write};

use super::{Latency, Report};
use crate::rush::{audit::Findings, progress::grouped, watch::Watched};

/// Codes and how often each came.
pub fn by_code(counts: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (code, count) in counts {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{} {code}", grouped(*count));
    }
    text
}

/// For a terminal.
pub fn text(report: &Report) -> String {
    let mut page = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(page, "  {name:<10} {value}");
    };
    line(
        "sold",
        format!(
            "{} orders, {} tickets in {:.1} s: {:.0} orders/s",
            grouped(report.sold),
            grouped(report.tickets_sold),
            report.seconds,
            report.per_second.sold
        ),
    );
    let reasons = |count: u64, codes: &BTreeMap<String, u64>| match count {
        0 => "0".to_owned(),
        _ => format!("{}: {}", grouped(count), by_code(codes)),
    };
    line("refused", reasons(report.refused, &report.refused_by_code));
    line("faults", reasons(report.faults, &report.faults_by_code));
    if report.abandoned > 0 {
        line("abandoned", grouped(report.abandoned));
    }
    if report.looks > 0 {
        let faults: u64 = report.look_faults_by_code.values().sum();
        line(
            "looks",
            format!("{}, {} faults", grouped(report.looks), grouped(faults)),
        );
    }
    line(
        "asked",
        format!(
            "{}: {:.0}/s",
            grouped(report.asked),
            report.per_second.asked
        ),
    );
    line("latency", latency(&report.latency_ms));
    if report.latency_by_end_ms.len() > 1 {
        for (end, of_end) in &report.latency_by_end_ms {
            line(&format!("  {end}"), latency(of_end));
        }
    }
    if report.requests.len() > 1 {
        for (name, of_request) in &report.requests {
            line(&format!("  {name}"), latency(of_request));
        }
    }
    line(
        "client",
        format!(
            "{:.2} cores, {:.0} µs an answer",
            report.client.cores, report.client.cpu_us_per_answer
        ),
    );
    for said in report.watch.iter().flat_map(watched) {
        line("watch", said);
    }
    for said in audit(&report.audit) {
        line("audit", said);
    }
    for problem in &report.problems {
        line("problem", problem.clone());
    }
    format!(
        "{} of {}, {} buyers, {}\n{page}",
        report.pattern,
        report.title(),
        grouped(report.buyers),
        report.servers.join(", ")
    )
}

fn latency(latency: &Latency) -> String {
    format!(
        "p50 {} · p90 {} · p99 {} · p99.9 {} · max {} ms",
        short(latency.p50),
        short(latency.p90),
        short(latency.p99),
        short(latency.p999),
        short(latency.max)
    )
}

/// What was pushed, in lines.
pub fn watched(watch: &Watched) -> Vec<String> {
    let mut lines = vec![format!(
        "{} watchers were told of {} changes in {} messages; they listened again {} times, and began again {} times",
        grouped(watch.watchers),
        grouped(watch.changes),
        grouped(watch.messages),
        grouped(watch.resumptions),
        grouped(watch.begun_again)
    )];
    for (whose, delay) in [("", watch.delay_ms), (" by the last", watch.last_delay_ms)] {
        if let Some(delay) = delay {
            lines.push(format!(
                "a sale was known{whose} after its buyer: {}",
                latency(&delay)
            ));
        }
    }
    if watch.is_complete {
        lines.push("replayed and compared with every seat map".to_owned());
    }
    lines
}

/// Three digits are enough.
pub fn short(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    }
}

/// The audit in lines, the conclusion last.
pub fn audit(audit: &Findings) -> Vec<String> {
    let mut lines = vec![format!(
        "told of {} orders with {} tickets; read back {} orders with {} tickets, of {} of {} customers",
        grouped(audit.orders_told),
        grouped(audit.tickets_told),
        grouped(audit.orders_found),
        grouped(audit.tickets_found),
        grouped(audit.customers_read),
        grouped(audit.customers)
    )];
    let settled = audit.settled;
    if settled.sold + settled.refused + settled.open > 0 {
        lines.push(format!(
            "answers that were lost, asked for again under their keys: {} sold, {} refused, {} still unknown",
            grouped(settled.sold),
            grouped(settled.refused),
            grouped(settled.open)
        ));
    }
    if let Some(rows) = audit.database {
        lines.push(format!(
            "the database's rows: {} orders with {} tickets, {} of them sold; {} tickets of the event with two owners",
            grouped(rows.orders),
            grouped(rows.items),
            grouped(rows.tickets_sold),
            grouped(rows.tickets_with_two_owners)
        ));
    }
    if let Some(inventory) = audit.inventory {
        lines.push(format!(
            "the organizer's inventory: {} tickets, {} sold, {} orders, {} violations",
            grouped(inventory.tickets),
            grouped(inventory.tickets_sold),
            grouped(inventory.orders_confirmed),
            grouped(inventory.violations)
        ));
    }
    if let Some(violations) = audit.violations {
        lines.push(format!(
            "the audit of all rows: {} violations",
            grouped(violations)
        ));
    }
    lines.extend(
        audit
            .differences
            .examples
            .iter()
            .map(|example| format!("DIFFERS: {example}")),
    );
    let more = audit
        .differences
        .total
        .saturating_sub(audit.differences.examples.len() as u64);
    if more > 0 && !audit.differences.examples.is_empty() {
        lines.push(format!("and {} more", grouped(more)));
    }
    lines.push(conclusion(audit));
    lines
}

/// One line for the whole audit.
pub fn conclusion(audit: &Findings) -> String {
    match (audit.differences.total, audit.is_complete) {
        (0, true) => "clean: everything that buyers were told is so".to_owned(),
        (0, false) => "incomplete: what could be looked at agrees".to_owned(),
        (1, _) => "1 difference".to_owned(),
        (total, _) => format!("{} differences", grouped(total)),
    }
}
