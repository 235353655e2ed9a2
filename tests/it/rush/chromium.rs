//! A page as somebody sees it who opens it: a screenshot by headless Chromium.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::harness::eventually;

/// A page of one file is there after a second or two; a browser that has just been installed takes longer.
const SCREENSHOT_MAX: Duration = Duration::from_secs(90);

/// What Chromium is called, by those who make packages of it.
const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "chromium-headless-shell",
    "google-chrome",
    "google-chrome-stable",
];

/// What a page looks like, in light colours, a pixel for each of CSS's.
pub struct Screenshot {
    pub width: usize,
    /// Red, green and blue, line by line from the top.
    pixels: Vec<[u8; 3]>,
}

impl Screenshot {
    /// Of a page of HTML, in a window of this size.
    pub async fn of(page: &Path, width: usize, height: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("page.png");
        let said = directory.path().join("said");
        let mut command = Command::new(find());
        command
            .args(["--headless", "--disable-gpu", "--hide-scrollbars"])
            .args([
                "--force-device-scale-factor=1",
                "--force-color-profile=srgb",
            ])
            // Root has no sandbox to be in, and a container of a test has none to give. The page is our own.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            .arg("--virtual-time-budget=1000")
            .arg(format!("--user-data-dir={}", profile(&directory)))
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--screenshot={}", file.display()))
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said).unwrap());
        let mut browser = Browser(command.spawn().unwrap());
        eventually("the screenshot", SCREENSHOT_MAX, async || {
            browser.0.try_wait().unwrap()
        })
        .await;
        let said = std::fs::read_to_string(said).unwrap();
        let file =
            File::open(file).unwrap_or_else(|error| panic!("no screenshot: {error}: {said}"));
        Self::read(file)
    }

    fn read(file: File) -> Self {
        let mut decoder = png::Decoder::new(std::io::BufReader::new(file));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        let samples = frame.color_type.samples();
        assert!(samples >= 3, "a picture in colours");
        Self {
            width: frame.width as usize,
            pixels: bytes[..frame.buffer_size()]
                .chunks(samples)
                .map(|pixel| [pixel[0], pixel[1], pixel[2]])
                .collect(),
        }
    }

    /// Where it has this colour, as near as an eye can tell: x and y, from the top left.
    pub fn places_of(&self, colour: [u8; 3]) -> impl Iterator<Item = (usize, usize)> {
        let is_near = move |pixel: &[u8; 3]| {
            let differences = pixel.iter().zip(colour).map(|(a, b)| a.abs_diff(b));
            differences.max() <= Some(8)
        };
        let near = self
            .pixels
            .iter()
            .enumerate()
            .filter(move |(_, pixel)| is_near(pixel));
        near.map(|(index, _)| (index % self.width, index / self.width))
    }
}

struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn profile(directory: &TempDir) -> String {
    directory.path().join("profile").display().to_string()
}

fn find() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "the test program's own setting")]
    let (named, path) = (
        std::env::var_os("ROWLOCK_TEST_CHROMIUM"),
        std::env::var_os("PATH").unwrap_or_default(),
    );
    match named {
        Some(program) => program.into(),
        None => std::env::split_paths(&path)
            .flat_map(|directory| NAMES.map(|name| directory.join(name)))
            .find(|program| program.is_file())
            .expect("Chromium is not installed: apt-get install chromium, or set ROWLOCK_TEST_CHROMIUM to its program"),
    }
}
