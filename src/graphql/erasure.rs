//! `eraseAccount`: what this server knows of who you are.

use async_graphql::{Context, Enum, InputObject, Object, Result, SimpleObject};

use super::{
    caller, deadline, domain,
    user_error::{UserError, split},
};
use crate::organizers::{self, EraseCode};

/// The account to be erased: your own.
#[derive(InputObject)]
pub struct EraseAccountInput {
    /// The subject (`sub`) of your token, so that nobody erases themselves by accident.
    subject: String,
}

/// Why an account is not erased.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "EraseCode")]
pub enum EraseAccountErrorCode {
    /// The subject is not that of your token.
    OtherAccount,
    /// You act for an organizer: one of its owners ends that first.
    IsMember,
}

/// The answer of `eraseAccount`.
#[derive(SimpleObject)]
pub struct EraseAccountPayload {
    /// Whether nothing here says any more who you are.
    is_erased: bool,
    /// Why it was refused; empty on success.
    user_errors: Vec<UserError<EraseAccountErrorCode>>,
}

#[derive(Default)]
pub struct ErasureMutation;

#[Object]
impl ErasureMutation {
    /// Forgets the issuer and the subject of your token, which is all that this server knows of you. It cannot be undone: your
    /// orders stay sold and their admission codes good, and neither you nor anybody else finds them here again. Export them
    /// before, by `me`. If you come back, you are somebody new. Needs a customer's token.
    async fn erase_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Yourself.")] input: EraseAccountInput,
    ) -> Option<Result<EraseAccountPayload>> {
        Some(deadline::done(ctx, erase_account(ctx, input)).await)
    }
}

async fn erase_account(ctx: &Context<'_>, input: EraseAccountInput) -> Result<EraseAccountPayload> {
    let account = caller(ctx).customer()?.account();
    let domain = domain(ctx);
    let answer = organizers::erase(&domain.store, account.clone(), &input.subject).await?;
    domain.sales.forget(account);
    let (erased, user_errors) = split(answer);
    Ok(EraseAccountPayload {
        is_erased: erased.is_some(),
        user_errors,
    })
}
