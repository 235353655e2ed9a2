//! Values that no client should send, in every argument and input field that the schema has: each is a coded error for the
//! caller, or harmless; never a fault of the server's.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use reqwest::{
    StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Map, Value, json};

use crate::harness::{Client, Database, Server, client::tokens, seed};
use rowlock::auth::Role;

/// A megabyte, and what is around it.
const LONG: usize = 1_000_000;
const BODY_LEN_MAX: &str = "2000000";

const AT_ONCE_MAX: usize = 8;

/// Stands for a text that JSON can write and Unicode does not know.
const SURROGATE: &str = "LONE SURROGATE";

/// What a server says that is at fault itself.
const FAULTS: [&str; 4] = ["INTERNAL", "UNAVAILABLE", "TIMEOUT", "OUTCOME_UNKNOWN"];

const INTROSPECTION: &str = "{ __schema { types { kind name
    fields { name args { name type { ...T } } type { ...T } }
    inputFields { name defaultValue type { ...T } } enumValues { name } isOneOf
} } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// The objects that a field with arguments stands on, other than the roots: how to come to them.
const WAYS: [(&str, &str, &str); 3] = [
    ("Event", "event(by: { id: $event }) {", "}"),
    ("Viewer", "me {", "}"),
    // Where seats are taken; whoever owns them is told of others.
    (
        "PurchaseTicketPayload",
        "purchaseTicket(input: { ticketId: $taken, idempotencyKey: \"w\" }) {",
        "}",
    ),
];

/// These have the same field, and nothing else with arguments.
const LIKE_A_PURCHASE: [&str; 2] = ["PurchaseTicketsPayload", "HoldTicketsPayload"];

on_both_databases! {
    async fn no_value_of_any_argument_is_the_servers_fault(database: Database) {
        let server = Server::builder(&database).env("ROWLOCK_BODY_LEN", BODY_LEN_MAX).start().await;
        let world = World::new(&server).await;
        let schema = Schema::read(&server.client()).await;
        let calls = schema.calls(&world);
        assert!(calls.len() > 1_000, "only {} calls", calls.len());
        let spots: BTreeSet<&str> = calls.iter().map(|call| call.spot.as_str()).collect();
        assert!(spots.len() > 100, "only {} arguments and fields: {spots:?}", spots.len());

        let http = reqwest::Client::new();
        let sent: Vec<Option<String>> = stream::iter(&calls)
            .map(|call| call.send(&http, &server))
            .buffer_unordered(AT_ONCE_MAX)
            .collect()
            .await;
        let wrong: Vec<String> = sent.into_iter().flatten().collect();
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), calls.len(), wrong.join("\n"));
        let bad_lines: Vec<String> = server.log().into_iter()
            .filter(|line| line.contains("ERROR") || line.contains("panicked")).collect();
        assert!(bad_lines.is_empty(), "{bad_lines:?}");
        // The calls themselves are good ones: only the value was wrong.
        for call in schema.plain_calls(&world) {
            let (_, text) = call.post(&http, &server).await;
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(answer["errors"], Value::Null, "{}: {}", call.document, call.variables);
        }
    }
}

/// One request with one value that does not belong there.
struct Call {
    /// As in `Query.events(filter.startsFrom)`.
    spot: String,
    document: String,
    variables: Value,
    role: Role,
}

impl Call {
    /// The answer; of a subscription, the first one.
    async fn post(&self, http: &reqwest::Client, server: &Server) -> (StatusCode, String) {
        let (name, lifetime) = match self.role {
            Role::Customer => ("ada", 60),
            Role::Organizer => ("the hall", 60),
        };
        let token = tokens()
            .issue(self.role, name, std::time::Duration::from_secs(lifetime))
            .unwrap();
        let body = json!({ "query": self.document, "variables": self.variables }).to_string();
        let mut response = http
            .post(format!("{}/graphql", server.url()))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream;q=0.5")
            .bearer_auth(token)
            .body(body.replace(SURROGATE, "\\ud800"))
            .send()
            .await
            .unwrap();
        let status = response.status();
        let mut text = String::new();
        while let Some(more) = response.chunk().await.unwrap() {
            text.push_str(std::str::from_utf8(&more).unwrap());
            if let Some((_, event)) = text.split_once("event: next\ndata: ")
                && let Some((data, _)) = event.split_once("\n\n")
            {
                return (status, data.to_owned());
            }
        }
        (status, text)
    }

