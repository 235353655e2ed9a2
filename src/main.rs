//! The command line. Reads the environment once, says in a sentence what is missing, and hands over to the library.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where the program speaks to the terminal"
)]

#[path = "main/key.rs"]
mod key;

use std::{error::Error, fmt::Write, io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use rowlock::{
    audit::{self, Which},
    auth::{Role, Tokens},
    changes,
    config::{Config, DatabaseConfig, LogConfig, LogFormat, TokenConfig},
    demo,
    graphql::{self, Domain, Engine, global_id::GlobalId},
    http::{self, App, Clients, End, Listeners, Persisted, Rates},
    ids::EventId,
    migrate, organizers, rush,
    sales::Sales,
    store::{DatabaseUrl, Store},
    traces::Traces,
};
use tokio::{net::TcpListener, runtime::Runtime};
use tracing::{Level, Subscriber};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, LevelFilter, Targets, filter_fn},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// A query is some hundred small allocations that die together, on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sells tickets over GraphQL, and never one twice: the database's row lock decides.
///
/// Begin with `rowlock demo`: it needs nothing else installed or running.
#[derive(Parser)]
#[command(name = "rowlock", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    log: LogConfig,
}

#[derive(Subcommand)]
enum Command {
    /// Try it: a server with an SQLite file, events to buy tickets of, and tokens, all made for you
    ///
    /// With --database-url postgres://… the same on PostgreSQL.
    Demo {
        /// Start over: forget what the demo sold before. With PostgreSQL, everything of Rowlock's in that database
        #[arg(long)]
        fresh: bool,
        #[command(flatten)]
        config: Box<Config>,
    },
    /// Serve, in production
    ///
    /// Needs a database (ROWLOCK_DATABASE_URL) that is migrated (rowlock migrate up), and a key for tokens
    /// (ROWLOCK_JWT_SECRET_FILE, or ROWLOCK_JWKS_URL of an identity provider). SIGTERM and Ctrl-C end it gracefully.
    Serve {
        #[command(flatten)]
        config: Box<Config>,
    },
    /// Bring the database's schema up to date, or see how far it is
    Migrate {
        #[command(subcommand)]
        action: MigrateAction,
        #[command(flatten)]
        database: DatabaseConfig,
    },
    /// Check what is sold, held and paid for against every row, in one snapshot, also beside running servers
    ///
    /// Reads only, and locks nobody. Ends with 0 when everything agrees, with 1 when something does not, and with 2 when
    /// it could not look.
    Audit {
        /// Only this event, by its slug or its id. Without it, all events, and rows that belong to none
        #[arg(long, value_name = "SLUG|ID")]
        event: Option<String>,
        /// text for people, json for machines
        // Another id than that of --log-format, which every command has.
        #[arg(
            long,
            id = "audit_format",
            value_name = "FORMAT",
            default_value = "text"
        )]
        format: AuditFormat,
        #[command(flatten)]
        database: DatabaseConfig,
    },
    /// Forget the log of changes of events that began before a time
    ///
    /// The log says what became of each ticket, for those who follow an event and for its organizer. Nothing else is
    /// forgotten. Needs the right to write to ticket_changes_forgotten and to delete from ticket_changes.
    ForgetChanges {
        /// Such as 2025-12-31T00:00:00Z
        #[arg(long, value_name = "TIME")]
        of_events_before: DateTime<Utc>,
        #[command(flatten)]
        database: DatabaseConfig,
    },
    /// Rehearse an on-sale: many buyers at once against running servers, and an audit of what they were told
    ///
    /// It buys tickets. The customers are its own, a new set each time, so that it needs the servers' key for tokens. It
    /// ends with 0 when everything that buyers were told is so, with 1 when something is not, and with 2 when it could not
    /// be run, or not be checked, to its end.
    Rush {
        #[command(flatten)]
        options: Box<rush::Options>,
    },
    /// Print the GraphQL schema in its definition language
    Schema {
        /// As a router composes it with others (Apollo Federation 2), see --federation of rowlock serve
        #[arg(long)]
        federation: bool,
    },
    /// Make, list and revoke an organizer's keys for machines, beside running servers or without one
    ///
    /// With SQLite, whose file one process writes, only while no server runs: use the API's createApiKey there.
    Key {
        #[command(subcommand)]
        action: key::Action,
        #[command(flatten)]
        database: DatabaseConfig,
    },
    /// Print a token for a caller, signed with the server's key
    Token {
        /// What the caller may do
        #[arg(long)]
        role: Role,
        /// Who the caller is: the token's subject
        #[arg(long)]
        subject: String,
        /// How long the token is good, such as 15m, 12h or 30d
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
        lifetime: Duration,
        #[command(flatten)]
        tokens: Box<TokenConfig>,
    },
}

