//! What a run did and found, as one table.

use std::{
    collections::BTreeMap,
    fmt::Write,
    time::{Duration, Instant},
};

use crate::{
    g7::Measured,
    history::{Answer, History},
    nemesis::Fault,
    stage::Setting,
};

/// So many violations of a kind are told in full.
const TOLD_MAX: usize = 3;

/// A violation's words are told up to here.
const WORDS_MAX: usize = 2_000;

pub struct Report {
    begun: Instant,
    rounds: usize,
    commands: usize,
    attempts: usize,
    in_doubt: usize,
    answers: BTreeMap<String, usize>,
    faults: BTreeMap<Fault, Tally>,
    mixed: Vec<Duration>,
    settings_missing: BTreeMap<String, String>,
    violations: BTreeMap<String, Vec<String>>,
    g7: Option<Measured>,
}

/// What came of a kind of fault.
#[derive(Default)]
struct Tally {
    injected: usize,
    missed: Vec<String>,
    /// Of those that came alone.
    recoveries: Vec<Duration>,
}

/// What came of an injection.
pub enum Injected {
    Done,
    /// There was nothing to break.
    Missed(String),
    /// It was there, and nothing met it.
    CameToNothing(String),
}

impl Default for Report {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            rounds: 0,
            commands: 0,
            attempts: 0,
            in_doubt: 0,
            answers: BTreeMap::new(),
            faults: BTreeMap::new(),
            mixed: Vec::new(),
            settings_missing: BTreeMap::new(),
            violations: BTreeMap::new(),
            g7: None,
        }
    }
}

impl Report {
    pub fn has_no_stage(&mut self, setting: Setting, why: String) {
        self.settings_missing.insert(format!("{setting:?}"), why);
    }

    pub fn has_worked(&mut self, history: &History, attempts_len: usize) {
        self.rounds += 1;
        self.attempts += attempts_len;
        self.commands += history.commands.len();
        for command in history.commands.values() {
            for attempt in &command.attempts {
                let word = attempt.answer.word().to_owned();
                *self.answers.entry(word).or_default() += 1;
            }
            let last = command.attempts.last();
            let is_open = last.is_some_and(|it| matches!(it.answer, Answer::Unknown(_)));
            self.in_doubt += usize::from(is_open);
        }
    }

    pub fn injects(&mut self, fault: Fault, injected: Injected) {
        let tally = self.faults.entry(fault).or_default();
        match injected {
            Injected::Done => tally.injected += 1,
            Injected::Missed(why) => tally.missed.push(why),
            Injected::CameToNothing(why) => {
                tally.injected -= 1;
                tally.missed.push(why);
            }
        }
    }

    pub fn recovers(&mut self, step: &[Fault], time: Duration) {
        match step {
            [alone] => self.faults.entry(*alone).or_default().recoveries.push(time),
            _ => self.mixed.push(time),
        }
    }

    pub fn does_not_recover(&mut self, step: &[Fault], why: String) {
        let words = format!("after {step:?}: {why}");
        self.violates(BTreeMap::from([("NoService".to_owned(), vec![words])]));
    }

    pub fn violates(&mut self, found: BTreeMap<String, Vec<String>>) {
        for (kind, words) in found {
            self.violations.entry(kind).or_default().extend(words);
        }
    }

    pub fn has_measured(&mut self, measured: Measured) {
        self.g7 = Some(measured);
    }

    /// Whether a row that was locked from outside delayed nobody who wanted another, as far as that was measured.
    pub fn is_g7_kept(&self) -> bool {
        self.g7.is_none_or(|measured| measured.is_kept())
    }

    pub fn attempts_len(&self) -> usize {
        self.attempts
    }

    pub fn injected_len(&self) -> usize {
        self.faults.values().map(|tally| tally.injected).sum()
    }

    pub fn violations_len(&self) -> usize {
        self.violations.values().map(Vec::len).sum()
    }

    /// Whether there was at least one injection of this kind.
    pub fn has_injected(&self, fault: Fault) -> bool {
        self.faults
            .get(&fault)
            .is_some_and(|tally| tally.injected > 0)
    }

    /// The whole of it, in Markdown.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let secs = self.begun.elapsed().as_secs();
        writeln!(text, "| | |\n|---|---|")?;
        writeln!(text, "| time | {} min {} s |", secs / 60, secs % 60)?;
        writeln!(text, "| rounds | {} |", self.rounds)?;
        writeln!(text, "| recorded operations | {} |", self.attempts)?;
        writeln!(
            text,
            "| commands, of which in doubt to the end | {}, {} |",
            self.commands, self.in_doubt
        )?;
        writeln!(text, "| injected faults | {} |", self.injected_len())?;
        writeln!(text, "| violations | {} |", self.violations_len())?;
        if let Some(g7) = &self.g7 {
            writeln!(text, "| {} |", g7.words())?;
        }
        writeln!(
            text,
            "\n| fault | injected | service back after, median | at most |\n|---|---|---|---|"
        )?;
        for (fault, tally) in &self.faults {
            let times = times(&tally.recoveries);
            writeln!(text, "| {} | {} | {times} |", fault.words(), tally.injected)?;
        }
        writeln!(
            text,
            "| two at a time, each counted above | {} | {} |",
            self.mixed.len(),
            times(&self.mixed)
        )?;
        writeln!(text, "\n| answer | times |\n|---|---|")?;
        for (word, times) in &self.answers {
            writeln!(text, "| {word} | {times} |")?;
        }
        for (setting, why) in &self.settings_missing {
            writeln!(text, "\nNot done, {setting}: {why}")?;
        }
        for (fault, tally) in &self.faults {
            if let Some(why) = tally.missed.last() {
                let why = &why[..why.floor_char_boundary(200)];
                writeln!(
                    text,
                    "\nMissed, {} ({} times): {why}",
                    fault.words(),
                    tally.missed.len()
                )?;
            }
        }
        for (kind, words) in &self.violations {
            writeln!(text, "\nVIOLATION {kind}, {} times:", words.len())?;
            for words in words.iter().take(TOLD_MAX) {
                writeln!(text, "  {}", &words[..words.floor_char_boundary(WORDS_MAX)])?;
            }
        }
        Ok(())
    }
}

fn times(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    match (times.get(times.len() / 2), times.last()) {
        (Some(median), Some(most)) => format!(
            "{:.2} s | {:.2} s",
            median.as_secs_f64(),
            most.as_secs_f64()
        ),
        _ => "| ".to_owned(),
    }
}
