//! What staff may do, asked before they do it: whoever is a member in too small a role is told so. Of what is not theirs
//! nothing is said here; the statement that does it finds nothing there.

use async_graphql::{Context, Error, Result};

use super::{deadline, domain};
use crate::{
    auth::{Denial, Grant, Permission},
    ids::{EventId, OrganizerId},
    organizers,
};

/// Whether they may do it with this event; not when it is another organizer's or is not there.
///
/// # Errors
/// `FORBIDDEN` to a member whose role does not allow it.
pub async fn permit(ctx: &Context<'_>, grant: &Grant, event_id: EventId) -> Result<bool> {
    let check = organizers::check(&domain(ctx).store, grant, event_id);
    Ok(deadline::read(ctx, check).await?.is_allowed()?)
}

/// Whether they may do it for this organizer; not when it is none of theirs or is not there.
///
/// # Errors
/// `FORBIDDEN` to a member whose role does not allow it.
pub async fn permit_for(ctx: &Context<'_>, grant: &Grant, id: OrganizerId) -> Result<bool> {
    let check = organizers::check_organizer(&domain(ctx).store, grant, id);
    Ok(deadline::read(ctx, check).await?.is_allowed()?)
}

/// An organizer is public, and who acts for it is not: everybody but its owners is told the same.
pub fn told_no_member() -> Error {
    Denial::NotInRole {
        needs: Permission::Administer,
    }
    .into()
}
