//! What the house does to tickets: cancelling an event, withholding tickets from sale, tidying up after holds.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, future::join_all, stream};
use rowlock::{
    entity::{customer, event, hold, order, order_item, ticket},
    ids::{CustomerId, HoldId},
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QuerySelect, TransactionTrait, sea_query::Expr,
};
use serde_json::{Value, json};

use crate::harness::{Client, Database, Outcome, Server, eventually, rows, seed};

/// A cancellation that nobody is in the way of; the machine may be busy elsewhere.
const DONE_WITHIN: Duration = Duration::from_secs(20);

/// A sweep comes every half second.
const SWEPT_WITHIN: Duration = Duration::from_secs(10);

const EVENT: &str = "event { id status version cancellation { cancelledAt reason isDone } }";
const TICKETS: &str = "tickets { id status }";

async fn cancel(client: &Client, event_id: &str) -> Value {
    let input = json!({ "id": event_id, "reason": "fire in the hall" });
    client
        .organizer("the hall")
        .ask("cancelEvent", EVENT, input)
        .await
}

async fn block(client: &Client, event: &seed::Event, ids: &[&str]) -> Value {
    let input = json!({ "eventId": event.id, "ticketIds": ids, "reason": "for the press" });
    client
        .organizer("the hall")
        .ask("blockTickets", TICKETS, input)
        .await
}

async fn unblock(client: &Client, event: &seed::Event, ids: &[&str]) -> Value {
    let input = json!({ "eventId": event.id, "ticketIds": ids });
    client
        .organizer("the hall")
        .ask("unblockTickets", TICKETS, input)
        .await
}

