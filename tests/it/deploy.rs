//! A deploy in the middle of an on-sale: the process behind the proxy is told to end, the next one takes its port over, and no
//! buyer notices. The proxy is HAProxy, configured as docs/operating.md says.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use rowlock_faults::clusters::{free_port, haproxy::Haproxy};
use tokio::{net::TcpStream, sync::Notify};

use crate::harness::{Client, Database, Server, eventually, rows, seed};

const SEATS: usize = 1_500;
const AT_ONCE: usize = 60;
const SOLD_BEFORE: usize = 300;
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
const END_MAX: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_behind_a_proxy_loses_no_sale() {
    let database = Database::postgres().await;
    let mut old = Server::start(&database).await;
    let event = seed::seats(&old.client(), SEATS).await;
    let address = old.url().strip_prefix("http://").unwrap().to_owned();
    let proxy = proxy_to(&address).await;
    let client = Client::new(&format!("http://{}", proxy.address()));

    let is_under_way = Notify::new();
    let buyers = async {
        let mut purchases = stream::iter(&event.tickets)
            .enumerate()
            .map(async |(n, ticket)| {
                let buyer = client.customer(&format!("buyer {n}"));
                buyer.purchase_ticket(&ticket.id, "mine").await
            })
            .buffer_unordered(AT_ONCE);
        let mut outcomes = Vec::with_capacity(SEATS);
        while let Some(outcome) = purchases.next().await {
            outcomes.push(outcome);
            if outcomes.len() == SOLD_BEFORE {
                is_under_way.notify_one();
            }
        }
        outcomes
    };
    let deploy = async {
        is_under_way.notified().await;
        old.terminate();
        let is_free = async || TcpListener::bind(&address).is_ok().then_some(());
        eventually("the end of listening", LISTENS_WITHIN, is_free).await;
        let new = Server::builder(&database)
            .env("ROWLOCK_LISTEN", &address)
            .start()
            .await;
        assert!(old.wait_exit(END_MAX).await.success());
        new
    };
    let (outcomes, new) = tokio::join!(buyers, deploy);

    let lost: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.is_sold())
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {SEATS}: {:?}",
        lost.len(),
        &lost[..lost.len().min(3)]
    );
    assert!(new.url().ends_with(&address));
    rows::assert_conserved(&database, &outcomes).await;
}

async fn proxy_to(server: &str) -> Haproxy {
    let page = include_str!("../../docs/operating.md");
    let (_, config) = page.split_once("```haproxy\n").unwrap();
    let (config, _) = config.split_once("```").unwrap();
    let address: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let config = config
        .replace("bind :80", &format!("bind {address}"))
        .replace("127.0.0.1:8080", server);
    let proxy = Haproxy::run(address, &config).unwrap_or_else(|why| panic!("{why}"));
    let listens = async || TcpStream::connect(address).await.ok();
    eventually("the proxy", LISTENS_WITHIN, listens).await;
    proxy
}
