//! A server process of a test's own.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use super::{Client, Database, eventually};

/// A server that has not said where it listens by then is broken.
const START_MAX: Duration = Duration::from_secs(30);

/// The last lines of a server's log that are kept for a test that fails.
const LOG_LINES_MAX: usize = 2_000;

/// Signs the tests' tokens; as long as a key must be at least.
pub const JWT_SECRET: &str = "the tests' own key of 32 bytes!!";

/// What a server is started with.
pub struct Builder {
    command: Command,
}

/// A running server; killed when dropped.
pub struct Server {
    process: Child,
    log: Log,
    output: Log,
    url: String,
}

type Log = Arc<Mutex<VecDeque<String>>>;

impl Server {
    /// `serve` on `database`, with nothing else set.
    pub async fn start(database: &Database) -> Self {
        Self::builder(database).start().await
    }

    /// `ROWLOCK_TEST_BATCH_LEN` is the batches' maximum of every server, for a run of the tests that is about that.
    pub fn builder(database: &Database) -> Builder {
        Self::serving(&database.url())
    }

    /// As [`Self::builder`], on the database of this URL.
    pub fn serving(url: &str) -> Builder {
        let builder = Self::command(&["serve"])
            .env("ROWLOCK_LISTEN", "127.0.0.1:0")
            .env("ROWLOCK_DATABASE_URL", url)
            .env("ROWLOCK_JWT_SECRET", JWT_SECRET)
            // A test's few callers ask for more than people do. What is about the limits turns them on.
            .env("ROWLOCK_RATE_LIMITS", "off")
            // A crowd is served however long a slow machine takes for it, batch by batch. What is about overload says less.
            .env("ROWLOCK_QUEUE_WAIT_MS", "60000");
        #[expect(clippy::disallowed_methods, reason = "the test program's own setting")]
        match std::env::var("ROWLOCK_TEST_BATCH_LEN") {
            Ok(len) => builder.env("ROWLOCK_BATCH_LEN", &len),
            Err(_) => builder,
        }
    }

    /// The binary with these arguments and none of the caller's own `ROWLOCK_` variables.
    pub fn command(arguments: &[&str]) -> Builder {
        let mut command = end_with_this_process(crate::server());
        command
            .args(arguments)
            .env_remove("ROWLOCK_DATABASE_URL")
            .env_remove("ROWLOCK_JWT_SECRET")
            .env_remove("ROWLOCK_JWT_SECRET_FILE")
            .env_remove("ROWLOCK_JWKS_FILE")
            .env_remove("ROWLOCK_JWKS_URL")
            .env_remove("ROWLOCK_ISSUERS")
            .env_remove("ROWLOCK_LISTEN")
            .env_remove("ROWLOCK_BATCH_LEN")
            .env_remove("ROWLOCK_HOSTS")
            .env_remove("ROWLOCK_TRUSTED_PROXIES")
            .env_remove("ROWLOCK_RATE_LIMITS")
            .env("ROWLOCK_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Builder { command }
    }

    /// As in `http://127.0.0.1:41234`.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// The log's lines so far, oldest first; of a long one the last.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().cloned().collect()
    }

    /// What the server has printed so far.
    pub fn output(&self) -> String {
        let output = self.output.lock().unwrap();
        output
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect()
    }

    /// What every user of the machine can read of the process.
    pub fn command_line(&self) -> String {
        let file = format!("/proc/{}/cmdline", self.process.id());
        let line = std::fs::read(file).expect("the process runs");
        String::from_utf8(line).unwrap().replace('\0', " ")
    }

    /// Stops the process where it is, with everything it has begun.
    pub fn sigstop(&self) {
        self.signal(Signal::STOP);
    }

    pub fn sigcont(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks the server to finish what it has and end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the process with no warning, as a crash would.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    pub async fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let process = &mut self.process;
        eventually("the server's end", deadline, async || {
            process.try_wait().unwrap()
        })
        .await
    }

    fn signal(&self, signal: Signal) {
        kill_process(pid(&self.process), signal).unwrap();
    }
}

impl Builder {
    pub fn env(mut self, variable: &str, value: &str) -> Self {
        self.command.env(variable, value);
        self
    }

    pub fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn current_dir(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs a command that ends by itself and gives what it answered.
    pub fn output(mut self) -> std::process::Output {
        self.command.output().unwrap()
    }

    /// What a command says that must fail: one sentence, for the operator.
    pub fn refusal(self) -> String {
        let output = self.output();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "it did not fail; it said: {said}");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// What a command prints that must succeed.
    pub fn print(self) -> String {
        let output = self.output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the server and waits until it listens.
    pub async fn start(self) -> Server {
        let started = self.try_start().await;
        started.unwrap_or_else(|why| panic!("{why}"))
    }

    /// As [`Self::start`].
    ///
    /// # Errors
    /// When the server ended, with its last words, or never listened.
    pub async fn try_start(mut self) -> Result<Server, String> {
        let program = crate::server();
        let mut process = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let (log, output) = (Log::default(), Log::default());
        keep_lines("log", process.stderr.take().expect("stderr is piped"), {
            let log = log.clone();
            move |line| remember(&log, line)
        });
        let (heard, listening) = oneshot::channel();
        let mut heard = Some(heard);
        keep_lines("output", process.stdout.take().expect("stdout is piped"), {
            let output = output.clone();
            move |line| {
                remember(&output, line.clone());
                if let Some(url) = line.strip_prefix("listening on ")
                    && let Some(heard) = heard.take()
                {
                    let _ = heard.send(url.trim().to_owned());
                }
            }
        });
        // Owned before the wait, so that a server that never listens is ended too.
        let mut server = Server {
            process,
            log,
            output,
            url: String::new(),
        };
        match tokio::time::timeout(START_MAX, listening).await {
            Ok(Ok(url)) => {
                server.url = url;
                Ok(server)
            }
            Ok(Err(_)) => Err(format!(
                "the server ended before it listened; it said: {}",
                server.log().join("\n")
            )),
            Err(_) => Err(format!("the server did not listen within {START_MAX:?}")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process that has ended already cannot be killed, and that is well.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("---- log of the server {}", self.url);
            for line in self.log.lock().unwrap().iter() {
                eprintln!("{line}");
            }
        }
    }
}

/// On Linux the server is killed when the test's process dies, also by SIGKILL.
fn end_with_this_process(program: &str) -> Command {
    if cfg!(target_os = "linux") && Path::new("/usr/bin/setpriv").exists() {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]);
        command
    } else {
        Command::new(program)
    }
}

fn pid(process: &Child) -> Pid {
    let id = i32::try_from(process.id()).expect("a process id fits");
    Pid::from_raw(id).expect("a process id is not zero")
}

/// Reads a pipe to its end on a thread that ends with it.
fn keep_lines(
    name: &str,
    pipe: impl Read + Send + 'static,
    mut keep: impl FnMut(String) + Send + 'static,
) {
    std::thread::Builder::new()
        .name(format!("server's {name}"))
        .spawn(move || {
            BufReader::new(pipe)
                .lines()
                .map_while(Result::ok)
                .for_each(&mut keep);
        })
        .unwrap();
}

fn remember(log: &Log, line: String) {
    let mut log = log.lock().unwrap();
    if log.len() == LOG_LINES_MAX {
        log.pop_front();
    }
    log.push_back(line);
}
