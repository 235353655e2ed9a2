//! What an operator can set: each option a flag, and an environment variable beside it; the flag wins.
//!
//! This is the only room that names an environment variable; the environment itself is read once, in `main`.

mod front;
mod issuers;
mod origin;
mod query;
mod rates;
mod tokens;
mod traces;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

pub use self::{
    front::{ForwardedHeader, FrontConfig, HostName, Network},
    issuers::{IssuerConfig, RESERVED_ISSUERS},
    origin::AllowedOrigin,
    query::{QueryConfig, Switch},
    rates::RateConfig,
    tokens::TokenConfig,
    traces::{Share, TraceConfig},
};
use crate::sales::Limits;

/// Every option of a server.
#[derive(Clone, clap::Args)]
pub struct Config {
    /// Address to listen on. Port 0 picks a free one and prints it
    #[arg(
        long,
        env = "ROWLOCK_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub listen: SocketAddr,

    /// Address of the numbers that Prometheus reads, at /metrics: not for everybody. By default nobody reads any
    #[arg(long, env = "ROWLOCK_METRICS_LISTEN", value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,

    #[command(flatten)]
    pub database: DatabaseConfig,

    #[command(flatten)]
    pub tokens: TokenConfig,

    #[command(flatten)]
    pub desk: DeskConfig,

    #[command(flatten)]
    pub http: HttpConfig,

    #[command(flatten)]
    pub query: QueryConfig,

    #[command(flatten)]
    pub persisted: PersistedConfig,

    #[command(flatten)]
    pub traces: TraceConfig,
}

impl Config {
    /// # Errors
    /// When two options contradict each other; the text is for the operator.
    pub fn check(&self) -> Result<(), String> {
        if self.http.answer_within() <= Duration::from_millis(self.desk.sale_deadline_ms) {
            return Err(format!(
                "nine tenths of --request-timeout-ms ({}) must be more than --sale-deadline-ms ({}), or a sale could not \
                 say what became of it",
                self.http.request_timeout_ms, self.desk.sale_deadline_ms
            ));
        }
        self.http.rates.check(&self.query)
    }
}

/// Where the tickets are.
#[derive(Clone, clap::Args)]
pub struct DatabaseConfig {
    /// The database: postgres://user:password@host/name, or sqlite:FILE for one process
    #[arg(
        long,
        env = "ROWLOCK_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,

    /// Connections for reading and for the catalogue (PostgreSQL). Sales have up to 8 of their own beside them, and
    /// one for each of --waiting-lanes. More connections serve more readers at once and cost the database memory
    #[arg(
        long,
        env = "ROWLOCK_DATABASE_CONNECTIONS",
        value_name = "N",
        default_value = "10", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub database_connections: u32,
}

/// The desk's limits.
#[derive(Clone, clap::Args)]
pub struct DeskConfig {
    /// Purchases that may wait for the next batch; more are answered OVERLOADED at once
    #[arg(
        long,
        env = "ROWLOCK_QUEUE_LEN",
        value_name = "N",
        default_value = "10000"
    )]
    pub queue_len: NonZeroUsize,

    /// Milliseconds that a purchase may have to wait for its batch, as far as the desk's pace lets foresee it; more purchases are
    /// answered OVERLOADED at once, and told when to come back. Longer lets a burst be served that a shorter one turns away
    #[arg(
        long,
        env = "ROWLOCK_QUEUE_WAIT_MS",
        value_name = "MS",
        default_value = "2000", value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub queue_wait_ms: u64,

    /// Purchases of one transaction. More share one flush to disk, and wait for each other's rows; 1 turns group
    /// commit off
    #[arg(long, env = "ROWLOCK_BATCH_LEN", value_name = "N", default_value = "256", value_parser = batch_len)]
    pub batch_len: NonZeroUsize,

    /// Purchases that may wait for a lock that somebody else holds; more are answered CONTENDED at once
    #[arg(
        long,
        env = "ROWLOCK_WAITING_LEN",
        value_name = "N",
        default_value = "4000"
    )]
    pub waiting_len: NonZeroUsize,

    /// Rows and gates that can be waited for at the same time, a connection each
    #[arg(
        long,
        env = "ROWLOCK_WAITING_LANES",
        value_name = "N",
        default_value = "12"
    )]
    pub waiting_lanes: NonZeroUsize,

    /// Milliseconds after which a buyer's write counts as slow: then the log says where the time went, once a second at most. 0
    /// turns that off
    #[arg(
        long,
        env = "ROWLOCK_SLOW_SALE_MS",
        value_name = "MS",
        default_value = "1000"
    )]
    pub slow_sale_ms: u64,

    /// Milliseconds after which a purchase that is not being decided is given up
    #[arg(
        long,
        env = "ROWLOCK_SALE_DEADLINE_MS",
        value_name = "MS",
        default_value = "8000", value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub sale_deadline_ms: u64,
}

