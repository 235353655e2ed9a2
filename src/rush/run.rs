//! The rehearsal as a whole: what all buyers share, when they begin, and who watches them.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::header::HeaderValue;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    RushError,
    answers::Forms,
    buyer::Buyer,
    client::{CONNECT_WAIT_MAX, Line, Server},
    event::Event,
    options::Pattern,
    progress::Progress,
    record::Recorder,
    wants::Wants,
    watch::Watch,
};
use crate::auth::{Role, Tokens};

/// A rehearsal that lasts longer than a day is a production.
const TOKEN_LIFETIME: Duration = Duration::from_secs(48 * 3600);

/// Connections that are opened at the same time: a listener's queue has an end.
pub const CONNECT_AT_ONCE: usize = 256;

/// tokio's timers round up to this; a purchase begins up to so much early, and never because of them late.
const TIMER_STEP: Duration = Duration::from_millis(1);

const WATCH_EVERY: Duration = Duration::from_millis(200);

/// Somebody who buys, with a name that no other rehearsal has used.
#[derive(Clone)]
pub struct Customer {
    /// As the header of a request.
    pub caller: HeaderValue,
    /// Which server they began with.
    pub home: usize,
}

/// How many purchases, how fast.
#[derive(Clone, Copy)]
pub struct Pace {
    pub purchases_max: u64,
    /// How many there will be, as far as that can be said: for the progress alone.
    pub purchases_expected: u64,
    pub duration_max: Option<Duration>,
    pub rate: Option<f64>,
}

/// What everybody in a rehearsal shares.
pub struct Run {
    /// Begins the subject of every customer of this run.
    pub prefix: String,
    pub pattern: Pattern,
    /// At least one.
    pub events: Vec<Event>,
    /// Of all events.
    pub tickets: Vec<String>,
    pub servers: Arc<[Server]>,
    pub answer_wait: Duration,
    pub pace: Pace,
    pub abandon: f64,
    pub refresh: f64,
    pub seed: u64,
    pub tokens: Tokens,
    pub forms: Forms,
    wants: Mutex<Wants>,
    recorder: Mutex<Recorder>,
    customers: Mutex<Vec<Customer>>,
    problems: Mutex<Vec<String>>,
    stop: CancellationToken,
    begun: AtomicU64,
    /// Since the beginning, in microseconds.
    last_start_us: AtomicU64,
    last_answer_us: AtomicU64,
    /// When a request was last not answered.
    last_trouble_us: AtomicU64,
}

/// What a run is made of, beside what it shares while it goes on.
pub struct Setting {
    pub prefix: String,
    pub pattern: Pattern,
    pub events: Vec<Event>,
    pub tickets: Vec<String>,
    pub servers: Arc<[Server]>,
    pub answer_wait: Duration,
    pub pace: Pace,
    pub abandon: f64,
    pub refresh: f64,
    pub seed: u64,
    pub tokens: Tokens,
    pub per_purchase: u16,
}

/// How a run went, as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    pub lasted: Duration,
    /// Processor time of this process meanwhile.
    pub cpu: Duration,
    /// Purchases begun a second, when a rate was asked for.
    pub rate_reached: Option<f64>,
}

impl Run {
    pub fn new(setting: Setting) -> Self {
        let tickets_len = u32::try_from(setting.tickets.len()).unwrap_or(u32::MAX);
        Self {
            forms: Forms::new(setting.events.iter().map(|event| event.id.as_str())),
            wants: Mutex::new(Wants::new(
                setting.pattern,
                tickets_len,
                setting.per_purchase,
                setting.seed,
            )),
            recorder: Mutex::new(Recorder::new()),
            customers: Mutex::default(),
            problems: Mutex::default(),
            stop: CancellationToken::new(),
            begun: AtomicU64::new(0),
            last_start_us: AtomicU64::new(0),
            last_answer_us: AtomicU64::new(0),
            last_trouble_us: AtomicU64::new(0),
            prefix: setting.prefix,
            pattern: setting.pattern,
            events: setting.events,
            tickets: setting.tickets,
            servers: setting.servers,
            answer_wait: setting.answer_wait,
            pace: setting.pace,
            abandon: setting.abandon,
            refresh: setting.refresh,
            seed: setting.seed,
            tokens: setting.tokens,
        }
    }

    /// The first event, after which the rehearsal is named.
    pub fn event(&self) -> &Event {
        self.events.first().expect("there is at least one event")
    }

    pub fn wants(&self) -> MutexGuard<'_, Wants> {
        lock(&self.wants)
    }

    pub fn recorder(&self) -> MutexGuard<'_, Recorder> {
        lock(&self.recorder)
    }

    pub fn customers(&self) -> MutexGuard<'_, Vec<Customer>> {
        lock(&self.customers)
    }

    /// What went wrong with the run, in sentences.
    pub fn problems(&self) -> Vec<String> {
        lock(&self.problems).clone()
    }

    pub fn add_problem(&self, sentence: String) {
        let mut problems = lock(&self.problems);
        if !problems.contains(&sentence) {
            problems.push(sentence);
        }
    }

    /// Somebody was answered, or was not.
    pub fn heard(&self, begin: Instant, is_answer: bool) {
        let when = if is_answer {
            &self.last_answer_us
        } else {
            &self.last_trouble_us
        };
        when.store(since(begin), Relaxed);
    }

    /// How long ago anybody was answered.
    pub fn quiet(&self, begin: Instant) -> Duration {
        let last_answer = Duration::from_micros(self.last_answer_us.load(Relaxed));
        begin.elapsed().saturating_sub(last_answer)
    }

    /// Ends the run: nothing new is begun.
    pub fn stop_because(&self, sentence: String) {
        if !self.stop.is_cancelled() {
            self.stop.cancel();
            self.add_problem(sentence);
        }
    }

    /// Another customer, with a token. Gives their number.
    pub fn welcome(&self, home: usize) -> Result<usize, RushError> {
        let mut customers = self.customers();
        let subject = format!("{}-{}", self.prefix, customers.len());
        let token = self
            .tokens
            .issue(Role::Customer, &subject, TOKEN_LIFETIME)?;
        customers.push(Customer {
            caller: bearer(&token),
            home,
        });
        Ok(customers.len() - 1)
    }
}

