//! The night of the on-sale goes wrong, in short: what `scripts/faults` does for half an hour, with fixed seeds. See
//! docs/faults.md.

use std::time::Duration;

use rowlock_faults::{
    check,
    nemesis::Fault,
    report::Report,
    round::{self, Plan},
    stage::Setting,
    use_server,
};

/// Until then the checker has found what is broken; it takes some seconds.
const FOUND_WITHIN: Duration = Duration::from_secs(60);

/// What needs programs that are not everywhere, or more time, is for the long form.
const ALONE: &[Fault] = &[
    Fault::KillServer,
    Fault::StopServer,
    Fault::CutBeforeCommit,
    Fault::CutAfterCommit,
    Fault::TerminateSessions,
    Fault::KillPostgres,
];

const TOGETHER: &[Fault] = &[Fault::BlackHole, Fault::LockRow, Fault::KillServer];

async fn play(setting: Setting, seed: u64, steps: Vec<Vec<Fault>>) {
    use_server(crate::server());
    let injected: Vec<Fault> = steps.iter().flatten().copied().collect();
    let plan = Plan {
        setting,
        seed,
        steps,
        locked_for: None,
    };
    let mut report = Report::default();
    round::play(&plan, &mut report).await;
    let text = report.text();
    assert_eq!(report.violations_len(), 0, "{text}");
    for fault in injected {
        assert!(report.has_injected(fault), "{fault:?} was not:\n{text}");
    }
    assert!(report.attempts_len() > 1_000, "{text}");
    eprintln!("{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_is_sold_twice_whatever_breaks() {
    let mut steps: Vec<Vec<Fault>> = ALONE.iter().map(|fault| vec![*fault]).collect();
    steps.push(TOGETHER.to_vec());
    play(Setting::Postgres, 1, steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_is_sold_twice_when_a_server_on_sqlite_is_killed() {
    let steps = vec![
        vec![Fault::KillServer],
        vec![Fault::SecondProcess],
        vec![Fault::KillServer],
    ];
    play(Setting::Sqlite, 2, steps).await;
}

/// The idempotency record is left out, by the database: what a server writes there is gone with the transaction. See
/// `tests/without-lock` for the lock.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_idempotency_record_the_checker_finds_what_is_done_twice() {
    use_server(crate::server());
    let forget = [
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             DELETE FROM idempotency_keys WHERE event_id = NEW.event_id
                 AND customer_id = NEW.customer_id AND key = NEW.key;
             RETURN NULL;
         END $$",
        "CREATE TRIGGER forget AFTER INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION forget()",
    ];
    let found = round::find_mutant(3, &forget, FOUND_WITHIN).await;
    let found = found.expect("the checker does not notice that keys are forgotten");
    let is_of_repeat = |kind: check::Kind| {
        matches!(
            kind,
            check::Kind::RepeatDiffers | check::Kind::RepeatRefused
        )
    };
    assert!(found.iter().any(|it| is_of_repeat(it.kind)), "{found:#?}");
}