    /// What is wrong with the answer, if something is.
    async fn send(&self, http: &reqwest::Client, server: &Server) -> Option<String> {
        let (status, text) = self.post(http, server).await;
        let told = |what: &str| {
            let variables: String = self.variables.to_string().chars().take(300).collect();
            let text: String = text.chars().take(300).collect();
            Some(format!(
                "{}: {what}: {variables} -> {status} {text}",
                self.spot
            ))
        };
        if status.is_server_error() {
            return told("the status of a fault");
        }
        let Ok(answer) = serde_json::from_str::<Value>(&text) else {
            return told("not JSON");
        };
        for error in answer["errors"].as_array().into_iter().flatten() {
            match error["extensions"]["code"].as_str() {
                None => return told("no code"),
                Some(code) if FAULTS.contains(&code) => return told("a fault"),
                Some(_) => {}
            }
            let message = error["message"].as_str().unwrap_or_default();
            if message.chars().count() > 500 || message.contains(char::is_control) {
                return told("an unruly message");
            }
        }
        None
    }
}

/// What a valid call is about.
struct World {
    ids: BTreeMap<&'static str, Value>,
}

impl World {
    async fn new(server: &Server) -> Self {
        let event = seed::seats(&server.client(), 20).await;
        let ids = event.ticket_ids();
        let ada = server.client().customer("ada");
        let order = ada.purchase_tickets(&ids[..2], "order").await.sold();
        let hold = ada.hold_tickets(&ids[2..4], "hold").await.held();
        let ids = [
            ("event", json!(event.id)),
            ("ticketType", json!(event.ticket_type_id)),
            ("ticket", json!(ids[5])),
            ("taken", json!(ids[0])),
            ("order", json!(order.id)),
            ("item", json!(order.items[0].id)),
            ("hold", json!(hold.id)),
        ];
        Self {
            ids: ids.into_iter().collect(),
        }
    }

    /// The id of whatever a field of this name in an input of this type names.
    fn id(&self, of: &str, field: &str) -> Value {
        let kind = match (of, field) {
            (_, "ticketId" | "ticketIds") => "ticket",
            ("TicketSelection", "ids") => "ticket",
            (_, "ticketTypeId") | ("UpdateTicketTypeInput", "id") => "ticketType",
            (_, "holdId") | ("holdExpiring", "id") => "hold",
            (_, "itemIds") => "item",
            (_, "orderId") | ("order" | "orderUpdated", "id") => "order",
            _ => "event",
        };
        self.ids[kind].clone()
    }
}

/// The schema, as introspection tells it.
struct Schema {
    types: BTreeMap<String, Value>,
}

/// A place for a value: the path from the variable, and what is said to be there.
struct Spot {
    path: Vec<String>,
    r#type: Value,
}

impl Schema {
    async fn read(client: &Client) -> Self {
        let data = client.data(INTROSPECTION, json!({})).await;
        let types = data["__schema"]["types"].as_array().unwrap().iter();
        let named = |of: &Value| (of["name"].as_str().unwrap().to_owned(), of.clone());
        Self {
            types: types.map(named).collect(),
        }
    }

    /// Every value that does not belong there, at every place of every field with arguments.
    fn calls(&self, world: &World) -> Vec<Call> {
        let mut calls = Vec::new();
        for (parent, field) in self.fields() {
            for arg in list(&field["args"]) {
                let mut spots = Vec::new();
                let path = vec![text(&arg["name"]).to_owned()];
                self.spots(&arg["type"], path, &mut spots, 0);
                for spot in spots {
                    for value in self.nasty(&spot.r#type) {
                        calls.push(self.call(parent, field, &spot.path, Some(&value), world));
                    }
                }
            }
        }
        calls
    }

    /// Each of these fields once, with nothing that does not belong there.
    fn plain_calls(&self, world: &World) -> Vec<Call> {
        self.fields()
            .into_iter()
            .map(|(parent, field)| self.call(parent, field, &[String::new()], None, world))
            .collect()
    }