pub fn bearer(token: &str) -> HeaderValue {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .expect("a token has nothing that a header may not have");
    header.set_sensitive(true);
    header
}

/// A panic in one buyer ends the rehearsal; what the others see of it until then is of no account.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Opens every buyer's connection, so that all of them begin at once.
pub async fn gather(run: &Arc<Run>, buyers: usize) -> Result<Vec<Buyer>, RushError> {
    let mut gathered = Vec::with_capacity(buyers);
    let mut connecting = JoinSet::new();
    for number in 0..buyers {
        if connecting.len() >= CONNECT_AT_ONCE {
            gathered.extend(joined(&mut connecting).await);
        }
        let home = number % run.servers.len();
        let mut line = Line::new(Arc::clone(&run.servers), home, run.answer_wait);
        connecting.spawn(async move { line.connect().await.map(|()| (number, line)) });
    }
    while !connecting.is_empty() {
        gathered.extend(joined(&mut connecting).await);
    }
    let connected = gathered.len();
    let lines: Vec<(usize, Line)> = gathered.into_iter().flatten().collect();
    if lines.len() < connected {
        return Err(RushError::TooFewConnections {
            connected: lines.len(),
            buyers,
        });
    }
    lines
        .into_iter()
        .map(|(number, line)| Buyer::new(run, line, number))
        .collect()
}

pub async fn joined<T: 'static>(tasks: &mut JoinSet<T>) -> Option<T> {
    match tasks.join_next().await? {
        Ok(value) => Some(value),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Lets all buyers loose and watches them until nothing is left to ask for.
pub async fn drive(
    run: &Arc<Run>,
    buyers: Vec<Buyer>,
    watch: Option<&Watch>,
    progress: &mut Progress,
) -> Ran {
    let begin = Instant::now();
    let cpu_before = cpu();
    let mut buying = JoinSet::new();
    for buyer in buyers {
        buying.spawn(buyer.shop(begin));
    }
    look_on(run, begin, &mut buying, watch, progress).await;
    let lasted = begin.elapsed();
    let cpu = cpu().saturating_sub(cpu_before);
    let rate_reached = run.pace.rate.map(|rate| {
        let begun = run.recorder().counts.asked as f64;
        let last_start = Duration::from_micros(run.last_start_us.load(Relaxed));
        begun / (last_start.as_secs_f64() + 1.0 / rate)
    });
    Ran {
        lasted,
        cpu,
        rate_reached,
    }
}

/// The processor time that this process has used.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

async fn look_on(
    run: &Run,
    begin: Instant,
    buying: &mut JoinSet<()>,
    watch: Option<&Watch>,
    progress: &mut Progress,
) {
    let silence_max = run.answer_wait + CONNECT_WAIT_MAX;
    let mut ticks = interval(WATCH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            biased;
            ended = joined(buying) => if ended.is_none() {
                return;
            },
            heard = &mut interrupted, if !run.stop.is_cancelled() => if heard.is_ok() {
                run.stop_because("interrupted: nothing more was asked for".to_owned());
            },
            _ = ticks.tick() => {
                let is_trouble =
                    run.last_trouble_us.load(Relaxed) > run.last_answer_us.load(Relaxed);
                if is_trouble && run.quiet(begin) > silence_max {
                    run.stop_because(format!("no server has answered for {} s", silence_max.as_secs()));
                }
                let seats = watch.map(Watch::counts);
                let recorder = run.recorder();
                progress.show(begin.elapsed(), &recorder.counts, seats, &run.pace);
            }
        }
    }
}

fn since(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// A purchase that may begin.
pub struct Start {
    pub number: u64,
    /// How much later than it should have.
    pub late: Duration,
}

impl Run {
    pub fn ids<'a>(&'a self, places: &'a [u32]) -> impl ExactSizeIterator<Item = &'a str> {
        places
            .iter()
            .map(|place| self.tickets[*place as usize].as_str())
    }

    /// Waits for the next purchase's time. None when no more are to begin.
    pub async fn start(&self, begin: Instant) -> Option<Start> {
        if self.stop.is_cancelled() {
            return None;
        }
        let number = self.begun.fetch_add(1, Relaxed);
        if number >= self.pace.purchases_max {
            return None;
        }
        let is_over = |at: Duration| self.pace.duration_max.is_some_and(|max| at >= max);
        let mut late = Duration::ZERO;
        if let Some(rate) = self.pace.rate {
            let intended = Duration::from_secs_f64(number as f64 / rate);
            if is_over(intended) {
                return None;
            }
            tokio::select! {
                () = sleep_until(begin + intended.saturating_sub(TIMER_STEP)) => {}
                () = self.stop.cancelled() => return None,
            }
            late = begin.elapsed().saturating_sub(intended);
        }
        if is_over(begin.elapsed()) {
            return None;
        }
        self.last_start_us.fetch_max(since(begin), Relaxed);
        Some(Start { number, late })
    }
}
