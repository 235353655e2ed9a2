//! What the decision costs: batches of sales, each on tickets of its own, as the desk gives them to it.

use std::{collections::HashMap, hint::black_box};

use chrono::{DateTime, TimeDelta};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rowlock::{
    auth::Account,
    entity::{event, ticket},
    ids::{CustomerId, EventId, OrderId, TicketId, TicketTypeId},
    money::Currency,
    sales::{
        Action, Command, Minted, Want,
        command::Purchase,
        decide::{
            AllowanceFacts, Bound, Decision, EventFacts, Facts, KeyFacts, Request, TicketFacts,
            TypeFacts, decide,
        },
    },
};

const BATCHES: [usize; 3] = [1, 32, 512];

/// What every command of a batch asks for.
#[derive(Clone, Copy)]
enum Ask {
    Purchase,
    Hold,
    /// A purchase whose key is bound already.
    Repeat,
}

/// A batch, with what its transaction would have locked and read for it.
struct Batch {
    facts: Facts,
    commands: Vec<(CustomerId, Command)>,
    minted: Vec<Minted>,
}

impl Batch {
    /// Each command is another customer's, and wants another ticket.
    fn new(len: usize, ask: Ask) -> Self {
        let event_id = EventId::mint();
        let ticket_type_id = TicketTypeId::mint();
        let mut facts = on_sale(event_id, ticket_type_id);
        let commands: Vec<(CustomerId, Command)> = (0..len)
            .map(|number| {
                let (customer_id, ticket_id) = (CustomerId::mint(), TicketId::mint());
                let ticket = TicketFacts {
                    ticket_type_id,
                    status: ticket::Status::Available,
                    held: None,
                    seat_label: Some(format!("Hall · Row 1 · Seat {number}")),
                };
                facts.locked.insert((event_id, ticket_id), ticket);
                let allowance = AllowanceFacts {
                    owned: Some(0),
                    holds: Some(Vec::new()),
                };
                facts.allowances.insert((event_id, customer_id), allowance);
                let command = command(event_id, number, ticket_id, ask);
                if let Ask::Repeat = ask {
                    let key = (event_id, customer_id, command.key.as_str().to_owned());
                    let bound = KeyFacts {
                        fingerprint: command.fingerprint(),
                        bound: Some(Bound::Order(OrderId::mint())),
                    };
                    facts.keys.insert(key, bound);
                }
                (customer_id, command)
            })
            .collect();
        Self {
            facts,
            commands,
            minted: (0..len).map(|_| Minted::new(1)).collect(),
        }
    }

    fn requests(&self) -> Vec<Request<'_>> {
        let requests = self.commands.iter().map(|(customer_id, command)| Request {
            command,
            customer_id: *customer_id,
            staff_id: None,
        });
        requests.collect()
    }
}

fn on_sale(event_id: EventId, ticket_type_id: TicketTypeId) -> Facts {
    let now = DateTime::UNIX_EPOCH;
    let event = EventFacts {
        status: event::Status::Published,
        currency: Currency::EUR,
        sales_open_at: now - TimeDelta::days(1),
        sales_close_at: now + TimeDelta::days(1),
        tickets_per_order_max: 10,
        tickets_per_customer_max: Some(10),
        held_per_customer_max: 10,
        hold_secs: 600,
        hold_secs_max: 1_200,
        cancellable_until: None,
    };
    let ticket_type = TypeFacts {
        name: "Regular".to_owned(),
        price_minor: 1_250,
    };
    Facts {
        now,
        events: HashMap::from([(event_id, event)]),
        ticket_types: HashMap::from([((event_id, ticket_type_id), ticket_type)]),
        ..Facts::default()
    }
}

fn command(event_id: EventId, number: usize, ticket_id: TicketId, ask: Ask) -> Command {
    let account = Account {
        issuer: "bench".to_owned(),
        subject: format!("buyer {number}"),
    };
    let want = Want::Tickets(vec![ticket_id]);
    let action = match ask {
        Ask::Purchase | Ask::Repeat => Action::Purchase {
            kind: Purchase::OneTicket,
            want,
            expected_total: None,
        },
        Ask::Hold => Action::Hold { want },
    };
    Command::new(event_id, account, "the only one", action).expect("the command is well-formed")
}

fn decisions(criterion: &mut Criterion) {
    for (name, ask) in [
        ("purchases", Ask::Purchase),
        ("holds", Ask::Hold),
        ("repeats", Ask::Repeat),
    ] {
        let mut group = criterion.benchmark_group(format!("decide/{name}"));
        for len in BATCHES {
            let batch = Batch::new(len, ask);
            let requests = batch.requests();
            let (decisions, _) = decide(&batch.facts, &requests, &batch.minted);
            assert!(
                decisions
                    .iter()
                    .all(|decision| matches!(decision, Decision::Done(_) | Decision::Repeated(_))),
                "{decisions:?}"
            );
            group.throughput(Throughput::Elements(len as u64));
            group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
                bencher.iter(|| decide(black_box(&batch.facts), &requests, &batch.minted));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
