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
    graphql::{Answer, Ready},
};

/// Why a request is not executed.
pub enum Unready {
    /// It makes no sense.
    Refused(Arc<Answer>, Standing),
    /// Its caller, or everybody at their address, has asked for too much.
    Limited(Box<Limited>),
}

impl From<Box<Limited>> for Unready {
    fn from(limited: Box<Limited>) -> Self {
        Self::Limited(limited)
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
                let asked = Asked {
                    cost: ready.cost(),
                    attempts: ready.attempts(),
                };
                let standing = self.rates.take(who, asked)?;
                Ok((ready, standing))
            }
            Err(refused) => {
                let standing = self.rates.take_refused(who)?;
                Err(Unready::Refused(refused.into(), standing))
            }
        }
    }
}
