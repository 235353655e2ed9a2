//! Keys change, and providers go away, while tickets are sold.

use std::time::Instant;

use futures_util::{StreamExt, future::join_all, stream};

use super::{provider::Answer, *};
use crate::harness::{Outcome, client, eventually, rows, seed};

const AT_ONCE: usize = 40;

/// One seat for each buyer, whose token is signed when they buy; `now` is told how many were answered before each.
async fn sell(
    server: &Server,
    event: &seed::Event,
    sign: impl Fn(usize) -> String,
    mut now: impl AsyncFnMut(usize),
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let sign = &sign;
    let mut purchases = stream::iter(event.tickets.iter().enumerate())
        .map(|(n, ticket)| async move {
            let buyer = server.client().with_token(&sign(n));
            buyer.purchase_ticket(&ticket.id, "mine").await
        })
        .buffer_unordered(AT_ONCE);
    while let Some(outcome) = purchases.next().await {
        outcomes.push(outcome);
        now(outcomes.len()).await;
    }
    outcomes
}

fn buyer(signer: &Signer, n: usize) -> String {
    signer.sign(&claims(ROWLOCK, json!({ "sub": format!("buyer {n}") })))
}

fn assert_all_sold(outcomes: &[Outcome]) {
    for outcome in outcomes {
        assert!(outcome.is_sold(), "{outcome:?}");
    }
}

