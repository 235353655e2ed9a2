//! One round: a stage, customers at work, faults one after the other, and at the end the verdict.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rowlock::audit::{Which, audit};
use sea_orm::{ConnectionTrait, DbErr};

use crate::{
    check::{self, Violation},
    harness::eventually,
    history::{Clock, History},
    nemesis::{Fault, Wound},
    report::{Injected, Report},
    stage::{Setting, Stage},
    tables,
    workload::Workload,
};

/// Customers of a round: enough that batches have several of them, and few enough for a small machine.
const CUSTOMERS: usize = 64;

/// Undisturbed time before the first fault, and between two steps.
const CALM: Duration = Duration::from_millis(700);

/// No audit of a round takes longer.
const AUDIT_MAX: Duration = Duration::from_secs(60);

/// A killed server's sessions have ended by then.
const SESSIONS_END_MAX: Duration = Duration::from_secs(30);

/// What happens in a round.
#[derive(Clone, Debug)]
pub struct Plan {
    pub setting: Setting,
    pub seed: u64,
    /// Steps, each of faults that are there at the same time.
    pub steps: Vec<Vec<Fault>>,
    /// A ticket that an operator holds from the first step on, for so long, whatever else happens.
    pub locked_for: Option<Duration>,
}

impl Plan {
    /// Every fault of the setting alone, in an order that is drawn, and then `mixed` steps of two at a time.
    pub fn draw(setting: Setting, seed: u64, alone: usize, mixed: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let kinds = Fault::of(setting);
        let mut steps: Vec<Vec<Fault>> = Vec::new();
        let mut left: Vec<Fault> = Vec::new();
        while steps.len() < alone {
            if left.is_empty() {
                left = kinds.to_vec();
            }
            steps.push(vec![left.swap_remove(random.random_range(0..left.len()))]);
        }
        for _ in 0..mixed {
            let first = kinds[random.random_range(0..kinds.len())];
            let others: Vec<Fault> = kinds.iter().copied().filter(|it| *it != first).collect();
            steps.push(vec![first, others[random.random_range(0..others.len())]]);
        }
        Self {
            setting,
            seed,
            steps,
            locked_for: None,
        }
    }
}

/// Plays a round, and adds what came of it to the report.
pub async fn play(plan: &Plan, report: &mut Report) {
    let stage = match Stage::open(plan.setting).await {
        Ok(stage) => stage,
        Err(why) => return report.has_no_stage(plan.setting, why),
    };
    let workload = start(&stage, plan.seed);
    let mut random = StdRng::seed_from_u64(!plan.seed);
    let locked = match plan.locked_for {
        Some(_) => inject(&stage, Fault::LockRow, &mut random, report).await,
        None => None,
    };
    let locked_since = Instant::now();
    for step in &plan.steps {
        tokio::time::sleep(CALM).await;
        play_step(&stage, step, &mut random, report).await;
    }
    if let (Some(wound), Some(time)) = (locked, plan.locked_for) {
        tokio::time::sleep_until((locked_since + time).into()).await;
        heal(&stage, vec![(Fault::LockRow, wound)], report).await;
    }
    tokio::time::sleep(CALM).await;
    let attempts_len = workload.attempts_len();
    let history = workload.end().await;
    report.has_worked(&history, attempts_len);
    report.violates(judge(stage, &history).await);
}

fn start(stage: &Stage, seed: u64) -> Workload {
    Workload::start(
        seed,
        CUSTOMERS,
        stage.hall.clone(),
        std::sync::Arc::clone(&stage.doors),
        Clock::start(),
    )
}

async fn play_step(stage: &Stage, step: &[Fault], random: &mut StdRng, report: &mut Report) {
    let mut wounds = Vec::new();
    let mut lasts = Duration::ZERO;
    let since = Instant::now();
    for fault in step {
        let (least, most) = fault.lasts();
        lasts = lasts.max(random.random_range(least..=most));
        if let Some(wound) = inject(stage, *fault, random, report).await {
            wounds.push((*fault, wound));
        }
    }
    if wounds.is_empty() {
        return;
    }
    let is_survived = step.iter().all(|fault| fault.is_survived());
    if is_survived {
        recover(stage, step, since, report).await;
    }
    tokio::time::sleep(lasts).await;
    let since = Instant::now();
    heal(stage, wounds, report).await;
    if !is_survived {
        recover(stage, step, since, report).await;
    }
}

