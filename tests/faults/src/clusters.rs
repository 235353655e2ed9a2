//! Database servers of a run's own, which it may break: a PostgreSQL, alone or with a synchronous standby behind HAProxy, and
//! a small disk.

pub mod disk;
pub mod haproxy;
pub mod pair;
pub mod postgres;

use std::{
    ffi::OsStr,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

/// Programs that Debian keeps out of the way.
const DIRECTORIES: &[&str] = &["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Where a program is, if it is installed.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let directories = DIRECTORIES.iter().map(Path::new);
    let mut paths = directories.map(|directory| directory.join(name));
    paths.find(|path| path.exists())
}

/// A port that nobody listens on at this moment, below Linux's range of ephemeral ones.
pub fn free_port() -> u16 {
    loop {
        let port = rand::random_range(20_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// PostgreSQL refuses to run as root; as anybody else one need not change. It ends with this process.
fn as_server_user(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Command {
    let mut command = Command::new("/usr/bin/setpriv");
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command
        .args(["--pdeathsig", "QUIT", "--"])
        .arg(program)
        .args(arguments);
    command
}
