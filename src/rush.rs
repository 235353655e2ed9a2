//! `rowlock rush`: an on-sale, rehearsed. Buyers at many connections want tickets at the same time, and in the end what
//! they were told is held against what there is.
//!
//! It is a client: it knows the server by its API alone, and the database by its tables when it is asked to look there.
//! It never sells, and knows nothing of how that is done.

mod answers;
mod audit;
mod buyer;
mod client;
mod database;
mod event;
mod options;
mod page;
mod progress;
mod record;
mod report;
mod run;
mod wants;
mod watch;

use std::{io::Write, sync::Arc};

use data_encoding::BASE32_NOPAD;

use self::{
    client::{CONNECT_WAIT_MAX, Line, Server, Trouble},
    event::Event,
    progress::Progress,
    run::{Pace, Run, Setting},
    watch::Watch,
};
pub use self::{
    options::{Options, Pattern},
    page::page,
    report::{Report, text},
};
use crate::{
    auth::{KeyError, Role, Tokens},
    store::DatabaseUrl,
};

/// Asks for each hot seat, when nobody says how many.
const ASKS_PER_HOT_SEAT: u64 = 100;

/// File descriptors beside the buyers' connections.
const FILES_BESIDE: u64 = 200;

/// Why there was no rehearsal. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RushError {
    #[error("{url:?} cannot be driven: {reason}")]
    BadUrl { url: String, reason: &'static str },
    #[error(
        "{url} is not on this machine: a rehearsal is a load test, and it buys. Where you may do that, say \
         --i-own-this-server"
    )]
    NotLoopback { url: String },
    #[error("{urls}: {}", trouble.sentence())]
    NoServer { urls: String, trouble: Trouble },
    #[error("{urls}: what answers there (HTTP status {status}) speaks no GraphQL at /graphql")]
    NoGraphql { urls: String, status: u16 },
    #[error("the server answers {code}: {message}")]
    Asking { code: String, message: String },
    #[error("the server's answer is not of its schema's shape")]
    StrangeAnswer,
    #[error("the server gives ids that no request can carry")]
    StrangeId,
    #[error(
        "{urls} does not take our tokens: name its key, issuer and audience as for rowlock serve"
    )]
    TokensRefused { urls: String },
    #[error("{urls} does not know the event: the servers must be of one database")]
    OtherDatabase { urls: String },
    #[error("no event is on sale; name one with --event once its sale is open")]
    NothingOnSale,
    #[error("there is no event {0:?}: name it by its slug or its id")]
    UnknownEvent(String),
    #[error("the event {0} is not on sale")]
    NotOnSale(String),
    #[error("{0} is of one event, and several are named")]
    OfOneEvent(&'static str),
    #[error("the event {0} has no tickets that can be bought")]
    NoTickets(String),
    #[error("the event has no ticket type {wanted:?}; it has: {}", names.join(", "))]
    UnknownTicketType { wanted: String, names: Vec<String> },
    #[error(
        "an order of this event has at most {max} tickets, and --tickets-per-purchase asks for {asked}"
    )]
    TooManyTickets { asked: u64, max: u64 },
    #[error("there are {available} tickets that can be bought, not enough for {wanted}")]
    TooFewTickets { available: usize, wanted: u64 },
    #[error("this server has no holds: its schema has no holdTickets")]
    NoHolds,
    #[error(
        "only {connected} of {buyers} connections could be opened; ask for fewer --buyers, or see what limits them"
    )]
    TooFewConnections { connected: usize, buyers: usize },
    #[error(
        "only {watching} of {watchers} watchers were told of the seats: {reason}; ask for fewer --watchers, or see what \
         limits them"
    )]
    NotWatching {
        watching: usize,
        watchers: usize,
        reason: String,
    },
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Rehearses: finds the event, lets the buyers loose, and audits what came of it. `terminal` is where the progress is
/// shown, if anywhere; a database that is named is looked into as well.
///
/// # Errors
/// When there is nothing to rehearse with. What goes wrong later is in the report.
pub async fn rehearse(
    options: &Options,
    tokens: Tokens,
    database: Option<&DatabaseUrl>,
    terminal: Option<Box<dyn Write + Send>>,
) -> Result<Report, RushError> {
    let mut progress = Progress::new(terminal);
    let result = rehearse_shown(options, tokens, database, &mut progress).await;
    progress.end();
    result
}

async fn rehearse_shown(
    options: &Options,
    tokens: Tokens,
    database: Option<&DatabaseUrl>,
    progress: &mut Progress,
) -> Result<Report, RushError> {
    let buyers = usize::try_from(options.buyers).unwrap_or(usize::MAX);
    let watchers = u64::from(options.watchers.unwrap_or_default());
    allow_files(u64::from(options.buyers) + watchers + FILES_BESIDE);
    let run = Arc::new(prepare(options, tokens, progress).await?);
    let watch = match options.watch {
        true => Some(Watch::begin(&run, options.watchers, progress).await?),
        false => None,
    };
    progress.say(&format!("{buyers} buyers come in"));
    let gathered = run::gather(&run, buyers).await?;
    let started_at = chrono::Utc::now();
    let ran = run::drive(&run, gathered, watch.as_ref(), progress).await;
    progress.say("asking again for answers that were lost");
    let settled = audit::settle(&run).await;
    progress.say("reading back what was sold");
    let mut findings = audit::audit(&run, settled).await;
    if let Some(subject) = &options.organizer {
        audit::organizers_view(&run, subject, &mut findings).await;
    }
    if let Some(url) = database
        && let Err(sentence) = database::compare(&run, url, &mut findings).await
    {
        run.add_problem(sentence);
    }
    let watched = match watch {
        Some(watch) => {
            progress.say("comparing what was pushed with what there is");
            Some(watch.end(database, &mut findings).await)
        }
        None => None,
    };
    findings.judge();
    let per_purchase = options.tickets_per_purchase;
    Ok(Report::new(
        &run,
        &ran,
        started_at,
        buyers,
        per_purchase,
        findings,
        watched,
    ))
}

