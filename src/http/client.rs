//! Where a request comes from, by its connection or by the word of a proxy that the operator trusts.
//!
//! An address is customer data: it is counted by and never written anywhere.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Once,
};

use axum::http::{HeaderMap, HeaderName, header::FORWARDED};

use crate::config::{ForwardedHeader, FrontConfig, Network};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whoever has one address of IPv6 has all of its /64 (RFC 6177), and could ask from another one each time.
const IPV6_PREFIX: u32 = 64;

/// The other end of a request's connection.
#[derive(Clone, Copy)]
pub struct Peer(pub IpAddr);

/// An address as far as it tells one client from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(IpAddr);

impl Address {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let mask = u128::MAX << (u128::BITS - IPV6_PREFIX);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// Finds the address of a request's client.
pub struct Clients {
    trusted: Vec<Network>,
    header: ForwardedHeader,
    warning: Once,
}

impl Clients {
    pub fn new(config: &FrontConfig) -> Self {
        Self {
            trusted: config.trusted_proxies.clone(),
            header: config.forwarded_header,
            warning: Once::new(),
        }
    }

    /// None for what runs on the server's own machine: whoever can do that can do worse.
    pub fn address(&self, peer: Peer, headers: &HeaderMap) -> Option<Address> {
        let Peer(peer) = peer;
        if self.trusted.is_empty()
            && peer.to_canonical().is_loopback()
            && (headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED))
        {
            self.warn();
        }
        let client = self.client(peer.to_canonical(), headers).to_canonical();
        (!client.is_loopback()).then(|| Address::of(client))
    }

    fn warn(&self) {
        self.warning.call_once(|| {
            tracing::warn!(
                "a proxy on this machine hands requests on and is not trusted, so that nothing is limited by address: name \
                 it with --trusted-proxy"
            );
        });
    }

    /// The first address, from the nearest to the farthest, that is no trusted proxy's. Each proxy adds whom it heard to the
    /// end of what it was told, so that everything before the first stranger may be invented.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        if !self.is_trusted(client) {
            return client;
        }
        let (name, read): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedHeader::XForwardedFor => (X_FORWARDED_FOR, address),
            ForwardedHeader::Forwarded => (FORWARDED, address_of_for),
        };
        for line in headers.get_all(name).iter().rev() {
            let Ok(line) = line.to_str() else {
                return peer;
            };
            // A comma cannot be part of what is quoted there: no address has one.
            for element in line.rsplit(',') {
                let Some(address) = read(element.trim()) else {
                    return peer;
                };
                client = address.to_canonical();
                if !self.is_trusted(client) {
                    return client;
                }
            }
        }
        client
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.has(address))
    }
}

/// An address, perhaps with a port behind it, as some proxies write.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address
            .parse()
            .ok()
            .filter(|_| is_port)
            .map(|address: Ipv6Addr| address.into());
    }
    let (address, port) = text.split_once(':')?;
    address.parse().ok().filter(|_| is_port(port))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

/// The one `for` of an element of `Forwarded` (RFC 7239, section 4). What is hidden or unknown there is no address.
fn address_of_for(element: &str) -> Option<IpAddr> {
    let mut named = element.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let (Some(value), None) = (named.next(), named.next()) else {
        return None;
    };
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    address(quoted.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn clients(trusted: &[&str], header: ForwardedHeader) -> Clients {
        Clients {
            trusted: trusted
                .iter()
                .map(|network| network.parse().unwrap())
                .collect(),
            header,
            warning: Once::new(),
        }
    }

    fn found(clients: &Clients, peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        clients.client(peer.parse().unwrap(), &map).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let said = [("x-forwarded-for", "198.51.100.7")];
        let none = clients(&[], ForwardedHeader::XForwardedFor);
        assert_eq!(found(&none, "127.0.0.1", &said), "127.0.0.1");
        let some = clients(&["10.0.0.0/8"], ForwardedHeader::XForwardedFor);
        assert_eq!(found(&some, "203.0.113.9", &said), "203.0.113.9");
        assert_eq!(found(&some, "10.1.2.3", &said), "198.51.100.7");
        assert_eq!(found(&some, "10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn what_the_nearest_stranger_says_is_not_looked_at() {
        let clients = clients(&["10.0.0.0/8", "fd00::/8"], ForwardedHeader::XForwardedFor);
        for said in [
            &["1.1.1.1, 198.51.100.7"][..],
            &["127.0.0.1, 10.9.9.9, 198.51.100.7, 10.0.0.2"],
            &["rubbish, 198.51.100.7"],
            &["rubbish", "198.51.100.7, fd00::1", "10.0.0.2"],
            &["198.51.100.7:443"],
            &["::ffff:198.51.100.7"],
        ] {
            let headers: Vec<_> = said.iter().map(|said| ("x-forwarded-for", *said)).collect();
            assert_eq!(
                found(&clients, "10.1.2.3", &headers),
                "198.51.100.7",
                "{said:?}"
            );
        }
    }

    #[test]
    fn what_a_proxy_writes_that_is_no_address_leaves_its_own() {
        let clients = clients(&["10.0.0.0/8"], ForwardedHeader::XForwardedFor);
        for said in [
            "",
            "unknown",
            "198.51.100.7, ",
            "1.2.3",
            "[::1",
            "1.2.3.4:x",
        ] {
            let headers = [("x-forwarded-for", said)];
            assert_eq!(found(&clients, "10.1.2.3", &headers), "10.1.2.3", "{said}");
        }
    }

    #[test]
    fn only_the_header_that_the_proxies_write_is_read() {
        let both = [
            ("x-forwarded-for", "198.51.100.7"),
            ("forwarded", "For=\"[2001:db8::7]:4711\";proto=https"),
        ];
        let of = |header| found(&clients(&["10.0.0.0/8"], header), "10.1.2.3", &both);
        assert_eq!(of(ForwardedHeader::XForwardedFor), "198.51.100.7");
        assert_eq!(of(ForwardedHeader::Forwarded), "2001:db8::7");
        let clients = clients(&["10.0.0.0/8"], ForwardedHeader::Forwarded);
        for said in [
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "for=1.1.1.1;for=2.2.2.2",
            "1.1.1.1",
        ] {
            let headers = [("forwarded", said)];
            assert_eq!(found(&clients, "10.1.2.3", &headers), "10.1.2.3", "{said}");
        }
    }

    #[test]
    fn an_address_of_ipv6_counts_with_its_neighbours_and_this_machine_not_at_all() {
        let clients = clients(&[], ForwardedHeader::XForwardedFor);
        let address = |peer: &str| clients.address(Peer(peer.parse().unwrap()), &HeaderMap::new());
        assert!(address("2001:db8::1") == address("2001:db8:0:0:ffff::2"));
        assert!(address("2001:db8::1") != address("2001:db8:0:1::1"));
        assert!(address("::ffff:192.0.2.1") == address("192.0.2.1"));
        assert!(address("192.0.2.1") != address("192.0.2.2"));
        for own in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(address(own).is_none(), "{own}");
        }
    }
}