async fn inject(
    stage: &Stage,
    fault: Fault,
    random: &mut StdRng,
    report: &mut Report,
) -> Option<Wound> {
    eprintln!("  {}", fault.words());
    match fault.inject(stage, random).await {
        Ok(wound) => {
            report.injects(fault, Injected::Done);
            Some(wound)
        }
        Err(why) => {
            eprintln!("    missed: {why}");
            report.injects(fault, Injected::Missed(why));
            None
        }
    }
}

/// All at once: a server does not start before its database does.
async fn heal(stage: &Stage, wounds: Vec<(Fault, Wound)>, report: &mut Report) {
    let healing = wounds
        .into_iter()
        .map(async |(fault, wound)| (fault, wound.heal(stage).await));
    for (fault, healed) in join_all(healing).await {
        if let Err(why) = healed {
            report.injects(fault, Injected::CameToNothing(why));
        }
    }
}

async fn recover(stage: &Stage, step: &[Fault], since: Instant, report: &mut Report) {
    match stage.recovery(since).await {
        Ok(time) => {
            eprintln!("    service after {time:?}");
            report.recovers(step, time);
        }
        Err(why) => report.does_not_recover(step, why),
    }
}

/// What is wrong when all is over: by the audit, which looks while the servers still run, and by the history against the
/// tables, which are read when nobody can write any more.
async fn judge(stage: Stage, history: &History) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let url = stage.ground.url().await.parse().unwrap();
    let audit = audit(&url, &Which::All, AUDIT_MAX).await.unwrap();
    if !audit.is_clean() {
        let words = rowlock::audit::text(&audit);
        found.entry("Audit".to_owned()).or_default().push(words);
    }
    for violation in verdict(&stage, history).await.unwrap() {
        let Violation { kind, words } = violation;
        found.entry(format!("{kind:?}")).or_default().push(words);
    }
    found
}

/// Ends the servers, and checks what was asked and answered against what the database has.
async fn verdict(stage: &Stage, history: &History) -> Result<Vec<Violation>, DbErr> {
    for door in stage.doors.iter() {
        door.kill().await;
    }
    let db = stage.connect().await?;
    if stage.ground.is_postgres() {
        let left = "SELECT 1 FROM pg_stat_activity WHERE usename ~ '^rowlock_'";
        eventually(
            "the end of the servers' sessions",
            SESSIONS_END_MAX,
            async || {
                let left = db.execute_unprepared(left).await.unwrap();
                (left.rows_affected() == 0).then_some(())
            },
        )
        .await;
    }
    let clock = Clock::start();
    let tables = tables::read(&db, stage.hall.event, clock.now()).await?;
    db.close().await?;
    let mut violations = check::check(history, &tables);
    violations.sort_by(|one, other| (one.kind, &one.words).cmp(&(other.kind, &other.words)));
    Ok(violations)
}

/// Plays undisturbed rounds of a mutant server until the checker finds that it is broken, or time is over. What was found
/// first.
pub async fn find_mutant(
    seed: u64,
    break_schema: &[&str],
    time_max: Duration,
) -> Option<Vec<Violation>> {
    const ROUND: Duration = Duration::from_secs(3);
    let begun = Instant::now();
    let mut round = 0;
    while begun.elapsed() < time_max {
        let stage = Stage::open(Setting::Postgres).await.unwrap();
        let db = stage.connect().await.unwrap();
        for sql in break_schema {
            db.execute_unprepared(sql).await.unwrap();
        }
        db.close().await.unwrap();
        let workload = start(&stage, seed + round);
        tokio::time::sleep(ROUND).await;
        let history = workload.end().await;
        let violations = verdict(&stage, &history).await.unwrap();
        if !violations.is_empty() {
            return Some(violations);
        }
        round += 1;
    }
    None
}