#[derive(Subcommand)]
enum MigrateAction {
    /// Apply every step that is missing. Safe to run twice, and by two processes at once
    Up,
    /// List the steps, applied and pending
    Status,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum AuditFormat {
    Text,
    Json,
}

type Failure = Box<dyn Error>;

/// What an audit ends with that found something wrong, and one that could not look: a script must tell them apart.
const AUDIT_FOUND: u8 = 1;
const AUDIT_NOT_MADE: u8 = 2;

/// Some thirty readings of every table: hours are for databases of many millions of tickets.
const AUDIT_TIME_MAX: Duration = Duration::from_secs(4 * 3600);

/// What a rehearsal ends with that could not be run: a script must tell it from one that found a difference.
const RUSH_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let failed = match &cli.command {
        Command::Audit { .. } => ExitCode::from(AUDIT_NOT_MADE),
        Command::Rush { .. } => ExitCode::from(RUSH_NOT_RUN),
        Command::Demo { .. }
        | Command::Serve { .. }
        | Command::Migrate { .. }
        | Command::ForgetChanges { .. }
        | Command::Schema { .. }
        | Command::Key { .. }
        | Command::Token { .. } => ExitCode::FAILURE,
    };
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rowlock: {}", sentence(error.as_ref()));
            failed
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let traces = match &cli.command {
        Command::Serve { config } | Command::Demo { config, .. } => Traces::begin(&config.traces)?,
        _ => None,
    };
    start_log(&cli.log, traces.as_ref())?;
    let code = carry_out(cli.command);
    if let Some(traces) = traces {
        traces.end();
    }
    code
}

fn carry_out(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Schema { federation: false } => print!("{}", graphql::sdl()),
        Command::Schema { federation: true } => print!("{}", graphql::subgraph_sdl()),
        Command::Token {
            role,
            subject,
            lifetime,
            tokens,
        } => {
            println!(
                "{}",
                self::tokens(&tokens)?.issue(role, &subject, lifetime)?
            );
        }
        Command::Migrate { action, database } => {
            Runtime::new()?.block_on(run_migrate(&action, &database))?;
        }
        Command::ForgetChanges {
            of_events_before,
            database,
        } => Runtime::new()?.block_on(run_forget(of_events_before, &database))?,
        Command::Key { action, database } => {
            Runtime::new()?.block_on(key::run(action, &database))?;
        }
        Command::Audit {
            event,
            format,
            database,
        } => return Runtime::new()?.block_on(run_audit(event, format, &database)),
        Command::Serve { config } => {
            return server_runtime(&config)?.block_on(run_serve(&config));
        }
        // One thread: it shares its machine with the server, and all that it does is wait.
        Command::Rush { options } => {
            return tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(run_rush(&options));
        }
        Command::Demo { fresh, config } => {
            return server_runtime(&config)?.block_on(run_demo(*config, fresh));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn server_runtime(config: &Config) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.http.threads().get())
        .enable_all()
        .build()
}

/// An error and what it came from, in one line.
fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their source in their own text.
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Libraries that would write down what they are told: frames of sockets with tokens in them, and the database's address with
/// its password. They are not heard, whatever the filter says.
const INDISCREET: [&str; 2] = ["tungstenite", "sea_orm::driver"];

fn start_log(config: &LogConfig, traces: Option<&Traces>) -> Result<(), Failure> {
    let filter: Targets = config
        .filter
        .parse()
        .map_err(|error| format!("the log filter {:?} cannot be read: {error}", config.filter))?;
    let discreet = filter_fn(|metadata| {
        let target = metadata.target();
        *metadata.level() <= Level::WARN
            || !INDISCREET.iter().any(|library| target.starts_with(library))
    });
    // It says nothing of levels, which is no reason to ask it of each.
    let discreet = discreet.with_max_level_hint(LevelFilter::TRACE);
    let registry = tracing_subscriber::registry();
    match traces {
        None => registry
            .with(filter)
            .with(discreet)
            .with(lines(config.format))
            .init(),
        // They have what the log leaves out.
        Some(traces) => registry
            .with(traces.layer())
            .with(lines(config.format).with_filter(filter.and(discreet)))
            .init(),
    }
    Ok(())
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    }
}

