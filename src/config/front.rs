//! What stands in front of the server, and what it is called there.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// How requests come here.
#[derive(Clone, Debug, clap::Args)]
pub struct FrontConfig {
    /// A name that this server is called by, such as `tickets.example`, whatever the port; requests for any other are refused.
    /// The flag may come several times, the variable has commas. None: the names of this machine for itself where it listens for
    /// itself alone (127.0.0.1), and every name elsewhere
    #[arg(
        long = "host",
        env = "ROWLOCK_HOSTS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub hosts: Vec<HostName>,

    /// A proxy, or a network of them, which is believed when it says whose request it hands on, such as `10.0.0.0/8`. The flag
    /// may come several times, the variable has commas. None: nobody is believed, and behind a proxy all callers share its
    /// address. Whoever is named here can pass for any address
    #[arg(
        long = "trusted-proxy",
        env = "ROWLOCK_TRUSTED_PROXIES",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<Network>,

    /// The header in which trusted proxies say it. The other one is not read: a proxy hands on what it does not write itself, so
    /// that a client could write it
    #[arg(
        long,
        env = "ROWLOCK_FORWARDED_HEADER",
        value_name = "HEADER",
        default_value = "x-forwarded-for"
    )]
    pub forwarded_header: ForwardedHeader,

    /// Seconds for which a browser that was here over TLS comes back over nothing else (Strict-Transport-Security); 0 says
    /// nothing. A year is 31536000. It cannot be taken back before it is over, and holds for the whole name
    #[arg(
        long,
        env = "ROWLOCK_HSTS_SECS",
        value_name = "SECS",
        default_value = "0"
    )]
    pub hsts_secs: u64,
}

/// Where a proxy says whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ForwardedHeader {
    /// Addresses with commas between them, as most proxies write.
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// A name as it stands in a `Host` header, without its port, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let is_name = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        let of_brackets = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let is_address = of_brackets.is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
        if is_address || is_name(&text) {
            Ok(Self(text))
        } else {
            Err(
                "write a name as it stands in an address, without a port: tickets.example, 192.0.2.1 or [2001:db8::1]"
                    .to_owned(),
            )
        }
    }
}

/// An address, or a network with the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let net = match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => text.parse(),
        };
        net.map(Self)
            .map_err(|_| "write an address, or a network such as 10.0.0.0/8 or fd00::/8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{HostName, Network};

    #[test]
    fn a_host_is_a_name_without_a_port() {
        for (good, name) in [
            ("tickets.example", "tickets.example"),
            (" Tickets.Example ", "tickets.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(good.parse::<HostName>().unwrap().as_str(), name);
        }
        for bad in [
            "",
            "tickets.example:443",
            "https://tickets.example",
            "::1",
            "[x]",
            "*",
            "a b",
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        let has = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.has(address.parse().unwrap())
        };
        assert!(has("10.0.0.0/8", "10.255.0.1"));
        assert!(!has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("192.0.2.1", "192.0.2.1"));
        assert!(!has("192.0.2.1", "192.0.2.2"));
        assert!(has("fd00::/8", "fd12::1"));
        assert!(!has("0.0.0.0/0", "::1"));
        for bad in ["", "10.0.0.0/33", "10.0.0", "proxy.example"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