/// The codes and fields of a payload's user errors.
fn refusals(payload: &Value) -> Vec<(&str, Option<&str>)> {
    let errors = payload["userErrors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| (error["code"].as_str().unwrap(), error["field"].as_str()))
        .collect()
}

async fn is_done(client: &Client, event_id: &str) -> bool {
    let document = "query($id: ID!) { event(by: { id: $id }) { cancellation { isDone } } }";
    let data = client.data(document, json!({ "id": event_id })).await;
    data["event"]["cancellation"]["isDone"] == true
}

async fn until_done(client: &Client, event_id: &str) {
    let look = async || is_done(client, event_id).await.then_some(());
    eventually("the cancellation", DONE_WITHIN, look).await;
}

/// No ticket of the only event is anybody's, and no order or hold of it says otherwise.
async fn assert_nothing_left(database: &Database) {
    let rows = database.look().await;
    assert_eq!(rows::active_items(&rows).await, []);
    let owned = ticket::Entity::find()
        .filter(ticket::Column::Status.is_in([ticket::Status::Sold, ticket::Status::Held]));
    assert_eq!(owned.count(&rows).await.unwrap(), 0, "tickets");
    let orders = order::Entity::find().filter(order::Column::Status.ne(order::Status::Cancelled));
    assert_eq!(orders.count(&rows).await.unwrap(), 0, "orders");
    let holds = hold::Entity::find().filter(hold::Column::Status.eq(hold::Status::Active));
    assert_eq!(holds.count(&rows).await.unwrap(), 0, "holds");
    rows.close().await.unwrap();
}

/// Gives these seats to a hold of somebody's until then, as if the server had done it.
async fn hold_seats(rows: &DatabaseConnection, seats: &[&str], until: DateTime<Utc>) {
    let holder = customer::Model {
        id: CustomerId::mint(),
        issuer: "rowlock".into(),
        subject: format!("the holder of {}", seats[0]),
        created_at: Utc::now(),
    };
    let customer_id = holder.id;
    customer::Entity::insert(holder.into_active_model())
        .exec(rows)
        .await
        .unwrap();
    let hold_id = HoldId::mint();
    let new = hold::ActiveModel {
        event_id: Set(ticket_of_seat(rows, seats[0]).await.event_id),
        id: Set(hold_id),
        customer_id: Set(customer_id),
        status: Set(hold::Status::Active),
        held_until: Set(until),
        extendable_until: Set(until),
        tickets_len: Set(i32::try_from(seats.len()).unwrap()),
        order_id: Set(None),
        created_at: Set(until - TimeDelta::minutes(10)),
    };
    new.insert(rows).await.unwrap();
    let held = ticket::Entity::update_many()
        .col_expr(ticket::Column::Status, Expr::val("HELD"))
        .col_expr(ticket::Column::HoldId, Expr::val(hold_id))
        .col_expr(ticket::Column::HeldUntil, Expr::val(until))
        .filter(ticket::Column::SeatLabel.is_in(seats.iter().copied()))
        .exec(rows)
        .await
        .unwrap();
    assert_eq!(held.rows_affected, seats.len() as u64);
    rows::recount(rows).await;
}

fn soon(secs: i64) -> DateTime<Utc> {
    let now = DateTime::from_timestamp_micros(Utc::now().timestamp_micros()).unwrap();
    now + TimeDelta::seconds(secs)
}

async fn ticket_of_seat(rows: &DatabaseConnection, seat: &str) -> ticket::Model {
    let query = ticket::Entity::find().filter(ticket::Column::SeatLabel.eq(seat));
    query.one(rows).await.unwrap().unwrap()
}

/// Buyers want every seat; in the middle the event is cancelled. Everybody who was told of a sale finds it cancelled.
async fn cancel_in_a_burst(database: &Database, servers: &[Server]) {
    const SEATS: usize = 500;
    const SOLD_BEFORE: usize = 120;
    let clients: Vec<Client> = servers.iter().map(Server::client).collect();
    let event = seed::seats(&clients[0], SEATS).await;
    let mut outcomes = Vec::new();
    let mut cancelling = tokio::task::JoinSet::new();
    let mut purchases = stream::iter(event.tickets.iter().enumerate())
        .map(|(n, ticket)| {
            let buyer = clients[n % clients.len()].customer(&format!("buyer {n}"));
            async move { (n, buyer.purchase_ticket(&ticket.id, "mine").await) }
        })
        .buffer_unordered(40);
    while let Some((n, outcome)) = purchases.next().await {
        outcomes.push((n, outcome));
        if outcomes.len() == SOLD_BEFORE {
            let (client, id) = (clients[0].clone(), event.id.clone());
            cancelling.spawn(async move { cancel(&client, &id).await });
        }
    }
    let cancelled = &cancelling.join_all().await[0];
    assert_eq!(refusals(cancelled), []);
    assert_eq!(cancelled["event"]["status"], "CANCELLED");
    until_done(&clients[0], &event.id).await;

    let sold = outcomes.iter().filter(|(_, outcome)| outcome.is_sold());
    let sold: Vec<_> = sold.collect();
    assert!(sold.len() >= SOLD_BEFORE, "{} were sold", sold.len());
    assert!(sold.len() < SEATS, "it was cancelled in the middle");
    for (n, outcome) in &outcomes {
        assert!(
            outcome.is_sold() || outcome.is_refused("EVENT_CANCELLED"),
            "buyer {n}: {outcome:?}"
        );
    }
    assert_nothing_left(database).await;
    let looking = database.look().await;
    assert_eq!(rows::orders_len(&looking).await, sold.len() as u64);
    for (n, outcome) in sold.into_iter().step_by(10) {
        let buyer = clients[0].customer(&format!("buyer {n}"));
        let again = buyer
            .purchase_ticket(&event.tickets[*n].id, "mine")
            .await
            .sold();
        let before = outcome.clone().sold();
        assert_eq!((again.id, &*again.status), (before.id, "CANCELLED"));
    }
}

on_both_databases! {
    async fn a_cancelled_event_leaves_no_order_and_no_hold_and_sells_nothing(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let event = seed::seats(&client, 6).await;
        let ids = event.ticket_ids();
        let (ada, bob) = (client.customer("ada"), client.customer("bob"));
        let order = ada.purchase_tickets(&ids[..2], "two").await.sold();
        let writing = database.connect().await;
        hold_seats(&writing, &["4", "5"], soon(600)).await;
        assert_eq!(refusals(&block(&client, &event, &[ids[5]]).await), []);

        let cancelled = cancel(&client, &event.id).await;
        assert_eq!(refusals(&cancelled), []);
        let cancelled = &cancelled["event"];
        assert_eq!(cancelled["status"], "CANCELLED");
        // Created, published, cancelled.
        assert_eq!(cancelled["version"], 3);
        assert_eq!(cancelled["cancellation"]["reason"], "fire in the hall");
        // From the answer on, whether or not its tickets were visited.
        for id in &ids {
            let refused = bob.purchase_ticket(id, "mine").await;
            assert!(refused.is_refused("EVENT_CANCELLED"), "{refused:?}");
        }
        until_done(&client, &event.id).await;
        assert_nothing_left(&database).await;
        let refused = bob.purchase_ticket(ids[3], "later").await;
        assert!(refused.is_refused("EVENT_CANCELLED"), "{refused:?}");

        let again = ada.purchase_tickets(&ids[..2], "two").await.sold();
        assert_eq!((again.id, &*again.status, again.total), (order.id, "CANCELLED", order.total));
        let items = order_item::Entity::find().all(&writing).await.unwrap();
        let row = event::Entity::find().one(&writing).await.unwrap().unwrap();
        assert!(row.cancelled_by.is_some() && row.cancellation_done_at >= row.cancelled_at);
        assert_eq!(items.len(), 2);
        for item in items {
            assert_eq!((item.cancelled_by, item.cancel_reason), (row.cancelled_by, row.cancel_reason.clone()));
            assert!(item.cancelled_at >= row.cancelled_at);
        }
        let blocked = ticket_of_seat(&writing, "6").await;
        assert_eq!(blocked.status, ticket::Status::Blocked, "what is withheld stays so");

        // Twice is harmless, whatever is said the second time.
        let input = json!({ "id": event.id, "reason": "another one", "version": 1 });
        let twice = client.organizer("the hall").ask("cancelEvent", EVENT, input).await;
        assert_eq!(refusals(&twice), []);
        assert_eq!(twice["event"]["version"], 3);
        assert_eq!(twice["event"]["cancellation"]["reason"], "fire in the hall");
        assert_eq!(twice["event"]["cancellation"]["isDone"], true);
        assert_eq!(refusals(&block(&client, &event, &ids[..1]).await), [("EVENT_CANCELLED", Some("eventId"))]);
        assert_eq!(refusals(&unblock(&client, &event, &ids[5..]).await), [("EVENT_CANCELLED", Some("eventId"))]);
    }

    async fn what_cannot_be_cancelled_is_refused_by_name(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let (hall, meadow) = (client.organizer("the hall"), client.organizer("the meadow"));
        let event = seed::seats(&client, 1).await;
        let draft = seed::create_event(&hall).await;
        let ask = async |who: &Client, input: Value| {
            let payload = who.ask("cancelEvent", EVENT, input).await;
            assert_eq!(payload["event"], Value::Null);
            let (code, field) = refusals(&payload)[0];
            (code.to_owned(), field.map(str::to_owned))
        };
        let refused = |code: &str, field: &str| (code.to_owned(), Some(field.to_owned()));
        let id = &event.id;
        for (who, input, expected) in [
            (&hall, json!({ "id": "x", "reason": "fire" }), refused("UNKNOWN_EVENT", "id")),
            (&hall, json!({ "id": event.tickets[0].id, "reason": "fire" }), refused("UNKNOWN_EVENT", "id")),
            (&meadow, json!({ "id": id, "reason": "envy" }), refused("UNKNOWN_EVENT", "id")),
            (&hall, json!({ "id": draft, "reason": "fire" }), refused("NOT_PUBLISHED", "id")),
            (&hall, json!({ "id": id, "reason": "fire", "version": 1 }), refused("STALE", "version")),
            (&hall, json!({ "id": id, "reason": " " }), refused("INVALID_REASON", "reason")),
            (&hall, json!({ "id": id, "reason": "two\nlines" }), refused("INVALID_REASON", "reason")),
            (&hall, json!({ "id": id, "reason": "x".repeat(501) }), refused("INVALID_REASON", "reason")),
        ] {
            assert_eq!(ask(who, input.clone()).await, expected, "{input}");
        }
        client.customer("ada").purchase_ticket(&event.tickets[0].id, "mine").await.sold();
    }

    async fn a_cancellation_is_carried_out_after_a_crash(database: Database) {
        let mut crashing = Server::start(&database).await;
        let client = crashing.client();
        let event = seed::seats(&client, 1_000).await;
        for (n, ids) in event.ticket_ids().chunks(10).step_by(5).enumerate() {
            client.customer(&format!("buyer {n}")).purchase_tickets(ids, "mine").await.sold();
        }
        assert_eq!(refusals(&cancel(&client, &event.id).await), []);
        crashing.kill();
        crashing.wait_exit(DONE_WITHIN).await;

        let next = Server::start(&database).await;
        until_done(&next.client(), &event.id).await;
        assert_nothing_left(&database).await;
    }

    async fn a_blocked_ticket_is_not_sold_until_it_is_unblocked(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let event = seed::seats(&client, 3).await;
        let ids = event.ticket_ids();
        let ada = client.customer("ada");

        let blocked = block(&client, &event, &[ids[1], ids[0]]).await;
        let expected = json!([{ "id": ids[1], "status": "BLOCKED" }, { "id": ids[0], "status": "BLOCKED" }]);
        assert_eq!((refusals(&blocked), &blocked["tickets"]), (vec![], &expected));
        let refused = ada.purchase_ticket(ids[0], "mine").await;
        assert!(refused.is_refused("BLOCKED"), "{refused:?}");
        let refused = ada.purchase_any(&event.ticket_type_id, 2, "any").await;
        assert!(refused.is_refused("NOT_ENOUGH_LEFT"), "{refused:?}");

        let again = json!({ "eventId": event.id, "ticketIds": [ids[0]], "reason": "for the band" });
        let again = client.organizer("the hall").ask("blockTickets", TICKETS, again).await;
        assert_eq!(refusals(&again), []);
        let looking = database.look().await;
        let reason = async |seat| ticket_of_seat(&looking, seat).await.block_reason;
        assert_eq!(reason("1").await.as_deref(), Some("for the band"));
        assert_eq!(reason("2").await.as_deref(), Some("for the press"));

        // One that is blocked and one that never was.
        let unblocked = unblock(&client, &event, &[ids[0], ids[2]]).await;
        let expected = json!([{ "id": ids[0], "status": "AVAILABLE" }, { "id": ids[2], "status": "AVAILABLE" }]);
        assert_eq!((refusals(&unblocked), &unblocked["tickets"]), (vec![], &expected));
        assert_eq!(reason("1").await, None);
        let outcomes = [ada.purchase_ticket(ids[0], "mine").await];
        assert_eq!(refusals(&unblock(&client, &event, &[ids[0]]).await), [], "a sold one stays sold");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn what_cannot_be_blocked_is_refused_by_name_and_nothing_is_blocked(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let (event, other) = (seed::seats(&client, 5).await, seed::places(&client, 1).await);
        let ids = event.ticket_ids();
        let outcomes = [client.customer("ada").purchase_ticket(ids[0], "mine").await];
        let writing = database.connect().await;
        let until = soon(600);
        hold_seats(&writing, &["2"], until).await;
        hold_seats(&writing, &["3"], soon(-600)).await;
        let ask = async |ids: &[&str], reason: &str| {
            let input = json!({ "eventId": event.id, "ticketIds": ids, "reason": reason });
            client.organizer("the hall").ask("blockTickets", TICKETS, input).await
        };

        let gone = other.tickets[0].id.as_str();
        let many = vec![ids[4]; 1_001];
        for (ids, reason, expected) in [
            (&[ids[4], ids[0]][..], "x", vec![("ALREADY_SOLD", Some("ticketIds.1"))]),
            (&[ids[1], ids[4], ids[0]], "x", vec![("ALREADY_SOLD", Some("ticketIds.2")), ("HELD", Some("ticketIds.0"))]),
            (&[ids[4], ids[3], ids[4]], "x", vec![("DUPLICATE_TICKET", Some("ticketIds.2"))]),
            (&[ids[4], gone], "x", vec![("OTHER_EVENT", Some("ticketIds.1"))]),
            (&["x", ids[4], event.id.as_str()], "x", vec![("UNKNOWN_TICKET", Some("ticketIds.0")), ("UNKNOWN_TICKET", Some("ticketIds.2"))]),
            (&[], "x", vec![("NO_TICKETS", Some("ticketIds"))]),
            (&many, "x", vec![("TOO_MANY_TICKETS", Some("ticketIds"))]),
            (&[ids[4]], "", vec![("INVALID_REASON", Some("reason"))]),
        ] {
            let payload = ask(ids, reason).await;
            let mut found = refusals(&payload);
            found.sort_unstable();
            assert_eq!(found, expected);
            assert_eq!(payload["tickets"], Value::Null);
        }
        let document = "mutation($input: BlockTicketsInput!) { blockTickets(input: $input) { userErrors { code heldUntil } } }";
        let input = json!({ "eventId": event.id, "ticketIds": [ids[1]], "reason": "x" });
        let data = client.organizer("the hall").data(document, json!({ "input": input })).await;
        let error = &data["blockTickets"]["userErrors"][0];
        let held_until: DateTime<Utc> = error["heldUntil"].as_str().unwrap().parse().unwrap();
        assert_eq!((error["code"].as_str(), held_until), (Some("HELD"), until));

        let input = json!({ "eventId": event.id, "ticketIds": [ids[4]], "reason": "envy" });
        let foreign = client.organizer("the meadow").ask("blockTickets", TICKETS, input).await;
        assert_eq!(refusals(&foreign), [("UNKNOWN_EVENT", Some("eventId"))]);
        let looking = database.look().await;
        assert_eq!(blocked_len(&looking).await, 0);

        // A hold that has ended keeps nobody from it.
        assert_eq!(refusals(&block(&client, &event, &[ids[2], ids[4]]).await), []);
        assert_eq!(blocked_len(&looking).await, 2);
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn a_seat_that_is_bought_and_blocked_at_once_is_one_of_both(database: Database) {
        const SEATS: usize = 60;
        let server = Server::start(&database).await;
        let client = server.client();
        let event = seed::seats(&client, SEATS).await;
        let hall = client.organizer("the hall");

        let buying = join_all(event.tickets.iter().enumerate().map(|(n, ticket)| {
            let buyer = client.customer(&format!("buyer {n}"));
            async move { buyer.purchase_ticket(&ticket.id, "mine").await }
        }));
        // Backwards, so that they meet in the middle; a few at a time, so that a sold one spoils few others.
        let blocking = stream::iter(event.tickets.chunks(3).rev()).map(|chunk| {
            let ids: Vec<&str> = chunk.iter().map(|ticket| ticket.id.as_str()).collect();
            let input = json!({ "eventId": event.id, "ticketIds": ids, "reason": "for the press" });
            let hall = hall.clone();
            async move { hall.ask("blockTickets", TICKETS, input).await }
        });
        let blocking = blocking.buffer_unordered(4).collect::<Vec<Value>>();
        let (outcomes, blocks) = tokio::join!(buying, blocking);

        let told: usize = blocks.iter().filter_map(|payload| payload["tickets"].as_array()).map(Vec::len).sum();
        for payload in &blocks {
            let refused = refusals(payload);
            assert!(refused.iter().all(|(code, _)| *code == "ALREADY_SOLD"), "{refused:?}");
        }
        let looking = database.look().await;
        assert_eq!(blocked_len(&looking).await, told as u64);
        let refused = outcomes.iter().filter(|outcome| outcome.is_refused("BLOCKED")).count();
        let sold = outcomes.iter().filter(|outcome| outcome.is_sold()).count();
        assert_eq!((refused, sold), (told, SEATS - told), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
    }

    async fn a_ticket_whose_hold_has_ended_is_available_again(database: Database) {
        const HELD: usize = 250;
        let server = Server::start(&database).await;
        let client = server.client();
        let event = seed::seats(&client, HELD + 1).await;
        let writing = database.connect().await;
        let seats: Vec<String> = (1..=HELD).map(|n| n.to_string()).collect();
        let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
        hold_seats(&writing, &[&(HELD + 1).to_string()], soon(600)).await;
        hold_seats(&writing, &seats, soon(-1)).await;
        // Nobody has to wait for it to be tidied.
        let ids: Vec<&str> = (1..=10).map(|n| event.seat(n).id.as_str()).collect();
        let outcomes = [client.customer("ada").purchase_tickets(&ids, "mine").await];

        let held = || ticket::Entity::find().filter(ticket::Column::Status.eq(ticket::Status::Held));
        eventually("the sweep", SWEPT_WITHIN, async || {
            (held().count(&writing).await.unwrap() == 1).then_some(())
        })
        .await;
        let left = held().one(&writing).await.unwrap().unwrap();
        assert_eq!(left.seat_label, Some((HELD + 1).to_string()), "a hold that is alive stays");
        assert!(outcomes[0].is_sold(), "{outcomes:?}");
        rows::assert_conserved(&database, &outcomes).await;
    }
}

async fn blocked_len(rows: &DatabaseConnection) -> u64 {
    let blocked = ticket::Entity::find().filter(ticket::Column::Status.eq(ticket::Status::Blocked));
    blocked.count(rows).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_cancelled_in_a_burst_of_two_servers_ends_without_a_sale() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    cancel_in_a_burst(&database, &servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_cancelled_in_a_burst_on_sqlite_ends_without_a_sale() {
    let database = Database::sqlite().await;
    let servers = [Server::start(&database).await];
    cancel_in_a_burst(&database, &servers).await;
}

/// Three chunks, one order in each, and somebody's hand on a seat in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_seat_delays_its_part_of_a_cancellation_also_across_a_crash() {
    let database = Database::postgres().await;
    let crashing = Server::start(&database).await;
    let client = crashing.client();
    let event = seed::seats(&client, 600).await;
    for seat in [1, 300, 599] {
        let buyer = client.customer(&format!("buyer {seat}"));
        buyer
            .purchase_ticket(&event.seat(seat).id, "mine")
            .await
            .sold();
    }
    let looking = database.look().await;
    let lock = rows::lock_seat(&looking, "300").await;

    assert_eq!(refusals(&cancel(&client, &event.id).await), []);
    let active_len = async || rows::active_items(&looking).await.len();
    eventually("the visit of all others", DONE_WITHIN, async || {
        (active_len().await == 1).then_some(())
    })
    .await;
    // In the middle of it.
    crashing.kill();
    let next = Server::start(&database).await;
    eventually("a wait for the seat", DONE_WITHIN, async || {
        (rows::waiting_for_locks_len(&looking).await > 0).then_some(())
    })
    .await;
    assert_eq!(active_len().await, 1);
    assert!(!is_done(&next.client(), &event.id).await);

    lock.rollback().await.unwrap();
    until_done(&next.client(), &event.id).await;
    assert_nothing_left(&database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_row_is_locked_is_busy_and_not_cancelled() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let client = server.client();
    let event = seed::seats(&client, 1).await;
    let looking = database.look().await;
    let lock = looking.begin().await.unwrap();
    let locked = event::Entity::find().lock_exclusive().all(&lock).await;
    assert_eq!(locked.unwrap().len(), 1);

    let document = "mutation($input: CancelEventInput!) { cancelEvent(input: $input) { userErrors { code retryAfter } } }";
    let input = json!({ "id": event.id, "reason": "fire" });
    let data = client
        .organizer("the hall")
        .data(document, json!({ "input": input }))
        .await;
    let busy = json!([{ "code": "BUSY", "retryAfter": 1 }]);
    assert_eq!(data["cancelEvent"]["userErrors"], busy);
    let ids = event.ticket_ids();
    assert_eq!(
        refusals(&block(&client, &event, &ids).await),
        [],
        "who blocks tickets does not want the event's row"
    );
    lock.rollback().await.unwrap();
    assert_eq!(refusals(&cancel(&client, &event.id).await), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_a_locked_seat_gives_up_and_delays_the_other_seats_buyers_a_moment() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let client = server.client();
    let event = seed::seats(&client, 30).await;
    let looking = database.look().await;
    let lock = rows::lock_seat(&looking, "30").await;

    let ids = event.ticket_ids();
    let blocking = block(&client, &event, &ids);
    let buying = async {
        eventually("a block that waits", DONE_WITHIN, async || {
            (rows::waiting_for_locks_len(&looking).await > 0).then_some(())
        })
        .await;
        let begin = Instant::now();
        let outcomes = join_all(event.tickets[..29].iter().enumerate().map(|(n, ticket)| {
            let buyer = client.customer(&format!("buyer {n}"));
            async move { buyer.purchase_ticket(&ticket.id, "mine").await }
        }));
        (outcomes.await, begin.elapsed())
    };
    let (blocked, (outcomes, took)) = tokio::join!(blocking, buying);

    // By then the others are sold; which of both it meets first is chance.
    let refused = refusals(&blocked);
    assert!(
        refused == [("BUSY", None)] || refused.iter().all(|(code, _)| *code == "ALREADY_SOLD"),
        "{refused:?}"
    );
    assert!(outcomes.iter().all(Outcome::is_sold), "{outcomes:?}");
    assert!(took < Duration::from_secs(3), "the buyers waited {took:?}");
    lock.rollback().await.unwrap();
    rows::assert_conserved(&database, &outcomes).await;
}
