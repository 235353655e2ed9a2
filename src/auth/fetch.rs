//! Asks an identity provider for its keys: one GET over TLS, bounded in time and length.
//!
//! hyper's client and rustls are there already, for rehearsals and for the database's connections. Redirects are not followed:
//! the operator names the place that is trusted, and no other.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1::handshake,
    header::{ACCEPT, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// From the name's resolution to the last byte.
pub const TIME_MAX: Duration = Duration::from_secs(5);

/// Of one address, so that there is time for the next.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Providers send one to twenty kilobytes.
const RESPONSE_LEN_MAX: usize = 512 * 1024;

/// Where a provider has its keys.
pub struct Provider {
    url: Uri,
    /// Without the brackets of an address.
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

/// Why a provider's keys are not here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{url} is no place for keys: {reason}")]
    BadUrl { url: String, reason: &'static str },
    #[error("the file of authorities {file} is not used: {reason}", file = .file.display())]
    BadAuthorities { file: PathBuf, reason: String },
    #[error("{url} did not answer within {TIME_MAX:?}")]
    TooSlow { url: String },
    #[error("{url} is out of reach")]
    OutOfReach { url: String, source: std::io::Error },
    #[error("{url} was cut off")]
    CutOff { url: String, source: hyper::Error },
    #[error("{url} is not on this machine, as http must be")]
    NotHere { url: String },
    #[error("{url} answered {status}")]
    Refused { url: String, status: StatusCode },
    #[error("{url} answered with more than {RESPONSE_LEN_MAX} bytes, or not to the end")]
    TooLong { url: String },
}

/// Without a query, in which some services want a key.
impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.scheme_str().unwrap_or_default();
        let path = self.url.path();
        let authority = self
            .url
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}{path}")
    }
}

impl Provider {
    /// `authorities` is a file of certificates (PEM), instead of those that browsers trust.
    ///
    /// # Errors
    /// When the URL is none that can be trusted, or the file has no certificate.
    pub fn new(url: &str, authorities: Option<&Path>) -> Result<Self, FetchError> {
        // Whatever it is, it may have a password in it.
        let bad = |reason| FetchError::BadUrl {
            url: "--jwks-url".to_owned(),
            reason,
        };
        let uri: Uri = url.parse().map_err(|_| bad("it is no URL"))?;
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("a user and a password have no place in it"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (default_port, tls) = match uri.scheme_str() {
            Some("https") => (443, Some(connector(authorities)?)),
            Some("http") if is_here(&host) => (80, None),
            Some("http") => {
                return Err(bad(
                    "over http anybody on the way could put keys of their own in: use https",
                ));
            }
            Some(_) | None => return Err(bad("it must begin with https://")),
        };
        if authorities.is_some() && tls.is_none() {
            return Err(bad("http has no use for a file of authorities"));
        }
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(default_port),
            url: uri,
            tls,
        })
    }

    /// # Errors
    /// When the answer is not there in time, too long, or not 200.
    pub async fn fetch(&self) -> Result<Bytes, FetchError> {
        let fetched = timeout(TIME_MAX, self.exchange()).await;
        fetched.unwrap_or_else(|_| {
            Err(FetchError::TooSlow {
                url: self.to_string(),
            })
        })
    }

    async fn exchange(&self) -> Result<Bytes, FetchError> {
        let out_of_reach = |source| FetchError::OutOfReach {
            url: self.to_string(),
            source,
        };
        let stream = self.connect().await?;
        let Some(tls) = &self.tls else {
            return self.ask(stream).await;
        };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| out_of_reach(std::io::Error::other(error)))?;
        let stream = tls.connect(name, stream).await.map_err(out_of_reach)?;
        self.ask(stream).await
    }

    async fn connect(&self) -> Result<TcpStream, FetchError> {
        let out_of_reach = |source| FetchError::OutOfReach {
            url: self.to_string(),
            source,
        };
        let addresses = lookup_host((self.host.as_str(), self.port)).await;
        let mut last = std::io::Error::other("its host has no address");
        for address in addresses.map_err(out_of_reach)? {
            if self.tls.is_none() && !is_loopback(&address) {
                return Err(FetchError::NotHere {
                    url: self.to_string(),
                });
            }
            match timeout(CONNECT_MAX, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = std::io::ErrorKind::TimedOut.into(),
            }
        }
        Err(out_of_reach(last))
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Bytes, FetchError> {
        let cut_off = |source| FetchError::CutOff {
            url: self.to_string(),
            source,
        };
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(cut_off)?;
        // Ends with this function.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let response = sender.send_request(self.request()).await.map_err(cut_off)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Refused {
                url: self.to_string(),
                status: response.status(),
            });
        }
        let body = Limited::new(response.into_body(), RESPONSE_LEN_MAX);
        let body = body.collect().await.map_err(|_| FetchError::TooLong {
            url: self.to_string(),
        })?;
        Ok(body.to_bytes())
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let authority = self
            .url
            .authority()
            .map_or("", |authority| authority.as_str());
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        Request::get(path)
            .header(HOST, authority)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("rowlock/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .expect("the parts of a URL are what a request can have")
    }
}

/// Where nobody is on the way.
fn is_here(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn connector(authorities: Option<&Path>) -> Result<TlsConnector, FetchError> {
    let roots = match authorities {
        Some(file) => roots_of(file).map_err(|reason| FetchError::BadAuthorities {
            file: file.to_owned(),
            reason,
        })?,
        None => RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots_of(file: &Path) -> Result<RootCertStore, String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| "it is no PEM".to_owned())?;
        let added = roots.add(certificate);
        added.map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it has no certificate".to_owned());
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::Provider;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for good in [
            "https://login.example/keys",
            "https://login.example:8443/keys?app=1",
            "http://127.0.0.1:9000/keys",
            "http://[::1]:9000/keys",
            "http://localhost/keys",
        ] {
            assert!(Provider::new(good, None).is_ok(), "{good}");
        }
        for bad in [
            "http://login.example/keys",
            "http://127.0.0.1.login.example/keys",
            "http://0.0.0.0/keys",
            "ftp://login.example/keys",
            "login.example/keys",
            "/keys",
            "",
            "https://user:password@login.example/keys",
        ] {
            assert!(Provider::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_said_of_a_provider_has_neither_its_query_nor_a_password() {
        let provider = Provider::new("https://login.example/keys?code=abc", None).unwrap();
        assert_eq!(provider.to_string(), "https://login.example/keys");
        let refused = Provider::new("https://user:hunter2@login.example/keys", None);
        assert!(!refused.err().unwrap().to_string().contains("hunter2"));
    }
}
