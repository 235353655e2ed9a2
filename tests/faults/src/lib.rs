//! Servers under load, what is done to them, and what must be true afterwards.
//!
//! [`workload`] asks and records in a [`history`]; [`nemesis`] breaks what it finds on a [`stage`] and heals it again; when
//! all is over, [`tables`] reads what the database holds, and [`check`] says what of it contradicts the promises. [`round`]
//! does one after the other, [`report`] adds up. Only [`check`] judges, and it is pure.
//!
//! Everything that is drawn by lot is drawn from a seed: what is asked and what is broken is the same again. What happens
//! then is not: processes and networks keep their own time.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "it runs in tests and for them: it fails by panicking and says why on stderr"
)]

#[macro_use]
#[path = "../../harness/harness.rs"]
pub mod harness;

pub mod caller;
pub mod check;
pub mod clusters;
pub mod g7;
pub mod history;
pub mod nemesis;
pub mod proxy;
pub mod report;
pub mod round;
pub mod stage;
pub mod tables;
pub mod workload;

use std::sync::OnceLock;

static PROGRAM: OnceLock<String> = OnceLock::new();

/// The binary under test, for [`harness`].
fn server() -> &'static str {
    PROGRAM
        .get()
        .expect("whoever runs this names the server's binary first: use_server")
}

/// Names the server's binary, once for a process.
pub fn use_server(program: &str) {
    let named = PROGRAM.get_or_init(|| program.to_owned());
    assert_eq!(named, program, "one process tests one binary");
}
