//! What happened, as it happens: counts by name, latencies, curves, and what buyers were told.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use hdrhistogram::Histogram;
use hyper::body::Bytes;
use tokio::time::Instant;

use super::wants::Want;

/// Latencies are counted in microseconds, up to ten minutes and to a tenth of a per cent.
const LATENCY_MAX_US: u64 = 600_000_000;
const DIGITS: u8 = 3;

/// A curve's points show one or two per cent all the same.
const CURVE_DIGITS: u8 = 2;

/// A run that is longer has a curve of its first day.
const POINTS_MAX: usize = 86_400;

/// The fine curve is for the first minutes, the one by seconds for the rest.
pub const FINE: Duration = Duration::from_millis(100);
const FINE_POINTS_MAX: usize = 1_800;

/// A part of a purchase that is answered by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Purchase,
    Hold,
    PurchaseHold,
    Release,
    Look,
}

impl Step {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::Hold => "hold",
            Self::PurchaseHold => "purchaseHold",
            Self::Release => "releaseHold",
            Self::Look => "look",
        }
    }
}

/// How a purchase ended for its buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Sold,
    Refused(String),
    Fault(String),
    /// Held, and not bought.
    Abandoned,
}

impl End {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Sold => "sold",
            Self::Refused(_) => "refused",
            Self::Fault(_) => "fault",
            Self::Abandoned => "abandoned",
        }
    }
}

/// An order that a buyer was told of.
#[derive(Clone, Debug)]
pub struct Sale {
    /// The customer's number.
    pub customer: usize,
    pub order: String,
    pub items: Vec<String>,
    pub want: Want,
}

/// A request of which nobody knows what became, to be repeated as it is.
#[derive(Clone, Debug)]
pub struct Unsettled {
    pub customer: usize,
    pub body: Bytes,
    pub want: Want,
}

#[derive(Default)]
pub struct Counts {
    pub asked: u64,
    pub sold: u64,
    pub tickets_sold: u64,
    pub abandoned: u64,
    pub refused: BTreeMap<String, u64>,
    pub faults: BTreeMap<String, u64>,
    pub looks: u64,
    /// Looks that were not answered, by code: nothing was at stake.
    pub look_faults: BTreeMap<String, u64>,
    /// Requests of every kind that were answered.
    pub answers: u64,
}

pub struct Recorder {
    pub counts: Counts,
    /// From a purchase's beginning to its end, however it ended.
    pub latency: Histogram<u64>,
    /// The same, by how it ended.
    pub ends: BTreeMap<&'static str, Histogram<u64>>,
    pub steps: BTreeMap<Step, Histogram<u64>>,
    pub seconds: Curve,
    pub fine: Curve,
    pub sales: Vec<Sale>,
    /// Since when its buyer knows that a ticket is theirs, by its place among all.
    pub bought_at: HashMap<u32, Instant>,
    pub unsettled: Vec<Unsettled>,
}

impl Recorder {
    pub fn new() -> Self {
        Self {
            counts: Counts::default(),
            latency: latencies(),
            ends: BTreeMap::new(),
            steps: BTreeMap::new(),
            seconds: Curve::new(Duration::from_secs(1), POINTS_MAX),
            fine: Curve::new(FINE, FINE_POINTS_MAX),
            sales: Vec::new(),
            bought_at: HashMap::new(),
            unsettled: Vec::new(),
        }
    }

    /// An answer to one request.
    pub fn answered(&mut self, step: Step, latency: Duration) {
        self.counts.answers += 1;
        let steps = self.steps.entry(step).or_insert_with(latencies);
        steps.saturating_record(micros(latency));
    }

    /// A buyer is told that a purchase was made.
    pub fn sold(&mut self, sale: Sale) {
        self.counts.tickets_sold += sale.items.len() as u64;
        if let Want::Tickets(places) = &sale.want {
            let now = Instant::now();
            self.bought_at
                .extend(places.iter().map(|place| (*place, now)));
        }
        self.sales.push(sale);
    }

