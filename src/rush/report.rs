//! The result of a rehearsal: the same numbers for machines, for a terminal and for a page.

mod text;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use hdrhistogram::Histogram;
use serde::Serialize;

use self::text::by_code;
pub use self::text::{audit, conclusion, short, text, watched};
use super::{
    audit::{Difference, Findings},
    progress::grouped,
    record::{Counts, Point, Recorder},
    run::{Pace, Ran, Run},
    watch::Watched,
};

/// A rate is reached when no more than this share of it is missing.
const RATE_MISSING_MAX: f64 = 0.05;

/// The result. Serialized, it is what `--json` prints; its names are stable.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub version: &'static str,
    pub started_at: DateTime<Utc>,
    pub pattern: &'static str,
    /// The first event.
    pub event: EventNamed,
    /// How many events were on sale, that one among them.
    pub events: u64,
    pub servers: Vec<String>,
    pub buyers: u64,
    pub tickets_per_purchase: u16,
    pub seed: u64,
    /// The run's customers have this subject, a hyphen and a number.
    pub customers: String,

    /// From the first purchase's beginning to the last one's end.
    pub seconds: f64,
    /// Purchases that ended: sold, refused, faults and abandoned make up all of them.
    pub asked: u64,
    /// Orders that buyers were told of while it ran.
    pub sold: u64,
    pub tickets_sold: u64,
    pub refused: u64,
    pub refused_by_code: BTreeMap<String, u64>,
    pub faults: u64,
    pub faults_by_code: BTreeMap<String, u64>,
    pub abandoned: u64,
    pub looks: u64,
    pub look_faults_by_code: BTreeMap<String, u64>,
    pub per_second: PerSecond,
    /// Purchases begun a second, asked for and reached, when a rate was asked for.
    pub rate: Option<Rate>,

    /// Of purchases, however they ended; with a rate, from when each should have begun.
    pub latency_ms: Latency,
    /// The same by how they ended: `sold`, `refused`, `fault` (turned away, say), `abandoned`.
    pub latency_by_end_ms: BTreeMap<&'static str, Latency>,
    /// Of each kind of request, from its sending to its answer.
    pub requests: BTreeMap<&'static str, Latency>,
    pub curve: Vec<CurvePoint>,
    pub client: Client,

    pub audit: Findings,
    /// What was pushed, when it was watched.
    pub watch: Option<Watched>,
    /// What went wrong, in sentences.
    pub problems: Vec<String>,
    /// What the process ends with: 0 clean, 1 for a difference, 2 when it could not be run or checked to its end.
    pub exit_code: u8,

    /// For the page: ten points a second, of a run that is not too long.
    #[serde(skip)]
    pub fine: Vec<CurvePoint>,
    /// For the page: share of purchases, and the milliseconds that they took at most.
    #[serde(skip)]
    pub quantiles: Vec<(f64, f64)>,
}

#[derive(Clone, Debug, Serialize)]
pub struct EventNamed {
    pub id: String,
    pub slug: String,
    pub name: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PerSecond {
    pub asked: f64,
    pub sold: f64,
    pub tickets_sold: f64,
    /// Requests of every kind that were answered.
    pub answers: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rate {
    pub asked: f64,
    pub reached: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// What happened in one stretch of time, a second of it in JSON.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurvePoint {
    /// When it began.
    pub second: f64,
    pub asked: u64,
    pub sold: u64,
    pub refused: u64,
    pub faults: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// What the rehearsal itself cost: it shares the machine with what it measures.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    pub cpu_seconds: f64,
    /// Processor time per second: 1 is one core, which is all that the client can use.
    pub cores: f64,
    pub cpu_us_per_answer: f64,
}

impl Report {
    /// What was on sale, for people.
    pub fn title(&self) -> String {
        match self.events {
            0 | 1 => self.event.name.clone(),
            2 => format!("{} and another event", self.event.name),
            events => format!(
                "{} and {} other events",
                self.event.name,
                grouped(events - 1)
            ),
        }
    }

    pub fn new(
        run: &Run,
        ran: &Ran,
        started_at: DateTime<Utc>,
        buyers: usize,
        per_purchase: u16,
        audit: Findings,
        watch: Option<Watched>,
    ) -> Self {
        let recorder = run.recorder();
        let counts = &recorder.counts;
        let seconds = ran.lasted.as_secs_f64();
        let mut report = Self {
            version: env!("CARGO_PKG_VERSION"),
            started_at,
            pattern: run.pattern.as_str(),
            event: EventNamed {
                id: run.event().id.clone(),
                slug: run.event().slug.clone(),
                name: run.event().name.clone(),
            },
            events: run.events.len() as u64,
            servers: run
                .servers
                .iter()
                .map(|server| server.url.clone())
                .collect(),
            buyers: buyers as u64,
            tickets_per_purchase: per_purchase,
            seed: run.seed,
            customers: run.prefix.clone(),
            seconds: rounded(seconds, 6),
            asked: counts.asked,
            sold: counts.sold,
            tickets_sold: counts.tickets_sold,
            refused: counts.refused.values().sum(),
            refused_by_code: counts.refused.clone(),
            faults: counts.faults.values().sum(),
            faults_by_code: counts.faults.clone(),
            abandoned: counts.abandoned,
            looks: counts.looks,
            look_faults_by_code: counts.look_faults.clone(),
            per_second: per_second(counts, seconds),
            rate: run
                .pace
                .rate
                .zip(ran.rate_reached)
                .map(|(asked, reached)| Rate {
                    asked,
                    reached: rounded(reached, 2),
                }),
            latency_ms: Latency::of(&recorder.latency),
            latency_by_end_ms: recorder
                .ends
                .iter()
                .map(|(end, latency)| (*end, Latency::of(latency)))
                .collect(),
            requests: recorder
                .steps
                .iter()
                .map(|(step, latency)| (step.as_str(), Latency::of(latency)))
                .collect(),
            curve: curve(&recorder.seconds.points(), Duration::from_secs(1)),
            client: client(ran, counts),
            audit,
            watch,
            problems: run.problems(),
            exit_code: 0,
            fine: fine(&recorder),
            quantiles: quantiles(&recorder.latency),
        };
        report.problems.extend(shortfall(&report, &run.pace));
        report.judge();
        report
    }

    /// Adds what an audit of the rows found, if anything: how many of them contradict a claim, and which.
    pub fn add_violations<'a>(&mut self, violations: impl IntoIterator<Item = (u64, &'a str)>) {
        let mut total = 0;
        for (count, claim) in violations {
            total += count;
            self.audit.add(Difference::Violation, count, claim);
        }
        self.audit.violations = Some(self.audit.violations.unwrap_or(0) + total);
        self.conclude();
    }

