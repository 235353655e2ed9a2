//! The PostgreSQL that tests use: the one that `ROWLOCK_TEST_POSTGRES_URL` names, or one of this process's own.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

/// The superuser's URL of the cluster's database `postgres`. Fails the test, with what to install, when there is none.
pub fn admin_url() -> &'static str {
    static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
    match CLUSTER.get_or_init(Cluster::find) {
        Ok(cluster) => &cluster.url,
        Err(why) => panic!("{why}"),
    }
}

struct Cluster {
    url: String,
    /// The cluster ends when this process's end of its keeper's input closes, as it does at any death of the process.
    _keeper: Option<Child>,
}

impl Cluster {
    fn find() -> Result<Self, String> {
        #[expect(clippy::disallowed_methods, reason = "the test program's own setting")]
        match std::env::var("ROWLOCK_TEST_POSTGRES_URL") {
            Ok(url) if !url.is_empty() => Ok(Self { url, _keeper: None }),
            _ => Self::start(),
        }
    }

    fn start() -> Result<Self, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|directory| directory.join("scripts/with-postgres"))
            .find(|script| script.exists())
            .ok_or("scripts/with-postgres is missing")?;
        let mut keeper = Command::new(script)
            .args([
                "sh",
                "-c",
                "echo \"$ROWLOCK_TEST_POSTGRES_URL\"; exec cat > /dev/null",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("scripts/with-postgres does not run: {error}"))?;
        let mut url = String::new();
        let stdout = keeper.stdout.take().expect("stdout is piped");
        BufReader::new(stdout)
            .read_line(&mut url)
            .map_err(|error| format!("scripts/with-postgres cannot be read: {error}"))?;
        if url.is_empty() {
            let mut why = String::new();
            let _ = keeper
                .stderr
                .take()
                .expect("stderr is piped")
                .read_to_string(&mut why);
            return Err(why.trim().to_owned());
        }
        Ok(Self {
            url: url.trim().to_owned(),
            _keeper: Some(keeper),
        })
    }
}
