//! The report: a page with curves, as text and as seen in a browser.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{chromium::Screenshot, rush};
use crate::harness::{Database, Server, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_is_one_page_with_its_curves_and_nothing_from_elsewhere() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let event = seed::places(&server.client(), 400).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.html");
    let arguments = format!(
        "--event {} --pattern any --buyers 2 --rate 100 --purchases 60 --report {}",
        event.id,
        file.display()
    );
    // The rate makes it last long enough for curves; whether it is reached is the machine's affair.
    let ran = rush(&[server.url()], &arguments).await;
    assert_eq!(ran.result["audit"]["isClean"], true, "{}", ran.result);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("The Tests&#39; Own Concert"));
    assert!(page.contains("Audit clean"));
    for foreign in ["src=", "href=", "url(", "@import", "<script", "NaN"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    // Sold, answers a second, latency, percentiles: each has a line that goes on and on.
    let charts: Vec<&str> = page.split("<svg ").skip(1).collect();
    assert_eq!(charts.len(), 4);
    for chart in charts {
        let line = chart
            .split("class=\"line")
            .nth(1)
            .expect("a chart has a line");
        let path = line
            .split("d=\"M")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let places: Vec<f64> = path
            .split('L')
            .map(|point| point.split_once(' ').expect("a point has two numbers").0)
            .map(|x| x.parse().expect("a number"))
            .collect();
        assert!(places.len() > 4 && places.is_sorted(), "{path}");
    }
}

/// The report's lines in the light: `--first` of its style.
const LINE: [u8; 3] = [0x2a, 0x6f, 0xdb];

const WINDOW: (usize, usize) = (1_240, 1_600);

/// Lines of a chart are further apart than this, and those of one chart are not.
const GAP: usize = 40;

/// How many of a report's charts show a curve, which goes on from left to right: there are two charts beside each other.
async fn curves_seen(page: &Path) -> usize {
    let screenshot = Screenshot::of(page, WINDOW.0, WINDOW.1).await;
    let middle = screenshot.width / 2;
    let mut halves = [BTreeMap::new(), BTreeMap::new()];
    for (x, y) in screenshot.places_of(LINE) {
        let columns: &mut BTreeSet<usize> = halves[x / middle].entry(y).or_default();
        columns.insert(x);
    }
    let mut seen = 0;
    for lines in halves {
        let mut charts: Vec<(usize, BTreeSet<usize>)> = Vec::new();
        for (y, columns) in lines {
            match charts.last_mut() {
                Some((last, of_chart)) if y - *last < GAP => {
                    *last = y;
                    of_chart.extend(columns);
                }
                Some(_) | None => charts.push((y, columns)),
            }
        }
        seen += charts
            .iter()
            .filter(|(_, columns)| columns.len() > middle / 2)
            .count();
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_opens_the_report_in_a_browser_sees_its_curves() {
    let database = Database::sqlite().await;
    let server = Server::start(&database).await;
    let event = seed::places(&server.client(), 400).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.html");
    let arguments = format!(
        "--event {} --pattern any --buyers 2 --rate 100 --purchases 150 --report {}",
        event.id,
        file.display()
    );
    rush(&[server.url()], &arguments).await;
    assert_eq!(curves_seen(&file).await, 4);
    // The eye itself: where no line is drawn, it sees none.
    let page = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, page.replace("<path ", "<desc ")).unwrap();
    assert_eq!(curves_seen(&file).await, 0);
}
