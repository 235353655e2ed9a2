//! What an operator can ask of a rehearsal.

use std::{path::PathBuf, time::Duration};

use crate::config::{DatabaseConfig, TokenConfig};

/// Every option of a rehearsal.
#[derive(Clone, clap::Args)]
pub struct Options {
    /// A server to drive. Repeat it for several servers on one database: the buyers are spread over them
    #[arg(
        long = "url",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub urls: Vec<String>,

    /// The event, by its slug or its id. Without it, the first one on sale that has tickets left. Repeat it for several
    /// on sale at once: each purchase is then of one ticket, of any of them
    #[arg(long = "event", value_name = "SLUG|ID")]
    pub events: Vec<String>,

    /// Only tickets of this type, by its name or its id. Without it, tickets of every type; with --pattern any, of the
    /// type that has the most left
    #[arg(long, value_name = "NAME|ID")]
    pub ticket_type: Option<String>,

    /// What the buyers do
    #[arg(long, value_name = "PATTERN", default_value = "sell-through")]
    pub pattern: Pattern,

    /// Buyers at the same time: each has a connection, and asks again as soon as it was answered
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub buyers: u32,

    /// Purchases to ask for. Without it and --duration: one for each ticket there is, or, with --pattern hot, a hundred
    /// for each seat
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub purchases: Option<u64>,

    /// Ask for no more purchases after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,

    /// Begin so many purchases a second, whether or not the ones before were answered, as far as there are buyers free.
    /// A latency then counts from when the purchase should have begun. Without it, each buyer waits for its answer
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub rate: Option<f64>,

    /// Tickets of each purchase
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub tickets_per_purchase: u16,

    /// How many seats everybody wants, with --pattern hot
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub seats: u32,

    /// The share of holds that are not bought, with --pattern hold: every second of them is given back, the others are
    /// left to end by themselves, and their buyers do not come back
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = share)]
    pub abandon: f64,

    /// The share of requests that only look at the event and at what is left: 0.8 is four looks for each purchase
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub refresh: f64,

    /// Follow the seats as they change too, of each event at each server: shows how many are left, and in the end compares
    /// what was pushed with what there is
    #[arg(long)]
    pub watch: bool,

    /// Watchers with --watch, spread over events and servers. Without it, and at least, one for each event at each server
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub watchers: Option<u32>,

    /// The same number, the same order of seats and the same choices
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,

    /// How long a buyer waits for an answer before giving up on it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub answer_wait: Duration,

    /// The subject of the event's organizer: lets the audit ask for the organizer's inventoryAudit too
    #[arg(long, value_name = "SUBJECT")]
    pub organizer: Option<String>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,

    /// Write the result, with its curves, as a page of HTML
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// Drive a server that is not on this machine. It is a load test, and it buys: only where you may
    #[arg(long)]
    pub i_own_this_server: bool,

    #[command(flatten)]
    pub tokens: TokenConfig,

    #[command(flatten)]
    pub database: DatabaseConfig,
}

/// What buyers do in an on-sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Pattern {
    /// Every purchase wants tickets of its own
    SellThrough,
    /// All want the same few seats
    Hot,
    /// Any tickets of a type
    Any,
    /// Tickets are held first and then bought, or abandoned
    Hold,
}

impl Pattern {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SellThrough => "sell-through",
            Self::Hot => "hot",
            Self::Any => "any",
            Self::Hold => "hold",
        }
    }
}

/// A share of one would leave nothing to buy.
const SHARE_MAX: f64 = 0.99;

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=SHARE_MAX).contains(&share) => Ok(share),
        _ => Err(format!("must be a number from 0 to {SHARE_MAX}")),
    }
}

/// One purchase in ten seconds, and more than any machine sends.
const RATE_MIN: f64 = 0.1;
const RATE_MAX: f64 = 1e6;

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (RATE_MIN..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("must be a number from {RATE_MIN} to {RATE_MAX}")),
    }
}
