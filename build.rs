//! Lists the playground's files, as `scripts/playground` made them, for `src/http/playground.rs` to carry. Where it made
//! none the list is empty, and the server has its plain page alone.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const SOURCES: &str = "src/http/playground";

fn main() -> io::Result<()> {
    let dist = Path::new(SOURCES).join("dist");
    // A path that is not there makes Cargo build anew each time. So `dist` is watched only when it is; the script touches
    // the other file when it has made `dist`.
    println!("cargo:rerun-if-changed={SOURCES}/package.json");
    let mut files = Vec::new();
    if dist.is_dir() {
        println!("cargo:rerun-if-changed={}", dist.display());
        let dist = dist.canonicalize()?;
        files.push(("/".to_owned(), dist.join("index.html")));
        files.extend(assets(&dist.join("assets"))?);
    }
    let entries: String = files
        .iter()
        .map(|(path, file)| format!("    ({path:?}, include_bytes!({file:?})),\n"))
        .collect();
    fs::write(out_dir().join("playground.rs"), format!("&[\n{entries}]\n"))
}

/// Each asset's path at the server, and its file, which is compressed.
fn assets(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let file = entry?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.and_then(|name| name.strip_suffix(".gz")) {
            files.push((format!("/assets/{name}"), file));
        }
    }
    files.sort();
    Ok(files)
}

#[expect(
    clippy::disallowed_methods,
    reason = "by this variable Cargo tells a build script where to write"
)]
fn out_dir() -> PathBuf {
    env::var_os("OUT_DIR")
        .expect("Cargo sets OUT_DIR for a build script")
        .into()
}
