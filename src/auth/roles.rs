//! Where a token says what its caller may be, and in whose words.

use std::{convert::Infallible, str::FromStr};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Role;

/// A claim, or one inside of others: the names on the way to it.
///
/// As text, dots separate names: `realm_access.roles`. A text with `://` in it is one name with all its dots, because claims of
/// one's own are named by a URL: `https://tickets.example/role`. In a file, a list of names leaves nothing to guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl FromStr for ClaimPath {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(if text.contains("://") {
            vec![text.to_owned()]
        } else {
            text.split('.').map(str::to_owned).collect()
        }))
    }
}

impl Default for ClaimPath {
    fn default() -> Self {
        Self(vec!["role".to_owned()])
    }
}

impl<'de> Deserialize<'de> for ClaimPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected a claim's path, as text or as a list of names"
        )]
        enum Form {
            Text(String),
            Names(Vec<String>),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => {
                let Ok(path) = text.parse();
                path
            }
            Form::Names(names) => Self(names),
        })
    }
}

impl ClaimPath {
    /// Whether every step has a name, and there is one.
    pub fn is_complete(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|name| !name.is_empty())
    }

    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, others) = self.0.split_first()?;
        let begin = claims.get(first)?;
        others.iter().try_fold(begin, |value, name| value.get(name))
    }

    /// Whether the claim is a list of words in one text (RFC 8693, section 4.2). No other claim is: a role's name may have
    /// spaces in it.
    fn is_scope(&self) -> bool {
        self.0.last().is_some_and(|name| name == "scope")
    }

    fn put(&self, claims: &mut Map<String, Value>, value: Value) {
        let Some((last, way)) = self.0.split_last() else {
            return;
        };
        let mut place = claims;
        for name in way {
            let next = place
                .entry(name.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(next) = next else { return };
            place = next;
        }
        place.insert(last.clone(), value);
    }
}

/// How an issuer says roles.
#[derive(Clone)]
pub struct RoleRule {
    pub claim: ClaimPath,
    /// The issuer's words and what they mean here. Without any, they are Rowlock's own.
    pub words: Vec<(String, Role)>,
    /// For a token that says none of them.
    pub default: Option<Role>,
}

impl RoleRule {
    /// The role that the claims give. Who is both is an organizer. A claim of another form than a text or a list of texts gives
    /// none, whatever the default.
    pub fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let said = match self.claim.find(claims) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) if self.claim.is_scope() => text.split(' ').collect(),
            Some(Value::String(text)) => vec![text.as_str()],
            Some(Value::Array(list)) => {
                list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => return None,
        };
        let means = |role| said.iter().any(|word| self.meaning(word) == Some(role));
        [Role::Organizer, Role::Customer]
            .into_iter()
            .find(|role| means(*role))
            .or(self.default)
    }

    /// Writes the role as a token of this issuer says it.
    ///
    /// # Errors
    /// When no word means it.
    pub fn write(&self, claims: &mut Map<String, Value>, role: Role) -> Option<()> {
        let word = if self.words.is_empty() {
            own_word(role)
        } else {
            let mut words = self.words.iter();
            words.find(|(_, meant)| *meant == role)?.0.as_str()
        };
        self.claim.put(claims, word.into());
        Some(())
    }

    fn meaning(&self, word: &str) -> Option<Role> {
        if self.words.is_empty() {
            let mut roles = [Role::Customer, Role::Organizer].into_iter();
            return roles.find(|role| own_word(*role) == word);
        }
        let mut words = self.words.iter();
        words.find(|(said, _)| said == word).map(|(_, role)| *role)
    }
}

fn own_word(role: Role) -> &'static str {
    match role {
        Role::Customer => "customer",
        Role::Organizer => "organizer",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(claim: &str, words: &[(&str, Role)], default: Option<Role>) -> RoleRule {
        let words = words.iter().map(|(word, role)| ((*word).to_owned(), *role));
        let Ok(claim) = claim.parse();
        RoleRule {
            claim,
            words: words.collect(),
            default,
        }
    }

    fn role(rule: &RoleRule, claims: Value) -> Option<Role> {
        rule.role(claims.as_object().unwrap())
    }

    #[test]
    fn dots_lead_into_claims_and_a_url_is_one_name() {
        let words = [("seller", Role::Organizer), ("fan", Role::Customer)];
        let of_realm = rule("realm_access.roles", &words, None);
        let claims = json!({ "realm_access": { "roles": ["offline_access", "fan"] } });
        assert_eq!(role(&of_realm, claims), Some(Role::Customer));
        assert_eq!(
            role(&of_realm, json!({ "realm_access.roles": "fan" })),
            None
        );
        let of_url = rule("https://tickets.example/role", &words, None);
        let claims = json!({ "https://tickets.example/role": "seller" });
        assert_eq!(role(&of_url, claims), Some(Role::Organizer));
        let named: ClaimPath = serde_json::from_value(json!(["a.b", "c"])).unwrap();
        let claims = json!({ "a.b": { "c": "x" } });
        assert_eq!(named.find(claims.as_object().unwrap()), Some(&json!("x")));
    }

    #[test]
    fn own_words_mean_nothing_beside_a_mapping() {
        let of_words = rule("role", &[("seller", Role::Organizer)], None);
        assert_eq!(role(&of_words, json!({ "role": "organizer" })), None);
        assert_eq!(
            role(&of_words, json!({ "role": "Seller" })),
            None,
            "to the letter"
        );
        let own = rule("role", &[], None);
        assert_eq!(
            role(&own, json!({ "role": "organizer" })),
            Some(Role::Organizer)
        );
        assert_eq!(role(&own, json!({ "role": "admin" })), None);
    }

    #[test]
    fn who_is_both_is_an_organizer() {
        for list in [["customer", "organizer"], ["organizer", "customer"]] {
            let own = rule("roles", &[], None);
            assert_eq!(role(&own, json!({ "roles": list })), Some(Role::Organizer));
        }
    }

    #[test]
    fn the_default_is_for_who_says_nothing_of_ours_and_not_for_what_is_malformed() {
        let own = rule("role", &[], Some(Role::Customer));
        for claims in [
            json!({}),
            json!({ "role": null }),
            json!({ "role": [] }),
            json!({ "role": "admin" }),
        ] {
            assert_eq!(role(&own, claims.clone()), Some(Role::Customer), "{claims}");
        }
        for claims in [
            json!({ "role": 1 }),
            json!({ "role": { "organizer": true } }),
            json!({ "role": ["organizer", 1] }),
        ] {
            assert_eq!(role(&own, claims.clone()), None, "{claims}");
        }
    }

    #[test]
    fn only_a_scope_is_split_into_words() {
        let claims = |name: &str| json!({ name: "openid organizer" });
        assert_eq!(
            role(&rule("scope", &[], None), claims("scope")),
            Some(Role::Organizer)
        );
        assert_eq!(role(&rule("role", &[], None), claims("role")), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for claim in ["role", "a.b.c", "https://tickets.example/role"] {
            let of_words = rule(claim, &[("seller", Role::Organizer)], None);
            let mut claims = Map::new();
            assert!(of_words.write(&mut claims, Role::Organizer).is_some());
            assert_eq!(of_words.role(&claims), Some(Role::Organizer));
            assert!(of_words.write(&mut claims, Role::Customer).is_none());
        }
    }
}
