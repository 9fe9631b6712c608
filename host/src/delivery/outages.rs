//! Peers that cannot be reached: deliveries to them wait, and one at a time finds out whether the peer is back.
//!
//! Nothing was sent to an unreachable peer, so waiting loses nothing and repeats nothing. Each lane waits with its
//! oldest row, so the order within a conversation holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, sleep_until};

/// Time from one probe to the next: 0.25, 0.5, 1 … 15 seconds. All times are of the monotonic clock, so a change of the
/// wall clock does not move them.
const PROBE_AFTER_MIN: Duration = Duration::from_millis(250);
const PROBE_AFTER_MAX: Duration = Duration::from_secs(15);

/// The peers that cannot be reached now.
pub(super) struct Outages {
    peers: Mutex<HashMap<Arc<str>, Arc<Outage>>>,
    /// How long a row may wait for one peer.
    wait_max: Duration,
}

/// One unreachable peer, from the first failure until a call reaches it.
struct Outage {
    began: Instant,
    probes: Mutex<Probes>,
    /// Held by the delivery whose turn it is to probe. Waiting deliveries get it in the order of their arrival.
    turn: Arc<tokio::sync::Mutex<()>>,
    over: watch::Sender<bool>,
}

struct Probes {
    failed: u32,
    next: Instant,
    /// Why the last call did not reach the peer.
    why: String,
}

/// How the wait of a delivery for its peer ended.
pub(super) enum Admission {
    /// The peer is reachable, as far as the host knows.
    Open,
    /// The peer may be back. The caller makes one call; nobody else does while this value exists.
    Probe(OwnedMutexGuard<()>),
    /// The row has waited long enough. Says why the peer cannot be reached.
    Expired(String),
}

impl Outages {
    pub(super) fn new(wait_max: Duration) -> Self {
        Self { peers: Mutex::default(), wait_max }
    }

    /// Returns the number of unreachable peers.
    pub(super) fn len(&self) -> usize {
        self.peers.lock().len()
    }

    /// Returns whether every peer is reachable, as far as the host knows.
    pub(super) fn is_empty(&self) -> bool {
        self.peers.lock().is_empty()
    }

    /// Returns whether the peer is known to be unreachable.
    pub(super) fn is_out(&self, peer: &str) -> bool {
        self.peers.lock().contains_key(peer)
    }

    /// Waits until the peer is reachable, until this delivery may probe it, or until the row has waited for
    /// `channel.unreachable-ms`. A row that is older than the outage has waited since its beginning.
    pub(super) async fn admit(&self, peer: &str, committed: Instant) -> Admission {
        let found = self.peers.lock().get(peer).cloned();
        let Some(outage) = found else { return Admission::Open };
        let expires = expires(outage.began, committed, self.wait_max);
        let mut over = outage.over.subscribe();
        let probe = async {
            let turn = outage.turn.clone().lock_owned().await;
            let next = outage.probes.lock().next;
            sleep_until(next).await;
            turn
        };
        tokio::select! {
            biased;
            // The sender lives in the outage, which this future holds.
            _ = over.wait_for(|over| *over) => Admission::Open,
            turn = probe => Admission::Probe(turn),
            () = sleep_until(expires) => Admission::Expired(outage.probes.lock().why.clone()),
        }
    }

    /// Notes that the peer could not be reached.
    pub(super) fn failed(&self, peer: &str, why: &str) {
        let now = Instant::now();
        let mut peers = self.peers.lock();
        let outage = peers.entry(peer.into()).or_insert_with(|| {
            tracing::warn!(peer, why, wait_ms = millis(self.wait_max), "a peer is unreachable; deliveries to it wait");
            Arc::new(Outage {
                began: now,
                probes: Mutex::new(Probes { failed: 0, next: now, why: String::new() }),
                turn: Arc::default(),
                over: watch::Sender::new(false),
            })
        });
        let mut probes = outage.probes.lock();
        // Calls that were under way when the outage began are no further probes.
        if probes.next <= now {
            *probes =
                Probes { failed: probes.failed + 1, next: now + self.probe_after(probes.failed), why: why.to_owned() };
        }
    }

    /// Returns the time from one probe to the next. Whoever waits sees at least one probe before the wait is over.
    fn probe_after(&self, failed: u32) -> Duration {
        PROBE_AFTER_MIN.saturating_mul(1 << failed.min(16)).min(PROBE_AFTER_MAX).min(self.wait_max / 2)
    }

    /// Notes that a call reached the peer, whatever it answered. Everything that waits for it goes on.
    pub(super) fn reached(&self, peer: &str) {
        let Some(outage) = self.peers.lock().remove(peer) else { return };
        tracing::info!(peer, out_ms = millis(outage.began.elapsed()), "a peer is reachable again");
        outage.over.send_replace(true);
    }
}

/// When a row has waited long enough. What it waited for before the outage does not count.
fn expires(outage_began: Instant, committed: Instant, wait_max: Duration) -> Instant {
    outage_began.max(committed) + wait_max
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_delivery_probes_and_the_others_wait_until_the_peer_is_back() {
        let outages = Outages::new(Duration::from_secs(900));
        let began = Instant::now();
        assert!(matches!(outages.admit("peer", began).await, Admission::Open));
        outages.failed("peer", "refused");
        let Admission::Probe(turn) = outages.admit("peer", began).await else { panic!("nobody else probes") };
        assert!(began.elapsed() >= PROBE_AFTER_MIN);
        let reached = async {
            outages.reached("peer");
            drop(turn);
        };
        let (other, ()) = tokio::join!(outages.admit("peer", began), reached);
        assert!(matches!(other, Admission::Open));
        assert_eq!(outages.len(), 0);
    }

    /// Another delivery probes all the time, so the outcome does not depend on the speed of the machine.
    #[tokio::test]
    async fn a_row_waits_no_longer_than_it_may_and_learns_why() {
        let outages = Outages::new(Duration::from_millis(20));
        outages.failed("peer", "refused");
        let Admission::Probe(_turn) = outages.admit("peer", Instant::now()).await else { panic!("nobody else probes") };
        let Admission::Expired(why) = outages.admit("peer", Instant::now()).await else { panic!("it still waits") };
        assert_eq!(why, "refused");
        assert!(outages.is_out("peer") && !outages.is_out("other"));
    }

    #[test]
    fn probes_come_ever_more_rarely() {
        let outages = Outages::new(Duration::from_secs(900));
        let millis: Vec<_> = (0..9).map(|failed| outages.probe_after(failed).as_millis()).collect();
        assert_eq!(millis, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
        assert_eq!(outages.probe_after(u32::MAX), PROBE_AFTER_MAX);
        assert_eq!(Outages::new(Duration::from_secs(4)).probe_after(9), Duration::from_secs(2));
    }

    #[test]
    fn the_time_of_a_row_begins_with_its_commit_or_with_the_outage() {
        let (early, late, wait) = (Instant::now(), Instant::now() + Duration::from_secs(600), Duration::from_secs(60));
        assert_eq!(expires(late, early, wait), late + wait);
        assert_eq!(expires(early, late, wait), late + wait);
    }
}
