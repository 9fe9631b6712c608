//! Calls to the servers of an identity: bounded in time and bytes, to addresses in reach only.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::{Certificate, Client, RequestBuilder, Response};
use turntable_outbound::Reach;
use url::{Host, Url};

/// Time for one call, and for its connection.
const CALL_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// The largest answer. Key sets have about 20 KiB.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A client for the servers of one cloud.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client,
    reach: Reach,
    may_be_plain: bool,
}

impl Caller {
    /// Returns a client that trusts these certificates besides those of the platform.
    pub(crate) fn new(reach: Reach, roots: &[Certificate]) -> anyhow::Result<Self> {
        let client = turntable_outbound::client(&reach)
            .user_agent(concat!("Turntable/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(roots.to_vec())
            .timeout(CALL_MAX)
            .connect_timeout(CONNECT_MAX)
            .build()
            .context("cannot create an HTTP client")?;
        Ok(Self { client, reach, may_be_plain: false })
    }

    /// Allows `http`, for servers that have no TLS because the platform puts them into each machine.
    pub(crate) fn with_plain_http(self) -> Self {
        Self { may_be_plain: true, ..self }
    }

    /// Starts a GET after checking the URL: `https`, or `http` on this machine, to an address in reach.
    pub(crate) fn get(&self, url: &str) -> anyhow::Result<RequestBuilder> {
        Ok(self.client.get(self.checked(url)?))
    }

    /// Starts a POST after the same checks.
    pub(crate) fn post(&self, url: &str) -> anyhow::Result<RequestBuilder> {
        Ok(self.client.post(self.checked(url)?))
    }

    fn checked(&self, url: &str) -> anyhow::Result<Url> {
        let url = Url::parse(url).context("it is not a URL")?;
        let is_local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let may_be_plain = self.may_be_plain || is_local;
        ensure!(url.scheme() == "https" || (url.scheme() == "http" && may_be_plain), "it is not an https URL");
        self.reach.check_url(&url)?;
        Ok(url)
    }
}

/// Sends a request and returns a successful answer with its body.
pub(crate) async fn answer(request: RequestBuilder) -> anyhow::Result<(Response, Vec<u8>)> {
    let (response, body) = sent(request).await?;
    let status = response.status();
    if !status.is_success() {
        bail!("the server answered {status}");
    }
    Ok((response, body))
}

/// Sends a request and returns the status and the body, whatever the status is.
pub(crate) async fn any_answer(request: RequestBuilder) -> anyhow::Result<(u16, Vec<u8>)> {
    let (response, body) = sent(request).await?;
    Ok((response.status().as_u16(), body))
}

async fn sent(request: RequestBuilder) -> anyhow::Result<(Response, Vec<u8>)> {
    let mut response = request.send().await.map_err(|error| error.without_url())?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url())? {
        ensure!(body.len() + chunk.len() <= ANSWER_BYTES_MAX, "the answer is larger than {ANSWER_BYTES_MAX} bytes");
        body.extend_from_slice(&chunk);
    }
    Ok((response, body))
}
