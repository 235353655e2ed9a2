//! What README.md and CONTRIBUTING.md say is so: every command is run here or by CI, every answer is the server's.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    demo::Demo,
    harness::{
        Database,
        client::{codes, tokens},
        server::JWT_SECRET,
    },
    server,
};

/// Who runs a block of commands.
enum Run {
    /// This test, with the binary under test in place of an installed one.
    Here(fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>),
    /// CI: `.ci/run` is `scripts/test`, which runs what is named here.
    ByCi(fn()),
    /// Nobody here: it needs a container engine. What can be checked without one is.
    WithContainers(fn()),
}

/// Every block of commands, and who runs it. A command that is not here is not run by anybody, and fails the test.
fn known() -> Vec<(&'static [&'static str], Run)> {
    vec![
        (
            &["cargo run --release -- demo"],
            Run::Here(|| Box::pin(demo_runs())),
        ),
        (
            &[
                "export ROWLOCK_DATABASE_URL=postgres://rowlock:secret@db.example/rowlock",
                "export ROWLOCK_JWT_SECRET_FILE=/run/secrets/rowlock-jwt",
                "rowlock migrate up",
                "rowlock serve --listen 0.0.0.0:8080 --log-format json",
            ],
            Run::Here(|| Box::pin(production_runs())),
        ),
        (
            &["rowlock token --role customer --subject ada --for 12h"],
            Run::Here(|| Box::pin(async { token_is_good() })),
        ),
        (
            &[
                "rowlock audit",
                "rowlock audit --event new-years-gala",
                "rowlock audit --format json",
            ],
            Run::Here(|| Box::pin(the_audit_runs())),
        ),
        (
            &["POSTGRES_PASSWORD=… ROWLOCK_JWT_SECRET=… docker compose up"],
            Run::WithContainers(compose_asks_for_what_it_is_given),
        ),
        (&["scripts/test"], Run::ByCi(ci_runs_the_tests)),
        (
            &["scripts/with-postgres cargo nextest run last_seat"],
            Run::ByCi(ci_runs_with_postgres),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_in_the_documents_is_run() {
    let documented: BTreeSet<Vec<String>> = ["README.md", "CONTRIBUTING.md"]
        .iter()
        .flat_map(|file| blocks(&read(file), "sh"))
        .map(|block| commands(&block))
        .collect();
    let known = known();
    let of_table: BTreeSet<Vec<String>> = known
        .iter()
        .map(|(commands, _)| commands.iter().map(|&command| command.to_owned()).collect())
        .collect();
    assert_eq!(
        documented, of_table,
        "what the documents say, and what is known to run"
    );
    for (commands, run) in known {
        eprintln!("{commands:?}");
        match run {
            Run::Here(run) => run().await,
            Run::ByCi(check) | Run::WithContainers(check) => check(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_purchase_is_answered_as_the_readme_says() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path(), &[]).await;
    let readme = read("README.md");
    let document = &blocks(&readme, "graphql")[0];
    let answers: Vec<Value> = blocks(&readme, "json")
        .iter()
        .map(|block| serde_json::from_str(block).expect("an answer is JSON"))
        .collect();
    let [first, second] = &answers[..] else {
        panic!("two answers, not {}", answers.len());
    };
    let body = body_of(demo.curl());
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(
        bare(document),
        bare(body["query"].as_str().unwrap()),
        "the document is what the curl sends"
    );

    // Every value but the random ones is as it is written.
    let mut answer = demo.run_curl();
    let mut expected = first.clone();
    for value in [&mut answer, &mut expected] {
        let order = &mut value["data"]["purchaseTicket"]["order"];
        for random in [
            order["id"].take(),
            order["items"][0]["admissionCode"].take(),
        ] {
            assert!(
                random.as_str().is_some_and(|text| text.len() > 20),
                "{random}"
            );
        }
    }
    assert_eq!(answer, expected);

    let mut input = body["variables"]["input"].clone();
    input["idempotencyKey"] = json!("another");
    let customer = demo.caller("A customer's token");
    let answer = customer.data(document, json!({ "input": input })).await;
    assert_eq!(json!({ "data": answer }), *second);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checkout_is_the_readmes() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path(), &[]).await;
    let readme = read("README.md");
    let documents = blocks(&readme, "graphql");
    let [_, hold, extend, mine, buy, cancel] = &documents[..] else {
        panic!("six documents, not {}", documents.len());
    };
    let customer = demo.caller("A customer's token");
    let ask = async |document: &str, input: Value| -> Value {
        let data = customer.data(document, json!({ "input": input })).await;
        let (_, payload) = data.as_object().unwrap().iter().next().unwrap();
        payload.clone()
    };
    let seats = body_of(demo.curl())["variables"]["input"]["ticketId"].clone();
    let held = ask(
        hold,
        json!({ "tickets": { "ids": [seats] }, "idempotencyKey": "hold" }),
    )
    .await;
    assert_eq!(held["userErrors"], json!([]));
    assert_eq!(held["alternatives"], Value::Null);
    let id = &held["hold"]["id"];
    let extended = ask(extend, json!({ "holdId": id, "idempotencyKey": "extend" })).await;
    assert_eq!(extended["hold"]["id"], *id);
    let found = customer.data(mine, json!({})).await;
    assert_eq!(found["me"]["holds"]["nodes"][0]["id"], *id);
    let total = held["hold"]["total"].clone();
    let input = json!({ "holdId": id, "expectedTotal": total["amount"], "idempotencyKey": "buy" });
    let bought = ask(buy, input).await;
    assert_eq!(bought["order"]["total"], total);

    // The seat is gone for others, who are told so.
    let refused = ask(
        hold,
        json!({ "tickets": { "ids": [seats] }, "idempotencyKey": "again" }),
    )
    .await;
    assert_eq!(codes(&refused), ["ALREADY_SOLD"]);
    let input = json!({ "orderId": bought["order"]["id"], "idempotencyKey": "cancel" });
    let cancelled = ask(cancel, input).await;
    assert_eq!(cancelled["order"]["status"], "CANCELLED", "{cancelled}");
    assert_eq!(cancelled["order"]["cancelledTotal"], total);
}

#[test]
fn the_map_of_the_code_names_what_is_there() {
    let readme = read("README.md");
    let map = readme
        .split("| room | what it owns |")
        .nth(1)
        .expect("the map");
    let rooms: Vec<&str> = map
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| "))
        .flat_map(|line| {
            line.split('|')
                .nth(1)
                .expect("a room")
                .split('`')
                .skip(1)
                .step_by(2)
        })
        .collect();
    assert!(rooms.len() > 10, "{rooms:?}");
    for room in rooms {
        assert!(root().join(room).exists(), "{room}");
    }
}

#[test]
fn the_documents_link_to_what_is_there() {
    for file in ["README.md", "CONTRIBUTING.md"] {
        let text = read(file);
        let links: Vec<&str> = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .collect();
        for link in links.iter().filter(|link| !link.starts_with("http")) {
            assert!(
                root().join(link.split('#').next().unwrap()).exists(),
                "{file}: {link}"
            );
        }
    }
}

async fn demo_runs() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path(), &[]).await;
    assert!(demo.run_curl()["data"]["purchaseTicket"]["order"].is_object());
}

/// The block as a script, in a shell, with this machine's database, key file and a free port in place of its own.
async fn the_audit_runs() {
    let directory = tempfile::tempdir().unwrap();
    let _demo = Demo::start(directory.path(), &[]).await;
    let block = blocks(&read("README.md"), "sh")
        .into_iter()
        .find(|block| block.contains("rowlock audit"))
        .unwrap();
    let url = format!(
        "sqlite:{}",
        directory.path().join("rowlock-demo.db").display()
    );
    let output = shell(&format!("set -e\n{block}"))
        .env("ROWLOCK_DATABASE_URL", url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn production_runs() {
    let database = Database::empty_postgres().await;
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), JWT_SECRET).unwrap();
    let block = blocks(&read("README.md"), "sh")
        .into_iter()
        .find(|block| block.contains("rowlock serve"))
        .unwrap();
    let mut script = block;
    for (written, here) in [
        (
            "postgres://rowlock:secret@db.example/rowlock",
            database.url().as_str(),
        ),
        ("/run/secrets/rowlock-jwt", key.path().to_str().unwrap()),
        ("0.0.0.0:8080", "127.0.0.1:0"),
        // So that the server is the process that is ended.
        ("\nrowlock serve", "\nexec rowlock serve"),
    ] {
        assert!(script.contains(written), "{written} in {script}");
        script = script.replace(written, here);
    }
    let mut shell = shell(&format!("set -e\n{script}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(shell.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let url = lines
        .into_iter()
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    let ready = match &url {
        Some(url) => reqwest::get(format!("{url}/readyz"))
            .await
            .map(|answer| answer.status())
            .ok(),
        None => None,
    };
    shell.kill().unwrap();
    shell.wait().unwrap();
    assert_eq!(ready, Some(reqwest::StatusCode::OK), "{url:?}");
}

fn token_is_good() {
    let command = "rowlock token --role customer --subject ada --for 12h";
    let output = shell(command)
        .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
        .output()
        .unwrap();
    let token = String::from_utf8(output.stdout).unwrap();
    let caller = tokens().verify(token.trim()).unwrap();
    assert_eq!(caller.caller.customer().unwrap().account().subject, "ada");
}

fn compose_asks_for_what_it_is_given() {
    let compose = read("compose.yaml");
    for variable in ["POSTGRES_PASSWORD", "ROWLOCK_JWT_SECRET"] {
        assert!(compose.contains(&format!("${{{variable}")), "{variable}");
    }
    assert!(root().join("Dockerfile").is_file());
}

fn ci_runs_the_tests() {
    assert!(read(".ci/run").contains("scripts/test"));
    for script in [".ci/run", "scripts/test"] {
        assert_executable(script);
    }
}

fn ci_runs_with_postgres() {
    assert_executable("scripts/with-postgres");
    let test = read("scripts/test");
    assert!(
        test.contains("scripts/with-postgres") && test.contains("cargo nextest run"),
        "{test}"
    );
    assert!(
        read("tests/it/purchase.rs").contains("fn last_seat"),
        "a test of that name"
    );
}

fn assert_executable(path: &str) {
    let mode = root().join(path).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{path}");
}

/// A shell that finds the binary under test as `rowlock`, and nothing of the caller's own settings.
fn shell(script: &str) -> Command {
    let binaries = Path::new(server())
        .parent()
        .expect("the binary is in a directory");
    // With setpriv the server ends with this process, as the harness's own do.
    let mut command = match Path::new("/usr/bin/setpriv").exists() {
        true => {
            let mut command = Command::new("/usr/bin/setpriv");
            command.args(["--pdeathsig", "KILL", "--", "sh"]);
            command
        }
        false => Command::new("sh"),
    };
    command
        .args(["-c", script])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", binaries.display()))
        .stdin(Stdio::null());
    command
}

/// What the printed command sends.
fn body_of(curl: &str) -> Value {
    let (_, body) = curl.split_once("-d '").expect("the curl sends a body");
    serde_json::from_str(body.trim_end().trim_end_matches('\'')).expect("the body is JSON")
}

/// A block's commands, without comments.
fn commands(block: &str) -> Vec<String> {
    block
        .lines()
        .map(|line| {
            line.split(" #")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// The texts of a document's fenced blocks of this language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in document.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(tag), None) => open = Some((tag.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => {
                let (tag, text) = open.take().expect("a block is open");
                assert_ne!(tag, "", "every block says its language");
                if tag == language {
                    blocks.push(text);
                }
            }
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "every block is closed");
    blocks
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
