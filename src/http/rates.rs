//! What a caller and an address may ask for in a minute, and what of it they have asked for.
//!
//! Counted in this process alone: what several of them share is the database's. A bucket is emptied by what is asked for and
//! fills evenly (the generic cell rate algorithm, which is governor's). Who is refused has spent what the limits before that
//! one took: a caller's own are asked first, so that somebody who asks on and on spends nothing of their neighbours'.
//!
//! Knows nobody: callers and addresses are kept as hashes under a key of this process's own.

mod remembered;

use std::{
    fmt::Write,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    time::Duration,
};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
};

use self::remembered::Remembered;
use super::{answer::Refusal, client::Address};
use crate::{
    auth::{Account, Caller},
    config::{RateConfig, Switch},
    graphql::fault::Code,
};

/// The headers of draft-ietf-httpapi-ratelimit-headers, version 10: what the limits are, and what is left.
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Callers that one limit remembers: 2 MiB, and as many buyers as come to the largest on-sales.
const REMEMBERED_MAX: usize = 100_000;

const MINUTE_SECS: u64 = 60;

/// What a document costs that is refused: it is parsed and compared with the schema all the same.
const REFUSED_COST: u64 = 100;

/// What a token costs its address that is not good. So an address has as many guesses as its limit has hundreds.
const BAD_TOKEN_COST: u64 = 100;

/// What is counted, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    CallerAttempts,
    CallerCost,
    AddressAttempts,
    AddressCost,
}

impl Limit {
    /// As the headers call it.
    fn name(self) -> &'static str {
        match self {
            Self::CallerAttempts => "caller-attempts",
            Self::CallerCost => "caller-cost",
            Self::AddressAttempts => "address-attempts",
            Self::AddressCost => "address-cost",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::CallerAttempts => "this caller has tried to buy or hold tickets too often",
            Self::CallerCost => "this caller has asked for too much",
            Self::AddressAttempts => {
                "from this address it was tried too often to buy or hold tickets"
            }
            Self::AddressCost => "from this address too much was asked for",
        }
    }
}

/// The limits of this process.
pub struct Rates {
    caller_attempts: Option<Buckets>,
    caller_cost: Option<Buckets>,
    address_attempts: Option<Buckets>,
    address_cost: Option<Buckets>,
    /// Nobody outside can find two callers of one hash.
    keys: RandomState,
}

/// Who is counted: as what caller, and at what address.
#[derive(Clone, Copy)]
pub struct Who {
    caller: Option<u64>,
    address: Option<u64>,
}

/// What an operation takes.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub cost: u64,
    pub attempts: u64,
}

/// How far the limits are used that were looked at: all up to the one that refused, if one did.
#[derive(Clone, Debug, Default)]
pub struct Standing(Vec<Left>);

#[derive(Clone, Copy, Debug)]
struct Left {
    limit: Limit,
    max: NonZeroU32,
    left: u32,
    /// Until there is more of it: as much as was asked for where that was refused, and otherwise all.
    more_in_secs: u64,
}

/// A limit is used up.
#[derive(Debug)]
pub struct Limited {
    limit: Limit,
    retry_after_secs: u64,
    standing: Standing,
}

impl Rates {
    pub fn new(config: &RateConfig) -> Self {
        let is_on = config.rate_limits == Switch::On;
        let buckets = |limit, max| {
            let max = NonZeroU32::new(max).filter(|_| is_on)?;
            Some(Buckets::new(limit, max))
        };
        Self {
            caller_attempts: buckets(Limit::CallerAttempts, config.caller_attempts_per_minute),
            caller_cost: buckets(Limit::CallerCost, config.caller_cost_per_minute),
            address_attempts: buckets(Limit::AddressAttempts, config.address_attempts_per_minute),
            address_cost: buckets(Limit::AddressCost, config.address_cost_per_minute),
            keys: RandomState::new(),
        }
    }

    /// A caller without a token is their address.
    pub fn who(&self, caller: &Caller, address: Option<Address>) -> Who {
        /// An account and an address never have the same hash by what they are.
        #[derive(Hash)]
        enum Key<'a> {
            Account(&'a Account),
            Address(Address),
        }
        let address = address.map(|address| self.keys.hash_one(Key::Address(address)));
        let account = caller.account();
        Who {
            caller: account
                .map(|account| self.keys.hash_one(Key::Account(account)))
                .or(address),
            address,
        }
    }