/// A batch takes one advisory lock per customer; PostgreSQL has room for some 6,400 in all by default.
const BATCH_LEN_MAX: usize = 1_000;

fn batch_len(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(len) if len.get() <= BATCH_LEN_MAX => Ok(len),
        _ => Err(format!("must be a number from 1 to {BATCH_LEN_MAX}")),
    }
}

impl DeskConfig {
    pub fn limits(&self) -> Limits {
        Limits {
            queue_len_max: self.queue_len.get(),
            queue_wait_max: Duration::from_millis(self.queue_wait_ms),
            batch_len_max: self.batch_len.get(),
            waiting_len_max: self.waiting_len.get(),
            waiting_lanes: self.waiting_lanes.get(),
            deadline: Duration::from_millis(self.sale_deadline_ms),
            slow: (self.slow_sale_ms > 0).then(|| Duration::from_millis(self.slow_sale_ms)),
        }
    }
}

/// The web server's limits.
#[derive(Clone, clap::Args)]
pub struct HttpConfig {
    /// The largest body of a request, in bytes. A hall of 80,000 seats needs a few thousand
    #[arg(
        long,
        env = "ROWLOCK_BODY_LEN",
        value_name = "BYTES",
        default_value = "262144"
    )]
    pub body_len: usize,

    /// Connections at the same time, open sockets too; more wait until one ends
    #[arg(
        long,
        env = "ROWLOCK_CONNECTIONS",
        value_name = "N",
        default_value = "10000"
    )]
    pub connections: NonZeroUsize,

    /// Sockets and streams of one caller's token at the same time, over which subscriptions are told. More are refused; a
    /// page with several tabs has one for each
    #[arg(
        long,
        env = "ROWLOCK_LISTENERS_PER_CALLER",
        value_name = "N",
        default_value = "20"
    )]
    pub listeners_per_caller: NonZeroUsize,

    /// Operations that one socket may run at the same time; more are answered OVERLOADED
    #[arg(
        long,
        env = "ROWLOCK_OPERATIONS_PER_SOCKET",
        value_name = "N",
        default_value = "25"
    )]
    pub operations_per_socket: NonZeroUsize,

    /// Milliseconds after which a request is given up; its fields are given up one by one after nine tenths of it. Longer
    /// than --sale-deadline-ms by a ninth at least, so that a sale says itself what became of it
    #[arg(
        long,
        env = "ROWLOCK_REQUEST_TIMEOUT_MS",
        value_name = "MS",
        default_value = "30000", value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub request_timeout_ms: u64,

    /// Threads that read requests and write answers; by default one for each processor but one, which is left for the desk,
    /// and at least one
    #[arg(long, env = "ROWLOCK_HTTP_THREADS", value_name = "N")]
    pub http_threads: Option<NonZeroUsize>,

    /// Milliseconds that requests under way have to end after SIGTERM or Ctrl-C; then the server ends all the same
    #[arg(
        long,
        env = "ROWLOCK_SHUTDOWN_MS",
        value_name = "MS",
        default_value = "15000", value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    pub shutdown_ms: u64,

    /// Another site whose pages may use this server from a browser, such as `https://shop.example`; `*` for any. The flag may
    /// come several times, the variable has commas. None: only the server's own pages
    #[arg(
        long = "cors-origin",
        env = "ROWLOCK_CORS_ORIGINS",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub cors_origins: Vec<AllowedOrigin>,

    #[command(flatten)]
    pub front: FrontConfig,

    #[command(flatten)]
    pub rates: RateConfig,
}

