//! From a request to what may be executed, whatever transport it came by: prepared, and then counted, before anything of it
//! happens.

use std::sync::Arc;

use async_graphql::Request;
use axum::http::{StatusCode, request::Parts};

use super::{
    App,
    answer::Refusal,
    client::{Address, Peer},
    rates::{Asked, Limited, Standing, Who},
};
use crate::{
    auth::Caller,
    graphql::{Answer, Ready, fault::Code},
    sales::Full,
};

/// Why a request is not executed.
pub enum Unready {
    /// It makes no sense.
    Refused(Arc<Answer>, Standing),
    /// Its caller, or everybody at their address, has asked for too much.
    Limited(Box<Limited>),
    /// It would buy, and the desk would not come to it in time.
    Overloaded(Full, Standing),
}

impl From<Box<Limited>> for Unready {
    fn from(limited: Box<Limited>) -> Self {
        Self::Limited(limited)
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Overloaded,
            "too many are buying at this moment; nothing happened, try again",
        )
        .retry_after(full.come_back_after.as_secs().max(1))
    }
}

impl App {
    /// Where a request comes from; none for this machine's own.
    pub fn address(&self, parts: &Parts) -> Option<Address> {
        let peer = parts.extensions.get::<Peer>();
        let peer = peer.expect("every connection puts its peer into its requests");
        self.clients.address(*peer, &parts.headers)
    }

    /// The answer to a request of which nobody knows whose it is: where its token is not good, the refusal as long as there are
    /// not too many of one address.
    pub fn not_known(&self, address: Option<Address>, refusal: Refusal) -> Refusal {
        if refusal.status != StatusCode::UNAUTHORIZED {
            return refusal;
        }
        match self.rates.take_bad_token(address) {
            Ok(()) => refusal,
            Err(limited) => limited.refusal(),
        }
    }

    /// # Errors
    /// Why nothing may be executed.
    pub async fn prepare(
        &self,
        request: Request,
        caller: Caller,
        who: Who,
        request_id: Option<&str>,
    ) -> Result<(Ready, Standing), Unready> {
        match self.engine.prepare(request, caller, request_id).await {
            Ok(ready) => {
                let attempts = ready.attempts();
                let admitted = match attempts {
                    0 => Ok(()),
                    _ => self.domain.sales.admit(),
                };
                let asked = Asked {
                    cost: ready.cost(),
                    // Who is turned away has tried nothing.
                    attempts: if admitted.is_ok() { attempts } else { 0 },
                };
                let standing = self.rates.take(who, asked)?;
                match admitted {
                    Ok(()) => Ok((ready, standing)),
                    Err(full) => {
                        self.domain.metrics.count_turned_away();
                        Err(Unready::Overloaded(full, standing))
                    }
                }
            }
            Err(refused) => {
                let standing = self.rates.take_refused(who)?;
                Err(Unready::Refused(refused.into(), standing))
            }
        }
    }
}
