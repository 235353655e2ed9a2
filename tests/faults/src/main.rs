//! The long form: rounds on every setting until the time is over, and one table at the end. See docs/faults.md.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its report is what it is for"
)]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use rowlock_faults::{
    g7,
    nemesis::Fault,
    report::Report,
    round::{self, Plan},
    stage::Setting,
    use_server,
};
use tokio::signal::unix::{SignalKind, signal};

/// Break servers, networks and databases under load, and check that every promise is kept.
#[derive(Parser)]
struct Arguments {
    /// The server's binary
    #[arg(long)]
    server: String,

    /// How long new rounds begin; the last one is played to its end
    #[arg(long, default_value_t = 30)]
    minutes: u64,

    /// What is asked and what is broken is drawn from it
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Seconds for which one row is locked while other tickets' buyers are measured; 0 leaves that out
    #[arg(long, default_value_t = 60)]
    locked_secs: u64,
}

/// The settings' turns: most kinds of faults are PostgreSQL's.
const TURNS: &[Setting] = &[
    Setting::Postgres,
    Setting::Pair,
    Setting::SmallDisk,
    Setting::Sqlite,
    Setting::Postgres,
    Setting::Postgres,
];

/// Steps of a round: every kind alone, and so many with two at a time.
const ALONE_MIN: usize = 6;
const MIXED: usize = 3;

/// In every sixth round an operator holds a row for so long, whatever else happens.
const LOCKED_TURN: u64 = 4;
const LOCKED_FOR: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    use_server(&arguments.server);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime needs threads and no more");
    let mut report = Report::default();
    runtime.block_on(async {
        tokio::select! {
            () = run(&arguments, &mut report) => {}
            // What it has mounted and started goes with it.
            () = stopped() => eprintln!("stopped before its end"),
        }
    });
    println!("{}", report.text());
    let missing: Vec<&str> = Fault::ALL
        .iter()
        .filter(|fault| !report.has_injected(**fault))
        .map(|fault| fault.words())
        .collect();
    if !missing.is_empty() {
        println!("Never injected: {}", missing.join(", "));
    }
    if !report.is_g7_kept() {
        println!("Buyers of other tickets waited for the one that was locked.");
    }
    if report.violations_len() > 0 || !report.is_g7_kept() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Somebody wants it to end: at the keyboard, or a supervisor.
async fn stopped() {
    let mut terminate = signal(SignalKind::terminate()).expect("a runtime hears signals");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn run(arguments: &Arguments, report: &mut Report) {
    let until = Instant::now() + Duration::from_secs(arguments.minutes * 60);
    for (number, setting) in (0..).zip(TURNS.iter().cycle()) {
        if Instant::now() >= until {
            break;
        }
        // Seeds of rounds are far from each other, so that no two rounds are the same.
        let seed = arguments.seed.wrapping_mul(1_000_003).wrapping_add(number);
        let alone = Fault::of(*setting).len().max(ALONE_MIN);
        let mut plan = Plan::draw(*setting, seed, alone, MIXED);
        if number % TURNS.len() as u64 == LOCKED_TURN {
            plan.locked_for = Some(LOCKED_FOR);
        }
        round::play(&plan, report).await;
        eprintln!(
            "round {number} on {setting:?}, seed {seed}: {} operations, {} faults, {} violations so far",
            report.attempts_len(),
            report.injected_len(),
            report.violations_len()
        );
    }
    if arguments.locked_secs > 0 {
        let time = Duration::from_secs(arguments.locked_secs);
        match g7::measure(arguments.seed, time).await {
            Ok(measured) => report.has_measured(measured),
            Err(why) => eprintln!("the lock could not be measured: {why}"),
        }
    }
}
