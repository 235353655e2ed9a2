//! Whose pages may use the server from a browser.

use std::str::FromStr;

/// Whose pages may ask and read answers from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Everybody's, without their users' credentials.
    Any,
    /// As browsers write it, such as `https://shop.example` or `http://localhost:5173`.
    Exact(String),
}

impl AllowedOrigin {
    /// Whether a page of this origin is meant.
    pub fn is(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(allowed) => allowed == origin,
        }
    }
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let is_origin = text.split_once("://").is_some_and(|(scheme, host)| {
            let default_port = match scheme {
                "https" => ":443",
                "http" => ":80",
                _ => "/",
            };
            let is_of = |text: &str, marks: &[u8]| {
                !text.is_empty()
                    && text.bytes().all(|byte| {
                        byte.is_ascii_lowercase() || byte.is_ascii_digit() || marks.contains(&byte)
                    })
            };
            is_of(scheme, b"+-.") && is_of(host, b"-._:[]") && !host.ends_with(default_port)
        });
        if is_origin {
            Ok(Self::Exact(text.to_owned()))
        } else {
            Err("write an origin as browsers do: scheme://host or scheme://host:port, in lower case, with no path and no \
                 default port; or * for any"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AllowedOrigin;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for good in [
            "https://shop.example",
            "http://localhost:5173",
            "http://[::1]:8080",
            "capacitor://localhost",
        ] {
            let origin: AllowedOrigin = good.parse().unwrap();
            assert!(origin.is(good) && !origin.is("https://other.example"));
        }
        for bad in [
            "",
            "null",
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://Shop.example",
            "https://a@b.example",
            "https://shop.example:443",
            "http://shop.example:80",
            "https://*.example",
            "https://a b",
        ] {
            assert!(bad.parse::<AllowedOrigin>().is_err(), "{bad}");
        }
    }
}
