//! Which origins may be called without authentication: configured loopback origins, but never the host itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, bail};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The origins that may be called.
pub(super) struct Origins {
    allowed: Vec<Origin>,
    /// The host's listeners. They must not be called, because a reply would arrive as a request from a trusted peer.
    own: Vec<SocketAddr>,
    /// The configured origins as text, for error messages.
    configured: String,
}

struct Origin {
    scheme: String,
    address: IpAddr,
    /// None if the configuration allows any port (`*`).
    port: Option<u16>,
}

/// Why nothing is sent to a `serviceUrl`.
#[derive(Debug)]
pub(super) enum NotAdmitted {
    /// The text is not a URL that can be called.
    Unusable(String),
    /// The URL can be called, but its origin is not configured.
    Origin {
        /// Scheme, host and port.
        origin: String,
        /// The reason, with the name of the setting.
        why: String,
    },
}

/// Parses a `serviceUrl` that can be called, or returns what is wrong with it. Does not check whether it may be called.
pub(super) fn usable(service_url: &str) -> Result<Url, String> {
    if service_url.is_empty() {
        return Err("the activity to answer has no serviceUrl".to_owned());
    }
    let url = Url::parse(service_url)
        .map_err(|error| format!("serviceUrl is not a URL such as `https://channel.example/`: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("serviceUrl has scheme {}; only http and https are supported", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("serviceUrl contains a user name or password; remove them".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("serviceUrl has a query or fragment, so no path can be appended; remove it".to_owned());
    }
    if url.port() == Some(0) {
        return Err("serviceUrl has port 0, which cannot be called".to_owned());
    }
    Ok(url)
}

impl NotAdmitted {
    /// Returns the reason, for operators.
    pub(super) fn why(self) -> String {
        match self {
            Self::Unusable(why) | Self::Origin { why, .. } => why,
        }
    }
}

impl Origins {
    /// Parses `channel.connector-origins`.
    ///
    /// # Errors
    /// An entry is not an origin on loopback.
    pub(super) fn new(configured: &[String], own: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let allowed = configured.iter().map(|text| {
            Origin::parse(text).with_context(|| format!("channel.connector-origins: \"{text}\" cannot be used"))
        });
        Ok(Self { allowed: allowed.collect::<anyhow::Result<_>>()?, own, configured: configured.join(", ") })
    }

    /// Parses a `serviceUrl` that may be called, or returns why it may not.
    pub(super) fn admit(&self, service_url: &str) -> Result<Url, NotAdmitted> {
        let url = usable(service_url).map_err(NotAdmitted::Unusable)?;
        let origin = url.origin().ascii_serialization();
        let port = url.port_or_known_default().unwrap_or_default();
        let address = url.host().as_ref().and_then(loopback);
        let allowed = address.filter(|address| self.allows(url.scheme(), *address, port));
        let why = match allowed {
            None => format!(
                "{origin} is not listed in channel.connector-origins ({}); bots without an app id reply to these only",
                self.configured
            ),
            Some(address) if self.own.iter().any(|own| is_own(*own, address, port)) => {
                format!(
                    "{origin} is a listener of this host, which is never called, whatever channel.connector-origins says"
                )
            }
            Some(_) if url.scheme() == "https" => {
                format!("{origin} uses https; this release calls connectors on loopback by http only")
            }
            Some(_) => return Ok(url),
        };
        Err(NotAdmitted::Origin { origin, why })
    }

    fn allows(&self, scheme: &str, address: IpAddr, port: u16) -> bool {
        self.allowed.iter().any(|origin| {
            origin.scheme == scheme
                && same_machine_name(origin.address, address)
                && origin.port.is_none_or(|allowed| allowed == port)
        })
    }
}

impl Origin {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (text, any_port) = match text.strip_suffix(":*") {
            Some(base) => (base, true),
            None => (text, false),
        };
        let url = Url::parse(text)?;
        let Some(port) = url.port_or_known_default().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            bail!("the scheme must be http or https");
        };
        let Some(address) = url.host().as_ref().and_then(loopback) else {
            bail!("the host must be on loopback, because this release sends no credentials");
        };
        Ok(Self { scheme: url.scheme().to_owned(), address, port: (!any_port).then_some(port) })
    }
}

/// Returns the loopback address of a host. `localhost` counts as `127.0.0.1`.
fn loopback(host: &Host<&str>) -> Option<IpAddr> {
    let address = match host {
        Host::Domain(name) => (*name == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))?,
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => IpAddr::V6(*address),
    };
    address.is_loopback().then_some(address)
}

/// Returns whether two addresses are equal. `127.0.0.1` and `[::1]` count as equal, because tools announce one of them
/// and listen on the other.
fn same_machine_name(one: IpAddr, other: IpAddr) -> bool {
    let usual = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    one == other || (usual.contains(&one) && usual.contains(&other))
}

/// Returns whether a loopback address reaches a listener of the host. A listener on all addresses is reached by every
/// address.
fn is_own(own: SocketAddr, address: IpAddr, port: u16) -> bool {
    own.port() == port && (own.ip().is_unspecified() || same_machine_name(own.ip(), address))
}

/// Resolves names to loopback addresses only, so that a manipulated name resolution cannot redirect calls.
pub(super) struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<_> = found.filter(|address| address.ip().is_loopback()).collect();
            if addresses.is_empty() {
                let why = format!("{} does not resolve to a loopback address", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
