//! The result as a page to look at: one file, no script, nothing fetched from anywhere; light and dark.

mod chart;

use std::{collections::BTreeMap, fmt::Write};

use self::chart::{Axis, Chart, Colour, Series};
use super::{
    progress::grouped,
    report::{CurvePoint, Latency, Report, audit, conclusion, short, watched},
};

const STYLE: &str = include_str!("page/style.css");

/// More columns than a screen has room for are merged.
const COLUMNS_MAX: usize = 240;

/// The page.
pub fn page(report: &Report) -> String {
    let mut html = String::with_capacity(1 << 16);
    let name = escaped(&report.title());
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}: a rehearsal</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    header(&mut html, report);
    verdict(&mut html, report);
    tiles(&mut html, report);
    charts(&mut html, report);
    html.push_str("<div class=\"pair\">\n");
    endings(&mut html, report);
    requests(&mut html, report);
    html.push_str("</div>\n");
    watch(&mut html, report);
    findings(&mut html, report);
    setting(&mut html, report);
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn header(html: &mut String, report: &Report) {
    let what = match report.pattern {
        "hot" => "everybody wants the same few seats",
        "any" => "any tickets of a type",
        "hold" => "tickets are held, then bought or abandoned",
        _ => "every buyer wants tickets of their own",
    };
    let servers = match report.servers.len() {
        1 => "one server".to_owned(),
        len => format!("{len} servers"),
    };
    let _ = writeln!(
        html,
        "<header>\n<p class=\"eyebrow\">Rehearsal of an on-sale</p>\n<h1>{}</h1>\n<p class=\"sub\">{} buyers at {servers}: \
         {what}. {}</p>\n</header>",
        escaped(&report.title()),
        grouped(report.buyers),
        report.started_at.format("%-d %B %Y, %H:%M UTC"),
    );
}

fn verdict(html: &mut String, report: &Report) {
    let (class, sign) = match report.exit_code {
        0 => ("good", "✓"),
        1 => ("bad", "✕"),
        _ => ("open", "!"),
    };
    let _ = writeln!(
        html,
        "<section class=\"verdict {class}\">\n<p><span class=\"sign\" aria-hidden=\"true\">{sign}</span> \
         <strong>Audit {}</strong></p>",
        escaped(&conclusion(&report.audit))
    );
    for problem in &report.problems {
        let _ = writeln!(html, "<p>{}</p>", escaped(problem));
    }
    html.push_str("</section>\n");
}

fn tiles(html: &mut String, report: &Report) {
    html.push_str("<section class=\"tiles\">\n");
    let mut tile = |name: &str, value: String, unit: &str| {
        let _ = writeln!(
            html,
            "<div class=\"tile\"><p class=\"name\">{name}</p><p class=\"value\">{value}<span>{unit}</span></p></div>"
        );
    };
    tile("Orders sold", grouped(report.sold), "");
    tile("Sold a second", grouped(whole(report.per_second.sold)), "");
    tile("Half answered within", short(report.latency_ms.p50), "ms");
    tile("99 % within", short(report.latency_ms.p99), "ms");
    tile("Refused", grouped(report.refused), "");
    tile("Faults", grouped(report.faults), "");
    html.push_str("</section>\n");
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is neither negative nor more than fits"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn charts(html: &mut String, report: &Report) {
    let curve = if report.fine.is_empty() {
        &report.curve
    } else {
        &report.fine
    };
    let columns = merged(curve);
    let width = width_of(&columns, report.seconds);
    html.push_str("<section class=\"charts\">\n");
    html.push_str(&sold_in_all(&columns, width, report.seconds).svg());
    html.push_str(&rate(&columns, width, report.seconds).svg());
    html.push_str(&latency(&columns, width, report.seconds).svg());
    html.push_str(&percentiles(report).svg());
    html.push_str("</section>\n");
}

/// As many columns as there is room for: counts added up, the slowest latency kept.
fn merged(curve: &[CurvePoint]) -> Vec<CurvePoint> {
    let together = curve.len().div_ceil(COLUMNS_MAX).max(1);
    curve
        .chunks(together)
        .filter_map(|chunk| {
            let mut column = *chunk.first()?;
            for point in &chunk[1..] {
                column.p50_ms = mean(&column, point);
                column.asked += point.asked;
                column.sold += point.sold;
                column.refused += point.refused;
                column.faults += point.faults;
                column.p99_ms = column.p99_ms.max(point.p99_ms);
                column.max_ms = column.max_ms.max(point.max_ms);
            }
            Some(column)
        })
        .collect()
}

/// Each weighed by how many it is of.
fn mean(a: &CurvePoint, b: &CurvePoint) -> f64 {
    let all = (a.asked + b.asked) as f64;
    if all == 0.0 {
        return 0.0;
    }
    (a.p50_ms * a.asked as f64 + b.p50_ms * b.asked as f64) / all
}