on_both_databases! {
    /// The first token of the new key comes before anybody has told the server of it.
    async fn a_provider_changes_its_key_in_the_middle_of_an_on_sale(database: Database) {
        let (old, new) = (Signer::es256("old"), Signer::eddsa("new"));
        let provider = Provider::start(keys::set(&[&old])).await;
        let server = with_provider(&database, &provider).env("ROWLOCK_JWKS_REFRESH_SECS", "3600").start().await;
        let event = seed::seats(&server.client(), 300).await;
        let is_changed = std::sync::atomic::AtomicBool::new(false);
        let outcomes = sell(
            &server,
            &event,
            |n| {
                let is_changed = is_changed.load(std::sync::atomic::Ordering::SeqCst);
                buyer(if is_changed { &new } else { &old }, n)
            },
            async |answered| {
                if answered == 100 {
                    // Tokens of the old key are still under way, and good for a while.
                    provider.publish(keys::set(&[&new, &old]));
                    is_changed.store(true, std::sync::atomic::Ordering::SeqCst);
                }
            },
        ).await;
        assert_all_sold(&outcomes);
        assert_eq!(provider.asked(), 2, "at the start, and when the first new key came");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn a_provider_that_is_down_takes_no_sale_down(database: Database) {
        let (old, new) = (Signer::es256("old"), Signer::es256("new"));
        let mut provider = Provider::start(keys::set(&[&old])).await;
        let server = with_provider(&database, &provider)
            .env("ROWLOCK_JWKS_REFRESH_SECS", "5")
            .env("ROWLOCK_JWKS_PAUSE_SECS", "1")
            .start()
            .await;
        let event = seed::seats(&server.client(), 200).await;
        let outcomes = sell(&server, &event, |n| buyer(&old, n), async |answered| {
            match answered {
                50 => provider.down().await,
                // By itself, or because of a key that nobody can tell it of.
                100 => eventually("the warning", NOTICED_WITHIN, async || {
                    let token = new.sign(&claims(ROWLOCK, json!({})));
                    assert_eq!(me(&server, &token).await, invalid());
                    let is_said = server.log().iter().any(|line| line.contains("new keys cannot be had"));
                    is_said.then_some(())
                }).await,
                _ => {}
            }
        }).await;
        assert_all_sold(&outcomes);
        rows::assert_conserved(&database, &outcomes).await;
        let warnings = server.log().iter().filter(|line| line.contains("new keys cannot be had")).count();
        assert_eq!(warnings, 1, "once, not at every try");

        // Whatever it answers that is no set of keys, the last good ones go on.
        provider.up().await;
        for answer in [Answer::Keys("{}".into()), Answer::Keys(json!({ "keys": [] }).to_string()), Answer::Other(500, String::new())] {
            provider.answer(answer);
            let before = provider.asked();
            eventually("the next look", NOTICED_WITHIN, async || (provider.asked() > before).then_some(())).await;
            assert_eq!(me(&server, &old.sign(&claims(ROWLOCK, json!({})))).await, ada());
        }
        provider.publish(keys::set(&[&new]));
        let token = new.sign(&claims(ROWLOCK, json!({})));
        eventually("the new key", NOTICED_WITHIN, async || (me(&server, &token).await == ada()).then_some(())).await;
        // What is withdrawn is over.
        assert_eq!(me(&server, &old.sign(&claims(ROWLOCK, json!({})))).await, invalid());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_keys_that_nobody_has_do_not_hammer_the_provider() {
    let (own, stranger) = (Signer::es256("own"), Signer::es256("stranger"));
    let provider = Provider::start(keys::set(&[&own])).await;
    let database = Database::sqlite().await;
    let server = with_provider(&database, &provider)
        .env("ROWLOCK_JWKS_REFRESH_SECS", "3600")
        .env("ROWLOCK_JWKS_PAUSE_SECS", "3600")
        .start()
        .await;
    assert_eq!(provider.asked(), 1);
    let flood = async |from: usize| {
        let refused = join_all((from..from + 200).map(|n| {
            let id = format!("random {n}");
            let token = stranger.sign_as(Some(&id), &claims(ROWLOCK, json!({})));
            let server = &server;
            async move { me(server, &token).await }
        }));
        assert!(refused.await.iter().all(|refused| *refused == invalid()));
    };
    // While one look is under way, all wait for it; who has a key that is known does not.
    provider.answer(Answer::Silence);
    let good = own.sign(&claims(ROWLOCK, json!({})));
    let served = async {
        eventually("the look", NOTICED_WITHIN, async || {
            (provider.asked() == 2).then_some(())
        })
        .await;
        let begin = Instant::now();
        for _ in 0..20 {
            assert_eq!(me(&server, &good).await, ada());
        }
        begin.elapsed()
    };
    let ((), took) = tokio::join!(flood(0), served);
    assert!(
        took < Duration::from_secs(4),
        "{took:?}: it did not wait for the provider"
    );
    // From now on nobody waits, and nobody is asked.
    provider.publish(keys::set(&[&own, &stranger]));
    let begin = Instant::now();
    flood(1_000).await;
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    // An issuer that is none, an algorithm that a provider cannot have, and no id at all ask nobody anything.
    let none = [
        stranger.sign(&claims("https://elsewhere.example", json!({}))),
        stranger.sign_as(None, &claims(ROWLOCK, json!({}))),
    ];
    for token in none {
        assert_eq!(me(&server, &token).await, invalid());
    }
    assert_eq!(provider.asked(), 2);
    assert_eq!(me(&server, &good).await, ada());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_keys_are_read_again_when_they_change() {
    const OLD: &str = "the old secret of thirty-two bytes";
    const NEW: &str = "the new secret of thirty-two bytes";
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "secret", &format!("{OLD}\n"));
    let own = Signer::es256("own");
    let keys_file = write(directory.path(), "keys", &keys::set(&[&own]));
    let database = Database::sqlite().await;
    let server = Server::command(&["serve", "--listen", "127.0.0.1:0"])
        .env("ROWLOCK_DATABASE_URL", &database.url())
        .env("ROWLOCK_JWT_SECRET_FILE", file.to_str().unwrap())
        .env("ROWLOCK_JWKS_FILE", keys_file.to_str().unwrap())
        .start()
        .await;
    let of = |secret: &str| {
        let tokens = rowlock::auth::Tokens::new(secret.as_bytes(), ROWLOCK, ROWLOCK).unwrap();
        tokens
            .issue(rowlock::auth::Role::Customer, "ada", NOTICED_WITHIN * 10)
            .unwrap()
    };
    assert_eq!(me(&server, &of(OLD)).await, ada());
    assert_eq!(me(&server, &of(NEW)).await, invalid());

    // A file that is being written, or gone, changes nothing.
    write(directory.path(), "secret", "short");
    std::fs::remove_file(&keys_file).unwrap();
    eventually("both warnings", NOTICED_WITHIN, async || {
        let log = server.log();
        let said = |what: &str| log.iter().any(|line| line.contains(what));
        (said("has 5 bytes and needs at least 32") && said("keys cannot be read")).then_some(())
    })
    .await;
    assert_eq!(me(&server, &of(OLD)).await, ada());
    assert_eq!(
        me(&server, &own.sign(&claims(ROWLOCK, json!({})))).await,
        ada()
    );

    let next = Signer::rs256("next");
    write(directory.path(), "secret", NEW);
    // Several secrets at once are keys with ids.
    let oct = json!({ "kty": "oct", "kid": "old", "k": data_encoding::BASE64URL_NOPAD.encode(OLD.as_bytes()) });
    write(
        directory.path(),
        "keys",
        &json!({ "keys": [next.jwk, oct] }).to_string(),
    );
    let of_next = next.sign(&claims(ROWLOCK, json!({})));
    eventually("the new keys", NOTICED_WITHIN, async || {
        (me(&server, &of(NEW)).await == ada() && me(&server, &of_next).await == ada()).then_some(())
    })
    .await;
    assert_eq!(
        me(&server, &own.sign(&claims(ROWLOCK, json!({})))).await,
        invalid()
    );
    assert_eq!(
        me(&server, &of(OLD)).await,
        ada(),
        "it is in the set now, and the token names no key"
    );
    for line in server.log() {
        assert!(!line.contains("secret of thirty-two"), "{line}");
    }
    assert!(
        me(
            &server,
            &client::tokens()
                .issue(rowlock::auth::Role::Customer, "ada", NOTICED_WITHIN)
                .unwrap()
        )
        .await
        .is_err()
    );
}

/// A socket that begins with a token of a key that is new waits for it as a request does.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_waits_for_a_new_key_too() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let provider = Provider::start(keys::set(&[&old])).await;
    let database = Database::sqlite().await;
    let server = with_provider(&database, &provider).start().await;
    provider.publish(keys::set(&[&new]));
    let token = new.sign(&claims(ROWLOCK, json!({})));
    crate::harness::socket::Socket::acknowledged(server.url(), Some(&token)).await;
    assert_eq!(provider.asked(), 2);
}
