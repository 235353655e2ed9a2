//! Where traces go.

use std::str::FromStr;

use hyper::Uri;

/// What is told of single requests, to a collector of OpenTelemetry.
#[derive(Clone, Debug, clap::Args)]
pub struct TraceConfig {
    /// A collector of traces that takes OTLP over HTTP beside this server, such as http://127.0.0.1:4318. Needs a server that was
    /// built with --features otlp
    #[arg(long, env = "ROWLOCK_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<Uri>,

    /// Which share of the requests is traced, from 0 to 1. Whatever a caller's own trace says of itself
    #[arg(
        long,
        env = "ROWLOCK_OTLP_SHARE",
        value_name = "SHARE",
        default_value = "0.01"
    )]
    pub otlp_share: Share,
}

/// A share of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err("a share is a number from 0 to 1"),
        }
    }
}
