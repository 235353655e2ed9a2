//! What one client of one server is told.

use std::time::{Duration, Instant};

use rowlock::auth::Role;
use serde_json::{Value, json};

use super::{Follower, SEAT_MAP, TICKETS_CHANGED, TOLD_WITHIN, seat_map, token};
use crate::harness::{Client, Database, Server, eventually, rows, seed, socket::Socket};

const AVAILABILITY: &str = "subscription($id: ID!) {
    eventAvailability(eventId: $id) { ticketTypes { id availability { total available held sold blocked } } }
}";

const HOLD_EXPIRING: &str = "subscription($id: ID!, $before: Int!) {
    holdExpiring(id: $id, secondsBefore: $before) { id status heldUntil }
}";

const HISTORY: &str = "query($id: ID!) {
    node(id: $id) { ... on Ticket { history { version from to cause actor orderId holdId } } }
}";

on_both_databases! {
    async fn a_follower_hears_of_every_change_and_ends_where_the_database_is(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 8).await;
        rows::set_events(&database, "cancellable_until = '2999-01-01T00:00:00+00:00'").await;
        let mut follower = Follower::begin(&server, &event.id).await;
        assert_eq!(follower.version, 0);
        // The first message comes at once, and says that nothing has changed.
        follower.hear().await;
        assert_eq!(follower.version, 0);

        live_a_little(&server.client(), &event).await;
        // A change of each kind is a version.
        follower.hear_up_to(8).await;
        let now = seat_map(&server.client(), &event.id).await;
        assert_eq!((follower.version, &follower.statuses), (now.0, &now.1));
        let seats: Vec<&str> = event.tickets.iter().map(|ticket| now.1[&ticket.id].as_str()).collect();
        assert_eq!(seats, ["SOLD", "AVAILABLE", "SOLD", "SOLD", "AVAILABLE", "BLOCKED", "AVAILABLE", "AVAILABLE"]);

        // What changes nothing is not told: a hold that is extended, a ticket that is blocked already.
        let hold = server.client().customer("eve").hold_tickets(&[&event.tickets[7].id], "late").await.held();
        follower.hear_up_to(9).await;
        server.client().customer("eve").extend_hold(&hold.id, "longer").await.held();
        block(&server.client(), &event, &[&event.tickets[5].id]).await;
        assert!(follower.socket.is_silent_for(Duration::from_secs(1)).await);
        rows::assert_clean(&database).await;
    }

    /// What many are told is executed once for those who select the same, and for nobody else.
    async fn each_is_told_what_they_select_themselves(database: Database) {
        const IF: &str = "subscription($id: ID!, $with: Boolean!) {
            ticketsChanged(eventId: $id) { version tickets { id status @include(if: $with) } }
        }";
        const OTHER: &str = "subscription($id: ID!) { seats: ticketsChanged(eventId: $id) { to: version } }";
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let id = event.tickets[0].id.as_str();
        let mut sockets = Vec::new();
        for (document, with, told) in [
            (IF, true, json!({ "ticketsChanged": { "version": 1, "tickets": [{ "id": id, "status": "SOLD" }] } })),
            (IF, false, json!({ "ticketsChanged": { "version": 1, "tickets": [{ "id": id }] } })),
            (OTHER, false, json!({ "seats": { "to": 1 } })),
            (OTHER, false, json!({ "seats": { "to": 1 } })),
        ] {
            let mut socket = Socket::acknowledged(server.url(), None).await;
            socket.subscribe("1", document, json!({ "id": event.id, "with": with })).await;
            socket.message().await;
            sockets.push((socket, told));
        }
        server.client().customer("ada").purchase_ticket(id, "k").await.sold();
        for (mut socket, told) in sockets {
            assert_eq!(socket.message().await["payload"]["data"], told);
        }
    }

    async fn who_comes_back_hears_what_they_missed_and_who_comes_too_late_is_told(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 8).await;
        rows::set_events(&database, "cancellable_until = '2999-01-01T00:00:00+00:00'").await;
        let mut follower = Follower::begin(&server, &event.id).await;
        follower.hear().await;
        live_a_little(&server.client(), &event).await;
        eventually("all versions", TOLD_WITHIN, async || {
            (seat_map(&server.client(), &event.id).await.0 == 8).then_some(())
        }).await;
        follower.come_back(&server).await;
        follower.hear_up_to(8).await;
        assert_eq!(follower.statuses, seat_map(&server.client(), &event.id).await.1);

        // Another process, as after a restart, which reads the end of the log.
        drop(server);
        let server = Server::start(&database).await;
        (follower.version, follower.statuses) = follower.known[0].clone();
        follower.come_back(&server).await;
        follower.hear_up_to(8).await;
        assert_eq!(follower.statuses, seat_map(&server.client(), &event.id).await.1);

        // What the log has forgotten, and what it never said.
        drop(server);
        for (before, forgot) in [("2000-01-01T00:00:00Z", 0), ("2999-01-01T00:00:00Z", 8), ("2999-01-01T00:00:00Z", 0)] {
            let printed = Server::command(&["forget-changes", "--of-events-before", before])
                .env("ROWLOCK_DATABASE_URL", &database.url())
                .print();
            assert_eq!(printed, format!("forgot {forgot} commits\n"), "{before}");
        }
        let server = Server::start(&database).await;
        for since in [0, 3, 7, 9, -1] {
            assert_eq!(refused(&server, None, &event.id, Some(since)).await, "TOO_OLD", "{since}");
        }
        follower.come_back(&server).await;
        follower.hear().await;
        server.client().customer("ada").purchase_ticket(&event.tickets[7].id, "after").await.sold();
        follower.hear_up_to(9).await;
        assert_eq!(follower.statuses, seat_map(&server.client(), &event.id).await.1);
        rows::assert_clean(&database).await;
    }

    async fn a_hold_that_ends_by_itself_is_told(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        rows::set_events(&database, "hold_secs = 5").await;
        let mut follower = Follower::begin(&server, &event.id).await;
        let ada = server.client().customer("ada");
        let hold = ada.hold_tickets(&[&event.tickets[0].id], "short").await.held();
        let mut expiring = Socket::acknowledged(server.url(), Some(&token(Role::Customer, "ada"))).await;
        expiring.subscribe("1", HOLD_EXPIRING, json!({ "id": hold.id, "before": 1 })).await;
        follower.hear_up_to(1).await;
        assert_eq!(follower.statuses[&event.tickets[0].id], "HELD");
        for status in ["ACTIVE", "ACTIVE", "EXPIRED"] {
            let told = expiring.message().await;
            assert_eq!(told["payload"]["data"]["holdExpiring"]["status"], status, "{told}");
        }
        assert_eq!(expiring.message().await["type"], "complete");
        follower.hear_up_to(2).await;
        assert_eq!(follower.statuses[&event.tickets[0].id], "AVAILABLE");
        assert_eq!(causes(&server, &event, 0).await, [("HOLD", "CUSTOMER"), ("EXPIRY", "SYSTEM")]);
        rows::assert_clean(&database).await;
    }

    async fn somebody_elses_hold_is_nobodys_business(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 1).await;
        let hold = server.client().customer("ada").hold_tickets(&[&event.tickets[0].id], "hers").await.held();
        for (token, before, code) in [
            (Some(token(Role::Customer, "bob")), 60, "BAD_USER_INPUT"),
            (Some(token(Role::Customer, "ada")), 3_601, "BAD_USER_INPUT"),
            (None, 60, "UNAUTHENTICATED"),
        ] {
            let mut socket = Socket::acknowledged(server.url(), token.as_deref()).await;
            socket.subscribe("1", HOLD_EXPIRING, json!({ "id": hold.id, "before": before })).await;
            let told = socket.message().await;
            assert_eq!(told["payload"][0]["extensions"]["code"], code, "{told}");
        }
    }

    async fn a_draft_exists_for_its_organizer_alone(database: Database) {
        let server = Server::start(&database).await;
        let hall = server.client().organizer("the hall");
        let draft = seed::create_event(&hall).await;
        let ticket_type = seed::create_ticket_type(&hall, &draft, "SEATED").await;
        seed::add_row(&hall, &ticket_type, "1", 3).await;
        let other = token(Role::Organizer, "another hall");
        for token in [None, Some(token(Role::Customer, "ada")), Some(other)] {
            let code = refused(&server, token.as_deref(), &draft, None).await;
            assert_eq!(code, "BAD_USER_INPUT");
            let mut socket = Socket::acknowledged(server.url(), token.as_deref()).await;
            socket.subscribe("1", AVAILABILITY, json!({ "id": draft })).await;
            let told = socket.message().await;
            assert_eq!(told["payload"][0]["extensions"]["code"], "BAD_USER_INPUT", "{told}");
        }
        let data = server.client().data(SEAT_MAP, json!({ "id": draft })).await;
        assert_eq!(data["seatMap"], Value::Null);

        assert_eq!(seat_map(&hall, &draft).await.1.len(), 3);
        let mut own = Socket::acknowledged(server.url(), Some(&token(Role::Organizer, "the hall"))).await;
        own.subscribe("1", TICKETS_CHANGED, json!({ "id": draft })).await;
        assert_eq!(own.message().await["payload"]["data"]["ticketsChanged"]["version"], 0);
    }

    async fn a_tickets_history_is_its_organizers(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 8).await;
        rows::set_events(&database, "cancellable_until = '2999-01-01T00:00:00+00:00'").await;
        live_a_little(&server.client(), &event).await;
        eventually("all versions", TOLD_WITHIN, async || {
            (seat_map(&server.client(), &event.id).await.0 == 8).then_some(())
        }).await;
        let bought = [("PURCHASE", "CUSTOMER"), ("ORDER_CANCELLATION", "CUSTOMER")];
        assert_eq!(causes(&server, &event, 1).await, bought);
        assert_eq!(causes(&server, &event, 3).await, [("HOLD", "CUSTOMER"), ("PURCHASE", "CUSTOMER")]);
        assert_eq!(causes(&server, &event, 4).await, [("HOLD", "CUSTOMER"), ("RELEASE", "CUSTOMER")]);
        assert_eq!(causes(&server, &event, 6).await, [("BLOCK", "ORGANIZER"), ("UNBLOCK", "ORGANIZER")]);
        assert_eq!(causes(&server, &event, 7).await, []);

        // With the order that it was, and in the order of versions.
        let hall = server.client().organizer("the hall");
        let id = json!({ "id": event.tickets[1].id });
        let history = hall.data(HISTORY, id.clone()).await["node"]["history"].take();
        assert!(history[0]["version"].as_i64() < history[1]["version"].as_i64(), "{history}");
        assert_eq!(history[0]["orderId"], history[1]["orderId"], "{history}");
        assert!(history[0]["orderId"].is_string() && history[0]["holdId"].is_null(), "{history}");
        for nobody in [server.client(), server.client().customer("ada"), server.client().organizer("another hall")] {
            assert_eq!(nobody.data(HISTORY, id.clone()).await["node"]["history"], Value::Null);
        }
    }

    async fn availability_is_told_at_once_and_then_together(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 10).await;
        let mut socket = Socket::acknowledged(server.url(), None).await;
        socket.subscribe("1", AVAILABILITY, json!({ "id": event.id })).await;
        let mut available = vec![told(&mut socket, &event).await];
        assert_eq!(available, [10]);
        let begin = Instant::now();
        let buying = event.tickets.iter().enumerate().map(|(n, ticket)| {
            let buyer = server.client().customer(&format!("buyer {n}"));
            async move { buyer.purchase_ticket(&ticket.id, "k").await.sold() }
        });
        futures_util::future::join_all(buying).await;
        while available.last() != Some(&0) {
            available.push(told(&mut socket, &event).await);
        }
        assert!(available.is_sorted_by(|before, after| before > after), "{available:?}");
        // The first may come at once, each other one a quarter of a second after the one before.
        let quarters = begin.elapsed().as_millis() / 250;
        assert!(available.len() as u128 <= quarters + 3, "{available:?} in {quarters}");
        assert!(socket.is_silent_for(Duration::from_millis(600)).await);
    }

    async fn a_layout_is_another_when_tickets_are_added(database: Database) {
        let server = Server::start(&database).await;
        let event = seed::seats(&server.client(), 2).await;
        let layout = async || {
            let data = server.client().data(SEAT_MAP, json!({ "id": event.id })).await;
            data["seatMap"]["layout"].as_str().unwrap().to_owned()
        };
        let before = layout().await;
        server.client().customer("ada").purchase_ticket(&event.tickets[0].id, "k").await.sold();
        assert_eq!(layout().await, before);
        let hall = server.client().organizer("the hall");
        seed::add_row(&hall, &event.ticket_type_id, "another", 1).await;
        assert_ne!(layout().await, before);
    }
}

