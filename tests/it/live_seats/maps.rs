//! Seat maps that are kept and go on with the log: what pages are told, who all ask for the same.

use std::{collections::BTreeMap, time::Duration};

use tokio::task::JoinSet;

use super::{Follower, seat_map};
use crate::harness::{Database, Server, eventually, rows, seed};

const SEATS: usize = 60;

/// A map that is kept is read again after ten seconds.
const READ_AGAIN_WITHIN: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_is_kept_is_at_each_version_what_the_log_says() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let event = seed::seats(&servers[0].client(), SEATS).await;
    rows::set_events(&database, "cancellable_until = '2999-01-01T00:00:00+00:00'").await;
    let mut follower = Follower::begin(&servers[0], &event.id).await;
    let mut buying = JoinSet::new();
    for (n, id) in event.ticket_ids().into_iter().enumerate() {
        let client = servers[n % 2].client().customer(&format!("customer {n}"));
        let id = id.to_owned();
        buying.spawn(async move {
            let order = client.purchase_ticket(&id, "buy").await.sold();
            if n % 3 == 0 {
                client
                    .cancel_order(&order.id, None, None, "cancel")
                    .await
                    .sold();
            }
        });
    }
    let page = servers[1].client().like_a_page();
    let mut maps = BTreeMap::new();
    let mut last = 0;
    while !buying.is_empty() {
        let (version, statuses) = seat_map(&page, &event.id).await;
        assert!(last <= version, "{last} {version}");
        last = version;
        maps.insert(version, statuses);
        while buying.try_join_next().is_some() {}
    }
    let hand = database.connect().await;
    let end = eventually("the last version", READ_AGAIN_WITHIN, async || {
        // What was bought last may be without a version for a moment.
        let unnumbered = "SELECT count(*) FROM ticket_changes_unnumbered";
        (rows::count(&hand, unnumbered).await == 0).then_some(())?;
        let (version, statuses) = seat_map(&servers[0].client(), &event.id).await;
        (seat_map(&page, &event.id).await == (version, statuses.clone())).then_some(version)
    })
    .await;
    hand.close().await.unwrap();
    follower.hear_up_to(end).await;
    let known: BTreeMap<_, _> = follower.known.into_iter().collect();
    let mut compared = 0;
    for (version, statuses) in maps {
        if let Some(told) = known.get(&version) {
            assert_eq!(&statuses, told, "at version {version}");
            compared += 1;
        }
    }
    assert!(compared > 0, "no version was both told and asked for");
}

on_both_databases! {
    async fn seats_that_are_added_or_removed_are_in_the_map_at_once(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let (page, hall) = (server.client().like_a_page(), server.client().organizer("the hall"));
        let len = async || seat_map(&page, &event.id).await.1.len();
        assert_eq!(len().await, 2);
        seed::add_row(&hall, &event.ticket_type_id, "2", 3).await;
        assert_eq!(len().await, 5);
        let input = serde_json::json!({ "eventId": event.id, "ticketIds": [event.tickets[0].id] });
        hall.ask("removeTickets", "removedCount", input).await;
        assert_eq!(len().await, 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_that_another_process_adds_are_in_the_map_soon() {
    let database = Database::postgres().await;
    let (one, two) = (
        Server::start(&database).await,
        Server::start(&database).await,
    );
    let event = seed::seats(&one.client(), 2).await;
    let page = two.client().like_a_page();
    assert_eq!(seat_map(&page, &event.id).await.1.len(), 2);
    let hall = one.client().organizer("the hall");
    seed::add_row(&hall, &event.ticket_type_id, "2", 3).await;
    eventually("the new seats", READ_AGAIN_WITHIN, async || {
        (seat_map(&page, &event.id).await.1.len() == 5).then_some(())
    })
    .await;
    assert_eq!(seat_map(&two.client(), &event.id).await.1.len(), 5);
}
