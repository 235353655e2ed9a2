//! Money as clients see it: a decimal amount and its currency.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};

/// An amount of money.
#[derive(SimpleObject, Clone)]
pub struct Money {
    /// The decimal amount, with as many digits after the point as the currency has: `"12.50"` in euro, `"1250"` in yen.
    pub amount: Decimal,
    /// The ISO 4217 code of the currency, such as `EUR`.
    pub currency: String,
}

impl From<crate::money::Money> for Money {
    fn from(money: crate::money::Money) -> Self {
        Self {
            amount: Decimal(money.amount()),
            currency: money.currency.code().to_owned(),
        }
    }
}

/// A decimal number as a string, such as `"12.50"`, so that no client's floating point rounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal(pub String);

impl Decimal {
    pub fn number(&self) -> rust_decimal::Decimal {
        rust_decimal::Decimal::from_str_exact(&self.0).expect("only decimals become a Decimal")
    }
}

/// The longest decimal that is read; more digits fit no amount of money.
const DECIMAL_LEN_MAX: usize = 40;

/// A decimal number as a string, such as `"12.50"`, so that no client's floating point rounds it.
#[Scalar(specified_by_url = "https://www.w3.org/TR/xmlschema11-2/#decimal")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text)
                if text.len() <= DECIMAL_LEN_MAX
                    && rust_decimal::Decimal::from_str_exact(&text).is_ok() =>
            {
                Ok(Self(text))
            }
            _ => Err(InputValueError::custom(
                "a decimal is a string such as \"12.50\"",
            )),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}
