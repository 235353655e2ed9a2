//! Money: a whole number of minor units in an ISO 4217 currency. Nothing here rounds.

pub use iso_currency::Currency;
use rust_decimal::Decimal;

/// An amount such as `12.50 EUR`, kept as 1250 minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    /// The decimal amount with as many digits after the point as the currency has, e.g. `12.50`, or `1250` in yen.
    pub fn amount(self) -> String {
        self.decimal().to_string()
    }

    pub fn decimal(self) -> Decimal {
        Decimal::new(self.minor, exponent(self.currency))
    }

    /// Reads a decimal amount.
    ///
    /// # Errors
    /// When it is no plain decimal number, is finer than the currency's minor unit, or does not fit.
    pub fn parse(amount: &str, currency: Currency) -> Result<Self, MoneyError> {
        let mut decimal = Decimal::from_str_exact(amount).map_err(|_| MoneyError::NotADecimal)?;
        let exponent = exponent(currency);
        if decimal.normalize().scale() > exponent {
            return Err(MoneyError::TooFine { exponent });
        }
        decimal.rescale(exponent);
        let minor = i64::try_from(decimal.mantissa()).map_err(|_| MoneyError::TooLarge)?;
        // Rescaling a huge number silently keeps a smaller scale.
        if decimal.scale() != exponent {
            return Err(MoneyError::TooLarge);
        }
        Ok(Self { minor, currency })
    }
}

/// Why a text is no amount of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("is not a decimal number such as 12.50")]
    NotADecimal,
    #[error("has more than {exponent} digits after the decimal point")]
    TooFine { exponent: u32 },
    #[error("is too large")]
    TooLarge,
}

/// Digits after the decimal point: 2 for the euro, 0 for the yen. Currencies without minor units (gold) count whole.
fn exponent(currency: Currency) -> u32 {
    currency.exponent().map_or(0, u32::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_reads_back_as_it_was_written() {
        for (text, currency, minor) in [
            ("12.50", Currency::EUR, 1250),
            ("0.00", Currency::USD, 0),
            ("1250", Currency::JPY, 1250),
            ("1.234", Currency::KWD, 1234),
            ("-3.10", Currency::EUR, -310),
        ] {
            let money = Money::parse(text, currency).unwrap();
            assert_eq!(money.minor, minor);
            assert_eq!(money.amount(), text);
        }
        assert_eq!(Money::parse("12.5", Currency::EUR).unwrap().minor, 1250);
        assert_eq!(Money::parse("12.500", Currency::EUR).unwrap().minor, 1250);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        use MoneyError::{NotADecimal, TooFine, TooLarge};
        for (text, error) in [
            ("", NotADecimal),
            ("12,50", NotADecimal),
            ("1e3", NotADecimal),
            ("12.505", TooFine { exponent: 2 }),
            ("92233720368547758.08", TooLarge),
            ("7922816251426433759354395033", TooLarge),
        ] {
            assert_eq!(Money::parse(text, Currency::EUR), Err(error), "{text}");
        }
    }
}
