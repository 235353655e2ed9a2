//! Sets `cfg(without_lock)` for this package alone, and lists no files of the playground: nobody looks at it here.

use std::{env, fs, io, path::Path};

#[expect(
    clippy::disallowed_methods,
    reason = "by this variable Cargo tells a build script where to write"
)]
fn main() -> io::Result<()> {
    println!("cargo:rustc-cfg=without_lock");
    println!("cargo:rerun-if-changed=build.rs");
    let out_dir = env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR for a build script");
    fs::write(Path::new(&out_dir).join("playground.rs"), "&[]")
}
