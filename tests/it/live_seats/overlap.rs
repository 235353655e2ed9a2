//! Numberings that overlap: one that has looked before another one has committed, and gets its turn after it.
//!
//! Nobody can wait for that to happen. So the database has a brake here: a function that stands before PostgreSQL's own of the
//! same name, and lets a numbering that has its snapshot go on when the test says so.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use tokio::time::timeout;

use super::{Follower, log::GATE, logged, seat_map};
use crate::harness::{Database, Server, eventually, rows, seed};

/// A numbering that waits for longer is ended by the server, and the scene begins again.
const SCENE_MAX: Duration = Duration::from_secs(2);

/// On a machine that does something else for seconds, again and again.
const SCENES_MAX: usize = 20;

/// Rows that are numbered at a time.
const ROWS_MAX: i64 = 500;

/// A numbering that has its snapshot, and waits at the brake.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbering {
    backend: i32,
    began: String,
}

struct Brake(DatabaseConnection);

impl Brake {
    /// Of sessions that begin after it.
    async fn new(database: &Database) -> Self {
        let hand = database.connect().await;
        for sql in [
            "CREATE TABLE passes (backend INT, began TIMESTAMPTZ)",
            &format!(
                "CREATE FUNCTION public.pg_try_advisory_xact_lock(gate BIGINT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
                 BEGIN
                     WHILE gate = {GATE} AND NOT EXISTS (SELECT FROM passes WHERE backend IS NULL
                             OR (backend = pg_backend_pid() AND began = statement_timestamp())) LOOP
                         PERFORM pg_sleep(0.005);
                     END LOOP;
                     RETURN pg_catalog.pg_try_advisory_xact_lock(gate);
                 END $$"
            ),
            "DO $$ BEGIN
                 EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
             END $$",
        ] {
            hand.execute_unprepared(sql).await.unwrap();
        }
        Self(hand)
    }

    async fn release(&self) {
        let sql = "INSERT INTO passes VALUES (NULL, NULL)";
        self.0.execute_unprepared(sql).await.unwrap();
    }

    async fn pull(&self) {
        let sql = "DELETE FROM passes";
        self.0.execute_unprepared(sql).await.unwrap();
    }

    async fn waiting(&self) -> Vec<Numbering> {
        let sql = "SELECT pid, query_start::text AS began FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event = 'PgSleep' ORDER BY pid";
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let rows = self.0.query_all_raw(statement).await.unwrap();
        let numbering = |row: &sea_orm::QueryResult| Numbering {
            backend: row.try_get("", "pid").unwrap(),
            began: row.try_get("", "began").unwrap(),
        };
        rows.iter().map(numbering).collect()
    }

    /// Those of two servers.
    async fn both(&self) -> [Numbering; 2] {
        loop {
            if let Ok(both) = self.waiting().await.try_into() {
                return both;
            }
        }
    }

    /// Lets a numbering go on to its end. What the same server begins next, which sees what is so by then; none if this one
    /// was ended before.
    async fn next(&self, numbering: &Numbering) -> Option<Numbering> {
        let Numbering { backend, began } = numbering;
        let granted = format!(
            "INSERT INTO passes SELECT pid, query_start FROM pg_stat_activity
             WHERE pid = {backend} AND query_start = '{began}' AND wait_event = 'PgSleep'"
        );
        // It may be looking at the passes at this very moment, and waits again then.
        while self
            .0
            .execute_unprepared(&granted)
            .await
            .unwrap()
            .rows_affected()
            == 0
        {
            let waiting = self.waiting().await;
            if waiting
                .iter()
                .any(|other| other.backend == *backend && other != numbering)
            {
                return None;
            }
        }
        loop {
            let waiting = self.waiting().await.into_iter();
            let mut of_same = waiting.filter(|other| other.backend == *backend);
            match of_same.next() {
                Some(other) if other != *numbering => return Some(other),
                Some(_) | None => {}
            }
        }
    }
}

/// One that has seen less than another passes over nothing and numbers nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn numberings_that_overlap_give_each_change_one_version() {
    let database = Database::postgres().await;
    let brake = Brake::new(&database).await;
    brake.release().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let event = seed::seats(&servers[0].client(), 2 * SCENES_MAX).await;
    let mut follower = Follower::begin(&servers[1], &event.id).await;
    let ada = servers[0].client().customer("ada");
    let mut seats = event.tickets.iter();
    let mut sell = async || {
        let seat = seats.next().expect("fewer scenes than that");
        ada.purchase_ticket(&seat.id, &seat.id).await.sold();
    };
    let mut scenes = 0;
    loop {
        scenes += 1;
        brake.pull().await;
        let scene = async {
            let [one, other] = brake.both().await;
            sell().await;
            let saw_one = brake.next(&one).await?;
            sell().await;
            let saw_both = brake.next(&other).await?;
            // From here on the two overlap: the second has its snapshot, and waits until the first has committed.
            brake.next(&saw_one).await?;
            assert_eq!(unnumbered(&brake.0).await, 1, "what the first has not seen");
            brake.next(&saw_both).await?;
            assert_eq!(unnumbered(&brake.0).await, 0);
            Some(())
        };
        let has_overlapped = timeout(SCENE_MAX, scene).await == Ok(Some(()));
        brake.release().await;
        if has_overlapped {
            break;
        }
        assert!(scenes < SCENES_MAX, "the machine is too slow for this");
    }
    settle(&database, &brake.0, &servers[0], &mut follower, &event).await;
}

