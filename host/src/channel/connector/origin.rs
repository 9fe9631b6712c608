//! Where unauthenticated activities may go: configured loopback origins, never the host itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, bail};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The origins that may be called.
pub(super) struct Origins {
    allowed: Vec<Origin>,
    /// The host's listeners. A reply sent there would come back as a request from a trusted place.
    own: Vec<SocketAddr>,
    /// The configured texts, for error messages.
    configured: String,
}

struct Origin {
    scheme: String,
    address: IpAddr,
    /// None where the configuration says `*`.
    port: Option<u16>,
}

/// Why nothing is sent to a `serviceUrl`.
#[derive(Debug)]
pub(super) enum NotAdmitted {
    /// It is no URL that a call could go to.
    Unusable(String),
    /// It is one, but of an origin that the operator did not configure.
    Origin {
        /// Scheme, host and port.
        origin: String,
        /// Names the setting.
        why: String,
    },
}

/// Returns the `serviceUrl` as a URL if calls can go to it, whether or not they may; else what is wrong with it.
pub(super) fn usable(service_url: &str) -> Result<Url, String> {
    if service_url.is_empty() {
        return Err("the activity that this answers has no serviceUrl".to_owned());
    }
    let url = Url::parse(service_url)
        .map_err(|error| format!("serviceUrl is no URL such as `https://channel.example/`: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("serviceUrl has scheme {}; only http and https are called", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("serviceUrl carries a user name or password; send one without".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("serviceUrl has a query or fragment, so no path can follow it; send one without".to_owned());
    }
    if url.port() == Some(0) {
        return Err("serviceUrl has port 0, where nobody can listen".to_owned());
    }
    Ok(url)
}

impl NotAdmitted {
    /// What an operator reads.
    pub(super) fn why(self) -> String {
        match self {
            Self::Unusable(why) | Self::Origin { why, .. } => why,
        }
    }
}

impl Origins {
    /// Reads `channel.connector-origins`. Fails for what is no origin on loopback.
    pub(super) fn new(configured: &[String], own: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let allowed = configured.iter().map(|text| {
            Origin::parse(text).with_context(|| format!("channel.connector-origins: \"{text}\" cannot be used"))
        });
        Ok(Self { allowed: allowed.collect::<anyhow::Result<_>>()?, own, configured: configured.join(", ") })
    }

    /// Returns the `serviceUrl` as a URL if activities may go there, or says why not.
    pub(super) fn admit(&self, service_url: &str) -> Result<Url, NotAdmitted> {
        let url = usable(service_url).map_err(NotAdmitted::Unusable)?;
        let origin = url.origin().ascii_serialization();
        let port = url.port_or_known_default().unwrap_or_default();
        let address = url.host().as_ref().and_then(loopback);
        let allowed = address.filter(|address| self.allows(url.scheme(), *address, port));
        let why = match allowed {
            None => format!(
                "{origin} is not among channel.connector-origins ({}); without an app id, replies go nowhere else",
                self.configured
            ),
            Some(address) if self.own.iter().any(|own| is_own(*own, address, port)) => {
                format!("{origin} is this host's own listener, which channel.connector-origins never includes")
            }
            Some(_) if url.scheme() == "https" => {
                format!("{origin}: connectors on loopback are called by http in this release")
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
            bail!("only http and https have connectors");
        };
        let Some(address) = url.host().as_ref().and_then(loopback) else {
            bail!("without credentials, replies go to loopback only");
        };
        Ok(Self { scheme: url.scheme().to_owned(), address, port: (!any_port).then_some(port) })
    }
}

/// Returns the loopback address that a host stands for; `localhost` counts as `127.0.0.1`.
fn loopback(host: &Host<&str>) -> Option<IpAddr> {
    let address = match host {
        Host::Domain(name) => (*name == "localhost").then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))?,
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => IpAddr::V6(*address),
    };
    address.is_loopback().then_some(address)
}

/// `localhost`, `127.0.0.1` and `[::1]` name one machine: tools write one and listen on another.
fn same_machine_name(one: IpAddr, other: IpAddr) -> bool {
    let usual = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    one == other || (usual.contains(&one) && usual.contains(&other))
}

/// Whether a loopback address reaches a listener. A listener on all addresses is reached by each, and a name for this
/// machine may resolve to any of its addresses.
fn is_own(own: SocketAddr, address: IpAddr, port: u16) -> bool {
    own.port() == port && (own.ip().is_unspecified() || same_machine_name(own.ip(), address))
}

/// Resolves names to loopback addresses only: an allowed name whose resolution was tampered with leads nowhere.
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
