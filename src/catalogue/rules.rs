//! What an operator's input must be like. Pure; each rule answers with the sentence that says what is wrong.

use chrono::{DateTime, Datelike, Utc};
use iso_currency::Currency;

use crate::money::Money;
pub(super) use crate::text::line;

/// A slug is a part of a URL that people read out and type.
pub const SLUG_LEN_MAX: usize = 80;

/// A name has to fit a ticket and a phone's screen.
pub const NAME_LEN_MAX: usize = 200;

/// A few pages of text; every reader of the event downloads it.
pub const DESCRIPTION_LEN_MAX: usize = 10_000;

/// As the database's own check has it: an order is one transaction, and its tickets are locked at once.
pub const TICKETS_PER_ORDER_MAX: i32 = 1_000;

/// As the database's own check has it: a day. Who has not paid by then will not.
pub const HOLD_SECS_MAX: i32 = 86_400;

/// As the database's own check has it: what one customer holds is counted with every hold.
pub const HELD_PER_CUSTOMER_MAX: i32 = 1_000;

/// As the database's own check has it: more than any event has tickets.
pub const TICKETS_PER_CUSTOMER_MAX: i32 = 1_000_000;

/// In minor units. The total of the largest order still is a whole number that JavaScript holds exactly (2^53).
pub const PRICE_MINOR_MAX: i64 = 1_000_000_000_000;

/// SQLite orders instants by their text, which is the order of time only for years of four digits.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=9999;

pub type Checked<T> = Result<T, String>;

/// Lower-case words of letters and digits with single hyphens between, as in `hamlet-2026`.
pub(super) fn slug(slug: &str) -> Checked<()> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    if slug.len() <= SLUG_LEN_MAX && slug.split('-').all(is_word) {
        Ok(())
    } else {
        Err(format!(
            "a slug has 1 to {SLUG_LEN_MAX} lower-case letters and digits, with single hyphens between words"
        ))
    }
}

/// The name of an event.
pub(super) fn name(text: &str) -> Checked<()> {
    line("a name", text, NAME_LEN_MAX)
}

/// Text of several lines; may be empty.
pub(super) fn description(text: &str) -> Checked<()> {
    let is_text = text.chars().count() <= DESCRIPTION_LEN_MAX
        && !text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    if is_text {
        Ok(())
    } else {
        Err(format!(
            "a description has at most {DESCRIPTION_LEN_MAX} characters and no control characters"
        ))
    }
}

pub(super) fn currency(code: &str) -> Checked<Currency> {
    Currency::from_code(code)
        // ISO 4217 lists codes for tests and for "no currency" too.
        .filter(|currency| !matches!(currency, Currency::XTS | Currency::XXX))
        .ok_or_else(|| "a currency is an upper-case ISO 4217 code such as EUR".to_owned())
}

pub(super) fn time_zone(name: &str) -> Checked<()> {
    name.parse::<chrono_tz::Tz>()
        .map(|_| ())
        .map_err(|_| "a time zone is an IANA name such as Europe/Vienna".to_owned())
}

/// The instant as exact as the databases keep it.
///
/// # Errors
/// A plain sentence, when no database orders it: PostgreSQL knows fewer years than a client can write, SQLite orders text.
pub fn instant(at: DateTime<Utc>) -> Checked<DateTime<Utc>> {
    if YEARS.contains(&at.year()) {
        Ok(crate::time::to_micros(at))
    } else {
        Err(format!(
            "a time lies in the years {} to {}",
            YEARS.start(),
            YEARS.end()
        ))
    }
}

pub(super) fn sales_window(open_at: DateTime<Utc>, close_at: DateTime<Utc>) -> Checked<()> {
    if open_at < close_at {
        Ok(())
    } else {
        Err("sales must close after they open".to_owned())
    }
}

pub(super) fn tickets_per_order(max: i32) -> Checked<()> {
    if (1..=TICKETS_PER_ORDER_MAX).contains(&max) {
        Ok(())
    } else {
        Err(format!(
            "an order may be limited to 1 to {TICKETS_PER_ORDER_MAX} tickets"
        ))
    }
}

/// How long a hold lasts.
pub(super) fn hold_secs(secs: i32) -> Checked<()> {
    if (1..=HOLD_SECS_MAX).contains(&secs) {
        Ok(())
    } else {
        Err(format!("a hold lasts 1 to {HOLD_SECS_MAX} seconds"))
    }
}

/// How old a hold can become: at least as old as it is when it was never extended.
pub(super) fn hold_secs_max(secs: i32, hold_secs: i32) -> Checked<()> {
    if secs < hold_secs {
        Err("a hold cannot end before its own length: the maximum is the length or more".to_owned())
    } else if secs > HOLD_SECS_MAX {
        Err(format!(
            "a hold becomes at most {HOLD_SECS_MAX} seconds old"
        ))
    } else {
        Ok(())
    }
}