    /// The fields that have arguments, and whose they are.
    fn fields(&self) -> Vec<(&str, &Value)> {
        let mut fields = Vec::new();
        for (name, of) in &self.types {
            if name.starts_with("__") {
                continue;
            }
            for field in list(&of["fields"]) {
                if !list(&field["args"]).is_empty() && !LIKE_A_PURCHASE.contains(&name.as_str()) {
                    fields.push((name.as_str(), field));
                }
            }
        }
        // What ends the event comes last.
        fields.sort_by_key(|(_, field)| field["name"] == "cancelEvent");
        fields
    }

    fn call(
        &self,
        parent: &str,
        field: &Value,
        path: &[String],
        nasty: Option<&Value>,
        world: &World,
    ) -> Call {
        let mut variables = Map::new();
        for arg in list(&field["args"]) {
            let name = text(&arg["name"]);
            let is_spot = path[0] == name;
            if is_spot || arg["type"]["kind"] == "NON_NULL" {
                let of = text(&field["name"]);
                let below = if is_spot { &path[1..] } else { &[] };
                let nasty = nasty.filter(|_| is_spot);
                let value = self.valid(of, name, &arg["type"], below, nasty, world);
                variables.insert(name.to_owned(), value);
            }
        }
        let args: Vec<&Value> = list(&field["args"])
            .iter()
            .filter(|arg| variables.contains_key(text(&arg["name"])))
            .collect();
        let mut defined: Vec<String> = args
            .iter()
            .map(|arg| format!("${}: {}", text(&arg["name"]), written(&arg["type"])))
            .collect();
        let passed: Vec<String> = args
            .iter()
            .map(|arg| format!("{0}: ${0}", text(&arg["name"])))
            .collect();
        let name = text(&field["name"]);
        let selection = self.selection(&field["type"]);
        let passed = match passed.join(", ") {
            none if none.is_empty() => none,
            passed => format!("({passed})"),
        };
        let field_text = format!("{name}{passed} {selection}");
        let is_root = ["Query", "Mutation", "Subscription"].contains(&parent);
        let (before, after) = if is_root {
            ("", "")
        } else {
            let way = WAYS.iter().find(|way| way.0 == parent);
            let way = way.unwrap_or_else(|| panic!("say in WAYS how to come to {parent}.{name}"));
            (way.1, way.2)
        };
        for id in ["event", "taken"] {
            if before.contains(&format!("${id}")) {
                defined.push(format!("${id}: ID!"));
                variables.insert(id.to_owned(), world.ids[id].clone());
            }
        }
        let operation = match parent {
            "Subscription" => "subscription",
            "Mutation" => "mutation",
            _ if before.contains("purchase") => "mutation",
            _ => "query",
        };
        let operation = match defined.join(", ") {
            none if none.is_empty() => operation.to_owned(),
            defined => format!("{operation}({defined})"),
        };
        let is_buyers = before.contains("purchase")
            || matches!(
                (parent, name),
                ("Viewer" | "Subscription", _) | ("Query", "order") | ("Mutation", "eraseAccount")
            )
            || self.has_key(&field["args"]);
        Call {
            spot: format!("{parent}.{name}({})", path.join(".")),
            document: format!("{operation} {{ {before} {field_text} {after} }}",),
            variables: Value::Object(variables),
            role: if is_buyers {
                Role::Customer
            } else {
                Role::Organizer
            },
        }
    }

    /// A buyer's mutation has an idempotency key.
    fn has_key(&self, args: &Value) -> bool {
        list(args).iter().any(|arg| {
            let fields = list(&self.named(&arg["type"])["inputFields"]);
            fields.iter().any(|field| field["name"] == "idempotencyKey")
        })
    }

    fn selection(&self, of: &Value) -> String {
        let of = self.named(of);
        let fields = list(&of["fields"]);
        let has = |name: &str| fields.iter().any(|field| field["name"] == name);
        match text(&of["kind"]) {
            "SCALAR" | "ENUM" => String::new(),
            _ if has("userErrors") => "{ userErrors { code message field } }".to_owned(),
            // What is found is read.
            _ if has("nodes") => "{ nodes { id } }".to_owned(),
            _ => "{ __typename }".to_owned(),
        }
    }