    /// Takes what is asked for from every limit.
    ///
    /// # Errors
    /// When there is not enough left in one of them: nothing may be executed.
    pub fn take(&self, who: Who, asked: Asked) -> Result<Standing, Box<Limited>> {
        let mut standing = Standing::default();
        for (buckets, key, amount) in [
            (&self.caller_attempts, who.caller, asked.attempts),
            (&self.caller_cost, who.caller, asked.cost),
            (&self.address_attempts, who.address, asked.attempts),
            (&self.address_cost, who.address, asked.cost),
        ] {
            if let (Some(buckets), Some(key)) = (buckets, key) {
                standing = buckets.take(key, amount, standing)?;
            }
        }
        Ok(standing)
    }

    /// Takes what it costs to refuse a document.
    ///
    /// # Errors
    /// When there is not enough left.
    pub fn take_refused(&self, who: Who) -> Result<Standing, Box<Limited>> {
        let asked = Asked {
            cost: REFUSED_COST,
            attempts: 0,
        };
        self.take(who, asked)
    }

    /// Takes from an address what a token costs that is not good.
    ///
    /// # Errors
    /// When there is not enough left.
    pub fn take_bad_token(&self, address: Option<Address>) -> Result<(), Box<Limited>> {
        let who = self.who(&Caller::Anonymous, address);
        let at_address = Who {
            caller: None,
            ..who
        };
        let asked = Asked {
            cost: BAD_TOKEN_COST,
            attempts: 0,
        };
        self.take(at_address, asked).map(|_| ())
    }
}

/// One limit's buckets, of everybody.
struct Buckets {
    limit: Limit,
    max: NonZeroU32,
    limiter: RateLimiter<u64, Remembered, MonotonicClock, StateInformationMiddleware>,
}

impl Buckets {
    fn new(limit: Limit, max: NonZeroU32) -> Self {
        let remembered = Remembered::new(REMEMBERED_MAX);
        Self {
            limit,
            max,
            limiter: RateLimiter::new(Quota::per_minute(max), remembered, MonotonicClock),
        }
    }

    /// What is more than a whole bucket takes a whole bucket. No document asks for so much, see [`RateConfig::check`], but
    /// refusing it may cost more.
    fn take(
        &self,
        key: u64,
        amount: u64,
        mut standing: Standing,
    ) -> Result<Standing, Box<Limited>> {
        let max = self.max.get();
        let amount = u32::try_from(amount).unwrap_or(max).min(max);
        let Some(amount) = NonZeroU32::new(amount) else {
            return Ok(standing);
        };
        let taken = self
            .limiter
            .check_key_n(&key, amount)
            .expect("no more is taken than a bucket has");
        match taken {
            Ok(snapshot) => {
                let left = snapshot.remaining_burst_capacity();
                let missing = u64::from(max - left.min(max));
                standing.0.push(Left {
                    limit: self.limit,
                    max: self.max,
                    left,
                    more_in_secs: (missing * MINUTE_SECS).div_ceil(max.into()),
                });
                Ok(standing)
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.limiter.clock().now());
                let retry_after_secs = whole_secs(wait);
                standing.0.push(Left {
                    limit: self.limit,
                    max: self.max,
                    left: 0,
                    more_in_secs: retry_after_secs,
                });
                Err(Box::new(Limited {
                    limit: self.limit,
                    retry_after_secs,
                    standing,
                }))
            }
        }
    }
}

/// Rounded up, and at least one: whoever comes back then finds something.
fn whole_secs(wait: Duration) -> u64 {
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    secs.max(1)
}

impl Standing {
    /// Says it in an answer's headers.
    pub fn told_in(&self, mut response: Response) -> Response {
        self.write(response.headers_mut());
        response
    }

    /// Both are lists of structured fields (RFC 9651).
    fn write(&self, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        let (mut policy, mut state) = (String::new(), String::new());
        for Left {
            limit,
            max,
            left,
            more_in_secs,
        } in &self.0
        {
            let (comma, name) = (if policy.is_empty() { "" } else { ", " }, limit.name());
            let _ = write!(policy, "{comma}\"{name}\";q={max};w={MINUTE_SECS}");
            let _ = write!(state, "{comma}\"{name}\";r={left};t={more_in_secs}");
        }
        for (name, text) in [(RATELIMIT_POLICY, policy), (RATELIMIT, state)] {
            let value = HeaderValue::try_from(text).expect("names and numbers are header values");
            headers.insert(name, value);
        }
    }
}

impl std::fmt::Display for Limited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            limit,
            retry_after_secs,
            ..
        } = self;
        write!(
            f,
            "{}; nothing happened: come back in {retry_after_secs} s",
            limit.sentence()
        )
    }
}

impl Limited {
    pub fn refusal(&self) -> Refusal {
        Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            Code::RateLimited,
            self.to_string(),
        )
        .retry_after(self.retry_after_secs)
    }

    pub fn standing(&self) -> &Standing {
        &self.standing
    }
}

#[cfg(test)]
mod tests;
