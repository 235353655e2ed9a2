//! Reading by key, in batches: what many fields ask for is read in one statement.
//!
//! What buyers see of the catalogue is the same for all of them, and so their requests share its reads: when thousands look
//! at one event at once, it is read once for all who wait. What depends on who asks, an organizer's drafts and a customer's
//! orders, is read for that one request. Nothing is kept: a read begins after everybody whom it answers has asked, so that
//! a field that is read after a mutation was answered sees what it did, in the same request and in any other.

mod catalogue;

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use async_graphql::{
    Context, Error,
    dataloader::{DataLoader, Loader},
};
use futures_util::future::BoxFuture;
use tokio::{sync::Semaphore, time::Instant};
use tracing::Instrument;

pub(super) use self::catalogue::{AvailabilitiesOf, AvailabilityOf, BySlug, TypesOf};
use super::{
    Domain, caller,
    deadline::{deadline, until},
    domain, fault,
};
use crate::{auth::Caller, fault::Fault, sales::Sales, store::Store};

/// How many shared reads run at once: few, since whoever comes meanwhile is gathered for the next ones, and fewer than
/// SQLite's readers, of which some are left for reads that nobody shares.
const SHARED_READS_MAX: usize = 3;

/// Keys of one shared read, after which it does not wait for more. An answer has a hundred objects of a kind at most.
const SHARED_KEYS_MAX: usize = 1_000;

/// How long a shared read waits for company: not at all. It waits while [`SHARED_READS_MAX`] others run, which is just when
/// there is company, and a buyer who is alone need not wait.
const SHARED_DELAY: Duration = Duration::ZERO;

/// Reads of the catalogue what one caller may see, or what everybody may. A key that is missing in the answer is not
/// there, or not for this caller.
pub(super) struct CatalogueReader {
    store: Arc<Store>,
    caller: Caller,
}

/// Reads what one caller owns: a customer's orders and holds.
///
/// A subject adds its own keys by implementing [`Loader`] for this type in its own file.
pub(super) struct OwnReader {
    pub(super) sales: Arc<Sales>,
    pub(super) caller: Caller,
}

/// The loader of what everybody may see of the catalogue, one for all requests.
pub(super) struct Shared(DataLoader<CatalogueReader>);

impl Shared {
    pub(super) fn new(store: Arc<Store>) -> Self {
        let reader = CatalogueReader {
            store,
            caller: Caller::Anonymous,
        };
        let running = Arc::new(Semaphore::new(SHARED_READS_MAX));
        let loader = DataLoader::new(reader, move |batch: BoxFuture<'static, ()>| {
            let running = running.clone();
            spawn(Box::pin(async move {
                // The keys are taken when the batch is polled: until then others add theirs.
                let permit = running.acquire_owned().await;
                // Requests that are about to ask do so first.
                tokio::task::yield_now().await;
                batch.await;
                drop(permit);
            }));
        });
        Self(loader.delay(SHARED_DELAY).max_batch_size(SHARED_KEYS_MAX))
    }
}

/// What belongs in every request's data, beside the caller. Made without cost: most requests, purchases above all, read
/// nothing of their own.
#[derive(Default)]
pub(crate) struct Loaders {
    catalogue: OnceLock<DataLoader<CatalogueReader>>,
    own: OnceLock<DataLoader<OwnReader>>,
    /// The faults that were logged for this request: many fields may wait for one read, and many requests.
    logged: Mutex<Vec<Arc<Fault>>>,
}

/// A loader, as a request that is being answered uses it.
pub(super) struct Load<'a, R> {
    loader: &'a DataLoader<R>,
    request: &'a Loaders,
    deadline: Option<Instant>,
}

/// The catalogue, as the caller may see it.
pub(super) fn load<'a>(ctx: &Context<'a>) -> Load<'a, CatalogueReader> {
    let request: &Loaders = ctx.data_unchecked();
    let loader = match caller(ctx) {
        // Their drafts are for nobody else.
        Caller::Staff(_) => request.catalogue.get_or_init(|| {
            of_request(CatalogueReader {
                store: domain(ctx).store.clone(),
                caller: caller(ctx).clone(),
            })
        }),
        Caller::Anonymous | Caller::Customer(_) => &ctx.data_unchecked::<Shared>().0,
    };
    Load {
        loader,
        request,
        deadline: deadline(ctx),
    }
}

/// What the caller owns.
pub(super) fn load_own<'a>(ctx: &Context<'a>) -> Load<'a, OwnReader> {
    let request: &Loaders = ctx.data_unchecked();
    let loader = request.own.get_or_init(|| {
        let Domain { sales, .. } = domain(ctx);
        of_request(OwnReader {
            sales: sales.clone(),
            caller: caller(ctx).clone(),
        })
    });
    Load {
        loader,
        request,
        deadline: deadline(ctx),
    }
}

impl<R> Load<'_, R> {
    pub(super) async fn load_one<K>(&self, key: K) -> Result<Option<R::Value>, Error>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        R: Loader<K, Error = Arc<Fault>>,
    {
        let loaded = until(self.deadline, self.loader.load_one(key)).await;
        let loaded = loaded.ok_or_else(fault::timed_out)?;
        loaded.map_err(|fault| self.request.answer(fault))
    }

    pub(super) async fn load_many<K>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<HashMap<K, R::Value>, Error>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        R: Loader<K, Error = Arc<Fault>>,
    {
        let loaded = until(self.deadline, self.loader.load_many(keys)).await;
        let loaded = loaded.ok_or_else(fault::timed_out)?;
        loaded.map_err(|fault| self.request.answer(fault))
    }
}

impl Loaders {
    /// A fault is logged once for each request that it spoils, under the id that its client is told.
    fn answer(&self, fault: Arc<Fault>) -> Error {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if !logged.iter().any(|other| Arc::ptr_eq(other, &fault)) {
            fault::log(&fault);
            logged.push(fault.clone());
        }
        fault::masked(&fault)
    }
}

fn of_request<R>(reader: R) -> DataLoader<R> {
    DataLoader::new(reader, spawn)
}

/// A batch is read in a task of its own, which would otherwise lose the span of the request that began it.
#[expect(
    clippy::disallowed_methods,
    reason = "async-graphql's loader owns its batch: a read that its requests wait for and the database bounds"
)]
fn spawn(batch: BoxFuture<'static, ()>) {
    tokio::spawn(batch.in_current_span());
}