async fn run_migrate(action: &MigrateAction, database: &DatabaseConfig) -> Result<(), Failure> {
    let url = database_url(database)?;
    if let MigrateAction::Up = action {
        migrate::up(&url).await?;
    }
    let db = Store::connect_reader(&url).await?;
    for step in migrate::status(&db).await? {
        println!(
            "{}  {}",
            if step.is_applied {
                "applied"
            } else {
                "pending"
            },
            step.name
        );
    }
    Ok(())
}

async fn run_forget(before: DateTime<Utc>, database: &DatabaseConfig) -> Result<(), Failure> {
    let alone = Store::connect_alone(&database_url(database)?).await?;
    if !migrate::is_current(alone.connection()).await? {
        return Err("the database's schema is not up to date; run: rowlock migrate up".into());
    }
    let forgotten = changes::forget::forget(alone.connection(), before).await;
    alone.close().await;
    let len = forgotten.map_err(|fault| format!("{} failed: {}", fault.step, fault.source))?;
    println!("forgot {len} commits");
    Ok(())
}

async fn run_audit(
    event: Option<String>,
    format: AuditFormat,
    database: &DatabaseConfig,
) -> Result<ExitCode, Failure> {
    let url = database_url(database)?;
    let audit = audit::audit(&url, &which(event), AUDIT_TIME_MAX).await?;
    match format {
        AuditFormat::Text => print!("{}", audit::text(&audit)),
        AuditFormat::Json => println!("{:#}", audit::json(&audit)),
    }
    Ok(if audit.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(AUDIT_FOUND)
    })
}

/// An id as the API has it, or as the database and the audit print it.
fn which(event: Option<String>) -> Which {
    let Some(name) = event else { return Which::All };
    let of_api = GlobalId::decode(&name.as_str().into()).and_then(GlobalId::event);
    let of_rows = || name.parse().ok().map(EventId);
    let id = of_api.or_else(of_rows);
    Which::Named { slug: name, id }
}

async fn run_serve(config: &Config) -> Result<ExitCode, Failure> {
    config.check()?;
    let url = database_url(&config.database)?;
    let tokens = Arc::new(tokens(&config.tokens)?);
    let _upkeep = tokens.keep().await?;
    let store = Arc::new(connect(&url, config).await?);
    store.require_durable().await?;
    if !migrate::is_current(store.reader()).await? {
        return Err("the database's schema is not up to date; run: rowlock migrate up".into());
    }
    let app = open(config, store, tokens).await?;
    let listener = listen(config).await?;
    serve(listener, metrics_listener(config).await?, app, "").await
}

async fn connect(url: &DatabaseUrl, config: &Config) -> Result<Store, Failure> {
    let connections = config.database.database_connections;
    // Nobody waits for a statement longer than for the answer that it is for.
    Ok(Store::connect(url, connections, config.http.answer_within()).await?)
}

async fn run_demo(mut config: Config, fresh: bool) -> Result<ExitCode, Failure> {
    config.check()?;
    // The address first: a demo that cannot listen should not touch a database.
    let listener = listen(&config).await?;
    let url = match &config.database.database_url {
        Some(url) => url.parse()?,
        None => DatabaseUrl::sqlite_file(demo::SQLITE_FILE.as_ref()),
    };
    if !config.tokens.names_a_signer() {
        config.tokens.jwt_secret = Some(demo::random_key());
    }
    let tokens = Arc::new(tokens(&config.tokens)?);
    let _upkeep = tokens.keep().await?;
    if fresh {
        demo::forget(&url).await?;
    }
    migrate::up(&url).await?;
    let store = Arc::new(connect(&url, &config).await?);
    let app = open(&config, store, tokens).await?;
    demo::fill(&app.domain, &app.tokens).await?;
    let address = listener.local_addr()?;
    let introduction = demo::introduce(address, &url, &app.domain, &app.tokens).await?;
    let metrics_listener = metrics_listener(&config).await?;
    serve(
        listener,
        metrics_listener,
        app,
        &format!("{introduction}\n"),
    )
    .await
}