/// One that has seen the first rows without those that were written before them all and committed after numbers what is left of
/// them, when another one that has seen those too has numbered fewer of the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_numbering_that_has_seen_less_goes_on_behind_the_one_that_has_seen_more() {
    let database = Database::postgres().await;
    let brake = Brake::new(&database).await;
    brake.release().await;
    let servers = [
        Server::start(&database).await,
        Server::start(&database).await,
    ];
    let event = seed::seats(&servers[0].client(), 2).await;
    let mut follower = Follower::begin(&servers[1], &event.id).await;
    let late = database.connect().await;
    let mut scenes = 0;
    loop {
        scenes += 1;
        brake.pull().await;
        let scene = async {
            let [one, other] = brake.both().await;
            let first = late.begin().await.unwrap();
            first
                .execute_unprepared(&changes(&event.seat(1).id, scenes, 2))
                .await
                .unwrap();
            let many = changes(&event.seat(2).id, scenes, ROWS_MAX);
            brake.0.execute_unprepared(&many).await.unwrap();
            let saw_many = brake.next(&one).await?;
            first.commit().await.unwrap();
            let saw_all = brake.next(&other).await?;
            brake.next(&saw_all).await?;
            // As many as were late; more where it takes fewer at a time, since its last ones were ended.
            (unnumbered(&brake.0).await == 2).then_some(())?;
            brake.next(&saw_many).await?;
            assert_eq!(unnumbered(&brake.0).await, 0);
            Some(())
        };
        let has_overlapped = timeout(SCENE_MAX, scene).await == Ok(Some(()));
        brake.release().await;
        if has_overlapped {
            break;
        }
        assert!(scenes < SCENES_MAX, "the machine is too slow for this");
    }
    late.close().await.unwrap();
    settle(&database, &brake.0, &servers[0], &mut follower, &event).await;
}

/// Changes of one seat, which is available in the end as it was before, each with its place for an order's id. Those of a later
/// scene come later.
fn changes(id: &str, scene: usize, len: i64) -> String {
    use rowlock::graphql::global_id::GlobalId;
    let Some(GlobalId::Ticket(event, ticket)) = GlobalId::decode(&id.into()) else {
        panic!("no ticket: {id}");
    };
    let (event, ticket) = (event.0, ticket.0.simple());
    format!(
        "INSERT INTO ticket_changes_unnumbered (event_id, changes)
         SELECT '{event}', CASE n % 2
             WHEN 1 THEN '[[\"{ticket}\",\"AVAILABLE\",\"BLOCKED\",\"BLOCK\",\"' || place || '\",null]]'
             ELSE '[[\"{ticket}\",\"BLOCKED\",\"AVAILABLE\",\"UNBLOCK\",\"' || place || '\",null]]' END
         FROM generate_series(1, {len}) AS n, format('%s', lpad(to_hex({scene} * {ROWS_MAX} + n), 32, '0')) AS place
         ORDER BY n"
    )
}

async fn unnumbered(hand: &DatabaseConnection) -> i64 {
    let sql = "SELECT count(*) FROM ticket_changes_unnumbered";
    rows::count(hand, sql).await
}

/// Everything has its version: without a gap, each seat's changes in their order, and told as they are.
async fn settle(
    database: &Database,
    hand: &DatabaseConnection,
    server: &Server,
    follower: &mut Follower,
    event: &seed::Event,
) {
    let all = eventually("all versions", super::TOLD_WITHIN, async || {
        (unnumbered(hand).await == 0).then_some(())
    });
    all.await;
    let log = logged(hand).await;
    for (place, (version, _)) in (1..).zip(&log) {
        assert_eq!(*version, place, "the log has no gaps");
    }
    let disorder = "SELECT count(*) FROM ticket_changes AS one JOIN ticket_changes AS other
        ON one.event_id = other.event_id AND one.changes::json->0->>0 = other.changes::json->0->>0
            AND one.changes::json->0->>4 < other.changes::json->0->>4 AND one.version > other.version";
    assert_eq!(
        rows::count(hand, disorder).await,
        0,
        "in the order in which they were appended"
    );
    let now = seat_map(&server.client(), &event.id).await;
    follower.hear_up_to(now.0).await;
    assert_eq!(
        (follower.version, &follower.statuses),
        (i64::try_from(log.len()).unwrap(), &now.1)
    );
    rows::assert_clean(database).await;
}
