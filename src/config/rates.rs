//! What one caller, and everybody at one address, may ask for in a minute.

use super::{QueryConfig, Switch};

/// The limits of each caller and of each address, counted by every process for itself. A limit is a bucket: it is full at the
/// beginning, can be emptied at once, and fills again evenly within a minute. 0 turns one off.
#[derive(Clone, Debug, clap::Args)]
pub struct RateConfig {
    /// Whether callers and addresses are limited at all. With off one of them can starve all others: for a rehearsal, whose
    /// few customers ask as thousands do
    #[arg(
        long,
        env = "ROWLOCK_RATE_LIMITS",
        value_name = "SWITCH",
        default_value = "on"
    )]
    pub rate_limits: Switch,

    /// Cost (extensions.cost) of what a caller may ask for in a minute, by the token's account; without a token, by address.
    /// 0 for no limit. An event's page that is read again every second costs some 6000. More lets one caller keep more of
    /// the database busy. Not less than --query-cost
    #[arg(
        long,
        env = "ROWLOCK_CALLER_COST_PER_MINUTE",
        value_name = "COST",
        default_value = "60000"
    )]
    pub caller_cost_per_minute: u32,

    /// The same for everybody at one address together (of IPv6, one /64). A company or a mobile network may have thousands of
    /// buyers behind one: raise it if they are yours
    #[arg(
        long,
        env = "ROWLOCK_ADDRESS_COST_PER_MINUTE",
        value_name = "COST",
        default_value = "600000"
    )]
    pub address_cost_per_minute: u32,

    /// Attempts of a caller to buy or to hold tickets in a minute, each such field of a mutation being one; 0 for no limit. A
    /// person makes a few. More lets a machine try more seats than people can. Not less than --query-root-fields
    #[arg(
        long,
        env = "ROWLOCK_CALLER_ATTEMPTS_PER_MINUTE",
        value_name = "N",
        default_value = "60"
    )]
    pub caller_attempts_per_minute: u32,

    /// The same for everybody at one address together
    #[arg(
        long,
        env = "ROWLOCK_ADDRESS_ATTEMPTS_PER_MINUTE",
        value_name = "N",
        default_value = "1200"
    )]
    pub address_attempts_per_minute: u32,
}

impl RateConfig {
    /// # Errors
    /// When one document may ask for more than there is in a whole minute: it could never be answered.
    pub fn check(&self, query: &QueryConfig) -> Result<(), String> {
        if self.rate_limits == Switch::Off {
            return Ok(());
        }
        let (cost, fields) = (
            ("--query-cost", query.query_cost),
            ("--query-root-fields", query.query_root_fields),
        );
        for (option, limit, (bound, least)) in [
            (
                "--caller-cost-per-minute",
                self.caller_cost_per_minute,
                cost,
            ),
            (
                "--address-cost-per-minute",
                self.address_cost_per_minute,
                cost,
            ),
            (
                "--caller-attempts-per-minute",
                self.caller_attempts_per_minute,
                fields,
            ),
            (
                "--address-attempts-per-minute",
                self.address_attempts_per_minute,
                fields,
            ),
        ] {
            if limit > 0 && u64::from(limit) < least {
                return Err(format!(
                    "{option} ({limit}) must be at least {bound} ({least}), or a document that the one allows could never \
                     pass the other; or 0 for no limit"
                ));
            }
        }
        Ok(())
    }
}
