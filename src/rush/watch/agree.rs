//! Whether what was pushed is what there is: what each watcher knows against each server's seat map and the tickets' rows, all
//! of the same version.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sea_orm::DatabaseConnection;
use tokio::time::{Instant, sleep};

use super::{audience::Audience, known::Known};
use crate::rush::{
    audit::{Difference, Findings},
    client::Line,
    database::{SeatRows, seat_rows},
    progress::grouped,
    run::Run,
};

/// Holds that end by themselves change seats after the last buyer has gone, and what is compared must be of one version.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// An event's seats as everybody but the watchers says that they are, at one version.
struct There {
    maps: Vec<Known>,
    rows: Option<SeatRows>,
}

/// Waits until everybody speaks of the same version, and compares.
///
/// # Errors
/// In a sentence, when that could not be looked at before the deadline.
pub async fn agree(
    run: &Arc<Run>,
    audience: &Audience,
    database: Option<&DatabaseConnection>,
    deadline: Instant,
    findings: &mut Findings,
) -> Result<(), String> {
    let mut lines = lines(run);
    loop {
        let there = look(audience, &mut lines, database).await?;
        if let Some(version) = there.version() {
            if !audience.reach(version, deadline).await {
                return behind(audience, version, findings);
            }
            let all_known = audience.history().all_known();
            if all_known.iter().all(|(known, _)| known.version == version) {
                for (known, watchers) in &all_known {
                    there.compare(known, *watchers, findings);
                }
                return Ok(());
            }
        }
        if Instant::now() >= deadline {
            return Err(format!(
                "the seats of {} went on changing, and what was pushed could not be compared with them",
                audience.event().slug
            ));
        }
        sleep(LOOK_AGAIN_AFTER).await;
    }
}

/// One to each server.
fn lines(run: &Arc<Run>) -> Vec<Line> {
    let servers = run.servers.iter();
    let line = |server: &_| Line::new([Clone::clone(server)].into(), 0, run.answer_wait);
    servers.map(line).collect()
}

async fn look(
    audience: &Audience,
    lines: &mut [Line],
    database: Option<&DatabaseConnection>,
) -> Result<There, String> {
    let rows = match database {
        Some(db) => {
            let rows = seat_rows(db, &audience.event().slug).await;
            Some(rows.map_err(|error| format!("the database could not be asked: {error}"))?)
        }
        None => None,
    };
    let (mut maps, mut trouble) = (Vec::new(), None);
    for line in lines {
        match audience.map(line).await {
            Ok(map) => maps.push(map),
            // One of several servers may be gone: the others tell.
            Err(error) => trouble = Some(error),
        }
    }
    match trouble {
        Some(error) if maps.is_empty() => Err(format!(
            "the seat map could not be read in the end: {error}"
        )),
        _ => Ok(There { maps, rows }),
    }
}

fn behind(audience: &Audience, version: i64, findings: &mut Findings) -> Result<(), String> {
    let (listening, lost) = audience.history().behind(version);
    let slug = &audience.event().slug;
    let what = format!("those who watch {slug} have not heard of version {version}");
    findings.add(Difference::NotPushed, listening, &what);
    if lost == 0 {
        return Ok(());
    }
    Err(format!(
        "{} who watch {slug} have no server to tell them of version {version}",
        grouped(lost)
    ))
}

impl There {
    /// That all of it is of; none while something is on its way.
    fn version(&self) -> Option<i64> {
        let version = self.maps.first()?.version;
        let of_maps = self.maps.iter().all(|map| map.version == version);
        let rows = self.rows.as_ref();
        let of_rows = rows.is_none_or(|rows| rows.unnumbered == 0 && rows.version == version);
        (of_maps && of_rows).then_some(version)
    }

    fn compare(&self, known: &Known, watchers: u64, findings: &mut Findings) {
        for map in &self.maps {
            let differing = known.differences(map);
            let seats = differing
                .iter()
                .map(|place| (*place, map.status(*place).as_str()));
            add(known, watchers, "its seat map", seats.collect(), findings);
        }
        if let Some(rows) = &self.rows {
            let seats = (0..).zip(known.layout.ids()).filter_map(|(place, id)| {
                let row = rows.status_of(id);
                let is_other = row != Some(known.status(place));
                is_other.then(|| (place, row.map_or("none", |status| status.as_str())))
            });
            add(known, watchers, "its row", seats.collect(), findings);
        }
    }
}

/// What they know of seats that are something else.
fn add(
    known: &Known,
    watchers: u64,
    by: &str,
    seats: HashMap<u32, &'static str>,
    findings: &mut Findings,
) {
    let Some((place, is)) = seats.iter().min() else {
        return;
    };
    let what = format!(
        "{} who watch know that {} is {} at version {}; by {by} it is {is}",
        grouped(watchers),
        known.layout.id(*place),
        known.status(*place).as_str(),
        known.version,
    );
    findings.add(Difference::PushedDiffers, seats.len() as u64, &what);
}
