//! The counts that are kept of tickets: what buyers are told is what the rows say, whoever changes them and whoever folds.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use futures_util::future::{join, join_all};
use migration::{Migrator, MigratorTrait};
use rowlock::{
    catalogue::{Availability, availability_at},
    entity::{ticket, ticket_type},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter,
    Statement,
};
use serde_json::{Value, json};

use crate::{
    catalogue::{availability, counts, id, remove, with},
    harness::{
        Client, Database, Outcome, Server,
        client::{HoldOutcome, codes},
        eventually, rows, seed,
    },
};

/// Folding comes every half second, and so does tidying; the machine may be busy elsewhere.
const WITHIN: Duration = Duration::from_secs(20);

const PLACES: usize = 60;
const BUYERS: usize = 36;

/// The step that makes the counts.
const STEP: &str = "m0007_counts";

/// What clients are told of a type, by the rows.
async fn by_rows(rows: &DatabaseConnection) -> Value {
    let len = async |status: ticket::Status| {
        let found = ticket::Entity::find().filter(ticket::Column::Status.eq(status));
        found.count(rows).await.unwrap()
    };
    let total = ticket::Entity::find().count(rows).await.unwrap();
    json!({
        "total": total,
        "available": len(ticket::Status::Available).await,
        "sold": len(ticket::Status::Sold).await,
        "held": len(ticket::Status::Held).await,
        "blocked": len(ticket::Status::Blocked).await,
    })
}

/// Waits until nothing is left to fold.
async fn folded(database: &Database) {
    let rows = database.look().await;
    let sql = "SELECT COUNT(*) FROM ticket_count_deltas";
    let statement = Statement::from_string(database.backend(), sql);
    eventually("the last fold", WITHIN, async || {
        let row = rows.query_one_raw(statement.clone()).await.unwrap();
        let len: i64 = row.unwrap().try_get_by_index(0).unwrap();
        (len == 0).then_some(())
    })
    .await;
    rows.close().await.unwrap();
}

/// What one buyer, or staff, does to the places. Gives the order that was made, as it is afterwards.
async fn act(n: usize, client: &Client, other: &Client, event: &seed::Event) -> Vec<Outcome> {
    let buyer = |client: &Client| client.customer(&format!("buyer {n}"));
    let (ada, elsewhere) = (buyer(client), buyer(other));
    let (any, ticket) = (&event.ticket_type_id, event.tickets[n].id.as_str());
    match n % 6 {
        0 => match ada.hold_tickets(&[ticket], "hold").await {
            HoldOutcome::Held(hold) => vec![elsewhere.purchase_hold(&hold.id, "buy").await],
            HoldOutcome::Refused(_) => vec![],
            HoldOutcome::Fault(fault) => panic!("{fault}"),
        },
        1 => {
            let hold = ada.hold_any(any, 2, "hold").await.held();
            elsewhere.release_hold(&hold.id, None, "back").await.held();
            vec![]
        }
        2 => {
            let order = ada.purchase_any(any, 2, "buy").await.sold();
            vec![elsewhere.cancel_order(&order.id, None, None, "back").await]
        }
        3 => {
            let staff = client.organizer("the meadow");
            let input = json!({ "eventId": event.id, "ticketIds": [ticket] });
            let block = with(input.clone(), json!({ "reason": "camera" }));
            staff.ask("blockTickets", "event { id }", block).await;
            if n % 4 == 3 {
                staff.ask("unblockTickets", "event { id }", input).await;
            }
            vec![]
        }
        4 => {
            ada.hold_any(any, 1, "hold").await.held();
            vec![]
        }
        _ => vec![ada.purchase_ticket(ticket, "buy").await],
    }
}

/// Everything at once at these servers, while somebody reads.
async fn mix(servers: &[&Server; 2], database: &Database) {
    let clients = servers.map(Server::client);
    let event = seed::places(&clients[0], PLACES).await;
    rows::set_events(database, "cancellable_until = '2999-01-01T00:00:00+00:00'").await;
    let is_over = AtomicBool::new(false);
    let acting = async {
        let acts = (0..BUYERS).map(|n| act(n, &clients[n % 2], &clients[(n + 1) % 2], &event));
        let outcomes = join_all(acts).await;
        is_over.store(true, Ordering::Relaxed);
        outcomes.into_iter().flatten().collect::<Vec<_>>()
    };
    let reading = async {
        while !is_over.load(Ordering::Relaxed) {
            for client in &clients {
                let told = availability(client, &event.ticket_type_id).await;
                // The sum of what is told apart: no ticket is between two statuses.
                assert_eq!(told["total"], PLACES, "{told}");
            }
        }
    };
    let (outcomes, ()) = join(acting, reading).await;
    assert!(outcomes.iter().any(Outcome::is_sold), "{outcomes:?}");

    let look = database.look().await;
    let expected = by_rows(&look).await;
    look.close().await.unwrap();
    for client in &clients {
        assert_eq!(availability(client, &event.ticket_type_id).await, expected);
    }
    folded(database).await;
    for client in &clients {
        assert_eq!(availability(client, &event.ticket_type_id).await, expected);
    }
    rows::assert_conserved(database, &outcomes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_the_rows_whatever_two_servers_change_and_fold_at_once() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    mix(&[&servers[0], &servers[1]], &database).await;
}

/// On two servers what was sold at one is read at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_read_at_another_server_knows_of_an_answered_purchase() {
    let database = Database::postgres().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    sell_and_read(&servers[0].client(), &servers[1].client(), &database).await;
}

