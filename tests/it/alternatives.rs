//! Seats offered instead of others, read from both databases.

use std::{collections::HashMap, time::Duration};

use rowlock::{
    catalogue::alternatives,
    entity::ticket,
    ids::{EventId, TicketId},
    store::{DatabaseUrl, Store},
};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::json;

use crate::{
    catalogue::{add_seats, range, row},
    harness::{Database, Server, seed},
};

const ENDED_WITHIN: Duration = Duration::from_secs(30);

on_both_databases! {
    async fn the_nearest_seats_of_the_same_price_are_offered(database: Database) {
        let mut server = Server::start(&database).await;
        let organizer = server.client().organizer("the hall");
        let event_id = seed::create_event(&organizer).await;
        let cheap = seed::create_ticket_type_named(&organizer, &event_id, "SEATED", "Cheap").await;
        let dear = seed::create_ticket_type_named(&organizer, &event_id, "SEATED", "Dear").await;
        let places = seed::create_ticket_type_named(&organizer, &event_id, "GENERAL", "Standing").await;
        add_seats(&organizer, &cheap, json!([row("S", "A", range(1, 10)), row("S", "B", range(1, 10)), row("T", "A", range(1, 10))])).await;
        add_seats(&organizer, &dear, json!([row("S", "A", range(11, 20))])).await;
        seed::set_capacity(&organizer, &places, 2).await;
        seed::publish(&organizer, &event_id).await;
        server.terminate();
        server.wait_exit(ENDED_WITHIN).await;

        let hand = database.connect().await;
        let hold_id = match database {
            Database::Postgres { .. } => "gen_random_uuid()",
            Database::Sqlite { .. } => "randomblob(16)",
        };
        let is_in_a = "section = 'S' AND row_label = 'A' AND seat_label";
        for statement in [
            format!("UPDATE tickets SET status = 'BLOCKED' WHERE {is_in_a} IN ('5', '6', '11')"),
            format!("UPDATE tickets SET status = 'HELD', hold_id = {hold_id}, held_until = '2999-01-01T00:00:00+00:00' WHERE {is_in_a} = '4'"),
            format!("UPDATE tickets SET status = 'HELD', hold_id = {hold_id}, held_until = '2001-01-01T00:00:00+00:00' WHERE {is_in_a} = '7'"),
        ] {
            hand.execute_unprepared(&statement).await.unwrap();
        }
        let all = ticket::Entity::find().all(&hand).await.unwrap();
        let place = |ticket: &ticket::Model| format!("{}{}{}",
            ticket.section.clone().unwrap_or_default(), ticket.row_label.clone().unwrap_or_default(), ticket.seat_label.clone().unwrap_or_default());
        let names: HashMap<TicketId, String> = all.iter().map(|ticket| (ticket.id, place(ticket))).collect();
        let event_id: EventId = all[0].event_id;
        let url: DatabaseUrl = database.url().parse().unwrap();
        let store = Store::connect(&url, 2, Duration::from_secs(30)).await.unwrap();
        let offered = async |wanted: &[&str], groups_max: usize| -> Vec<Vec<String>> {
            let wanted: Vec<TicketId> = wanted.iter()
                .map(|name| all.iter().find(|ticket| place(ticket) == *name).unwrap().id)
                .collect();
            let groups = alternatives(&store, event_id, &wanted, groups_max).await.ok().unwrap();
            groups.into_iter().map(|group| {
                assert!(group.iter().all(|ticket| ticket.status == ticket::Status::Available && ticket.held_until.is_none()));
                group.into_iter().map(|ticket| names[&ticket.id].clone()).collect()
            }).collect()
        };
        // Seat 7's hold is over, so that it is free; 11 and on cost more.
        assert_eq!(offered(&["SA5", "SA6"], 3).await, [["SA7", "SA8"], ["SA2", "SA3"], ["SA9", "SA10"]]);
        assert_eq!(offered(&["SA5"], 2).await, [["SA3"], ["SA7"]]);
        assert_eq!(offered(&["SA4", "SA5", "SA6", "SA3"], 9).await, [["SA7", "SA8", "SA9", "SA10"], ["SB3", "SB4", "SB5", "SB6"], ["SB7", "SB8", "SB9", "SB10"]]);
        // Only the type that has a conflict is replaced: all of its seats.
        assert_eq!(offered(&["SA11", "SA12", "SA1"], 1).await, [["SA12", "SA13"]]);
        // What has become free meanwhile is offered itself.
        assert_eq!(offered(&["SB1", "SB2"], 1).await, [["SB1", "SB2"]]);
        assert_eq!(offered(&["SA5"], 0).await, Vec::<Vec<String>>::new());
        assert_eq!(offered(&[], 3).await, Vec::<Vec<String>>::new());
        assert_eq!(offered(&[""], 3).await, Vec::<Vec<String>>::new(), "general admission has no neighbours");

        // Of an event that sells nothing, nothing is told.
        for status in ["DRAFT", "CANCELLED"] {
            hand.execute_unprepared(&format!("UPDATE events SET status = '{status}'")).await.unwrap();
            assert_eq!(offered(&["SA5"], 3).await, Vec::<Vec<String>>::new());
        }
        hand.close().await.unwrap();
    }
}
