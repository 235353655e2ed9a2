//! What is to be sold: found out before the first buyer comes.

use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::{
    RushError,
    answers::{is_plain_id, request},
    client::Line,
    options::{Options, Pattern},
};

/// More ticket types than this are not shown anyway.
const TYPES_SHOWN_MAX: usize = 20;

/// So many events on sale are looked at for one that has tickets left.
const ON_SALE: &str = "query { events(filter: { isOnSale: true }, first: 20) { nodes { id ticketTypes { availability { available } } } } }";
const BY_KEY: &str = "query($by: EventBy!) { event(by: $by) { id slug name isOnSale ticketsPerOrderMax ticketTypes { id name availability { total available } } } }";
const TICKETS: &str = "query($id: ID!, $type: ID, $after: String) { event(by: { id: $id }) {
    tickets(filter: { ticketTypeId: $type }, first: 100, after: $after) { nodes { id status } pageInfo { hasNextPage endCursor } }
} }";
const FIELDS: &str = "query($of: String!) { __type(name: $of) { fields { name } } }";
const ME: &str = "{ me { subject } }";

/// The event that is sold.
pub struct Event {
    pub id: String,
    pub slug: String,
    pub name: String,
    /// Tickets that can be bought now, of the type that was asked for or of all.
    pub available: u64,
    /// The type that was asked for; with any-of-a-type, always one.
    pub ticket_type: Option<TicketType>,
}

#[derive(Clone)]
pub struct TicketType {
    pub id: String,
    pub name: String,
    available: u64,
}

/// A question that must be answered, or there is nothing to rehearse.
pub async fn ask(
    line: &mut Line,
    caller: Option<&HeaderValue>,
    document: &str,
    variables: Value,
) -> Result<Value, RushError> {
    let reply = line
        .post(caller, &request(document, variables))
        .await
        .map_err(|trouble| RushError::NoServer {
            urls: line.urls(),
            trouble,
        })?;
    let garbage = || RushError::NoGraphql {
        urls: line.urls(),
        status: reply.status.as_u16(),
    };
    let mut answer: Value = serde_json::from_slice(&reply.body).map_err(|_| garbage())?;
    if let Some(error) = answer["errors"].get(0) {
        return Err(RushError::Asking {
            code: text(&error["extensions"]["code"]),
            message: text(&error["message"]),
        });
    }
    match answer["data"].take() {
        Value::Null => Err(garbage()),
        data => Ok(data),
    }
}

/// A text for a person, from whoever answers.
fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or("(nothing)");
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// The events that were asked for, each once, or the first one on sale.
pub async fn find(line: &mut Line, options: &Options) -> Result<Vec<Event>, RushError> {
    let [first, more @ ..] = &options.events[..] else {
        let found = ask(line, None, ON_SALE, json!({})).await?;
        let id = first_with_tickets(&found).ok_or(RushError::NothingOnSale)?;
        let data = ask(line, None, BY_KEY, json!({ "by": { "id": id } })).await?;
        return Ok(vec![read(&data, id, options)?]);
    };
    if !more.is_empty() && options.pattern == Pattern::Any {
        return Err(RushError::OfOneEvent("--pattern any"));
    }
    if !more.is_empty() && options.tickets_per_purchase > 1 {
        return Err(RushError::OfOneEvent("an order of several tickets"));
    }
    let mut events = vec![named(line, first, options).await?];
    for name in more {
        let event = named(line, name, options).await?;
        if events.iter().all(|known| known.id != event.id) {
            events.push(event);
        }
    }
    Ok(events)
}

async fn named(line: &mut Line, name: &str, options: &Options) -> Result<Event, RushError> {
    read(&by_name(line, name).await?, name, options)
}

fn read(data: &Value, name: &str, options: &Options) -> Result<Event, RushError> {
    let event = &data["event"];
    let (Some(id), Some(types)) = (event["id"].as_str(), event["ticketTypes"].as_array()) else {
        return Err(RushError::UnknownEvent(name.to_owned()));
    };
    let slug = text(&event["slug"]);
    if event["isOnSale"] != true {
        return Err(RushError::NotOnSale(slug));
    }
    let asked = u64::from(options.tickets_per_purchase);
    if let Some(max) = event["ticketsPerOrderMax"].as_u64()
        && asked > max
    {
        return Err(RushError::TooManyTickets { asked, max });
    }
    let types: Vec<TicketType> = types.iter().filter_map(ticket_type).collect();
    let ticket_type = choose(&types, options, &slug)?;
    let available = ticket_type.as_ref().map_or_else(
        || types.iter().map(|kind| kind.available).sum(),
        |kind| kind.available,
    );
    if available == 0 {
        return Err(RushError::NoTickets(slug));
    }
    if !is_plain_id(id) {
        return Err(RushError::StrangeId);
    }
    Ok(Event {
        id: id.to_owned(),
        name: text(&event["name"]),
        slug,
        available,
        ticket_type,
    })
}

