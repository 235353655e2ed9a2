//! A buyer: wants, asks, is told, and asks again.

use std::sync::Arc;

use hyper::{body::Bytes, header::HeaderValue};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use super::{
    RushError,
    answers::{Fault, NOT_UNDERSTOOD, Told, looked, told},
    client::{CONNECT_WAIT_MAX, Line},
    options::Pattern,
    record::{End, Sale, Step, Unsettled},
    run::{Run, Start},
    wants::Want,
};

/// The refusal that says that a customer has all they may have: another one comes instead.
const CUSTOMER_LIMIT: &str = "CUSTOMER_LIMIT";

/// One buyer after another at one connection.
pub struct Buyer {
    run: Arc<Run>,
    line: Line,
    home: usize,
    customer: usize,
    caller: HeaderValue,
    /// This customer does not come back; the next one takes their place.
    is_leaving: bool,
    abandoned: u64,
    rng: StdRng,
}

impl Buyer {
    /// The first customer at this line; `number` counts the lines.
    pub fn new(run: &Arc<Run>, line: Line, number: usize) -> Result<Self, RushError> {
        let home = number % run.servers.len();
        let customer = run.welcome(home)?;
        let caller = run.customers()[customer].caller.clone();
        Ok(Self {
            run: Arc::clone(run),
            line,
            home,
            customer,
            caller,
            is_leaving: false,
            abandoned: 0,
            rng: StdRng::seed_from_u64(run.seed ^ (number as u64) << 20),
        })
    }

    /// Buys until there is nothing left to want, or no more is to be asked for.
    pub async fn shop(mut self, begin: Instant) {
        let run = Arc::clone(&self.run);
        while let Some(start) = run.start(begin).await {
            while run.refresh > 0.0 && self.rng.random_bool(run.refresh) {
                self.look(begin).await;
            }
            let Some(want) = run.wants().next() else {
                return;
            };
            let began = Instant::now();
            let end = self.purchase(begin, &start, want).await;
            let latency = start.late + began.elapsed();
            run.recorder().ended(begin.elapsed(), latency, end);
            if std::mem::take(&mut self.is_leaving) {
                // The subject is the first one's with another number: it can be signed as well.
                let Ok(customer) = run.welcome(self.home) else {
                    return;
                };
                self.customer = customer;
                self.caller = run.customers()[customer].caller.clone();
            }
        }
    }

    async fn look(&mut self, begin: Instant) {
        let run = Arc::clone(&self.run);
        let looks = &run.forms.looks;
        let look = &looks[self.rng.random_range(..looks.len())];
        let looked = match self.ask(begin, Step::Look, look).await {
            Told::Fault(fault) => Some(fault.code),
            Told::Done | Told::Order { .. } | Told::Hold(_) | Told::Refused(_) => None,
        };
        run.recorder().looked(looked);
    }

    async fn purchase(&mut self, begin: Instant, start: &Start, want: Want) -> End {
        let run = Arc::clone(&self.run);
        let key = format!("{}-{}", run.prefix, start.number);
        let body = match &want {
            Want::Tickets(_) if run.pattern == Pattern::Hold => {
                return self.hold_and_purchase(begin, &key, want).await;
            }
            Want::Tickets(places) => run.forms.purchase(run.ids(places), &key),
            Want::Any(quantity) => {
                let kind = run.event().ticket_type.as_ref();
                let kind = kind.expect("a type was chosen before any of it was wanted");
                run.forms.purchase_any(&kind.id, *quantity, &key)
            }
        };
        let told = self.ask(begin, Step::Purchase, &body).await;
        self.conclude(told, body, want)
    }

    async fn hold_and_purchase(&mut self, begin: Instant, key: &str, want: Want) -> End {
        let run = Arc::clone(&self.run);
        let Want::Tickets(places) = &want else {
            unreachable!("holds are of tickets that were read");
        };
        let body = run.forms.hold(run.ids(places), key);
        let hold_id = match self.ask(begin, Step::Hold, &body).await {
            Told::Hold(id) => id,
            Told::Refused(code) => {
                self.is_leaving = code == CUSTOMER_LIMIT;
                return End::Refused(code);
            }
            // A hold that nobody knows of ends by itself, and is no order.
            Told::Fault(fault) => return End::Fault(fault.code),
            Told::Order { .. } | Told::Done => return End::Fault(NOT_UNDERSTOOD.to_owned()),
        };
        if run.abandon > 0.0 && self.rng.random_bool(run.abandon) {
            self.abandoned += 1;
            if self.abandoned.is_multiple_of(2) {
                self.is_leaving = true;
                return End::Abandoned;
            }
            let body = run.forms.release_hold(&hold_id, &format!("{key}-r"));
            return match self.ask(begin, Step::Release, &body).await {
                Told::Done | Told::Hold(_) => {
                    run.wants().give_back(&want);
                    End::Abandoned
                }
                Told::Refused(code) => End::Refused(code),
                Told::Fault(fault) => End::Fault(fault.code),
                Told::Order { .. } => End::Fault(NOT_UNDERSTOOD.to_owned()),
            };
        }
        let body = run.forms.purchase_hold(&hold_id, &format!("{key}-p"));
        let told = self.ask(begin, Step::PurchaseHold, &body).await;
        self.conclude(told, body, want)
    }

    /// What became of a purchase, by what its buyer was told.
    fn conclude(&mut self, told: Told, body: Bytes, want: Want) -> End {
        let fault = match told {
            Told::Order { id, items } => {
                self.run.recorder().sold(Sale {
                    customer: self.customer,
                    order: id,
                    items,
                    want,
                });
                return End::Sold;
            }
            Told::Refused(code) => {
                self.is_leaving = code == CUSTOMER_LIMIT;
                return End::Refused(code);
            }
            Told::Fault(fault) => fault,
            Told::Hold(_) | Told::Done => Fault {
                code: NOT_UNDERSTOOD.to_owned(),
                may_be_done: true,
            },
        };
        if fault.may_be_done {
            self.run.recorder().unsettled.push(Unsettled {
                customer: self.customer,
                body,
                want,
            });
        }
        End::Fault(fault.code)
    }

    async fn ask(&mut self, begin: Instant, step: Step, body: &Bytes) -> Told {
        let sent = Instant::now();
        let reply = self.line.post(Some(&self.caller), body).await;
        let run = &self.run;
        run.heard(begin, reply.is_ok());
        if reply.is_ok() {
            run.recorder().answered(step, sent.elapsed());
        }
        let told = match step {
            Step::Look => looked(reply),
            Step::Purchase | Step::Hold | Step::PurchaseHold | Step::Release => told(reply),
        };
        if let Told::Fault(fault) = &told
            && fault.is_unreachable()
            && run.quiet(begin) >= CONNECT_WAIT_MAX
        {
            run.stop_because(format!(
                "no server has taken a connection for {} s: {}",
                CONNECT_WAIT_MAX.as_secs(),
                self.line.urls()
            ));
        }
        told
    }
}
