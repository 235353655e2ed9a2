//! Sets `cfg(without_lock)` for this package alone.

fn main() {
    println!("cargo:rustc-cfg=without_lock");
    println!("cargo:rerun-if-changed=build.rs");
}