    /// All places below a value of this type, itself among them.
    fn spots(&self, of: &Value, path: Vec<String>, spots: &mut Vec<Spot>, depth: usize) {
        assert!(depth < 8, "an input that contains itself: {path:?}");
        spots.push(Spot {
            path: path.clone(),
            r#type: of.clone(),
        });
        let inner = nullable(of);
        if inner["kind"] == "LIST" {
            let mut path = path;
            path.push("0".to_owned());
            return self.spots(&inner["ofType"], path, spots, depth + 1);
        }
        for field in list(&self.named(of)["inputFields"]) {
            let mut path = path.clone();
            path.push(text(&field["name"]).to_owned());
            self.spots(&field["type"], path, spots, depth + 1);
        }
    }

    /// As little as is valid, but with `nasty` at the end of the path.
    fn valid(
        &self,
        of: &str,
        name: &str,
        r#type: &Value,
        path: &[String],
        nasty: Option<&Value>,
        world: &World,
    ) -> Value {
        if let (true, Some(nasty)) = (path.is_empty(), nasty) {
            return nasty.clone();
        }
        let inner = nullable(r#type);
        if inner["kind"] == "LIST" {
            let path = path.get(1..).unwrap_or_default();
            return json!([self.valid(of, name, &inner["ofType"], path, nasty, world)]);
        }
        let type_name = text(&inner["name"]);
        let definition = &self.types[type_name];
        if definition["kind"] != "INPUT_OBJECT" {
            return match (type_name, name) {
                ("ID", _) => world.id(of, name),
                ("String", "slug") => json!("a-slug"),
                ("String", "currency") => json!("EUR"),
                ("String", "timeZone") => json!("Europe/Vienna"),
                ("String", _) => json!("text"),
                ("Int", _) => json!(1),
                ("Boolean", _) => json!(true),
                ("Decimal", _) => json!("12.50"),
                ("DateTime", "salesCloseAt") => json!("2030-02-01T00:00:00Z"),
                ("DateTime", _) => json!("2030-01-01T00:00:00Z"),
                _ => definition["enumValues"][0]["name"].clone(),
            };
        }
        let fields = list(&definition["inputFields"]);
        let is_chosen = |field: &&Value| match path.first() {
            Some(chosen) if text(&field["name"]) == chosen => true,
            // Of a oneOf there is one: the one that the path takes, or the first.
            Some(_) if definition["isOneOf"] == true => false,
            None if definition["isOneOf"] == true => field["name"] == fields[0]["name"],
            _ => field["type"]["kind"] == "NON_NULL" && field["defaultValue"].is_null(),
        };
        let chosen = fields.iter().filter(is_chosen).map(|field| {
            let name = text(&field["name"]);
            let is_on_path = path.first().is_some_and(|chosen| chosen == name);
            let (path, nasty) = if is_on_path {
                (&path[1..], nasty)
            } else {
                (&[][..], None)
            };
            (
                name.to_owned(),
                self.valid(type_name, name, &field["type"], path, nasty, world),
            )
        });
        Value::Object(chosen.collect())
    }

    /// The type without lists and exclamation marks.
    fn named<'a>(&'a self, mut of: &'a Value) -> &'a Value {
        while !of["ofType"].is_null() {
            of = &of["ofType"];
        }
        &self.types[text(&of["name"])]
    }

    fn nasty(&self, of: &Value) -> Vec<Value> {
        let inner = nullable(of);
        if inner["kind"] == "LIST" {
            return vec![
                json!(null),
                json!([]),
                json!([null]),
                json!([[[[]]]]),
                json!({}),
                json!(vec![1; 10_000]),
            ];
        }
        let name = text(&inner["name"]);
        let mut values = vec![json!(null), json!([]), json!({ "a": 1 }), json!(true)];
        values.extend(match name {
            "String" => texts(),
            "ID" => ids(),
            "Int" => numbers(),
            "Decimal" => decimals(),
            "DateTime" => instants(),
            "Boolean" => vec![json!("true"), json!(1), json!(-0.0)],
            _ => vec![
                json!("NO_SUCH_VALUE"),
                json!("a\0b"),
                json!(SURROGATE),
                json!(1),
                json!("x".repeat(1_000)),
            ],
        });
        values
    }
}

fn texts() -> Vec<Value> {
    let cursor = |key: &str, micros: i64| {
        let bytes = [key.as_bytes(), &micros.to_be_bytes(), &[0; 16]].concat();
        json!(data_encoding::BASE64URL_NOPAD.encode(&bytes))
    };
    let mut values = vec![
        json!(""),
        json!("\0"),
        json!("a\0b"),
        json!(" "),
        json!("a\u{1}\u{7f}\u{85}\u{2028}\u{feff}\u{202e}b"),
        json!("\u{ffff}\u{10ffff}\u{fffe}"),
        json!("'; DROP TABLE events; --"),
        json!("%_\\"),
        json!("e\u{301}".repeat(300)),
        json!("😀".repeat(5_000)),
        json!(SURROGATE),
        json!("x".repeat(LONG)),
        json!("x ".repeat(LONG / 2)),
        json!("-".repeat(LONG)),
    ];
    // A cursor's instant is the client's too, however opaque.
    for micros in [
        i64::MIN,
        i64::MAX,
        0,
        -1,
        -8_334_601_228_800_000_000,
        8_210_266_876_799_999_999,
    ] {
        values.push(cursor("e", micros));
    }
    values
}

fn ids() -> Vec<Value> {
    let mut values = texts();
    let id = |bytes: &[u8]| json!(data_encoding::BASE64URL_NOPAD.encode(bytes));
    for kind in [&b"G"[..], b"E", b"Y", b"T", b"O", b"I", b"H", b"X", b"\0"] {
        values.push(id(&[kind, &[0; 16]].concat()));
        values.push(id(&[kind, &[0xff; 32]].concat()));
        values.push(id(&[kind, &[0; 15]].concat()));
    }
    values.extend([
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1.5),
        json!(1e300),
    ]);
    values.push(json!("00000000-0000-0000-0000-00000000000g"));
    values
}

