//! By which names this server can be called.
//!
//! A page of another site can have its own name lead to this machine (DNS rebinding), and is then, to the browser, this
//! server's own page. Its requests name that site all the same.

use std::net::IpAddr;

use axum::http::{HeaderMap, StatusCode, Uri, header::HOST};

use super::answer::Refusal;
use crate::{config::HostName, graphql::fault::Code};

/// What a machine calls itself, and what ends with `.localhost` (RFC 6761), which leads nowhere else.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
const OWN_SUFFIX: &str = ".localhost";

/// Probes call a process by its address, and learn no more than that it is there.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// Which names are answered.
pub enum Hosts {
    Any,
    /// This machine's own.
    Own,
    Named(Vec<HostName>),
}

impl Hosts {
    /// Whoever listens for this machine alone is called by its names, unless others are given.
    pub fn new(named: &[HostName], listen: IpAddr) -> Self {
        if !named.is_empty() {
            Self::Named(named.to_vec())
        } else if listen.to_canonical().is_loopback() {
            Self::Own
        } else {
            Self::Any
        }
    }

    /// # Errors
    /// When the request is for somebody else, or does not say for whom.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut all = headers.get_all(HOST).iter();
        let host = all.next();
        if all.next().is_some() {
            // Something on the way may have looked at the other.
            return Err(Refusal::bad_request("there are two Host headers"));
        }
        if PROBES.contains(&uri.path()) {
            return Ok(());
        }
        // A request line with a whole address outdoes the header (RFC 9112, section 3.2.2).
        let host = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => host.map(|host| host.to_str().unwrap_or_default()),
        };
        if self.has(host.map(without_port)) {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            Code::HostNotAllowed,
            "this server is not called by that name; the operator can say by which it is (--host)",
        ))
    }

    fn has(&self, host: Option<&str>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Own | Self::Named(_), None) => false,
            (Self::Own, Some(host)) => {
                let host = host.to_ascii_lowercase();
                OWN_NAMES.contains(&host.as_str()) || host.ends_with(OWN_SUFFIX)
            }
            (Self::Named(names), Some(host)) => names
                .iter()
                .any(|name| name.as_str().eq_ignore_ascii_case(host)),
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn code(hosts: &Hosts, uri: &'static str, names: &[&'static str]) -> Option<Code> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(HOST, HeaderValue::from_static(name));
        }
        let checked = hosts.check(&Uri::from_static(uri), &headers);
        checked.err().map(|refusal| refusal.code)
    }

    fn passes(hosts: &Hosts, name: &'static str) -> bool {
        code(hosts, "/graphql", &[name]).is_none()
    }

    #[test]
    fn who_listens_for_this_machine_alone_is_called_by_its_names() {
        for listen in ["127.0.0.1", "::1", "127.1.2.3"] {
            let hosts = Hosts::new(&[], listen.parse().unwrap());
            for own in [
                "localhost",
                "LOCALHOST:8080",
                "127.0.0.1:8080",
                "[::1]:8080",
                "[::1]",
                "shop.localhost:1",
            ] {
                assert!(passes(&hosts, own), "{own}");
            }
            for other in [
                "evil.example",
                "evil.example:8080",
                "localhost.evil.example",
                "127.0.0.1.evil.example",
                "evillocalhost",
                "localhost:8080:1",
                "",
            ] {
                assert!(!passes(&hosts, other), "{other}");
            }
            assert_eq!(code(&hosts, "/graphql", &[]), Some(Code::HostNotAllowed));
        }
        let hosts = Hosts::new(&[], "0.0.0.0".parse().unwrap());
        assert!(passes(&hosts, "tickets.example") && code(&hosts, "/graphql", &[]).is_none());
    }

    #[test]
    fn a_server_that_has_a_name_is_called_by_no_other() {
        let name = "tickets.example".parse().unwrap();
        let hosts = Hosts::new(&[name], "127.0.0.1".parse().unwrap());
        assert!(passes(&hosts, "tickets.example") && passes(&hosts, "Tickets.Example:443"));
        assert!(!passes(&hosts, "localhost") && !passes(&hosts, "a.tickets.example"));
        assert!(code(&hosts, "/readyz", &["10.0.0.7:8080"]).is_none());
    }

    #[test]
    fn the_request_line_outdoes_the_header_and_two_headers_are_none() {
        let hosts = Hosts::new(&[], "127.0.0.1".parse().unwrap());
        let absolute = "http://evil.example/graphql";
        assert_eq!(
            code(&hosts, absolute, &["localhost"]),
            Some(Code::HostNotAllowed)
        );
        let two = ["localhost", "localhost"];
        for hosts in [hosts, Hosts::Any] {
            assert_eq!(code(&hosts, "/livez", &two), Some(Code::BadRequest));
        }
    }
}
