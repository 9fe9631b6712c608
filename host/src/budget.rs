//! The memory of requests: one budget of bytes for the host, with a share for each bot and for each address of clients.
//!
//! A request is charged while anything of it is in memory: its body as it arrives, its activity until the turn ends, its
//! answer until it is written. What does not fit is refused before it is read.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config;
use crate::telemetry;

/// Network that one client has for itself in IPv6, in bits.
const IPV6_CLIENT_BITS: u32 = 64;

/// Memory of one value of JSON in a tree, names of members included.
const VALUE_BYTES: usize = 128;
/// Memory of an accepted activity besides its text: its place in the queue, its keys, its turn.
const TURN_BYTES: usize = 4 << 10;

/// Returns what a request in JSON takes in memory until its turn ends.
pub(crate) fn cost(bytes: usize, values: usize) -> usize {
    bytes.saturating_add(values.saturating_mul(VALUE_BYTES)).saturating_add(TURN_BYTES)
}

/// The budget of a host.
#[derive(Debug)]
pub struct Budget {
    all_max: usize,
    per_bot_max: usize,
    per_peer_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// Only bots and peers that hold bytes have an entry.
    bots: HashMap<Arc<str>, usize>,
    peers: HashMap<IpAddr, usize>,
}

/// A bound that has no room for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// `server.held-bytes-max`
    Host,
    /// `server.held-bytes-per-bot-max`
    Bot,
    /// `server.held-bytes-per-peer-max`
    Peer,
}

/// The bytes of one request. They are free again when the claim is dropped.
#[derive(Debug)]
pub struct Claim {
    budget: Arc<Budget>,
    bot: Option<Arc<str>>,
    peer: Option<IpAddr>,
    bytes: usize,
}

impl Budget {
    /// Makes the budget that the configuration describes.
    pub fn new(server: &config::Server) -> Arc<Self> {
        Arc::new(Self {
            all_max: server.held_bytes_max,
            per_bot_max: server.held_bytes_per_bot_max,
            per_peer_max: server.held_bytes_per_peer_max,
            held: Mutex::default(),
        })
    }

    /// Makes a budget for components that operators upload, whose bound is `runtime.component-bytes-max` several times.
    pub fn of_uploads(bytes: usize) -> Arc<Self> {
        Arc::new(Self { all_max: bytes, per_bot_max: bytes, per_peer_max: bytes, held: Mutex::default() })
    }

    /// Begins to charge a request for a bot, from a client. `announced` is the number of bytes that the request is going to
    /// need: nothing is charged yet, but a request that cannot fit is refused at once.
    ///
    /// # Errors
    /// The bound that has no room.
    pub fn open(
        self: &Arc<Self>,
        bot: Option<&Arc<str>>,
        peer: Option<IpAddr>,
        announced: usize,
    ) -> Result<Claim, Spent> {
        let claim = Claim { budget: self.clone(), bot: bot.cloned(), peer: peer.map(client), bytes: 0 };
        claim.fits(&self.held.lock(), announced)?;
        Ok(claim)
    }

    /// Returns the bytes that are held, and the bound.
    pub fn held(&self) -> (usize, usize) {
        (self.held.lock().all, self.all_max)
    }
}