/// Eight changes of eight seats: one of each kind.
async fn live_a_little(client: &Client, event: &seed::Event) {
    let seat = |n: usize| event.tickets[n].id.as_str();
    let ada = client.customer("ada");
    let order = ada
        .purchase_tickets(&[seat(0), seat(1)], "buy")
        .await
        .sold();
    let item = order.items.iter().find(|item| item.ticket.id == seat(1));
    let items = [item.unwrap().id.as_str()];
    ada.cancel_order(&order.id, Some(&items), None, "cancel")
        .await
        .sold();
    let hold = ada.hold_tickets(&[seat(3), seat(4)], "hold").await.held();
    ada.release_hold(&hold.id, Some(&[seat(4)]), "release")
        .await
        .held();
    ada.purchase_hold(&hold.id, "checkout").await.sold();
    block(client, event, &[seat(5), seat(6)]).await;
    unblock(client, event, &[seat(6)]).await;
    client
        .customer("bob")
        .purchase_ticket(seat(2), "buy")
        .await
        .sold();
}

async fn block(client: &Client, event: &seed::Event, ids: &[&str]) {
    let input = json!({ "eventId": event.id, "ticketIds": ids, "reason": "for the press" });
    let hall = client.organizer("the hall");
    hall.ask("blockTickets", "tickets { id }", input).await;
}

