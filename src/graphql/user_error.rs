//! Refusals of operators' writes, as data.

use async_graphql::{OutputType, SimpleObject};

use super::{
    catalogue::{
        AddSeatsErrorCode, CopyEventErrorCode, CreateEventErrorCode, CreateTicketTypeErrorCode,
        PublishEventErrorCode, RemoveTicketsErrorCode, SetCapacityErrorCode, UpdateEventErrorCode,
        UpdateTicketTypeErrorCode,
    },
    erasure::EraseAccountErrorCode,
    organizer::{
        CreateApiKeyErrorCode, RemoveMemberErrorCode, RevokeApiKeyErrorCode, SetMemberErrorCode,
        UpdateOrganizerErrorCode,
    },
};
use crate::refusal::Refusal;

/// Why nothing was written. The code is for the program, the message for its user.
#[derive(SimpleObject)]
#[graphql(concrete(name = "CreateEventUserError", params(CreateEventErrorCode)))]
#[graphql(concrete(name = "UpdateEventUserError", params(UpdateEventErrorCode)))]
#[graphql(concrete(name = "CopyEventUserError", params(CopyEventErrorCode)))]
#[graphql(concrete(name = "PublishEventUserError", params(PublishEventErrorCode)))]
#[graphql(concrete(name = "CreateTicketTypeUserError", params(CreateTicketTypeErrorCode)))]
#[graphql(concrete(name = "UpdateTicketTypeUserError", params(UpdateTicketTypeErrorCode)))]
#[graphql(concrete(name = "AddSeatsUserError", params(AddSeatsErrorCode)))]
#[graphql(concrete(name = "SetCapacityUserError", params(SetCapacityErrorCode)))]
#[graphql(concrete(name = "RemoveTicketsUserError", params(RemoveTicketsErrorCode)))]
#[graphql(concrete(name = "UpdateOrganizerUserError", params(UpdateOrganizerErrorCode)))]
#[graphql(concrete(name = "SetMemberUserError", params(SetMemberErrorCode)))]
#[graphql(concrete(name = "RemoveMemberUserError", params(RemoveMemberErrorCode)))]
#[graphql(concrete(name = "CreateApiKeyUserError", params(CreateApiKeyErrorCode)))]
#[graphql(concrete(name = "RevokeApiKeyUserError", params(RevokeApiKeyErrorCode)))]
#[graphql(concrete(name = "EraseAccountUserError", params(EraseAccountErrorCode)))]
pub struct UserError<C: OutputType> {
    /// What to react to.
    code: C,
    /// A plain sentence in English.
    message: String,
    /// The field of the input that is to blame, with dots into lists and objects, as in `rows.2.section`; null when
    /// none is.
    field: Option<String>,
}

/// What a payload is made of: the result or the reasons, as the schema shows them.
pub fn split<T, D, C>(answer: Result<T, Vec<Refusal<D>>>) -> (Option<T>, Vec<UserError<C>>)
where
    C: OutputType + From<D>,
{
    match answer {
        Ok(result) => (Some(result), vec![]),
        Err(refusals) => (
            None,
            refusals
                .into_iter()
                .map(|refusal| UserError {
                    code: refusal.code.into(),
                    message: refusal.message,
                    field: refusal.field,
                })
                .collect(),
        ),
    }
}
