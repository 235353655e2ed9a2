//! An event's tickets, followed as they change: nothing is missed, nothing is told twice or out of order, whatever is lost on
//! the way.

mod log;
mod maps;
mod overlap;
mod processes;
mod watches;

use std::{collections::BTreeMap, time::Duration};

use rowlock::auth::Role;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::{Value, json};

use crate::harness::{Client, Server, client, socket::Socket};

/// Sooner than a busy machine needs for anything here.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

const TICKETS_CHANGED: &str = "subscription($id: ID!, $since: Int) {
    ticketsChanged(eventId: $id, since: $since) { previousVersion version tickets { id status } }
}";

const SEAT_MAP: &str =
    "query($id: ID!) { seatMap(eventId: $id) { version layout ticketIds statuses } }";

fn token(role: Role, name: &str) -> String {
    let hour = Duration::from_secs(3600);
    client::tokens().issue(role, name, hour).unwrap()
}

/// Each ticket's status, by its id.
type Statuses = BTreeMap<String, String>;

/// What `seatMap` says: the version, and every ticket.
async fn seat_map(client: &Client, event_id: &str) -> (i64, Statuses) {
    let data = client.data(SEAT_MAP, json!({ "id": event_id })).await;
    let map = &data["seatMap"];
    let letters = map["statuses"].as_str().unwrap().chars();
    let ids = map["ticketIds"].as_array().unwrap();
    assert_eq!(ids.len(), letters.clone().count());
    let status = |letter| match letter {
        'A' => "AVAILABLE",
        'H' => "HELD",
        'S' => "SOLD",
        'B' => "BLOCKED",
        other => panic!("no status: {other}"),
    };
    let statuses = ids
        .iter()
        .zip(letters)
        .map(|(id, letter)| (id.as_str().unwrap().to_owned(), status(letter).to_owned()))
        .collect();
    (map["version"].as_i64().unwrap(), statuses)
}

/// A client that begins with a seat map and applies what it is told, in the order in which it is told.
struct Follower {
    socket: Socket,
    event_id: String,
    version: i64,
    statuses: Statuses,
    /// What it knew at each version that it was told.
    known: Vec<(i64, Statuses)>,
}

impl Follower {
    async fn begin(server: &Server, event_id: &str) -> Self {
        let (version, statuses) = seat_map(&server.client(), event_id).await;
        let mut follower = Self {
            socket: Socket::acknowledged(server.url(), None).await,
            event_id: event_id.to_owned(),
            version,
            known: vec![(version, statuses.clone())],
            statuses,
        };
        follower.subscribe().await;
        follower
    }

    /// Comes back through this server, with what it knew last.
    async fn come_back(&mut self, server: &Server) {
        self.socket = Socket::acknowledged(server.url(), None).await;
        self.subscribe().await;
    }

    async fn subscribe(&mut self) {
        let variables = json!({ "id": self.event_id, "since": self.version });
        self.socket.subscribe("1", TICKETS_CHANGED, variables).await;
    }

    async fn hear(&mut self) {
        let message = self.socket.message().await;
        assert_eq!(message["type"], "next", "{message}");
        self.apply(&message["payload"]);
    }

    fn apply(&mut self, payload: &Value) {
        assert_eq!(payload["errors"], Value::Null, "{payload}");
        let told = &payload["data"]["ticketsChanged"];
        assert_eq!(told["previousVersion"], self.version, "{told}");
        self.version = told["version"].as_i64().unwrap();
        let tickets = told["tickets"].as_array().unwrap();
        for ticket in tickets {
            let text = |field: &str| ticket[field].as_str().unwrap().to_owned();
            let known = self.statuses.insert(text("id"), text("status"));
            assert!(known.is_some(), "a ticket that no seat map has: {ticket}");
        }
        self.known.push((self.version, self.statuses.clone()));
    }

    /// Hears until it knows this version.
    async fn hear_up_to(&mut self, version: i64) {
        while self.version < version {
            self.hear().await;
        }
        assert_eq!(self.version, version);
    }
}

/// The log of an event by its versions: each set's tickets by the hexadecimal digits of their ids, with what they became.
async fn logged(rows: &DatabaseConnection) -> Vec<(i64, Vec<(String, String)>)> {
    let sql = "SELECT version, changes FROM ticket_changes ORDER BY version";
    let statement = Statement::from_string(rows.get_database_backend(), sql);
    let sets = rows.query_all_raw(statement).await.unwrap();
    sets.iter()
        .map(|row| {
            let changes: String = row.try_get("", "changes").unwrap();
            let changes: Vec<Vec<Option<String>>> = serde_json::from_str(&changes).unwrap();
            let became = |change: Vec<Option<String>>| {
                let field = |n: usize| change[n].clone().unwrap();
                (field(0), field(2))
            };
            let version = row.try_get("", "version").unwrap();
            (version, changes.into_iter().map(became).collect())
        })
        .collect()
}
