//! What is counted of a server, under the names that Prometheus reads.
//!
//! Names follow its conventions: base units, `_total` for what only grows
//! (<https://prometheus.io/docs/practices/naming/>). No label has a caller's or an event's name in it: how many series there
//! are is bounded by the code alone.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, PullingGauge,
    Registry, TextEncoder, core::Collector,
};

/// What [`Metrics::text`] is written in.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds, from a quick answer to a request's end.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Commands of a batch, up to the most that it may have.
const BATCH_LEN: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_000.0,
];

pub struct Metrics {
    registry: Registry,
    /// By mutation and by what became of it.
    commands: IntCounterVec,
    turned_away: IntCounter,
    /// Tickets of new orders.
    pub tickets_sold: IntCounter,
    /// From a command's arrival at the desk to its outcome.
    pub command_secs: Histogram,
    pub batch_len: Histogram,
    pub batch_secs: Histogram,
    /// By status.
    requests: HistogramVec,
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let seconds =
            |name: &str, help: &str| HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        Self {
            commands: add(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "rowlock_commands_total",
                        "Commands of buyers, by their mutation and by the first code of what became of them.",
                    ),
                    &["mutation", "outcome"],
                ),
            ),
            turned_away: add(
                &registry,
                IntCounter::new(
                    "rowlock_turned_away_total",
                    "Requests that were turned away before they were executed, since the desk would not have come to them in time.",
                ),
            ),
            tickets_sold: add(
                &registry,
                IntCounter::new("rowlock_tickets_sold_total", "Tickets of new orders."),
            ),
            command_secs: add(
                &registry,
                Histogram::with_opts(seconds(
                    "rowlock_command_duration_seconds",
                    "From a command's arrival at the desk to its outcome.",
                )),
            ),
            batch_len: add(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("rowlock_batch_commands", "Commands of a batch.")
                        .buckets(BATCH_LEN.to_vec()),
                ),
            ),
            batch_secs: add(
                &registry,
                Histogram::with_opts(seconds(
                    "rowlock_batch_duration_seconds",
                    "A batch's transaction, from its first statement to its commit.",
                )),
            ),
            requests: add(
                &registry,
                HistogramVec::new(
                    seconds(
                        "rowlock_http_request_duration_seconds",
                        "From a request's line to its answer's, by the answer's status. Of a subscription, to its beginning.",
                    ),
                    &["status"],
                ),
            ),
            registry,
        }
    }
}

impl Metrics {
    /// A command has this outcome, or was refused or failed with this code.
    pub fn count_command(&self, mutation: &str, outcome: &str) {
        self.commands.with_label_values(&[mutation, outcome]).inc();
    }

    pub fn count_turned_away(&self) {
        self.turned_away.inc();
    }

    pub fn observe_request(&self, status: &str, secs: f64) {
        self.requests.with_label_values(&[status]).observe(secs);
    }

    /// Adds a value that is asked for whenever somebody reads.
    pub fn pull(&self, name: &str, help: &str, value: impl Fn() -> f64 + Send + Sync + 'static) {
        add(
            &self.registry,
            PullingGauge::new(name, help, Box::new(value)),
        );
    }

    /// All of it, in Prometheus's text format.
    pub fn text(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("what is registered has names and values that can be written")
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("the names are well-formed");
    registry
        .register(Box::new(collector.clone()))
        .expect("each name is there once");
    collector
}
