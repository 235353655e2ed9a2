//! The image is built of few files of the sources: cargo must find in them all that the manifests name. Nothing is compiled.

use std::{fs, path::Path, process::Command};

const BUILD: &str = "cargo build --release --locked --package rowlock";

/// Reads the manifests, and looks for the files of every target.
const LOOK: &str =
    "cargo metadata --offline --locked --no-deps --quiet --format-version 1 > /dev/null";

#[test]
fn what_the_image_is_built_of_is_a_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dockerfile = fs::read_to_string(root.join("Dockerfile")).unwrap();
    let ignore = fs::read_to_string(root.join(".dockerignore")).unwrap();
    let in_context = |path: &str| {
        ignore
            .lines()
            .filter_map(|line| line.strip_prefix('!'))
            .any(|kept| path == kept || path.starts_with(&format!("{kept}/")))
    };
    let joined = dockerfile.replace("\\\n", "");
    let (_, stage) = joined.split_once(" AS build\n").unwrap();
    let (stage, _) = stage.split_once("\nFROM ").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut builds = 0;
    for line in stage.lines() {
        if let Some(copied) = line.strip_prefix("COPY ") {
            let paths: Vec<_> = copied.split_whitespace().collect();
            // The playground's files, made by a stage before.
            if paths[0].starts_with("--from=") {
                continue;
            }
            let (to, from) = paths.split_last().unwrap();
            for path in from {
                assert!(in_context(path), "{path} is not sent to the builder");
                copy(root, path, &directory.path().join(to));
            }
        } else if let Some(command) = line.strip_prefix("RUN ") {
            builds += command.matches(BUILD).count();
            let command = command.replace(BUILD, LOOK);
            let done = Command::new("sh")
                .args(["-euc", &command])
                .current_dir(directory.path())
                .status();
            assert!(done.unwrap().success(), "{command}");
        }
    }
    assert_eq!(builds, 2, "the dependencies, then the server");
}

/// As COPY does: what is in a directory, or a file into one.
fn copy(root: &Path, path: &str, to: &Path) {
    let from = root.join(path);
    fs::create_dir_all(to).unwrap();
    let from = if from.is_dir() { from.join(".") } else { from };
    let done = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(done.unwrap().success(), "{path}");
}
