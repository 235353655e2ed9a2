use super::*;
use crate::{
    auth::{ApiKey, Identity},
    http::client::{Clients, Peer},
    ids::ApiKeyId,
};

fn rates(caller: (u32, u32), address: (u32, u32)) -> Rates {
    Rates::new(&config(caller, address))
}

fn config(caller: (u32, u32), address: (u32, u32)) -> RateConfig {
    RateConfig {
        rate_limits: Switch::On,
        caller_cost_per_minute: caller.0,
        caller_attempts_per_minute: caller.1,
        address_cost_per_minute: address.0,
        address_attempts_per_minute: address.1,
        machine_cost_per_minute: 0,
        machine_attempts_per_minute: 0,
    }
}

fn asked(cost: u64, attempts: u64) -> Asked {
    Asked { cost, attempts }
}

fn who(caller: u64, address: u64) -> Who {
    Who {
        caller: Some(caller),
        address: Some(address),
        machine: None,
    }
}

fn header(standing: &Standing, name: HeaderName) -> String {
    let mut headers = HeaderMap::new();
    standing.write(&mut headers);
    headers[name].to_str().unwrap().to_owned()
}

fn refused_by(taken: Result<Standing, Box<Limited>>) -> Option<Limit> {
    taken.err().map(|limited| limited.limit)
}

/// A bucket that holds as much as this is not filled to a notable part while a test runs.
const SLOW: u32 = 10;

#[test]
fn a_caller_who_has_spent_all_is_refused_and_others_are_not() {
    let rates = rates((SLOW, 0), (0, 0));
    assert!(rates.take(who(1, 1), asked(u64::from(SLOW), 0)).is_ok());
    let refused = rates.take(who(1, 1), asked(1, 0));
    assert_eq!(refused_by(refused), Some(Limit::CallerCost));
    assert!(rates.take(who(2, 1), asked(1, 0)).is_ok());
}

#[test]
fn everybody_at_one_address_spends_from_one_bucket() {
    let rates = rates((0, 0), (SLOW, 0));
    for caller in 0..u64::from(SLOW) {
        assert!(rates.take(who(caller, 1), asked(1, 0)).is_ok());
    }
    let refused = rates.take(who(99, 1), asked(1, 0));
    assert_eq!(refused_by(refused), Some(Limit::AddressCost));
    assert!(rates.take(who(99, 2), asked(1, 0)).is_ok());
}

#[test]
fn an_organizers_keys_spend_together_and_nothing_of_their_address() {
    let rates = Rates::new(&RateConfig {
        machine_attempts_per_minute: SLOW,
        ..config((SLOW, SLOW), (SLOW, SLOW))
    });
    let shop = OrganizerId::mint();
    let key_of = |organizer_id| {
        let key = ApiKey {
            id: ApiKeyId::mint(),
            organizer_id,
            permissions: vec![],
            expires_at: None,
        };
        rates.who(&Identity::of_key(key).caller, None)
    };
    for _ in 0..SLOW {
        assert!(rates.take(key_of(shop), asked(100, 1)).is_ok());
    }
    let refused = rates.take(key_of(shop), asked(100, 1));
    assert_eq!(refused_by(refused), Some(Limit::MachineAttempts));
    let other = OrganizerId::mint();
    assert!(rates.take(key_of(other), asked(100, 1)).is_ok());
    assert_eq!(key_of(shop).address, None);
}

#[test]
fn who_is_refused_as_a_caller_takes_nothing_from_their_neighbours() {
    let rates = rates((SLOW, 0), (2 * SLOW, 0));
    rates.take(who(1, 1), asked(u64::from(SLOW), 0)).unwrap();
    for _ in 0..100 {
        assert!(rates.take(who(1, 1), asked(u64::from(SLOW), 0)).is_err());
    }
    assert!(rates.take(who(2, 1), asked(u64::from(SLOW), 0)).is_ok());
}

#[test]
fn attempts_are_counted_beside_the_cost_and_are_nothing_to_who_reads() {
    let rates = rates((0, SLOW), (0, 2 * SLOW));
    for _ in 0..100 {
        assert!(rates.take(who(1, 1), asked(1, 0)).is_ok());
    }
    assert!(rates.take(who(1, 1), asked(1, u64::from(SLOW))).is_ok());
    let refused = rates.take(who(1, 1), asked(1, 1));
    assert_eq!(refused_by(refused), Some(Limit::CallerAttempts));
    assert!(rates.take(who(2, 1), asked(1, u64::from(SLOW))).is_ok());
    let refused = rates.take(who(3, 1), asked(1, 1));
    assert_eq!(refused_by(refused), Some(Limit::AddressAttempts));
}

#[test]
fn what_costs_more_than_all_takes_all() {
    let rates = rates((SLOW, 0), (0, 0));
    assert!(rates.take(who(1, 1), asked(u64::MAX, 0)).is_ok());
    assert!(rates.take(who(1, 1), asked(1, 0)).is_err());
}

#[test]
fn bad_tokens_take_from_their_address_and_from_no_caller() {
    let cost_max = u32::try_from(2 * BAD_TOKEN_COST).unwrap();
    let rates = rates((1, 1), (cost_max, 0));
    let clients = Clients::new(&crate::config::FrontConfig {
        hosts: Vec::new(),
        trusted_proxies: Vec::new(),
        forwarded_header: crate::config::ForwardedHeader::XForwardedFor,
        hsts_secs: 0,
    });
    let address = |text: &str| clients.address(Peer(text.parse().unwrap()), &HeaderMap::new());
    for _ in 0..2 {
        assert!(rates.take_bad_token(address("192.0.2.1")).is_ok());
    }
    let limited = rates.take_bad_token(address("192.0.2.1")).unwrap_err();
    assert_eq!(limited.limit, Limit::AddressCost);
    assert!(rates.take_bad_token(address("192.0.2.2")).is_ok());
    for _ in 0..10 {
        assert!(rates.take_bad_token(address("127.0.0.1")).is_ok());
    }
}

#[test]
fn a_limit_that_is_off_is_neither_counted_nor_told() {
    let off = rates((0, 0), (0, 0));
    let standing = off.take(who(1, 1), asked(u64::MAX, u64::MAX)).unwrap();
    let mut headers = HeaderMap::new();
    standing.write(&mut headers);
    assert!(headers.is_empty());
    let on = rates((0, 0), (SLOW, 0));
    let own = on.who(&Caller::Anonymous, None);
    for _ in 0..100 {
        assert!(on.take(own, asked(1, 1)).is_ok(), "this machine's own");
    }
}

#[test]
fn the_headers_tell_each_limit_and_what_is_left_of_it() {
    let rates = rates((60, 30), (600, 0));
    let standing = rates.take(who(1, 1), asked(6, 1)).unwrap();
    assert_eq!(
        header(&standing, RATELIMIT_POLICY),
        "\"caller-attempts\";q=30;w=60, \"caller-cost\";q=60;w=60, \"address-cost\";q=600;w=60"
    );
    assert_eq!(
        header(&standing, RATELIMIT),
        "\"caller-attempts\";r=29;t=2, \"caller-cost\";r=54;t=6, \"address-cost\";r=594;t=1"
    );
    rates.take(who(1, 1), asked(1, 29)).unwrap();
    let limited = rates.take(who(1, 1), asked(1, 30)).unwrap_err();
    let secs = limited.retry_after_secs;
    assert!((30..=60).contains(&secs), "{secs}");
    assert_eq!(
        header(limited.standing(), RATELIMIT),
        format!("\"caller-attempts\";r=0;t={secs}")
    );
}
