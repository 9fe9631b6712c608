//! The grant `http`: which requests a plugin may send to servers, and with which credential.
//!
//! The same grammar serves the operator (`grants.http`) and the manifest (`wants.http`): a URL that names scheme, host, port
//! and path prefix, and a list of methods. A request is allowed if both have a rule that covers it.

mod parse;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;

use url::Url;

pub use parse::{Methods, wanted};

/// Requests to one host, or to all hosts below a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// Whether TLS is used.
    pub tls: bool,
    /// The host as a URL spells it.
    pub host: HostPattern,
    /// The port; 0 is every port, which only `*` without a port means.
    pub port: u16,
    /// The prefix of the path; `/` is every path.
    pub path: String,
    /// The methods.
    pub methods: Methods,
}

/// The hosts of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: every host. Only a manifest may say so; the operator names hosts.
    Any,
    /// One name or address, as [`Url::host_str`] returns it.
    Exactly(String),
    /// `*.SUFFIX`: every name that ends in `.SUFFIX`, but not `SUFFIX` itself.
    Below(String),
}

/// Requests that the operator allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGrant {
    /// The requests.
    pub rule: HttpRule,
    /// `addresses`: inner addresses that the host may have. By default a host may have public addresses only, or be an
    /// inner address that `url` spells out.
    pub addresses: Vec<IpAddr>,
    /// `roots-file`: certificates in PEM format that are trusted besides those of the platform.
    pub roots_file: Option<PathBuf>,
    /// `credential`: a secret that the host puts on each request.
    pub credential: Option<Credential>,
}

/// A secret that the host puts on the requests of a grant. The plugin never sees its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// `header` or `query`: where it goes.
    pub place: CredentialPlace,
    /// `format`, with `{}` for the secret. Default: `{}`.
    pub format: String,
    /// `file`: the file with the secret. The host reads it again when it changes.
    pub file: PathBuf,
}

/// The part of a request that carries a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialPlace {
    /// A header, in lower case.
    Header(String),
    /// A parameter of the query.
    Query(String),
}

impl HttpRule {
    /// Returns whether the rule covers a request. Where a path prefix is set, a path that a server could read in two ways
    /// is not covered: one with `//`, a backslash, an encoded `.`, `/`, `\` or `%`, or a segment that begins with `..`.
    #[must_use]
    pub fn covers(&self, url: &Url, method: &str) -> bool {
        self.covers_origin(url) && self.methods.contain(method) && path_is_below(&self.path, url.path())
    }

    /// Returns whether scheme, host and port are those of the rule.
    #[must_use]
    pub fn covers_origin(&self, url: &Url) -> bool {
        let scheme = if self.tls { "https" } else { "http" };
        url.scheme() == scheme
            && (self.port == 0 || url.port_or_known_default() == Some(self.port))
            && url.host_str().is_some_and(|host| self.host.covers(host))
    }

    /// Returns the requests that both rules cover, if there are any.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        let port = match (self.port, other.port) {
            (0, port) | (port, 0) => Some(port),
            (one, two) => (one == two).then_some(one),
        };
        let port = port.filter(|_| self.tls == other.tls);
        let path = [(self, other), (other, self)]
            .into_iter()
            .find(|(wide, narrow)| path_is_below(&wide.path, &narrow.path))
            .map(|(_, narrow)| narrow.path.clone());
        match (port, self.host.and(&other.host), path, self.methods.and(&other.methods)) {
            (Some(port), Some(host), Some(path), Some(methods)) => {
                Some(Self { tls: self.tls, host, port, path, methods })
            }
            _ => None,
        }
    }

    /// Returns the rule for one request: its origin, its method, and every path.
    #[must_use]
    pub fn for_request(url: &Url, method: &str) -> Self {
        Self {
            tls: url.scheme() == "https",
            host: HostPattern::Exactly(url.host_str().unwrap_or_default().to_owned()),
            port: url.port_or_known_default().unwrap_or_default(),
            path: "/".to_owned(),
            methods: Methods::one(method),
        }
    }

    /// Returns the rule as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        let (scheme, default) = if self.tls { ("https", 443) } else { ("http", 80) };
        let host = match &self.host {
            HostPattern::Any => "*".to_owned(),
            HostPattern::Exactly(host) => host.clone(),
            HostPattern::Below(suffix) => format!("*.{suffix}"),
        };
        let port = if [0, default].contains(&self.port) { String::new() } else { format!(":{}", self.port) };
        format!("{scheme}://{host}{port}{}", self.path)
    }
}

/// Writes the rule as a TOML inline table, as it stands in the configuration.
impl std::fmt::Display for HttpRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{ url = \"{}\"", self.url())?;
        if self.methods != Methods::default() {
            write!(f, ", methods = {}", self.methods)?;
        }
        f.write_str(" }")
    }
}

impl HostPattern {
    fn covers(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(name) => host == name,
            Self::Below(suffix) => is_below(host, suffix),
        }
    }

    fn and(&self, other: &Self) -> Option<Self> {
        let narrow = match (self, other) {
            (Self::Any, narrow) | (narrow, Self::Any) => narrow,
            (Self::Exactly(name), pattern) | (pattern, Self::Exactly(name)) if pattern.covers(name) => {
                return Some(Self::Exactly(name.clone()));
            }
            (Self::Below(one), Self::Below(two)) if one == two || is_below(one, two) => self,
            (Self::Below(one), Self::Below(two)) if is_below(two, one) => other,
            _ => return None,
        };
        Some(narrow.clone())
    }
}

/// Returns whether a host is a name below the suffix.
fn is_below(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('.')).is_some_and(|name| !name.is_empty())
}

/// Returns whether a path is the prefix or lies below it. `/v1` covers `/v1` and `/v1/x`, not `/v10`.
fn path_is_below(prefix: &str, path: &str) -> bool {
    if prefix == "/" {
        return true;
    }
    let below =
        path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'));
    below && is_plain_path(path)
}

/// Returns whether every server reads the path in the same way.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let tricks = ["//", "\\", "%2e", "%2f", "%5c", "%25", "%00"];
    !tricks.iter().any(|trick| lower.contains(trick))
        && !lower.split('/').any(|segment| segment == "." || segment.starts_with(".."))
}

impl CredentialPlace {
    /// Returns the place in words, such as `header authorization`.
    #[must_use]
    pub fn named(&self) -> String {
        match self {
            Self::Header(name) => format!("header {name}"),
            Self::Query(name) => format!("query parameter {name}"),
        }
    }
}