async fn run_rush(options: &rush::Options) -> Result<ExitCode, Failure> {
    let tokens = tokens(&options.tokens)?;
    let database = match &options.database.database_url {
        Some(url) => Some(url.parse::<DatabaseUrl>()?),
        None => None,
    };
    let terminal: Option<Box<dyn std::io::Write + Send>> = std::io::stderr()
        .is_terminal()
        .then(|| Box::new(std::io::stderr()) as _);
    let mut report = rush::rehearse(options, tokens, database.as_ref(), terminal).await?;
    if let Some(url) = &database {
        let events = match report.events {
            1 => Which::Named {
                slug: report.event.slug.clone(),
                id: None,
            },
            _ => Which::All,
        };
        match audit::audit(url, &events, AUDIT_TIME_MAX).await {
            Ok(audit) => {
                let violations = audit.violations();
                report.add_violations(
                    violations.map(|violation| {
                        (violation.count.unsigned_abs(), violation.kind.message())
                    }),
                );
            }
            Err(error) => report.add_problem(format!("the audit could not be made: {error}")),
        }
    }
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
        for problem in &report.problems {
            eprintln!("rowlock: {problem}");
        }
    } else {
        print!("{}", rush::text(&report));
    }
    if let Some(file) = &options.report {
        std::fs::write(file, rush::page(&report))
            .map_err(|error| format!("the report {} cannot be written: {error}", file.display()))?;
    }
    Ok(ExitCode::from(report.exit_code))
}

/// Opens the desk and puts everything together.
async fn open(config: &Config, store: Arc<Store>, tokens: Arc<Tokens>) -> Result<App, Failure> {
    let persisted = Persisted::open(&config.persisted)?;
    rowlock::catalogue::discard_unfinished_imports(&store)
        .await
        .map_err(|fault| fault.source)?;
    organizers::adopt(&store)
        .await
        .map_err(|fault| fault.source)?;
    let metrics = Arc::default();
    let sales = Sales::open(Arc::clone(&store), config.desk.limits(), &metrics)?;
    let domain = Domain::new(store, Arc::new(sales), metrics);
    let answer_within = config.http.answer_within();
    let engine = Engine::new(domain.clone(), config.query.clone(), answer_within);
    Ok(App {
        engine: Arc::new(engine),
        domain,
        tokens,
        persisted: Arc::new(persisted),
        listeners: Listeners::new(
            config.http.connections.get(),
            config.http.listeners_per_caller.get(),
        ),
        clients: Clients::new(&config.http.front),
        rates: Rates::new(&config.http.rates),
        config: config.http.clone(),
    })
}

async fn listen(config: &Config) -> Result<TcpListener, Failure> {
    TcpListener::bind(config.listen).await.map_err(|error| {
        format!("cannot listen on {}: {error}; name another address with --listen, port 0 picks a free one", config.listen).into()
    })
}

/// Where Prometheus reads, if it does.
async fn metrics_listener(config: &Config) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = config.metrics_listen else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        format!("cannot listen on {address}: {error}; name another address with --metrics-listen")
    })?;
    println!("metrics at http://{}/metrics", listener.local_addr()?);
    Ok(Some(listener))
}

async fn serve(
    listener: TcpListener,
    metrics_listener: Option<TcpListener>,
    app: App,
    introduction: &str,
) -> Result<ExitCode, Failure> {
    let asked = asked_to_end()?;
    println!(
        "{introduction}listening on http://{}",
        listener.local_addr()?
    );
    Ok(
        match http::serve(listener, metrics_listener, app, asked).await? {
            End::Asked => {
                tracing::info!("ended: everything accepted was answered");
                ExitCode::SUCCESS
            }
            End::AskedButLate => {
                eprintln!(
                    "rowlock: ended with requests still under way; raise --shutdown-ms to wait longer"
                );
                ExitCode::FAILURE
            }
            End::DeskBroken => {
                eprintln!(
                    "rowlock: the desk broke down, see the log; nothing that was answered is lost"
                );
                ExitCode::FAILURE
            }
        },
    )
}

/// SIGTERM or Ctrl-C, caught from this call on: before anybody is told that the server listens.
fn asked_to_end() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn database_url(config: &DatabaseConfig) -> Result<DatabaseUrl, Failure> {
    match &config.database_url {
        Some(url) => Ok(url.parse()?),
        None => Err("no database is named: set ROWLOCK_DATABASE_URL, as in postgres://user:password@host/rowlock or \
             sqlite:rowlock.db (or just try: rowlock demo)"
            .into()),
    }
}

fn tokens(config: &TokenConfig) -> Result<Tokens, Failure> {
    Ok(Tokens::of(&config.issuers()?)?)
}
