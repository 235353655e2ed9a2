//! What a member's role allows.

use sea_orm::Iterable;

use crate::{auth::Permission, entity::member::Role};

/// Whether somebody in this role may do that.
pub fn allows(role: Role, permission: Permission) -> bool {
    use Permission as P;
    match role {
        Role::Owner => true,
        Role::Manager => permission != P::Administer,
        Role::BoxOffice => matches!(permission, P::Read | P::Sell | P::Block),
        Role::Door | Role::Reader => permission == P::Read,
    }
}

/// The roles that allow it.
pub(super) fn with(permission: Permission) -> impl Iterator<Item = Role> {
    Role::iter().filter(move |role| allows(*role, permission))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_may_read_and_each_further_one_less_than_the_one_before() {
        use Permission as P;
        let all = [
            P::Read,
            P::Sell,
            P::Block,
            P::Catalogue,
            P::Cancel,
            P::Administer,
        ];
        let allowed = |role| all.iter().filter(|it| allows(role, **it)).count();
        let counts: Vec<usize> = Role::iter().map(allowed).collect();
        assert_eq!(counts, [6, 5, 3, 1, 1]);
        assert!(Role::iter().all(|role| allows(role, P::Read)));
        assert_eq!(with(P::Administer).collect::<Vec<_>>(), [Role::Owner]);
    }
}