async fn prepare(
    options: &Options,
    tokens: Tokens,
    progress: &mut Progress,
) -> Result<Run, RushError> {
    let mut servers = Vec::new();
    for url in &options.urls {
        servers.push(Server::find(url, options.i_own_this_server).await?);
    }
    let servers: Arc<[Server]> = servers.into();
    let mut line = Line::new(Arc::clone(&servers), 0, options.answer_wait);
    let events = event::find(&mut line, options).await?;
    if options.pattern == Pattern::Hold
        && !event::has_field(&mut line, "Mutation", "holdTickets").await
    {
        return Err(RushError::NoHolds);
    }
    let prefix = format!("rush-{}", fresh_name());
    let token = tokens.issue(Role::Customer, &prefix, CONNECT_WAIT_MAX * 12)?;
    for server in servers.iter() {
        let mut line = Line::new([server.clone()].into(), 0, options.answer_wait);
        event::try_server(&mut line, &run::bearer(&token), &events[0]).await?;
    }
    let tickets = read_tickets(&mut line, &events, options, progress).await?;
    let pace = pace(options, &events, tickets.len());
    Ok(Run::new(Setting {
        prefix,
        pattern: options.pattern,
        events,
        tickets,
        servers,
        answer_wait: options.answer_wait,
        pace,
        abandon: options.abandon,
        refresh: options.refresh,
        seed: options.seed,
        tokens,
        per_purchase: options.tickets_per_purchase,
    }))
}

/// The tickets that will be wanted by their ids: of each event as many, as far as there are.
async fn read_tickets(
    line: &mut Line,
    events: &[Event],
    options: &Options,
    progress: &mut Progress,
) -> Result<Vec<String>, RushError> {
    let per_purchase = u64::from(options.tickets_per_purchase);
    let len_max = match options.pattern {
        Pattern::Any => return Ok(Vec::new()),
        Pattern::Hot => u64::from(options.seats),
        Pattern::SellThrough | Pattern::Hold => options
            .purchases
            .map_or(u64::MAX, |purchases| purchases.saturating_mul(per_purchase)),
    };
    let mut tickets = Vec::new();
    for (number, event) in events.iter().enumerate() {
        // What one event has not, the next ones may.
        let left = len_max - tickets.len() as u64;
        let share = left.div_ceil((events.len() - number) as u64);
        let before = tickets.len();
        let found = event::tickets(line, event, share, |len| {
            progress.say(&format!(
                "reading the tickets: {}",
                progress::grouped((before + len) as u64)
            ));
        });
        tickets.extend(found.await?);
    }
    let wanted = match options.pattern {
        Pattern::Hot => len_max,
        Pattern::SellThrough | Pattern::Hold | Pattern::Any => per_purchase,
    };
    if (tickets.len() as u64) < wanted {
        return Err(RushError::TooFewTickets {
            available: tickets.len(),
            wanted,
        });
    }
    Ok(tickets)
}

fn pace(options: &Options, events: &[Event], tickets_len: usize) -> Pace {
    let available: u64 = events.iter().map(|event| event.available).sum();
    let per_purchase = u64::from(options.tickets_per_purchase);
    let purchases_max = match (options.purchases, options.duration, options.pattern) {
        (Some(purchases), _, _) => purchases,
        // The tickets end by themselves.
        (None, _, Pattern::SellThrough | Pattern::Hold) | (None, Some(_), _) => u64::MAX,
        (None, None, Pattern::Hot) => {
            (tickets_len as u64).saturating_mul(ASKS_PER_HOT_SEAT) / per_purchase
        }
        (None, None, Pattern::Any) => (available / per_purchase).max(1),
    };
    let distinct = match options.pattern {
        Pattern::SellThrough | Pattern::Hold => tickets_len as u64 / per_purchase,
        Pattern::Hot | Pattern::Any => u64::MAX,
    };
    Pace {
        purchases_max,
        purchases_expected: purchases_max.min(distinct),
        duration_max: options.duration,
        rate: options.rate,
    }
}

/// A name that no other run has: limits and keys of earlier ones are theirs.
fn fresh_name() -> String {
    BASE32_NOPAD
        .encode(&rand::random::<[u8; 5]>())
        .to_lowercase()
}

/// Each connection is a file, and many systems begin with room for a thousand. If there is no more to be had, opening
/// the connections will say so.
fn allow_files(needed: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        limit.current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
