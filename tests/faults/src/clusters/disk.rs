//! A disk so small that it can be filled: a file system in memory, where one may be mounted.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A mounted file system of a few megabytes. Unmounted when dropped.
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// # Errors
    /// When this user may not mount anything here; the text is for the report.
    pub fn mount(megabytes: u32) -> Result<Self, String> {
        let directory = tempfile::Builder::new()
            .prefix("rowlock-faults-disk-")
            .tempdir()
            .unwrap();
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(directory.path())
            .output()
            .map_err(|error| format!("mount does not run: {error}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("no tmpfs can be mounted here: {}", why.trim()));
        }
        Ok(Self { directory })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes until nothing fits any more.
    pub fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).unwrap();
        let block = vec![b'x'; 1 << 16];
        let mut len = block.len();
        // Smaller and smaller, so that the last byte is taken too.
        while len > 0 {
            match ballast.write(&block[..len]) {
                Ok(written) if written > 0 => {}
                Ok(_) | Err(_) => len /= 2,
            }
        }
    }

    pub fn empty(&self) {
        let _ = fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.directory.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} could not be unmounted", self.path().display());
        }
    }
}