    /// Says that something could not be looked at.
    pub fn add_problem(&mut self, sentence: String) {
        self.problems.push(sentence);
        self.conclude();
    }

    fn judge(&mut self) {
        if self.audit.settled.open > 0 {
            self.problems.push(format!(
                "{} purchases were not settled: nobody knows what became of them",
                grouped(self.audit.settled.open)
            ));
        }
        if self.sold == 0 && self.faults > 0 && self.faults == self.asked {
            self.problems.push(format!(
                "not one purchase was answered ({})",
                by_code(&self.faults_by_code)
            ));
        }
        self.conclude();
    }

    fn conclude(&mut self) {
        self.exit_code = if self.audit.differences.total > 0 {
            1
        } else if self.problems.is_empty() && self.audit.is_complete {
            0
        } else {
            2
        };
    }
}

fn per_second(counts: &Counts, seconds: f64) -> PerSecond {
    let rate = |count: u64| rounded(count as f64 / seconds.max(1e-6), 2);
    PerSecond {
        asked: rate(counts.asked),
        sold: rate(counts.sold),
        tickets_sold: rate(counts.tickets_sold),
        answers: rate(counts.answers),
    }
}

fn client(ran: &Ran, counts: &Counts) -> Client {
    let cpu = ran.cpu.as_secs_f64();
    Client {
        cpu_seconds: rounded(cpu, 3),
        cores: rounded(cpu / ran.lasted.as_secs_f64().max(1e-6), 3),
        cpu_us_per_answer: rounded(cpu * 1e6 / (counts.answers.max(1)) as f64, 2),
    }
}

/// A rate that was not reached.
fn shortfall(report: &Report, pace: &Pace) -> Option<String> {
    let rate = report.rate?;
    let is_reached = rate.reached >= rate.asked * (1.0 - RATE_MISSING_MAX);
    // With one purchase there is no rate to speak of.
    (!is_reached && report.asked > 1 && pace.rate.is_some()).then(|| {
        format!(
            "the rate of {:.0}/s was not reached: {:.0}/s were begun, and the latencies count the wait; it takes more \
             buyers, a faster server, or a lower rate",
            rate.asked, rate.reached
        )
    })
}

fn curve(points: &[Point], width: Duration) -> Vec<CurvePoint> {
    points
        .iter()
        .map(|point| CurvePoint {
            second: rounded(point.at as f64 * width.as_secs_f64(), 3),
            asked: point.asked,
            sold: point.sold,
            refused: point.refused,
            faults: point.faults,
            p50_ms: ms(point.p50_us),
            p99_ms: ms(point.p99_us),
            max_ms: ms(point.max_us),
        })
        .collect()
}

/// None of a run that is too long for it.
fn fine(recorder: &Recorder) -> Vec<CurvePoint> {
    if recorder.fine.is_full() {
        return Vec::new();
    }
    curve(&recorder.fine.points(), recorder.fine.width)
}

impl Latency {
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            mean: rounded(histogram.mean() / 1e3, 3),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(histogram.max()),
        }
    }
}

/// From the fastest to the slowest, finer towards the slow ones, as far as there are enough to tell.
fn quantiles(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    const STEPS_A_DECADE: u32 = 12;
    const DECADES: u32 = 5;
    if histogram.is_empty() {
        return Vec::new();
    }
    (0..=STEPS_A_DECADE * DECADES)
        .map(|step| 1.0 - 10f64.powf(-f64::from(step) / f64::from(STEPS_A_DECADE)))
        .take_while(|share| (1.0 - share) * histogram.len() as f64 >= 1.0)
        .map(|share| (share, ms(histogram.value_at_quantile(share))))
        .collect()
}

fn ms(us: u64) -> f64 {
    rounded(us as f64 / 1e3, 3)
}

fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (number * scale).round() / scale
}
