use async_graphql::Pos;

use super::*;
use crate::graphql::sdl;

fn documents() -> Documents {
    Documents::new(QueryConfig::default(), Arc::new(Types::read(&sdl())))
}

async fn prepare(
    documents: &Documents,
    text: impl Into<String>,
) -> Result<Weighed, Vec<ServerError>> {
    let prepared = documents.prepare(&mut Request::new(text)).await;
    prepared.map(|prepared| prepared.weighed)
}

#[tokio::test]
async fn a_flood_of_documents_is_forgotten() {
    let documents = documents();
    for n in 0..3_000 {
        let filler = " ".repeat(n % 2_000);
        prepare(&documents, format!("{{ a{n}: __typename }}{filler}"))
            .await
            .unwrap();
    }
    assert!(documents.checked.weight() <= DOCUMENTS_BYTES_MAX);
    assert!(documents.checked.len() <= DOCUMENTS_MAX);
}

#[tokio::test]
async fn what_is_wrong_and_what_is_long_is_not_kept() {
    let documents = documents();
    for text in ["{", "{ nothing }", "{ a: b ...a }"] {
        prepare(&documents, text).await.unwrap_err();
    }
    let long = format!("{{ __typename }}{}", " ".repeat(DOCUMENT_LEN_MAX));
    prepare(&documents, long).await.unwrap();
    assert_eq!(documents.checked.len(), 0);
    prepare(&documents, "{ __typename }").await.unwrap();
    prepare(&documents, "{ __typename }").await.unwrap();
    assert_eq!(documents.checked.len(), 1);
}

#[tokio::test]
async fn a_string_that_does_not_end_is_found_in_its_line() {
    let documents = documents();
    let errors = prepare(&documents, "{\r\n  a(b: \"\n").await.unwrap_err();
    assert_eq!(errors[0].locations, [Pos { line: 2, column: 8 }]);
}

#[tokio::test]
async fn what_is_kept_weighs_what_its_fragments_come_to() {
    let documents = documents();
    let spreads = "...F ".repeat(40);
    let fields = "...on Node{id}".repeat(30);
    prepare(
        &documents,
        format!("{{node(id:1){{{spreads}}}}} fragment F on Node{{{fields}}}"),
    )
    .await
    .unwrap();
    // A field, and 40 times a fragment with 30 inline ones of one field each; and that fragment by itself.
    assert_eq!(
        documents.checked.weight(),
        (1 + 40 * (1 + 60) + 60) * SELECTION_WEIGHT
    );
}