/// Others read the same all the while: a read that began before the purchase is not shared with who asks after it.
async fn sell_and_read(seller: &Client, reader: &Client, database: &Database) {
    const TICKETS: usize = 20;
    let event = seed::places(seller, TICKETS).await;
    let is_over = AtomicBool::new(false);
    let others = async {
        while !is_over.load(Ordering::Relaxed) {
            let reads = (0..4).map(|_| availability(reader, &event.ticket_type_id));
            join_all(reads).await;
        }
    };
    let selling = async {
        let ada = seller.customer("ada");
        let mut outcomes = Vec::new();
        for (n, ticket) in event.tickets.iter().enumerate() {
            outcomes.push(ada.purchase_ticket(&ticket.id, &format!("{n}")).await);
            let told = availability(reader, &event.ticket_type_id).await;
            assert_eq!(told, counts(TICKETS, TICKETS - n - 1, n + 1));
        }
        is_over.store(true, Ordering::Relaxed);
        outcomes
    };
    let (outcomes, ()) = join(selling, others).await;
    rows::assert_conserved(database, &outcomes).await;
}

on_both_databases! {
    async fn counts_are_the_rows_whatever_happens_at_once(database: Database) {
        let server = Server::start(&database).await;
        mix(&[&server, &server], &database).await;
    }

    async fn the_next_read_knows_of_an_answered_purchase(database: Database) {
        let server = Server::start(&database).await;
        sell_and_read(&server.client(), &server.client(), &database).await;
    }

    async fn a_hold_counts_until_it_ends_and_not_an_instant_longer(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::places(&server.client(), 3).await;
        let ada = server.client().customer("ada");
        let hold = ada.hold_any(&event.ticket_type_id, 2, "hold").await.held();
        let told = availability(&ada, &event.ticket_type_id).await;
        assert_eq!(told, with(counts(3, 1, 0), json!({ "held": 2 })));

        // The rows say HELD all the while: who reads at the end is told what is so then.
        let rows = database.look().await;
        let row = ticket_type::Entity::find().one(&rows).await.unwrap().unwrap();
        let key = (row.event_id, row.id);
        let at = async |time| availability_at(&rows, &[key], time).await.unwrap()[&key];
        let held = Availability { available: 1, held: 2, ..Availability::default() };
        assert_eq!(at(hold.held_until - TimeDelta::microseconds(1)).await, held);
        let over = Availability { available: 3, ..Availability::default() };
        assert_eq!(at(hold.held_until).await, over);
        folded(&database).await;
        assert_eq!(at(hold.held_until).await, over);
        rows.close().await.unwrap();
        rows::assert_conserved(&database, &[]).await;
    }

    async fn what_staff_do_to_tickets_is_counted(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let hall = client.organizer("the hall");
        let event = seed::seats(&client, 6).await;
        let ids = event.ticket_ids();
        let places = seed::create_ticket_type_named(&hall, &event.id, "GENERAL", "Standing").await;
        let ask = async |name: &str, input: Value| {
            let payload = hall.ask(name, "event { id }", input).await;
            assert_eq!(codes(&payload), Vec::<&str>::new(), "{name}");
            payload
        };
        let seats = async || availability(&client, &event.ticket_type_id).await;

        let blocked = json!({ "eventId": event.id, "ticketIds": ids[..3], "reason": "camera" });
        ask("blockTickets", blocked).await;
        assert_eq!(seats().await, with(counts(6, 3, 0), json!({ "blocked": 3 })));
        ask("unblockTickets", json!({ "eventId": event.id, "ticketIds": ids[..2] })).await;
        assert_eq!(seats().await, with(counts(6, 5, 0), json!({ "blocked": 1 })));
        assert_eq!(codes(&remove(&hall, &event.id, &ids[..1]).await), Vec::<&str>::new());
        assert_eq!(seats().await, with(counts(5, 4, 0), json!({ "blocked": 1 })));
        for capacity in [40, 7] {
            seed::set_capacity(&hall, &places, capacity).await;
            assert_eq!(availability(&client, &places).await, counts(capacity, capacity, 0));
        }
        rows::assert_conserved(&database, &[]).await;

        let ada = client.customer("ada");
        let order = ada.purchase_tickets(&ids[4..], "buy").await.sold();
        ada.hold_tickets(&ids[3..4], "hold").await.held();
        let now = Utc::now();
        let copy = json!({ "id": event.id, "slug": "again", "startsAt": now + TimeDelta::days(60),
            "salesOpenAt": now, "salesCloseAt": now + TimeDelta::days(59) });
        let copy = hall.ask("copyEvent", "event { id ticketTypes { id } }", copy).await;
        let types = copy["event"]["ticketTypes"].as_array().unwrap();
        assert_eq!(availability(&hall, id(&types[0])).await, counts(5, 5, 0));
        assert_eq!(availability(&hall, id(&types[1])).await, counts(7, 7, 0));
        folded(&database).await;
        assert_eq!(seats().await, with(counts(5, 1, 2), json!({ "held": 1, "blocked": 1 })));

        ask("cancelEvent", json!({ "id": event.id, "reason": "fire in the hall" })).await;
        let told = eventually("the cancellation", WITHIN, async || {
            let told = seats().await;
            (told["sold"] == 0 && told["held"] == 0).then_some(told)
        }).await;
        assert_eq!(told["total"], 5);
        let document = "query($id: ID!) { event(by: { id: $id }) { cancellation { isDone } } }";
        eventually("the cancellation's end", WITHIN, async || {
            let data = client.data(document, json!({ "id": event.id })).await;
            (data["event"]["cancellation"]["isDone"] == true).then_some(())
        }).await;
        folded(&database).await;
        let document = "query($id: ID!) { node(id: $id) { ... on Order { status } } }";
        let data = ada.data(document, json!({ "id": order.id })).await;
        assert_eq!(data["node"]["status"], "CANCELLED");
        rows::assert_clean(&database).await;
    }

    async fn tickets_that_were_there_before_their_counts_are_counted_by_the_step(database: Database) {
        let server = Server::start(&database).await;
        let client = server.client();
        let event = seed::seats(&client, 6).await;
        let ids = event.ticket_ids();
        let ada = client.customer("ada");
        let outcome = ada.purchase_tickets(&ids[..2], "buy").await;
        ada.hold_tickets(&ids[2..3], "hold").await.held();
        let input = json!({ "eventId": event.id, "ticketIds": ids[3..4], "reason": "camera" });
        client.organizer("the hall").ask("blockTickets", "event { id }", input).await;
        let before = availability(&client, &event.ticket_type_id).await;
        assert_eq!(before, json!({ "total": 6, "available": 2, "sold": 2, "held": 1, "blocked": 1 }));
        drop((client, ada, server));

        // Nobody sells between the steps, and the tables of the counts are made anew from the tickets.
        let hand = database.connect().await;
        let steps = Migrator::migrations();
        let since = steps.iter().rev().take_while(|step| step.name() != STEP).count() + 1;
        Migrator::down(&hand, Some(u32::try_from(since).unwrap())).await.unwrap();
        hand.execute_unprepared("SELECT COUNT(*) FROM ticket_counts").await.unwrap_err();
        Migrator::up(&hand, None).await.unwrap();
        hand.close().await.unwrap();
        rows::assert_conserved(&database, &[outcome]).await;
        let server = Server::start(&database).await;
        assert_eq!(availability(&server.client(), &event.ticket_type_id).await, before);
    }
}

/// A row that somebody has locked is passed over by who tidies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_is_over_is_available_before_anybody_tidies_it() {
    let database = Database::postgres().await;
    let server = Server::start(&database).await;
    let event = seed::seats(&server.client(), 1).await;
    rows::set_events(&database, "hold_secs = 3, hold_secs_max = 3").await;
    let ada = server.client().customer("ada");
    ada.hold_tickets(&event.ticket_ids(), "hold").await.held();
    let rows = database.connect().await;
    let lock = rows::lock_seat(&rows, "1").await;
    assert_eq!(by_rows(&rows).await["held"], 1, "it was not tidied before");
    eventually("the hold's end", WITHIN, async || {
        let told = availability(&ada, &event.ticket_type_id).await;
        (told == counts(1, 1, 0)).then_some(())
    })
    .await;
    assert_eq!(by_rows(&rows).await["held"], 1);
    lock.rollback().await.unwrap();
    rows.close().await.unwrap();
    rows::assert_conserved(&database, &[]).await;
}
