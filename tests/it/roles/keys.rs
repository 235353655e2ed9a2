//! Keys for machines: shown once, refused from the moment they are revoked, and selling in customers' names.

use std::time::Duration;

use rowlock::entity::api_key;
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{ALL_SCOPES, EVERYBODY, House, Who, create_key, organizer_of, text};
use crate::harness::{
    Client, Database, Server,
    client::{Outcome, PURCHASE_TICKET, PURCHASE_TICKETS, codes},
    eventually, seed,
};

const KEYS: &str = "query($id: ID!) { node(id: $id) { ... on Organizer { apiKeys { id name prefix lastUsedAt revokedAt } } } }";

async fn buy_for(client: &Client, ticket: &str, customer: Value, key: &str) -> Outcome {
    let input = json!({ "ticketId": ticket, "onBehalfOf": customer, "idempotencyKey": key });
    client
        .purchase(PURCHASE_TICKET, "purchaseTicket", input)
        .await
}

on_both_databases! {
    async fn a_key_is_nowhere_but_with_whoever_made_it(database: Database) {
        let house = House::open(&database).await;
        let owner = house.client(Who::Owner);
        let (id, secret) = create_key(owner, &house.organizer_id, &["READ"]).await;
        let data = owner.data(KEYS, json!({ "id": house.organizer_id })).await;
        let keys = data["node"]["apiKeys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["id"] == json!(id)).unwrap();
        assert_eq!(secret.split_at(12).0, key["prefix"].as_str().unwrap());
        assert_eq!(key["lastUsedAt"], Value::Null);
        assert!(!data.to_string().contains(&secret));
        let rest = &secret[13..];
        let look = database.look().await;
        for row in api_key::Entity::find().all(&look).await.unwrap() {
            let (prefix, hash) = (row.prefix, String::from_utf8_lossy(&row.secret_hash).into_owned());
            assert!(!prefix.contains(rest) && !hash.contains(rest) && !row.scopes.contains(rest));
        }
        // A use is noted, once a minute at most.
        let machine = house.client(Who::Anonymous).with_token(&secret);
        machine.data("{ me { role } }", json!({})).await;
        eventually("the key's use", Duration::from_secs(5), async || {
            let data = owner.data(KEYS, json!({ "id": house.organizer_id })).await;
            let keys = data["node"]["apiKeys"].as_array().unwrap().clone();
            keys.into_iter().find(|key| key["id"] == json!(id) && key["lastUsedAt"].is_string())
        }).await;
        // Of all but the owners nobody finds it by its id.
        for who in EVERYBODY {
            let data = house.client(who).data("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await;
            let expected = if who == Who::Owner { json!({ "id": id }) } else { Value::Null };
            assert_eq!(data["node"], expected, "{who:?}");
        }
    }

    async fn a_key_that_is_not_good_is_refused_with_a_code(database: Database) {
        let house = House::open(&database).await;
        let owner = house.client(Who::Owner);
        let (id, secret) = create_key(owner, &house.organizer_id, &ALL_SCOPES).await;
        let fault = async |key: &str| {
            let answer = house.client(Who::Anonymous).with_token(key).send("{ me { role } }", json!({})).await;
            answer.fault().map(str::to_owned)
        };
        assert_eq!(fault(&secret).await, None);
        let mut turned = secret.clone().into_bytes();
        turned.swap(20, 30);
        turned[20] ^= 1;
        for bad in [
            "rlk_".to_owned(),
            secret[..secret.len() - 1].to_owned(),
            format!("{secret}x"),
            String::from_utf8_lossy(&turned).into_owned(),
            format!("rlk_AAAAAAAA_{}", &secret[13..]),
        ] {
            assert_eq!(fault(&bad).await.as_deref(), Some("INVALID_TOKEN"), "{bad}");
        }
        let revoked = owner.ask("revokeApiKey", "apiKey { revokedAt }", json!({ "id": id })).await;
        let at = text(&revoked["apiKey"]["revokedAt"]);
        assert_eq!(fault(&secret).await.as_deref(), Some("INVALID_TOKEN"));
        let again = owner.ask("revokeApiKey", "apiKey { revokedAt }", json!({ "id": id })).await;
        assert_eq!(text(&again["apiKey"]["revokedAt"]), at, "the first one counts");

        let soon = chrono::Utc::now() + chrono::TimeDelta::milliseconds(1_500);
        let input = json!({ "organizerId": house.organizer_id, "name": "a day's till", "scopes": ["READ"], "expiresAt": soon });
        let made = owner.ask("createApiKey", "secret", input).await;
        let secret = text(&made["secret"]);
        eventually("the key's end", Duration::from_secs(10), async || {
            (fault(&secret).await.as_deref() == Some("TOKEN_EXPIRED")).then_some(())
        }).await;
        let past = json!({ "organizerId": house.organizer_id, "name": "", "scopes": [], "expiresAt": "2020-01-01T00:00:00Z" });
        let refused = owner.ask("createApiKey", "", past).await;
        assert_eq!(codes(&refused), ["INVALID_NAME", "NO_SCOPES", "INVALID_EXPIRY"]);
    }

    async fn a_shop_buys_in_its_customers_names(database: Database) {
        let house = House::open(&database).await;
        let tickets = house.event.ticket_ids();
        let shop = house.client(Who::Key);
        // In the name of somebody who has tokens of their own: they find it among their orders.
        let ada = json!({ "issuer": "rowlock", "subject": "ada" });
        let order = buy_for(shop, tickets[0], ada.clone(), "a").await.sold();
        assert!(order.items[0].admission_code.is_some(), "whoever sells hands it out");
        let again = buy_for(shop, tickets[0], ada.clone(), "a").await.sold();
        assert_eq!(again, order, "and once");
        let mine = house.client(Who::Customer).data("{ me { orders { nodes { id } } } }", json!({})).await;
        assert_eq!(mine["me"]["orders"]["nodes"], json!([{ "id": order.id }]));
        // The same subject, known to the organizer alone, is somebody else.
        let walk_in = json!({ "subject": "ada" });
        let other = buy_for(shop, tickets[1], walk_in.clone(), "a").await.sold();
        assert_ne!(other.id, order.id);
        // To the box office's people, it is a customer of their own issuer.
        let box_office = house.client(Who::BoxOffice);
        let third = buy_for(box_office, tickets[2], walk_in, "b").await.sold();
        let mine = house.client(Who::Customer).data("{ me { orders { totalCount: nodes { id } } } }", json!({})).await;
        assert_eq!(mine["me"]["orders"]["totalCount"][0]["id"], json!(third.id));
        // A hold for one customer is nobody else's.
        let input = json!({ "tickets": { "ids": [tickets[3]] }, "onBehalfOf": ada, "idempotencyKey": "h" });
        let held = shop.ask("holdTickets", "hold { id }", input).await;
        let hold_id = &held["hold"]["id"];
        let of_other = json!({ "holdId": hold_id, "onBehalfOf": { "subject": "eve" }, "idempotencyKey": "p" });
        assert_eq!(codes(&shop.ask("purchaseHold", "", of_other).await), ["NOT_YOUR_HOLD"]);
        let of_ada = json!({ "holdId": hold_id, "onBehalfOf": ada, "idempotencyKey": "p" });
        let bought = shop.ask("purchaseHold", "order { items { admissionCode } }", of_ada).await;
        assert!(bought["order"]["items"][0]["admissionCode"].is_string());

        for bad in [json!({ "subject": "" }), json!({ "subject": "x", "issuer": "rowlock:api-key" }), json!({ "subject": "x".repeat(256) })] {
            assert_eq!(buy_for(shop, tickets[4], bad, "x").await, Outcome::Fault("BAD_USER_INPUT".to_owned()));
        }
    }
}

/// A key that is revoked, and another made for it, during a burst: every purchase is sold or refused as of a bad key, and from
/// the answer of the revocation on none is sold with it, by either process.
#[tokio::test(flavor = "multi_thread")]
async fn keys_change_during_a_rush_without_a_failed_sale() {
    let database = Database::postgres().await;
    let (one, two) = (
        Server::start(&database).await,
        Server::start(&database).await,
    );
    let event = seed::places(&one.client(), 200).await;
    let owner = one.client().organizer("the meadow");
    let organizer_id = organizer_of(&owner).await;
    let (old_id, old) = create_key(&owner, &organizer_id, &["SELL"]).await;
    let (_, new) = create_key(&owner, &organizer_id, &["SELL"]).await;
    let buy = |server: &Server, secret: &str, n: usize| {
        let client = server.client().with_token(secret);
        let any = json!({ "ticketTypeId": event.ticket_type_id, "quantity": 1 });
        let input = json!({ "tickets": { "anyOf": any }, "onBehalfOf": { "subject": format!("c{n}") },
            "idempotencyKey": format!("k{n}") });
        async move {
            let document = PURCHASE_TICKETS;
            client.purchase(document, "purchaseTickets", input).await
        }
    };
    let mut with_old = JoinSet::new();
    let mut with_new = JoinSet::new();
    for n in 0..60 {
        with_old.spawn(buy(if n % 2 == 0 { &one } else { &two }, &old, n));
        with_new.spawn(buy(if n % 2 == 0 { &two } else { &one }, &new, 1_000 + n));
    }
    let revoked = owner
        .ask(
            "revokeApiKey",
            "apiKey { revokedAt }",
            json!({ "id": old_id }),
        )
        .await;
    assert!(revoked["apiKey"]["revokedAt"].is_string());
    for n in 2_000..2_020 {
        let server = if n % 2 == 0 { &one } else { &two };
        assert_eq!(
            buy(server, &old, n).await,
            Outcome::Fault("INVALID_TOKEN".to_owned())
        );
        assert!(buy(server, &new, 3_000 + n).await.is_sold());
    }
    for outcome in with_new.join_all().await {
        assert!(outcome.is_sold(), "{outcome:?}");
    }
    for outcome in with_old.join_all().await {
        let is_refused = outcome == Outcome::Fault("INVALID_TOKEN".to_owned())
            // Known when the request began, and no more when it was carried out.
            || outcome.is_refused("UNKNOWN_TICKET_TYPE");
        assert!(outcome.is_sold() || is_refused, "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_lists_and_revokes_keys() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 1).await;
    let organizer_id = organizer_of(&server.client().organizer("the hall")).await;
    let run = |arguments: &[&str]| {
        Server::command(arguments).env("ROWLOCK_DATABASE_URL", &database.url())
    };
    let made = run(&[
        "key",
        "create",
        "--organizer",
        &organizer_id,
        "--name",
        "till",
        "--scopes",
        "sell,read",
        "--for",
        "1h",
    ]);
    let secret = made.print();
    let secret = secret.trim();
    let machine = server.client().with_token(secret);
    assert!(
        buy_for(
            &machine,
            event.ticket_ids()[0],
            json!({ "subject": "ada" }),
            "k"
        )
        .await
        .is_sold()
    );
    let listed = run(&["key", "list", "--organizer", &organizer_id]).print();
    let line = listed.lines().next().unwrap();
    assert!(
        line.contains("READ SELL") && line.contains("good until") && line.ends_with("till"),
        "{line}"
    );
    assert!(!listed.contains(secret));
    let id = line.split_whitespace().nth(1).unwrap();
    let revoked = run(&["key", "revoke", id]).print();
    assert_eq!(revoked.trim(), format!("revoked {}", &secret[..12]));
    let answer = machine.send("{ me { role } }", json!({})).await;
    assert_eq!(answer.fault(), Some("INVALID_TOKEN"));
    let refusal = run(&[
        "key",
        "create",
        "--organizer",
        &event.id,
        "--name",
        "x",
        "--scopes",
        "read",
    ])
    .refusal();
    assert!(refusal.contains("this is no organizer's id"), "{refusal}");
}