/// The first event with tickets that can be bought; if all are sold out, the first, to say so of it.
fn first_with_tickets(found: &Value) -> Option<&str> {
    let events = found["events"]["nodes"].as_array()?;
    let has_tickets = |event: &&Value| {
        let mut types = event["ticketTypes"].as_array().into_iter().flatten();
        types.any(|kind| kind["availability"]["available"].as_u64() > Some(0))
    };
    let event = events.iter().find(has_tickets).or_else(|| events.first())?;
    event["id"].as_str()
}

/// A slug has lower-case words; nearly every id has capital letters. What may be both is tried as both.
async fn by_name(line: &mut Line, name: &str) -> Result<Value, RushError> {
    let is_slug = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_slug {
        let data = ask(line, None, BY_KEY, json!({ "by": { "slug": name } })).await?;
        if !data["event"].is_null() {
            return Ok(data);
        }
    }
    match ask(line, None, BY_KEY, json!({ "by": { "id": name } })).await {
        Err(RushError::Asking { code, .. }) if code == "BAD_USER_INPUT" => {
            Err(RushError::UnknownEvent(name.to_owned()))
        }
        other => other,
    }
}

fn ticket_type(value: &Value) -> Option<TicketType> {
    Some(TicketType {
        id: value["id"]
            .as_str()
            .filter(|id| is_plain_id(id))?
            .to_owned(),
        name: text(&value["name"]),
        available: value["availability"]["available"].as_u64()?,
    })
}

fn choose(
    types: &[TicketType],
    options: &Options,
    slug: &str,
) -> Result<Option<TicketType>, RushError> {
    match &options.ticket_type {
        Some(wanted) => types
            .iter()
            .find(|kind| kind.id == *wanted || kind.name.to_lowercase() == wanted.to_lowercase())
            .cloned()
            .map(Some)
            .ok_or_else(|| RushError::UnknownTicketType {
                wanted: wanted.clone(),
                names: types
                    .iter()
                    .take(TYPES_SHOWN_MAX)
                    .map(|kind| kind.name.clone())
                    .collect(),
            }),
        None if options.pattern == Pattern::Any => types
            .iter()
            .max_by_key(|kind| kind.available)
            .cloned()
            .map(Some)
            .ok_or_else(|| RushError::NoTickets(slug.to_owned())),
        None => Ok(None),
    }
}

/// The ids of up to `len_max` tickets that can be bought now. `seen` is told how many were found so far.
///
/// All tickets are read and those that are not available left out: a page of all costs the server the same wherever it
/// is, a page of what is left does not.
pub async fn tickets(
    line: &mut Line,
    event: &Event,
    len_max: u64,
    mut seen: impl FnMut(usize),
) -> Result<Vec<String>, RushError> {
    let len_max = usize::try_from(len_max).unwrap_or(usize::MAX);
    let type_id = event.ticket_type.as_ref().map(|kind| kind.id.as_str());
    let mut ids: Vec<String> = Vec::new();
    let mut after = Value::Null;
    loop {
        let variables = json!({ "id": event.id, "type": type_id, "after": after });
        let mut data = ask(line, None, TICKETS, variables).await?;
        let page = &mut data["event"]["tickets"];
        let Some(nodes) = page["nodes"].as_array() else {
            return Err(RushError::UnknownEvent(event.slug.clone()));
        };
        for node in nodes.iter().filter(|node| node["status"] == "AVAILABLE") {
            match node["id"].as_str() {
                Some(id) if is_plain_id(id) => ids.push(id.to_owned()),
                Some(_) | None => return Err(RushError::StrangeId),
            }
        }
        seen(ids.len());
        ids.truncate(len_max);
        // A server whose pages are empty and never end is none.
        let is_last = page["pageInfo"]["hasNextPage"] != true || nodes.is_empty();
        if is_last || ids.len() == len_max {
            return Ok(ids);
        }
        after = page["pageInfo"]["endCursor"].take();
    }
}

/// Whether a type of the schema has a field. A server that does not tell has none.
pub async fn has_field(line: &mut Line, of: &str, field: &str) -> bool {
    let Ok(data) = ask(line, None, FIELDS, json!({ "of": of })).await else {
        return false;
    };
    data["__type"]["fields"]
        .as_array()
        .is_some_and(|fields| fields.iter().any(|known| known["name"] == field))
}

/// Each server must take the buyers' tokens and know the event.
pub async fn try_server(
    line: &mut Line,
    caller: &HeaderValue,
    event: &Event,
) -> Result<(), RushError> {
    match ask(line, Some(caller), ME, json!({})).await {
        Err(RushError::Asking { code, .. })
            if matches!(
                code.as_str(),
                "INVALID_TOKEN" | "UNAUTHENTICATED" | "TOKEN_EXPIRED"
            ) =>
        {
            return Err(RushError::TokensRefused { urls: line.urls() });
        }
        other => other?,
    };
    let data = ask(line, None, BY_KEY, json!({ "by": { "id": event.id } })).await?;
    if data["event"]["id"] != event.id.as_str() {
        return Err(RushError::OtherDatabase { urls: line.urls() });
    }
    Ok(())
}