fn width_of(columns: &[CurvePoint], seconds: f64) -> f64 {
    match columns {
        [first, second, ..] => second.second - first.second,
        _ => seconds.max(0.001),
    }
}

fn sold_in_all(columns: &[CurvePoint], width: f64, seconds: f64) -> Chart {
    let mut sum = 0;
    let mut points = vec![(0.0, 0.0)];
    let mut words = vec![String::new()];
    for column in columns {
        sum += column.sold;
        let at = (column.second + width).min(seconds.max(column.second));
        points.push((at, sum as f64));
        words.push(format!("{at:.1} s: {} orders", grouped(sum)));
    }
    Chart {
        title: "Sold",
        note: "orders since the sale opened",
        series: vec![Series {
            name: "orders",
            colour: Colour::First,
            is_area: true,
            points,
        }],
        words,
        x: Axis::seconds(seconds),
        y_unit: "",
    }
}

/// The last column may be cut short, and would look like a fall.
fn full(columns: &[CurvePoint], width: f64, seconds: f64) -> &[CurvePoint] {
    match columns.split_last() {
        Some((last, rest)) if !rest.is_empty() && seconds - last.second < width * 0.9 => rest,
        Some(_) | None => columns,
    }
}

fn rate(columns: &[CurvePoint], width: f64, seconds: f64) -> Chart {
    let columns = full(columns, width, seconds);
    let of = |count: fn(&CurvePoint) -> u64| -> Vec<(f64, f64)> {
        columns
            .iter()
            .map(|column| (column.second + width / 2.0, count(column) as f64 / width))
            .collect()
    };
    let mut series = vec![Series {
        name: "sold",
        colour: Colour::First,
        is_area: true,
        points: of(|column| column.sold),
    }];
    if columns.iter().any(|column| column.refused > 0) {
        series.push(Series {
            name: "refused",
            colour: Colour::Second,
            is_area: false,
            points: of(|column| column.refused),
        });
    }
    if columns.iter().any(|column| column.faults > 0) {
        series.push(Series {
            name: "faults",
            colour: Colour::Bad,
            is_area: false,
            points: of(|column| column.faults),
        });
    }
    let words = columns
        .iter()
        .map(|column| {
            let a_second = |count: u64| grouped(whole(count as f64 / width));
            format!(
                "{:.1} s: {} sold, {} refused, {} faults a second",
                column.second,
                a_second(column.sold),
                a_second(column.refused),
                a_second(column.faults)
            )
        })
        .collect();
    Chart {
        title: "Answers a second",
        note: "purchases, by how they ended",
        series,
        words,
        x: Axis::seconds(seconds),
        y_unit: "",
    }
}

fn latency(columns: &[CurvePoint], width: f64, seconds: f64) -> Chart {
    let answered: Vec<&CurvePoint> = columns.iter().filter(|column| column.asked > 0).collect();
    let of = |latency: fn(&CurvePoint) -> f64| -> Vec<(f64, f64)> {
        answered
            .iter()
            .map(|column| (column.second + width / 2.0, latency(column)))
            .collect()
    };
    Chart {
        title: "Latency",
        note: "from a purchase's beginning to its end, ms",
        series: vec![
            Series {
                name: "99 % within",
                colour: Colour::Second,
                is_area: false,
                points: of(|column| column.p99_ms),
            },
            Series {
                name: "half within",
                colour: Colour::First,
                is_area: false,
                points: of(|column| column.p50_ms),
            },
        ],
        words: answered
            .iter()
            .map(|column| {
                format!(
                    "{:.1} s: half within {} ms, 99 % within {} ms, all within {} ms",
                    column.second,
                    short(column.p50_ms),
                    short(column.p99_ms),
                    short(column.max_ms)
                )
            })
            .collect(),
        x: Axis::seconds(seconds),
        y_unit: "ms",
    }
}

