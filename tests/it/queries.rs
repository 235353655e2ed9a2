//! Documents and variables, whatever is in them: each is answered, and none takes long.

mod any;
mod introspection;
mod limits;
mod roots;
mod variables;

use serde_json::json;

use crate::harness::{Client, client::Answer};

/// The tools' introspection query with everything that they can ask for, laid out as theirs is: the types of fields and
/// arguments nine lists and non-nulls deep.
fn introspection() -> String {
    let of_type = (0..9).fold("kind name".to_owned(), |inner, _| {
        format!("kind name ofType {{ {inner} }}")
    });
    format!(
        "query IntrospectionQuery {{
            __schema {{
                description
                queryType {{ name kind }} mutationType {{ name kind }} subscriptionType {{ name kind }}
                types {{ ...FullType }}
                directives {{
                    name description isRepeatable locations
                    args(includeDeprecated: true) {{ ...InputValue }}
                }}
            }}
        }}
        fragment FullType on __Type {{
            kind name description specifiedByURL isOneOf
            fields(includeDeprecated: true) {{
                name description
                args(includeDeprecated: true) {{ ...InputValue }}
                type {{ ...TypeRef }}
                isDeprecated deprecationReason
            }}
            inputFields(includeDeprecated: true) {{ ...InputValue }}
            interfaces {{ ...TypeRef }}
            enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
            possibleTypes {{ ...TypeRef }}
        }}
        fragment InputValue on __InputValue {{
            name description type {{ ...TypeRef }} defaultValue isDeprecated deprecationReason
        }}
        fragment TypeRef on __Type {{ {of_type} }}"
    )
}

/// Each fragment spreads the next one twice.
fn doubling(fragments: usize) -> String {
    let chain: String = (0..fragments)
        .map(|i| format!("fragment F{i} on Query{{...F{n} ...F{n}}}", n = i + 1))
        .collect();
    format!("{{...F0}}{chain}fragment F{fragments} on Query{{__typename}}")
}

async fn ask(client: &Client, document: impl AsRef<str>) -> Answer {
    client.send(document.as_ref(), json!({})).await
}
