//! What a purchase's document costs before anything is bought: checked, and refused for want of a token by the first line
//! of its resolver; as one that was seen before, and as one that was not.

use std::{sync::Arc, time::Duration};

use async_graphql::{Request, Variables};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rowlock::{
    auth::Caller,
    config::QueryConfig,
    graphql::{Domain, Engine, Freshness},
    migrate,
    sales::{Limits, Sales},
    store::{DatabaseUrl, Store},
};
use serde_json::json;
use tokio::runtime::Runtime;

/// As a shop's frontend would send it.
const PURCHASE: &str = "mutation Purchase($input: PurchaseTicketInput!) { purchaseTicket(input: $input) {
    order { id status total { amount currency } items { id status admissionCode ticket { id seat { section row seat } } } }
    userErrors { code message field }
} }";

fn request(document: &str) -> Request {
    let input = json!({ "ticketId": "bm90IGEgdGlja2V0J3M", "idempotencyKey": "the only one" });
    Request::new(document).variables(Variables::from_json(json!({ "input": input })))
}

/// A schema needs a desk, and a desk a database, which nothing here comes near to.
async fn open(file: &std::path::Path) -> Engine {
    let url = DatabaseUrl::sqlite_file(file);
    migrate::up(&url).await.expect("the file is new");
    let store = Store::connect(&url, 1, Duration::from_secs(1))
        .await
        .expect("the file is there");
    let store = Arc::new(store);
    let limits = Limits {
        queue_len_max: 1,
        queue_wait_max: Duration::from_secs(1),
        batch_len_max: 1,
        waiting_len_max: 1,
        waiting_lanes: 1,
        deadline: Duration::from_secs(1),
        slow: None,
    };
    let sales =
        Sales::open(Arc::clone(&store), limits, &Arc::default()).expect("threads can be started");
    let domain = Domain::new(store, Arc::new(sales), Arc::default());
    Engine::new(domain, QueryConfig::default(), Duration::from_secs(1))
}

fn purchases(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let runtime = Runtime::new().expect("threads can be started");
    let engine = runtime.block_on(open(&directory.path().join("bench.db")));
    let answer = |document: &str| {
        runtime.block_on(async {
            let prepared = engine.prepare(request(document), Caller::Anonymous, None);
            match prepared.await {
                Ok(ready) => engine.execute(ready, Freshness::Now).await,
                Err(refused) => refused.into(),
            }
        })
    };
    let refused = "UNAUTHENTICATED";
    let json = answer(PURCHASE).json();
    let json = String::from_utf8_lossy(&json);
    assert!(json.contains(refused), "{json}");

    let mut group = criterion.benchmark_group("purchase's document");
    let mut number = 0;
    group.bench_function("new", |bencher| {
        bencher.iter_batched(
            || {
                number += 1;
                format!("{PURCHASE}#{number}")
            },
            |document| answer(&document),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("seen before", |bencher| bencher.iter(|| answer(PURCHASE)));
    group.finish();
}

criterion_group!(benches, purchases);
criterion_main!(benches);
