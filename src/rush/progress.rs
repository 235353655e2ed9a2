//! A line that says how far the rehearsal is, for who watches a terminal.

use std::{io::Write, time::Duration};

use super::{record::Counts, run::Pace, watch};

const BAR_LEN: usize = 24;

/// Where the line is written, if anywhere.
pub struct Progress {
    terminal: Option<Box<dyn Write + Send>>,
    before: (Duration, u64),
    rate: f64,
}

impl Progress {
    pub fn new(terminal: Option<Box<dyn Write + Send>>) -> Self {
        Self {
            terminal,
            before: (Duration::ZERO, 0),
            rate: 0.0,
        }
    }

    /// What is done before or after the buyers are let loose.
    pub fn say(&mut self, text: &str) {
        if let Some(terminal) = &mut self.terminal {
            // A terminal that went away is no reason to stop.
            let _ = write!(terminal, "\r\x1b[K{text}");
            let _ = terminal.flush();
        }
    }

    pub fn show(
        &mut self,
        elapsed: Duration,
        counts: &Counts,
        seats: Option<watch::Counts>,
        pace: &Pace,
    ) {
        if self.terminal.is_none() {
            return;
        }
        let (then, asked) = self.before;
        let passed = elapsed.saturating_sub(then).as_secs_f64();
        if passed > 0.0 {
            let now = (counts.asked - asked) as f64 / passed;
            self.rate = if asked == 0 {
                now
            } else {
                self.rate * 0.7 + now * 0.3
            };
        }
        self.before = (elapsed, counts.asked);
        let share = share_done(elapsed, counts, pace);
        let refused: u64 = counts.refused.values().sum();
        let faults: u64 = counts.faults.values().sum();
        let mut line = format!(
            "{} {} sold · {} refused · {} faults · {:.0}/s · {} s",
            bar(share),
            grouped(counts.sold),
            grouped(refused),
            grouped(faults),
            self.rate,
            elapsed.as_secs()
        );
        if let Some(seats) = seats {
            line += &as_pushed(seats);
        }
        self.say(&line);
    }

    /// Leaves the line empty.
    pub fn end(&mut self) {
        self.say("");
    }
}

/// The seats of all events as the servers push them.
fn as_pushed(seats: watch::Counts) -> String {
    format!(
        " | pushed: {} available · {} held · {} sold",
        grouped(seats.available),
        grouped(seats.held),
        grouped(seats.sold)
    )
}

fn share_done(elapsed: Duration, counts: &Counts, pace: &Pace) -> f64 {
    let of_purchases = counts.asked as f64 / pace.purchases_expected.max(1) as f64;
    let of_duration = pace.duration_max.map_or(0.0, |max| {
        elapsed.as_secs_f64() / max.as_secs_f64().max(0.001)
    });
    of_purchases.max(of_duration).clamp(0.0, 1.0)
}

fn bar(share: f64) -> String {
    let full = (1..=BAR_LEN)
        .filter(|part| share >= *part as f64 / BAR_LEN as f64)
        .count();
    format!("[{}{}]", "█".repeat(full), "·".repeat(BAR_LEN - full))
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_bar_is_as_full_as_its_share() {
        assert!(!bar(0.0).contains('█'));
        assert!(!bar(1.0).contains('·'));
        assert_eq!(bar(0.5).matches('█').count(), BAR_LEN / 2);
    }
}