impl Claim {
    /// Charges further bytes.
    ///
    /// # Errors
    /// The bound that has no room. Nothing is charged then.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Spent> {
        let budget = self.budget.clone();
        let mut held = budget.held.lock();
        self.fits(&held, bytes)?;
        self.charge(&mut held, self.bytes.saturating_add(bytes));
        Ok(())
    }

    /// Charges exactly this number of bytes. For what is in memory already: it may exceed a bound, and then the next
    /// requests are refused.
    pub fn set(&mut self, bytes: usize) {
        let budget = self.budget.clone();
        self.charge(&mut budget.held.lock(), bytes);
    }

    /// Makes a claim of the same bot and client, with no bytes yet.
    pub fn another(&self) -> Self {
        Self { budget: self.budget.clone(), bot: self.bot.clone(), peer: self.peer, bytes: 0 }
    }

    /// Reduces the claim to what a caller takes that waits for an answer.
    pub fn waits(&mut self) {
        self.set(TURN_BYTES);
    }

    fn fits(&self, held: &Held, more: usize) -> Result<(), Spent> {
        let exceeds = |used: usize, max: usize| used.saturating_add(more) > max;
        let of = |used: Option<&usize>| used.copied().unwrap_or_default();
        let spent = if exceeds(self.peer.map_or(0, |peer| of(held.peers.get(&peer))), self.budget.per_peer_max) {
            Spent::Peer
        } else if exceeds(self.bot.as_ref().map_or(0, |bot| of(held.bots.get(bot))), self.budget.per_bot_max) {
            Spent::Bot
        } else if exceeds(held.all, self.budget.all_max) {
            Spent::Host
        } else {
            return Ok(());
        };
        telemetry::request_shed(spent.key());
        Err(spent)
    }

    fn charge(&mut self, held: &mut Held, bytes: usize) {
        held.all = held.all - self.bytes + bytes;
        if let Some(bot) = &self.bot {
            settle(&mut held.bots, bot, self.bytes, bytes);
        }
        if let Some(peer) = &self.peer {
            settle(&mut held.peers, peer, self.bytes, bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Replaces what one claim holds of an entry.
fn settle<K: Clone + Eq + Hash>(entries: &mut HashMap<K, usize>, key: &K, before: usize, bytes: usize) {
    let rest = entries.get(key).copied().unwrap_or_default() - before + bytes;
    if rest == 0 {
        entries.remove(key);
    } else {
        entries.insert(key.clone(), rest);
    }
}

/// Returns the address for which the shares of a client are counted: IPv6 clients have whole networks.
pub(crate) fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (u128::BITS - IPV6_CLIENT_BITS))))
        }
        address => address,
    }
}

impl Spent {
    /// The configuration key of the bound.
    pub fn key(self) -> &'static str {
        match self {
            Self::Host => "server.held-bytes-max",
            Self::Bot => "server.held-bytes-per-bot-max",
            Self::Peer => "server.held-bytes-per-peer-max",
        }
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self {
            Self::Host => "the host holds",
            Self::Bot => "the requests of this bot hold",
            Self::Peer => "the requests from this address hold",
        };
        write!(f, "{whose} as many bytes as `{}` allows; send it again later", self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Arc<Budget> {
        let (held_bytes_max, half) = (100, 50);
        let server = config::Server {
            held_bytes_max,
            held_bytes_per_bot_max: half,
            held_bytes_per_peer_max: half,
            ..config::Server::default()
        };
        Budget::new(&server)
    }

    fn peer(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn bots_and_peers_have_shares_and_the_host_has_a_bound() {
        let budget = budget();
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let mut first = budget.open(Some(&one), peer(1), 40).unwrap();
        first.grow(40).unwrap();
        assert_eq!(budget.open(Some(&one), peer(2), 11).unwrap_err(), Spent::Bot);
        assert_eq!(budget.open(Some(&other), peer(1), 11).unwrap_err(), Spent::Peer);
        let mut second = budget.open(Some(&other), peer(2), 50).unwrap();
        assert_eq!(budget.held(), (40, 100), "what is announced is not held");
        second.grow(50).unwrap();
        assert_eq!(budget.open(None, peer(3), 11).unwrap_err(), Spent::Host);
        assert_eq!(second.grow(1).unwrap_err(), Spent::Peer);
        drop(first);
        assert_eq!(budget.held(), (50, 100), "what was refused is not charged");
        budget.open(Some(&one), peer(1), 50).unwrap();
    }

    #[test]
    fn what_is_in_memory_is_charged_even_beyond_a_bound_and_given_back() {
        let budget = budget();
        let bot: Arc<str> = "bot".into();
        let mut claim = budget.open(Some(&bot), peer(1), 0).unwrap();
        claim.set(120);
        assert_eq!(budget.held().0, 120);
        assert!(budget.open(None, None, 1).is_err());
        claim.set(10);
        assert_eq!(budget.held().0, 10);
        drop(claim);
        assert_eq!(budget.held().0, 0);
        let held = budget.held.lock();
        assert!(held.bots.is_empty() && held.peers.is_empty(), "nobody is remembered");
    }

    #[test]
    fn a_client_of_ipv6_is_a_network() {
        let address = |text: &str| client(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }
}
