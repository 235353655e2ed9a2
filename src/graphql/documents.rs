//! Documents that were parsed before: clients send the same few, each thousands of times.
//!
//! Only parsing is saved. Whatever the engine checks of a document, and of its variables, it checks every time.

use std::sync::Arc;

use async_graphql::{
    Request,
    parser::{parse_query, types::ExecutableDocument},
};
use quick_cache::{Weighter, sync::Cache};

/// Documents that are kept; a shop's frontend has some dozens.
const DOCUMENTS_MAX: usize = 1_000;

/// Text of all the documents that are kept. Parsed, a document takes some ten times its text.
const DOCUMENTS_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// A longer document is parsed every time. The introspection query of the usual tools is well within.
const DOCUMENT_LEN_MAX: usize = 16 * 1024;

pub struct Documents {
    parsed: Cache<String, Arc<ExecutableDocument>, ByText>,
}

#[derive(Clone)]
struct ByText;

impl Weighter<String, Arc<ExecutableDocument>> for ByText {
    fn weight(&self, text: &String, _: &Arc<ExecutableDocument>) -> u64 {
        // The cache bounds the sum alone: so that it bounds the number too, no document weighs less than its share.
        (text.len() as u64).max(DOCUMENTS_BYTES_MAX / DOCUMENTS_MAX as u64)
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            parsed: Cache::with_weighter(DOCUMENTS_MAX, DOCUMENTS_BYTES_MAX, ByText),
        }
    }
}

impl Documents {
    /// Gives the engine the parsed document. One that does not parse is left to the engine, which says what is wrong.
    pub fn prepare(&self, request: &mut Request) {
        if request.query.len() > DOCUMENT_LEN_MAX {
            return;
        }
        if let Some(document) = self.parsed.get(&request.query) {
            request.set_parsed_query(ExecutableDocument::clone(&document));
            return;
        }
        if let Ok(document) = parse_query(&request.query) {
            self.parsed
                .insert(request.query.clone(), Arc::new(document.clone()));
            request.set_parsed_query(document);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_documents_is_forgotten() {
        let documents = Documents::default();
        for n in 0..20_000 {
            let filler = " ".repeat(n % 2_000);
            documents.prepare(&mut Request::new(format!("{{ node{n} }}{filler}")));
        }
        assert!(documents.parsed.weight() <= DOCUMENTS_BYTES_MAX);
        assert!(documents.parsed.len() <= DOCUMENTS_MAX);
    }

    #[test]
    fn what_does_not_parse_and_what_is_long_is_not_kept() {
        let documents = Documents::default();
        documents.prepare(&mut Request::new("{"));
        documents.prepare(&mut Request::new(format!(
            "{{ a }}{}",
            " ".repeat(DOCUMENT_LEN_MAX)
        )));
        assert_eq!(documents.parsed.len(), 0);
        documents.prepare(&mut Request::new("{ a }"));
        documents.prepare(&mut Request::new("{ a }"));
        assert_eq!(documents.parsed.len(), 1);
    }
}
