//! The connections of one plugin: one lane for each entry of `grants.http`, made at its first request.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{OnceCell, Semaphore};
use turntable_config::{HostPattern, HttpGrant, Limits};
use turntable_outbound::{CredentialSource, Lane, LaneOptions, Reach};

/// The connections of one plugin of one generation.
pub(crate) struct Outbound {
    lanes: Vec<GrantLane>,
    /// Requests in progress.
    pub(super) at_once: Arc<Semaphore>,
}

/// The connections of one grant.
pub(super) struct GrantLane {
    grant: HttpGrant,
    connect: Duration,
    idle_max: usize,
    header_bytes_max: u32,
    pub(super) credential: Option<CredentialSource>,
    lane: OnceCell<Lane>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new(&[], &Limits::default())
    }
}

impl Outbound {
    pub(crate) fn new(grants: &[HttpGrant], limits: &Limits) -> Self {
        let lane = |grant: &HttpGrant| GrantLane {
            connect: limits.http_connect,
            idle_max: limits.http_connections_idle,
            header_bytes_max: u32::try_from(limits.http_response_fields_bytes).unwrap_or(u32::MAX),
            credential: grant.credential.clone().map(CredentialSource::new),
            grant: grant.clone(),
            lane: OnceCell::new(),
        };
        Self {
            lanes: grants.iter().map(lane).collect(),
            at_once: Arc::new(Semaphore::new(limits.http_requests_at_once)),
        }
    }

    pub(super) fn of(&self, grant: usize) -> Option<&GrantLane> {
        self.lanes.get(grant)
    }
}

impl GrantLane {
    /// Returns the lane. The first time that reads certificates, in a thread for work that blocks.
    pub(super) async fn lane(&self) -> anyhow::Result<&Lane> {
        let make = || async {
            let (grant, reach) = (self.grant.clone(), self.reach());
            let (connect, idle_max, header_bytes_max) = (self.connect, self.idle_max, self.header_bytes_max);
            let made = tokio::task::spawn_blocking(move || {
                let read =
                    |file: &PathBuf| std::fs::read(file).with_context(|| format!("`roots-file` {}", file.display()));
                let roots = grant.roots_file.as_ref().map(read).transpose()?;
                let (tls, roots) = (grant.rule.tls, roots.as_deref());
                Lane::new(LaneOptions { reach, tls, roots, connect, idle_max, header_bytes_max })
            });
            made.await?
        };
        self.lane.get_or_try_init(make).await
    }

    /// Returns the addresses that the grant may reach: public ones, and inner ones that the operator spelled out.
    fn reach(&self) -> Reach {
        let literal = match &self.grant.rule.host {
            HostPattern::Exactly(host) => host.trim_matches(['[', ']']).parse::<IpAddr>().ok(),
            HostPattern::Any | HostPattern::Below(_) => None,
        };
        Reach::public().and(self.grant.addresses.iter().copied().chain(literal))
    }
}
