//! Rowlock as its clients, its operators and its database see it: over HTTP, against the real databases.