fn numbers() -> Vec<Value> {
    let whole = [
        0,
        1,
        -1,
        i64::from(i32::MAX),
        i64::from(i32::MIN),
        1 << 31,
        -(1 << 31) - 1,
        i64::MAX,
        i64::MIN,
    ];
    let mut values: Vec<Value> = whole.into_iter().map(Value::from).collect();
    values.extend([
        json!(u64::MAX),
        json!(-0.0),
        json!(0.5),
        json!(1e300),
        json!(-1e300),
        json!(5e-324),
    ]);
    values.extend([
        json!("1"),
        json!("a\0b"),
        json!(SURROGATE),
        json!("9".repeat(1_000)),
    ]);
    values
}

fn decimals() -> Vec<Value> {
    [
        "",
        "-0",
        "-0.00",
        "+1",
        "1e5",
        "1E400",
        "NaN",
        "Infinity",
        "-Infinity",
        ".",
        "-",
        "1.",
        ".5",
        "0x10",
        "1_000",
        "１",
        "79228162514264337593543950335",
        "-79228162514264337593543950335",
        "79228162514264337593543950336",
        "0.0000000000000000000000000001",
        "9223372036854775807",
        "92233720368547758.07",
        "92233720368547758.08",
        "-92233720368547758.09",
        "10000000000.01",
        "a\0b",
        "\0",
        SURROGATE,
    ]
    .into_iter()
    .map(Value::from)
    .chain([
        json!(1),
        json!(-0.0),
        json!(1.5),
        json!(u64::MAX),
        json!("9".repeat(LONG)),
        json!("0".repeat(LONG)),
    ])
    .collect()
}

fn instants() -> Vec<Value> {
    [
        "",
        "+300000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "+262142-12-31T23:59:59.999999999Z",
        "-262143-01-01T00:00:00Z",
        "-5000-01-01T00:00:00Z",
        "+10000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "9999-12-31T23:59:59-23:59",
        "1970-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59Z",
        "2016-12-31T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+99:99",
        "infinity",
        "now",
        "1e10",
        "a\0b",
        SURROGATE,
    ]
    .into_iter()
    .map(Value::from)
    .chain([
        json!(0),
        json!(i64::MAX),
        json!(1.5),
        json!("9".repeat(LONG)),
    ])
    .collect()
}

/// The type as it is written in a document.
fn written(of: &Value) -> String {
    match text(&of["kind"]) {
        "NON_NULL" => format!("{}!", written(&of["ofType"])),
        "LIST" => format!("[{}]", written(&of["ofType"])),
        _ => text(&of["name"]).to_owned(),
    }
}

fn nullable(of: &Value) -> &Value {
    if of["kind"] == "NON_NULL" {
        &of["ofType"]
    } else {
        of
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
