//! `rowlock key`: keys for machines, made and revoked by whoever has the database.

use std::{sync::Arc, time::Duration};

use chrono::{TimeDelta, Utc};
use clap::Subcommand;
use rowlock::{
    auth::{Permission, Staff},
    config::DatabaseConfig,
    graphql::global_id::GlobalId,
    organizers::{self, NewKey, Scope},
    refusal::Answer,
    store::Store,
};

use super::{Failure, database_url};

#[derive(Subcommand)]
pub enum Action {
    /// Make a key and print it, this once: whoever has it can do what it allows
    Create {
        /// The organizer for whom it acts, by its id
        #[arg(long, value_name = "ID")]
        organizer: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it allows, such as read,sell
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// How long it is good, such as 30d; without it, until it is revoked
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        lifetime: Option<Duration>,
    },
    /// List an organizer's keys: what each begins with, its id, what it allows and whether it is good
    List {
        /// The organizer, by its id
        #[arg(long, value_name = "ID")]
        organizer: String,
    },
    /// Revoke a key: from then on it allows nothing, on any server
    Revoke {
        /// The key's id, as the list has it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// One for what is written, one for what is read.
const CONNECTIONS: u32 = 2;

/// How long a command waits for a statement.
const STATEMENT_MAX: Duration = Duration::from_secs(10);

/// Carries out what was asked.
pub async fn run(action: Action, database: &DatabaseConfig) -> Result<(), Failure> {
    let url = database_url(database)?;
    let store = Arc::new(Store::connect(&url, CONNECTIONS, STATEMENT_MAX).await?);
    let grant = Staff::operator().about_to(Permission::Administer);
    let grant = grant.expect("whoever has the database may do everything");
    let organizer = |id: String| {
        let id = GlobalId::decode(&id.into()).and_then(GlobalId::organizer);
        id.ok_or("this is no organizer's id: { event(by: …) { organizer { id } } } says it")
    };
    match action {
        Action::Create {
            organizer: id,
            name,
            scopes,
            lifetime,
        } => {
            let expires_at = lifetime
                .map(|lifetime| {
                    let lifetime = TimeDelta::from_std(lifetime).ok()?;
                    Utc::now().checked_add_signed(lifetime)
                })
                .map(|end| end.ok_or("no clock has the end of that time"))
                .transpose()?;
            let new = NewKey {
                name,
                scopes,
                expires_at,
            };
            let made = organizers::create_key(&store, &grant, organizer(id)?, new).await;
            println!("{}", done(made)?.secret);
        }
        Action::List { organizer: id } => {
            let keys = organizers::keys_of(&store, &grant, organizer(id)?).await;
            let keys = keys.map_err(|fault| fault.source)?;
            for key in keys.ok_or("there is no such organizer")? {
                let state = match (key.revoked_at, key.expires_at) {
                    (Some(at), _) => format!("revoked {at}"),
                    (None, Some(at)) if at <= Utc::now() => format!("over since {at}"),
                    (None, Some(at)) => format!("good until {at}"),
                    (None, None) => "good".to_owned(),
                };
                println!(
                    "{}  {}  {}  {state}  {}",
                    key.prefix,
                    GlobalId::ApiKey(key.id).encode().as_str(),
                    key.scopes,
                    key.name
                );
            }
        }
        Action::Revoke { id } => {
            let id = GlobalId::decode(&id.into()).and_then(GlobalId::api_key);
            let id = id.ok_or("this is no key's id: rowlock key list has them")?;
            let key = done(organizers::revoke_key(&store, &grant, id).await)?;
            println!("revoked {}", key.prefix);
        }
    }
    Ok(())
}

/// What was done, or why it was refused.
fn done<T, C>(answer: Answer<T, C>) -> Result<T, Failure> {
    let refusals = match answer.map_err(|fault| fault.source)? {
        Ok(done) => return Ok(done),
        Err(refusals) => refusals,
    };
    let messages: Vec<String> = refusals
        .into_iter()
        .map(|refusal| refusal.message)
        .collect();
    Err(messages.join("; ").into())
}