    /// A purchase that ended `at` so long after the run's beginning.
    pub fn ended(&mut self, at: Duration, latency: Duration, end: End) {
        self.counts.asked += 1;
        let us = micros(latency);
        self.latency.saturating_record(us);
        let of_end = self.ends.entry(end.as_str()).or_insert_with(latencies);
        of_end.saturating_record(us);
        self.seconds.add(at, us, &end);
        self.fine.add(at, us, &end);
        match end {
            End::Sold => self.counts.sold += 1,
            End::Abandoned => self.counts.abandoned += 1,
            End::Refused(code) => *self.counts.refused.entry(code).or_default() += 1,
            End::Fault(code) => *self.counts.faults.entry(code).or_default() += 1,
        }
    }

    pub fn looked(&mut self, fault: Option<String>) {
        self.counts.looks += 1;
        if let Some(code) = fault {
            *self.counts.look_faults.entry(code).or_default() += 1;
        }
    }
}

/// Of whole latencies, none yet.
pub fn latencies() -> Histogram<u64> {
    histogram(DIGITS)
}

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, digits).expect("the bounds are a histogram's")
}

pub fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX_US)
}

/// What happened in one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Which stretch, from 0.
    pub at: usize,
    pub asked: u64,
    pub sold: u64,
    pub refused: u64,
    pub faults: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

/// What happened, stretch by stretch.
pub struct Curve {
    pub width: Duration,
    points: Vec<Point>,
    now: Point,
    latency: Histogram<u64>,
    points_max: usize,
}

impl Curve {
    fn new(width: Duration, points_max: usize) -> Self {
        Self {
            width,
            points: Vec::new(),
            now: Point::default(),
            latency: histogram(CURVE_DIGITS),
            points_max,
        }
    }

    fn add(&mut self, at: Duration, us: u64, end: &End) {
        let at = at.as_micros() / self.width.as_micros();
        let Ok(at) = usize::try_from(at) else { return };
        while self.now.at < at && self.points.len() < self.points_max {
            self.close();
        }
        self.now.asked += 1;
        match end {
            End::Sold => self.now.sold += 1,
            End::Refused(_) => self.now.refused += 1,
            End::Fault(_) => self.now.faults += 1,
            End::Abandoned => {}
        }
        self.latency.saturating_record(us);
    }

    fn close(&mut self) {
        self.points.push(self.closed());
        self.now = Point {
            at: self.now.at + 1,
            ..Point::default()
        };
        self.latency.reset();
    }

    fn closed(&self) -> Point {
        if self.latency.is_empty() {
            return self.now;
        }
        Point {
            p50_us: self.latency.value_at_quantile(0.5),
            p99_us: self.latency.value_at_quantile(0.99),
            max_us: self.latency.max(),
            ..self.now
        }
    }

    /// Whether there was more than the curve has points for.
    pub fn is_full(&self) -> bool {
        self.points.len() >= self.points_max
    }

    /// All points, the one that is not over among them.
    pub fn points(&self) -> Vec<Point> {
        let mut points = self.points.clone();
        if self.now.asked > 0 && !self.is_full() {
            points.push(self.closed());
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purchase_is_counted_once_under_its_end_and_in_its_second() {
        let mut recorder = Recorder::new();
        let ms = Duration::from_millis;
        recorder.ended(ms(100), ms(5), End::Sold);
        recorder.ended(ms(900), ms(7), End::Refused("ALREADY_SOLD".to_owned()));
        recorder.ended(ms(3_100), ms(9), End::Fault("NO_ANSWER".to_owned()));
        recorder.ended(ms(3_200), ms(9), End::Abandoned);
        let counts = &recorder.counts;
        assert_eq!((counts.asked, counts.sold, counts.abandoned), (4, 1, 1));
        assert_eq!(counts.refused["ALREADY_SOLD"], 1);
        assert_eq!(counts.faults["NO_ANSWER"], 1);
        let points = recorder.seconds.points();
        let asked: Vec<u64> = points.iter().map(|point| point.asked).collect();
        assert_eq!(asked, [2, 0, 0, 2]);
        assert_eq!((points[0].sold, points[0].refused), (1, 1));
        assert_eq!(points[3].faults, 1);
        assert!((6_900..=7_100).contains(&points[0].max_us), "{points:?}");
    }
}
