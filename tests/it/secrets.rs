//! What must never be printed: everything that a run says is looked through for what it was told in confidence.

use std::{fs, time::Duration};

use rowlock::auth::Role;
use serde_json::json;

use crate::harness::{
    Database, Server,
    client::tokens,
    seed,
    server::{Builder, JWT_SECRET},
    socket::Socket,
};

/// A password that stands nowhere else.
const PASSWORD: &str = "correct-horse-battery-staple";

/// What a run must not say, each with what it is.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn are_not_in(&self, what: &str, text: &str) {
        for (name, secret) in &self.0 {
            assert!(!text.contains(secret.as_str()), "{name} in {what}: {text}");
        }
    }
}

/// The part that makes a token good: the others are no more than what they say.
fn signature(token: &str) -> String {
    token.rsplit('.').next().unwrap().to_owned()
}

fn database_of(password: &str) -> String {
    format!("postgres://rowlock:{password}@127.0.0.1:1/rowlock")
}

on_both_databases! {
    async fn a_run_tells_nobody_what_it_was_told_in_confidence(database: Database) {
        // A cluster of the tests' takes any password.
        let url = database.url().replace("postgres://postgres@", &format!("postgres://postgres:{PASSWORD}@"));
        let server = Server::builder(&database)
            .env("ROWLOCK_DATABASE_URL", &url)
            .env("ROWLOCK_LOG", "trace")
            .env("ROWLOCK_RATE_LIMITS", "on")
            .start()
            .await;
        let token = tokens().issue(Role::Customer, "ada-the-customer", Duration::from_secs(3600)).unwrap();
        let forged = format!("{}.Zm9yZ2VkLWJ5LXNvbWVib2R5", token.rsplit_once('.').unwrap().0);
        let event = seed::seats(&server.client(), 2).await;
        let ada = server.client().with_token(&token);
        let order = ada.purchase_ticket(event.ticket_ids()[0], "a-key-of-adas").await.sold();
        let code = order.items[0].admission_code.clone().unwrap();
        let mut socket = Socket::acknowledged(server.url(), Some(&token)).await;
        socket.subscribe("1", "{ me { subject } }", json!({})).await;
        socket.message().await;

        let secrets = Secrets(vec![
            ("the key of tokens", JWT_SECRET.to_owned()),
            ("the database's password", PASSWORD.to_owned()),
            ("a token", signature(&token)),
            ("a forged token", signature(&forged)),
            ("the customer", "ada-the-customer".to_owned()),
            ("an admission code", code),
        ]);
        // What was answered to others, and to whoever made a mistake.
        for (caller, document) in [
            (server.client().with_token(&forged), "{ me { subject } }"),
            (server.client().with_token(&token), "{ me { nothing } }"),
            (server.client().with_token(&token), "{"),
            (server.client().customer("ben"), "{ me { orders { nodes { id } } } }"),
            (server.client(), "{ me { subject } }"),
        ] {
            let answer = caller.send(document, json!({})).await;
            secrets.are_not_in("an answer", &format!("{answer:?}"));
        }
        let log = server.log();
        assert!(log.iter().any(|line| line.contains("TRACE")), "the log is a full one");
        secrets.are_not_in("the log", &log.join("\n"));
        secrets.are_not_in("what was printed", &server.output());
        secrets.are_not_in("the list of processes", &server.command_line());
    }
}

fn with_secrets(command: Builder) -> Builder {
    command
        .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
        .env("ROWLOCK_DATABASE_URL", &database_of(PASSWORD))
        .env("ROWLOCK_LOG", "trace")
}

#[test]
fn help_and_failures_name_variables_and_never_their_values() {
    let secrets = Secrets(vec![
        ("the key of tokens", JWT_SECRET.to_owned()),
        ("the password", PASSWORD.to_owned()),
    ]);
    for command in ["serve", "demo", "migrate", "audit", "rush", "token"] {
        let help = with_secrets(Server::command(&[command, "--help"])).print();
        assert!(help.contains("ROWLOCK_"), "{command}: {help}");
        secrets.are_not_in(command, &help);
    }
    // Nothing listens there: each fails, and says why.
    let fails = |arguments: &[&str]| {
        let output = with_secrets(Server::command(arguments)).output();
        assert!(!output.status.success(), "{arguments:?}");
        for said in [output.stdout, output.stderr] {
            secrets.are_not_in(&arguments.join(" "), &String::from_utf8(said).unwrap());
        }
    };
    // Side by side: each tries to connect for some seconds.
    std::thread::scope(|scope| {
        scope.spawn(|| fails(&["serve", "--listen", "127.0.0.1:0"]));
        scope.spawn(|| fails(&["demo", "--listen", "127.0.0.1:0"]));
        scope.spawn(|| fails(&["migrate", "up"]));
        scope.spawn(|| fails(&["audit"]));
    });
}

/// A file that has a private key where public ones belong is refused in words that are not its own.
#[test]
fn a_private_key_in_the_wrong_place_is_not_repeated() {
    let private = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU-private";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    let keys =
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "own", "d": private, "x": 7 }] });
    let database = format!("sqlite:{}", directory.path().join("rowlock.db").display());
    for text in [keys.to_string(), private.to_owned()] {
        fs::write(&file, text).unwrap();
        let output = with_secrets(Server::command(&["serve", "--listen", "127.0.0.1:0"]))
            .env("ROWLOCK_JWKS_FILE", file.to_str().unwrap())
            .env("ROWLOCK_DATABASE_URL", &database)
            .output();
        assert!(!output.status.success());
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(
            why.contains("keys.json"),
            "it is refused for its keys: {why}"
        );
        for said in [output.stdout, output.stderr] {
            let said = String::from_utf8(said).unwrap();
            assert!(!said.contains(private), "{said}");
        }
    }
}