/// Documents that clients name instead of sending them.
#[derive(Clone, clap::Args)]
pub struct PersistedConfig {
    /// Bytes of text that automatic persisted queries may keep in memory; 0 turns them off
    #[arg(
        long,
        env = "ROWLOCK_PERSISTED_QUERIES_LEN",
        value_name = "BYTES",
        default_value = "2097152"
    )]
    pub persisted_queries_len: u64,

    /// A manifest of documents, as graphql-codegen writes it (persistedDocuments): a JSON object of ids, each with its
    /// document. Clients name one by documentId. It is read once, at the start
    #[arg(long, env = "ROWLOCK_TRUSTED_DOCUMENTS", value_name = "FILE")]
    pub trusted_documents: Option<PathBuf>,

    /// Answer the documents of --trusted-documents and no others. The playground has nothing to ask then
    #[arg(
        long,
        env = "ROWLOCK_TRUSTED_DOCUMENTS_ONLY",
        requires = "trusted_documents"
    )]
    pub trusted_documents_only: bool,
}

impl HttpConfig {
    /// How many threads serve HTTP. The desk has one of its own, on which all sales depend: with as many threads as
    /// processors beside it, it waits for a processor in the middle of a batch.
    pub fn threads(&self) -> NonZeroUsize {
        self.http_threads.unwrap_or_else(|| {
            let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            NonZeroUsize::new(processors - 1).unwrap_or(NonZeroUsize::MIN)
        })
    }

    /// What a request has from the moment it is read to its answer: its fields are given up one by one before it is given
    /// up as a whole, and the rest of its time is for reading it.
    pub fn answer_within(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms).mul_f64(0.9)
    }
}

/// How the server writes its log, to standard error.
#[derive(Clone, clap::Args)]
pub struct LogConfig {
    /// What is logged: levels, or modules with theirs, such as info,rowlock=debug, or sqlx::query=debug to see each statement
    #[arg(
        long = "log",
        env = "ROWLOCK_LOG",
        value_name = "FILTER",
        default_value = "info,sea_orm_migration=warn,sqlx::postgres::notice=warn",
        global = true
    )]
    pub filter: String,

    /// pretty for people, json for machines
    #[arg(
        long = "log-format",
        env = "ROWLOCK_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "pretty",
        global = true
    )]
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Pretty,
    Json,
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::Config;

    fn config(arguments: &[&str]) -> Config {
        let command = Config::augment_args(clap::Command::new("rowlock"));
        let arguments = [&["rowlock"], arguments].concat();
        Config::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
    }

    #[test]
    fn what_one_document_may_ask_for_fits_into_every_limit() {
        let with = |option, most| config(&[option, most]).check();
        for (option, least) in [
            ("--caller-cost-per-minute", "10000"),
            ("--address-cost-per-minute", "10000"),
            ("--caller-attempts-per-minute", "50"),
            ("--address-attempts-per-minute", "50"),
        ] {
            assert_eq!(with(option, least), Ok(()));
            assert_eq!(with(option, "0"), Ok(()));
            let refused = with(option, "49").unwrap_err();
            assert!(refused.contains(option), "{refused}");
            let off = config(&[option, "49", "--rate-limits", "off"]);
            assert_eq!(off.check(), Ok(()));
        }
    }

    #[test]
    fn a_request_has_more_time_than_its_sale() {
        assert_eq!(config(&[]).check(), Ok(()));
        let with = |request, sale| {
            config(&["--request-timeout-ms", request, "--sale-deadline-ms", sale]).check()
        };
        assert_eq!(with("1000", "899"), Ok(()));
        for (request, sale) in [("1000", "900"), ("1000", "1000"), ("500", "8000")] {
            assert!(with(request, sale).is_err(), "{request} {sale}");
        }
    }
}