fn percentiles(report: &Report) -> Chart {
    let decades = |share: f64| -(1.0 - share).log10();
    let points: Vec<(f64, f64)> = report
        .quantiles
        .iter()
        .map(|(share, ms)| (decades(*share), *ms))
        .collect();
    let end = points.last().map_or(1.0, |(x, _)| *x).max(1.0);
    Chart {
        title: "Percentiles",
        note: "the share of purchases that took at most so many ms",
        words: report
            .quantiles
            .iter()
            .map(|(share, ms)| format!("{} % within {} ms", percent(*share), short(*ms)))
            .collect(),
        series: vec![Series {
            name: "latency",
            colour: Colour::First,
            is_area: true,
            points,
        }],
        x: Axis {
            end,
            ticks: [
                (0.0, "0"),
                (0.5, "50 %"),
                (0.9, "90 %"),
                (0.99, "99 %"),
                (0.999, "99.9 %"),
                (0.9999, "99.99 %"),
                (0.99999, "99.999 %"),
            ]
            .into_iter()
            .map(|(share, label)| (decades(share), label.to_owned()))
            .filter(|(x, _)| *x <= end + 1e-9)
            .collect(),
        },
        y_unit: "ms",
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn endings(html: &mut String, report: &Report) {
    html.push_str("<section>\n<h2>How purchases ended</h2>\n<table>\n");
    let mut row = |name: &str, count: u64| {
        let share = count as f64 * 100.0 / report.asked.max(1) as f64;
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{share:.1} %</td></tr>",
            escaped(name),
            grouped(count)
        );
    };
    row("Sold", report.sold);
    if report.abandoned > 0 {
        row("Held and abandoned", report.abandoned);
    }
    for (name, codes) in [
        ("Refused", &report.refused_by_code),
        ("Fault", &report.faults_by_code),
    ] {
        for (code, count) in codes {
            row(&format!("{name}: {code}"), *count);
        }
    }
    row("Asked", report.asked);
    html.push_str("</table>\n");
    if report.looks > 0 {
        let faults: u64 = report.look_faults_by_code.values().sum();
        let _ = writeln!(
            html,
            "<p class=\"sub\">And {} looks at the event in between, {} of them faults.</p>",
            grouped(report.looks),
            grouped(faults)
        );
    }
    html.push_str("</section>\n");
}

fn requests(html: &mut String, report: &Report) {
    html.push_str(
        "<section>\n<h2>How long it took</h2>\n<table>\n<thead><tr><th scope=\"col\">ms</th><th scope=\"col\">half</th>\
         <th scope=\"col\">90 %</th><th scope=\"col\">99 %</th><th scope=\"col\">99.9 %</th><th scope=\"col\">all</th></tr></thead>\n",
    );
    let mut row = |name: &str, latency: &Latency| {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escaped(name));
        for ms in [
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p999,
            latency.max,
        ] {
            let _ = write!(html, "<td>{}</td>", short(ms));
        }
        html.push_str("</tr>\n");
    };
    row("Whole purchase", &report.latency_ms);
    if report.latency_by_end_ms.len() > 1 {
        for (end, latency) in &report.latency_by_end_ms {
            row(end, latency);
        }
    }
    let requests: &BTreeMap<&str, Latency> = &report.requests;
    if requests.len() > 1 {
        for (name, latency) in requests {
            row(name, latency);
        }
    }
    html.push_str("</table>\n</section>\n");
}

fn watch(html: &mut String, report: &Report) {
    let Some(watch) = &report.watch else {
        return;
    };
    html.push_str("<section>\n<h2>Seats as they were pushed</h2>\n<ul>\n");
    for line in watched(watch) {
        let _ = writeln!(html, "<li>{}</li>", escaped(&line));
    }
    html.push_str("</ul>\n</section>\n");
}

fn findings(html: &mut String, report: &Report) {
    html.push_str("<section>\n<h2>Audit</h2>\n<ul>\n");
    for line in audit(&report.audit) {
        let _ = writeln!(html, "<li>{}</li>", escaped(&line));
    }
    html.push_str("</ul>\n</section>\n");
}

fn setting(html: &mut String, report: &Report) {
    let rate = report.rate.map_or_else(
        || "each buyer asks again when answered".to_owned(),
        |rate| format!("{:.0}/s asked for, {:.0}/s begun", rate.asked, rate.reached),
    );
    let _ = writeln!(
        html,
        "<footer><p>rowlock rush {} · {} · pattern {} · {} a purchase · seed {} · {rate} · {:.1} s · client {:.2} cores, \
         {:.0} µs an answer · customers {}-…</p></footer>",
        report.version,
        escaped(&report.servers.join(", ")),
        report.pattern,
        match report.tickets_per_purchase {
            1 => "1 ticket".to_owned(),
            len => format!("{len} tickets"),
        },
        report.seed,
        report.seconds,
        report.client.cores,
        report.client.cpu_us_per_answer,
        escaped(&report.customers),
    );
}

/// Text as HTML's text. An event's name is whatever its organizer called it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(second: f64, asked: u64, p50_ms: f64) -> CurvePoint {
        CurvePoint {
            second,
            asked,
            sold: asked,
            refused: 0,
            faults: 0,
            p50_ms,
            p99_ms: p50_ms * 2.0,
            max_ms: p50_ms * 3.0,
        }
    }

    #[test]
    fn merged_columns_lose_no_sale_and_no_slow_one() {
        let curve: Vec<CurvePoint> = (0..1_000)
            .map(|second| point(f64::from(second), 10, f64::from(second)))
            .collect();
        let columns = merged(&curve);
        assert!(columns.len() <= COLUMNS_MAX);
        assert_eq!(
            columns.iter().map(|column| column.sold).sum::<u64>(),
            10_000
        );
        assert!((columns[0].p99_ms - 8.0).abs() < 1e-9, "{:?}", columns[0]);
        assert!((columns[0].p50_ms - 2.0).abs() < 1e-9, "{:?}", columns[0]);
    }

    #[test]
    fn markup_in_a_name_is_text() {
        assert_eq!(escaped("<script>&\"'"), "&lt;script&gt;&amp;&quot;&#39;");
    }
}