async fn unblock(client: &Client, event: &seed::Event, ids: &[&str]) {
    let input = json!({ "eventId": event.id, "ticketIds": ids });
    let hall = client.organizer("the hall");
    hall.ask("unblockTickets", "tickets { id }", input).await;
}

/// The code with which following is refused.
async fn refused(
    server: &Server,
    token: Option<&str>,
    event_id: &str,
    since: Option<i64>,
) -> String {
    let mut socket = Socket::acknowledged(server.url(), token).await;
    let variables = json!({ "id": event_id, "since": since });
    socket.subscribe("1", TICKETS_CHANGED, variables).await;
    let told = socket.message().await;
    let errors = match &told["payload"] {
        Value::Array(errors) => &errors[0],
        payload => &payload["errors"][0],
    };
    let code = errors["extensions"]["code"].as_str();
    code.unwrap_or_else(|| panic!("{told}")).to_owned()
}

async fn told(socket: &mut Socket, event: &seed::Event) -> i64 {
    let message = socket.message().await;
    let types = &message["payload"]["data"]["eventAvailability"]["ticketTypes"];
    assert_eq!(types[0]["id"], event.ticket_type_id, "{message}");
    let count = |name: &str| types[0]["availability"][name].as_i64().unwrap();
    let sum = ["available", "held", "sold", "blocked"]
        .map(count)
        .iter()
        .sum::<i64>();
    assert_eq!(sum, count("total"), "{message}");
    count("available")
}

/// Why a seat became what it is, and by whom.
async fn causes(
    server: &Server,
    event: &seed::Event,
    seat: usize,
) -> Vec<(&'static str, &'static str)> {
    let hall = server.client().organizer("the hall");
    let data = hall
        .data(HISTORY, json!({ "id": event.tickets[seat].id }))
        .await;
    let names = |text: &Value| -> &'static str {
        let all = [
            "PURCHASE",
            "ORDER_CANCELLATION",
            "HOLD",
            "RELEASE",
            "BLOCK",
            "UNBLOCK",
            "EXPIRY",
            "CUSTOMER",
            "ORGANIZER",
            "SYSTEM",
        ];
        all.into_iter().find(|name| text == *name).unwrap()
    };
    let history = data["node"]["history"].as_array().unwrap();
    history
        .iter()
        .map(|change| (names(&change["cause"]), names(&change["actor"])))
        .collect()
}