pub(super) fn held_per_customer(max: i32) -> Checked<()> {
    if (0..=HELD_PER_CUSTOMER_MAX).contains(&max) {
        Ok(())
    } else {
        Err(format!(
            "a customer may be limited to holding 0 to {HELD_PER_CUSTOMER_MAX} tickets"
        ))
    }
}

/// None is no limit.
pub(super) fn tickets_per_customer(max: Option<i32>) -> Checked<()> {
    if max.is_none_or(|max| (1..=TICKETS_PER_CUSTOMER_MAX).contains(&max)) {
        Ok(())
    } else {
        Err(format!(
            "a customer may be limited to 1 to {TICKETS_PER_CUSTOMER_MAX} tickets, or not at all"
        ))
    }
}

/// The price in minor units.
pub(super) fn price(amount: &str, currency: Currency) -> Checked<i64> {
    let money = Money::parse(amount, currency).map_err(|error| format!("the price {error}"))?;
    if (0..=PRICE_MINOR_MAX).contains(&money.minor) {
        Ok(money.minor)
    } else {
        let max = Money {
            minor: PRICE_MINOR_MAX,
            currency,
        };
        Err(format!("a price lies between 0 and {}", max.amount()))
    }
}

pub(super) fn position(position: i32) -> Checked<()> {
    if position >= 0 {
        Ok(())
    } else {
        Err("a position is 0 or more".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_lower_case_words_with_hyphens_between() {
        for good in [
            "a",
            "hamlet",
            "hamlet-2026",
            "1-2-3",
            &"x".repeat(SLUG_LEN_MAX),
        ] {
            assert!(slug(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-",
            "a-",
            "-a",
            "a--b",
            "A",
            "a b",
            "ä",
            "a_b",
            &"x".repeat(SLUG_LEN_MAX + 1),
        ] {
            assert!(slug(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_is_counted_in_characters_and_has_no_edges() {
        assert!(line("a name", "Жизель", 6).is_ok());
        for bad in ["", " a", "a ", "a\nb", "a\0b", "1234567"] {
            assert!(line("a name", bad, 6).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_description_may_be_empty_and_have_lines_but_no_nul() {
        assert!(description("").is_ok());
        assert!(description("one\r\n\ttwo").is_ok());
        assert!(description("a\0b").is_err());
        assert!(description(&"x".repeat(DESCRIPTION_LEN_MAX + 1)).is_err());
    }

    #[test]
    fn a_price_is_exact_not_negative_and_bounded() {
        assert_eq!(price("12.50", Currency::EUR), Ok(1250));
        assert_eq!(price("0", Currency::EUR), Ok(0));
        assert_eq!(price("10000000000.00", Currency::EUR), Ok(PRICE_MINOR_MAX));
        for bad in ["-0.01", "12.505", "10000000000.01", "x"] {
            assert!(price(bad, Currency::EUR).is_err(), "{bad}");
        }
        assert!(price("12.5", Currency::JPY).is_err());
    }

    #[test]
    fn limits_include_their_ends_and_nothing_beyond() {
        for good in [1, HOLD_SECS_MAX] {
            assert!(hold_secs(good).is_ok() && hold_secs_max(good, good).is_ok());
        }
        for bad in [i32::MIN, 0, HOLD_SECS_MAX + 1] {
            assert!(hold_secs(bad).is_err(), "{bad}");
        }
        assert!(hold_secs_max(599, 600).is_err() && hold_secs_max(HOLD_SECS_MAX + 1, 600).is_err());
        assert!(held_per_customer(0).is_ok() && held_per_customer(HELD_PER_CUSTOMER_MAX).is_ok());
        assert!(
            held_per_customer(-1).is_err() && held_per_customer(HELD_PER_CUSTOMER_MAX + 1).is_err()
        );
        for good in [None, Some(1), Some(TICKETS_PER_CUSTOMER_MAX)] {
            assert!(tickets_per_customer(good).is_ok(), "{good:?}");
        }
        for bad in [0, -1, TICKETS_PER_CUSTOMER_MAX + 1] {
            assert!(tickets_per_customer(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn currencies_and_time_zones_are_the_registered_ones() {
        assert!(currency("EUR").is_ok());
        assert!(
            currency("eur").is_err()
                && currency("XYZ").is_err()
                && currency("XXX").is_err()
                && currency("").is_err()
        );
        assert!(time_zone("Europe/Vienna").is_ok() && time_zone("UTC").is_ok());
        assert!(time_zone("Vienna").is_err() && time_zone("+02:00").is_err());
    }

    #[test]
    fn instants_are_kept_to_the_microsecond_and_to_years_of_four_digits() {
        let at = DateTime::from_timestamp(0, 1_999).unwrap();
        assert_eq!(instant(at).unwrap().timestamp_subsec_nanos(), 1_000);
        assert!(instant(DateTime::<Utc>::MAX_UTC).is_err());
        assert!(sales_window(at, at).is_err());
    }
}
