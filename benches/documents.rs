//! What a purchase's document costs before anything is bought: read, validated, and refused for want of a token by the
//! first line of its resolver, with the document parsed each time and with the cache of parsed documents.

use std::{sync::Arc, time::Duration};

use async_graphql::{Request, Variables};
use criterion::{Criterion, criterion_group, criterion_main};
use rowlock::{
    auth::Caller,
    graphql::{Documents, Domain, Schema, schema},
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

fn request() -> Request {
    let input = json!({ "ticketId": "bm90IGEgdGlja2V0J3M", "idempotencyKey": "the only one" });
    Request::new(PURCHASE)
        .variables(Variables::from_json(json!({ "input": input })))
        .data(Caller::Anonymous)
}

/// A schema needs a desk, and a desk a database, which nothing here comes near to.
async fn open(file: &std::path::Path) -> Schema {
    let url = DatabaseUrl::sqlite_file(file);
    migrate::up(&url).await.expect("the file is new");
    let store = Store::connect(&url, 1, Duration::from_secs(1))
        .await
        .expect("the file is there");
    let store = Arc::new(store);
    let limits = Limits {
        queue_len_max: 1,
        batch_len_max: 1,
        waiting_len_max: 1,
        waiting_lanes: 1,
        deadline: Duration::from_secs(1),
    };
    let sales = Sales::open(Arc::clone(&store), limits).expect("threads can be started");
    schema(Domain {
        store,
        sales: Arc::new(sales),
    })
}

fn purchases(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let runtime = Runtime::new().expect("threads can be started");
    let schema = runtime.block_on(open(&directory.path().join("bench.db")));
    let documents = Documents::default();
    let answer = runtime.block_on(schema.execute(request()));
    let refused = "UNAUTHENTICATED";
    assert!(
        format!("{:?}", answer.errors).contains(refused),
        "{answer:?}"
    );

    let mut group = criterion.benchmark_group("purchase's document");
    group.bench_function("parsed and validated", |bencher| {
        bencher.iter(|| runtime.block_on(schema.execute(request())));
    });
    group.bench_function("found and validated", |bencher| {
        bencher.iter(|| {
            let mut request = request();
            documents.prepare(&mut request);
            runtime.block_on(schema.execute(request))
        });
    });
    group.finish();
}

criterion_group!(benches, purchases);
criterion_main!(benches);
