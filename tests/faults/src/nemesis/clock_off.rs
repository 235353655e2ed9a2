//! A server whose clock is an hour ahead of the database's and everybody else's, or an hour behind. One that is behind takes
//! every new token for one of later, and sells nothing; what it must not do is harm.

use std::path::Path;

use rand::{RngExt, rngs::StdRng};

use crate::stage::Stage;

/// Debian's libfaketime, for programs of several threads.
const LIBRARIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

pub struct Off {
    door: usize,
}

pub async fn inject(stage: &Stage, random: &mut StdRng) -> Result<Off, String> {
    let library = LIBRARIES.iter().find(|library| Path::new(library).exists());
    let library = library.ok_or("libfaketime is not installed: apt-get install libfaketime")?;
    let door = random.random_range(0..stage.doors.len());
    let hour = if random.random_ratio(2, 3) {
        "+3600"
    } else {
        "-3600"
    };
    let environment = [
        ("LD_PRELOAD", *library),
        ("FAKETIME", hour),
        // What has passed is measured right, as by a machine whose clock was set wrong.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let environment = environment.map(|(variable, value)| (variable.to_owned(), value.to_owned()));
    stage.doors.get(door).start(&environment).await?;
    Ok(Off { door })
}

impl Off {
    pub async fn heal(self, stage: &Stage) -> Result<(), String> {
        stage.doors.get(self.door).start(&[]).await
    }
}
