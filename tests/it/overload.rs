//! More buyers than the desk can serve in time: who would wait too long is turned away at once, and told when to come back.

use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{
    Database, Server,
    client::{Answer, PURCHASE_TICKET},
    rows, seed,
};

/// Who is there before: more than a desk that sells one by one has done within its ten milliseconds.
const CROWD: usize = 300;
const NEWCOMERS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn who_would_wait_too_long_is_turned_away_before_anything_happens() {
    let database = Database::postgres().await;
    let server = Server::builder(&database)
        .env("ROWLOCK_BATCH_LEN", "1")
        .env("ROWLOCK_QUEUE_WAIT_MS", "10")
        .start()
        .await;
    let event = seed::seats(&server.client(), CROWD + NEWCOMERS + 1).await;
    let holder = server.client().customer("holder");
    let last = event.tickets[CROWD + NEWCOMERS].id.as_str();
    let hold = holder.hold_tickets(&[last], "h").await.held();
    let purchase = |n: usize| {
        let client = server.client().customer(&format!("customer {n}"));
        let input = json!({ "ticketId": event.tickets[n].id, "idempotencyKey": "k" });
        async move {
            (
                n,
                client
                    .send(PURCHASE_TICKET, json!({ "input": input }))
                    .await,
            )
        }
    };
    let is_turned_away = |answer: &Answer| answer.fault() == Some("OVERLOADED");

    let mut crowd: JoinSet<_> = (0..CROWD).map(&purchase).collect();
    // The desk is at work, and knows how fast it is.
    let mut answers = Vec::new();
    while answers.len() < 20 {
        answers.push(crowd.join_next().await.unwrap().unwrap());
    }
    // Who gives back is let in all the same.
    let released = holder.release_hold(&hold.id, None, "r");
    let newcomers: JoinSet<_> = (CROWD..CROWD + NEWCOMERS).map(&purchase).collect();
    let (newcomers, released) = tokio::join!(newcomers.join_all(), released);
    assert_eq!(released.held().status, "RELEASED");
    let refused: Vec<_> = newcomers
        .iter()
        .filter(|(_, answer)| is_turned_away(answer))
        .collect();
    assert!(!refused.is_empty(), "everybody was served");
    let mut at_the_door = 0;
    for (_, answer) in &refused {
        let after = &answer.errors[0]["extensions"]["retryAfter"];
        let secs = after.as_u64().unwrap();
        assert!((1..=30).contains(&secs), "{secs}");
        if answer.status == 503 {
            assert_eq!(answer.headers["retry-after"], secs.to_string().as_str());
            at_the_door += 1;
        } else {
            // Others came in while it was on its way from the door to the desk, which says so in `errors` alone.
            assert_eq!(answer.status, 200);
        }
    }
    assert!(at_the_door > 0, "everybody was let in");
    answers.extend(crowd.join_all().await);
    answers.extend(newcomers);

    // Whoever was turned away has nothing, and gets it once there is time.
    let (turned_away, served): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(_, answer)| is_turned_away(answer));
    let rows = database.look().await;
    assert_eq!(rows::orders_len(&rows).await, served.len() as u64);
    for (n, _) in turned_away {
        let (_, answer) = purchase(n).await;
        assert_eq!(
            answer.data["purchaseTicket"]["order"]["status"],
            "CONFIRMED"
        );
    }
    let len = (CROWD + NEWCOMERS) as u64;
    assert_eq!(rows::orders_len(&rows).await, len);
    rows.close().await.unwrap();
    rows::assert_clean(&database).await;
}
