//! What docs/security.md says is shown by tests that are there.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// In the last column a test is its function, with its module or without, or a whole module.
#[test]
fn every_test_that_the_page_names_is_there() {
    let page = include_str!("../../docs/security.md");
    let mut code = String::new();
    for file in [sources("tests/it"), sources("src")].concat() {
        code.push_str(&fs::read_to_string(file).unwrap());
    }
    let mut tests = 0;
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let columns: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, _, shown_by] = columns[..] else {
            continue;
        };
        for name in shown_by.split('`').skip(1).step_by(2) {
            tests += 1;
            let function = name.rsplit("::").next().unwrap();
            let path = name.replace("::", "/");
            let is_module = ["", "it/"].iter().any(|room| {
                let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join(format!("tests/{room}{}", path.trim_start_matches("tests/")));
                path.is_dir() || path.with_extension("rs").is_file()
            });
            assert!(
                is_module || code.contains(&format!("fn {function}(")),
                "docs/security.md names {name}, and there is no such test"
            );
        }
    }
    assert!(tests > 20, "only {tests} tests were looked for");
}
