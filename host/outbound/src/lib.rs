//! HTTP clients for calls to servers that a guest, a channel or the configuration names.
//!
//! A name that somebody else chose can lead anywhere: to this machine, to its neighbours, to the metadata service of a
//! cloud. So [`Reach`] says which addresses a client may connect to. It is asked twice: for hosts that a URL gives as
//! an address, before the call, and for names, with the addresses that the client then connects to. A name that changes
//! its address between two lookups gains nothing, because there is one lookup.

mod address;
mod credential;
mod lane;
mod scrub;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, redirect, retry};
use url::{Host, Url};

pub use address::inner;
pub use credential::{CredentialSource, Secret};
pub use lane::{Body, Failure, Lane, LaneOptions, is_encoded};
pub use scrub::{Scrub, Scrubber};

/// The addresses that a client may connect to: all of the public internet, and inner ones that the operator named.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    public: bool,
    granted: Vec<IpAddr>,
}

/// The error of a lookup whose addresses may not be reached. It names the host and the kind of its address.
#[derive(Debug)]
pub struct Unreachable(String);

impl Reach {
    /// Returns a reach of public addresses only.
    #[must_use]
    pub fn public() -> Self {
        Self { public: true, granted: Vec::new() }
    }

    /// Returns a reach of these addresses only, which may be inner ones.
    #[must_use]
    pub fn only(granted: Vec<IpAddr>) -> Self {
        Self { public: false, granted }
    }

    /// Adds addresses that the operator granted, which may be inner ones.
    #[must_use]
    pub fn and(mut self, granted: impl IntoIterator<Item = IpAddr>) -> Self {
        self.granted.extend(granted);
        self
    }

    /// Checks one address.
    ///
    /// # Errors
    /// The kind of the address, such as `a loopback address`.
    pub fn check_address(&self, address: IpAddr) -> Result<(), &'static str> {
        if self.granted.contains(&address.to_canonical()) || self.granted.contains(&address) {
            return Ok(());
        }
        match inner(address) {
            Some(kind) => Err(kind),
            None if self.public => Ok(()),
            None => Err("an address that is not granted"),
        }
    }

    /// Checks the host of a URL as far as that needs no lookup: it must be there, and if it is an address, that may be
    /// reached. Names are checked when the client looks them up.
    ///
    /// # Errors
    /// What is wrong with the host.
    pub fn check_url(&self, url: &Url) -> Result<(), Unreachable> {
        let address = match url.host() {
            None => return Err(Unreachable("the URL has no host".to_owned())),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
        };
        self.check_address(address).map_err(|kind| Unreachable(format!("{address} is {kind}")))
    }

    /// Looks up a name. All of its addresses must be in reach, because a name that has an inner address beside a public
    /// one is a trick.
    ///
    /// # Errors
    /// The lookup fails, finds nothing, or finds an address out of reach. The last is an [`Unreachable`] inside.
    pub async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<std::net::SocketAddr>> {
        let found: Vec<_> = tokio::net::lookup_host((name, port)).await?.collect();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address")));
        }
        for address in &found {
            if let Err(kind) = self.check_address(address.ip()) {
                let why = Unreachable(format!("{name} resolves to {}, which is {kind}", address.ip()));
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
        }
        Ok(found)
    }
}

/// Starts a client that connects to addresses in reach only. It follows no redirect, repeats nothing, uses no proxy of
/// the environment and asks for bodies without compression. The caller sets the limits of time and must call
/// [`Reach::check_url`] before each request, because a client looks up names only.
pub fn client(reach: &Reach) -> ClientBuilder {
    Client::builder()
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .dns_resolver(Arc::new(Resolver(reach.clone())))
}

struct Resolver(Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let found = reach.look_up(name.as_str(), 0).await.map_err(lane::LookupError::of)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

#[cfg(test)]
mod tests;
