//! The connections of one listener: how many there are, how many one address may have, and which one goes if there is no place.
//!
//! A connection is idle while no request of it is in progress; what it sends meanwhile, pings or half a head, does not count.
//! For a new connection the one that has been idle longest goes. If none is idle, the oldest connection of the
//! address that has most goes, unless the new one comes from there. Proxies have no share.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::client::Proxies;
use crate::budget::client;

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    per_peer_max: usize,
    pub(super) proxies: Proxies,
    taken: Mutex<Taken>,
    /// Told when a place is free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    last: u64,
    /// By number, so the oldest have the lowest ones. Those that were told to go are not among them.
    connections: HashMap<u64, Connection>,
    /// Addresses that have a share, and how many connections each has.
    peers: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Connection {
    /// None: a proxy.
    peer: Option<IpAddr>,
    requests: usize,
    idle_since: Instant,
    leave: Arc<Notify>,
}

/// The place of one connection, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    leave: Arc<Notify>,
}

/// A request of a connection that is in progress until this is dropped.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Place>);

impl Places {
    pub(super) fn new(max: usize, per_peer_max: usize, proxies: Proxies) -> Arc<Self> {
        Arc::new(Self { max, per_peer_max, proxies, taken: Mutex::default(), freed: Notify::new() })
    }

    /// Takes a place for a connection, if need be that of another one. Waits where no connection may be told to go. None: its
    /// address has its share.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Arc<Place>> {
        let peer = (!self.proxies.has(peer)).then(|| client(peer));
        loop {
            let freed = self.freed.notified();
            match self.try_take(peer) {
                Taking::Place(place) => return Some(Arc::new(place)),
                Taking::Refused => return None,
                Taking::Wait => freed.await,
            }
        }
    }

    fn try_take(self: &Arc<Self>, peer: Option<IpAddr>) -> Taking {
        let mut taken = self.taken.lock();
        if let Some(peer) = peer
            && !taken.has_share(peer, self.per_peer_max)
        {
            return Taking::Refused;
        }
        if taken.connections.len() >= self.max && !taken.make_room(peer) {
            return Taking::Wait;
        }
        let leave = Arc::new(Notify::new());
        taken.last += 1;
        let number = taken.last;
        let connection = Connection { peer, requests: 0, idle_since: Instant::now(), leave: leave.clone() };
        taken.connections.insert(number, connection);
        if let Some(peer) = peer {
            *taken.peers.entry(peer).or_default() += 1;
        }
        Taking::Place(Place { places: self.clone(), number, leave })
    }
}

enum Taking {
    Place(Place),
    Refused,
    Wait,
}

impl Taken {
    /// Makes sure that an address has room in its share, if need be by ending its connection that has been idle longest.
    fn has_share(&mut self, peer: IpAddr, max: usize) -> bool {
        self.peers.get(&peer).is_none_or(|count| *count < max)
            || self.end_idle(|connection| connection.peer == Some(peer))
    }

    /// Makes room for a connection from this address. False: no connection may be told to go.
    fn make_room(&mut self, newcomer: Option<IpAddr>) -> bool {
        if self.end_idle(|_| true) {
            return true;
        }
        let of_newcomer = newcomer.and_then(|peer| self.peers.get(&peer)).copied().unwrap_or_default();
        let Some((&greatest, &count)) = self.peers.iter().max_by_key(|(_, count)| **count) else { return false };
        if count <= of_newcomer + 1 {
            return false;
        }
        let of_greatest = self.connections.iter().filter(|(_, connection)| connection.peer == Some(greatest));
        let oldest = of_greatest.map(|(number, _)| *number).min();
        oldest.is_some_and(|number| self.end(number))
    }

    /// Tells the connection to go that has been idle longest among those that `may` go.
    fn end_idle(&mut self, may: impl Fn(&Connection) -> bool) -> bool {
        let idle = self.connections.iter().filter(|(_, connection)| connection.requests == 0 && may(connection));
        let longest = idle.min_by_key(|(_, connection)| connection.idle_since).map(|(number, _)| *number);
        longest.is_some_and(|number| self.end(number))
    }

    fn end(&mut self, number: u64) -> bool {
        let leave = self.remove(number).map(|connection| connection.leave);
        leave.is_some_and(|leave| {
            leave.notify_one();
            true
        })
    }

    fn remove(&mut self, number: u64) -> Option<Connection> {
        let connection = self.connections.remove(&number)?;
        if let Some(peer) = connection.peer {
            self.leave_share(peer);
        }
        Some(connection)
    }

    fn leave_share(&mut self, peer: IpAddr) {
        if let Some(count) = self.peers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&peer);
            }
        }
    }
}

impl Place {
    /// Counts the connection for the client that its proxy names. False: that address has its share.
    pub(super) fn is_of(&self, peer: IpAddr) -> bool {
        let peer = client(peer);
        let mut taken = self.places.taken.lock();
        if !taken.has_share(peer, self.places.per_peer_max) {
            return false;
        }
        let Some(connection) = taken.connections.get_mut(&self.number) else { return false };
        let before = connection.peer.replace(peer);
        *taken.peers.entry(peer).or_default() += 1;
        if let Some(before) = before {
            taken.leave_share(before);
        }
        true
    }

    /// Counts a request of the connection.
    pub(super) fn begin(self: &Arc<Self>) -> InProgress {
        if let Some(connection) = self.places.taken.lock().connections.get_mut(&self.number) {
            connection.requests += 1;
        }
        InProgress(self.clone())
    }

    /// Ends when the place is needed for another connection.
    pub(super) async fn needed(&self) {
        self.leave.notified().await;
    }

    /// Ends when the connection has been idle for this time.
    pub(super) async fn idle_for(&self, time: Duration) {
        loop {
            let is_idle = |connection: &Connection| (connection.requests == 0).then_some(connection.idle_since);
            let found = self.places.taken.lock().connections.get(&self.number).map(is_idle);
            // One that was told to go is idle no more.
            let Some(idle_since) = found else { return std::future::pending().await };
            let until = idle_since.unwrap_or_else(Instant::now) + time;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().remove(self.number);
        self.places.freed.notify_one();
    }
}

impl InProgress {
    /// Counts the request for as long as the connection exists, because it became something else, such as a `WebSocket`.
    pub(super) fn for_good(&self) {
        if let Some(connection) = self.0.places.taken.lock().connections.get_mut(&self.0.number) {
            connection.requests += 1;
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        if let Some(connection) = self.0.places.taken.lock().connections.get_mut(&self.0.number) {
            connection.requests -= 1;
            connection.idle_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn places(max: usize, per_peer_max: usize) -> Arc<Places> {
        Places::new(max, per_peer_max, Proxies::default())
    }

    /// Takes a place without a wait. None: it is refused, or would have to wait.
    fn take(places: &Arc<Places>, last: u8) -> Option<Arc<Place>> {
        places.take(peer(last)).now_or_never().flatten()
    }

    fn is_told_to_go(place: &Place) -> bool {
        place.needed().now_or_never().is_some()
    }

    #[tokio::test]
    async fn the_connection_that_has_been_idle_longest_goes() {
        let places = places(3, 3);
        let (first, second, third) = (take(&places, 1), take(&places, 2), take(&places, 3));
        let (first, second, third) = (first.unwrap(), second.unwrap(), third.unwrap());
        drop(first.begin());
        let busy = second.begin();
        let newcomer = take(&places, 4).unwrap();
        assert_eq!([&first, &second, &third].map(|place| is_told_to_go(place)), [false, false, true]);
        drop(third);
        let (_busy, _begun) = (first.begin(), newcomer.begin());
        drop(busy);
        take(&places, 5).unwrap();
        assert!(is_told_to_go(&second), "it is the only idle one");
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_gives_up_its_own_idle_ones() {
        let places = places(9, 2);
        let (first, second) = (take(&places, 1).unwrap(), take(&places, 1).unwrap());
        let busy = second.begin();
        let third = take(&places, 1).unwrap();
        assert!(is_told_to_go(&first));
        let _also = third.begin();
        assert!(take(&places, 1).is_none(), "both are busy");
        assert!(take(&places, 2).is_some());
        drop((second, busy));
        assert!(take(&places, 1).is_some());
    }

    #[tokio::test]
    async fn if_all_are_busy_the_address_with_most_connections_gives_one_up() {
        let places = places(3, 3);
        let all: Vec<_> = [1, 1, 2].map(|last| take(&places, last).unwrap()).into();
        let busy: Vec<_> = all.iter().map(Place::begin).collect();
        assert!(take(&places, 1).is_none(), "it has most itself");
        let newcomer = take(&places, 3).unwrap();
        assert_eq!(all.iter().map(|place| is_told_to_go(place)).collect::<Vec<_>>(), [true, false, false]);
        let _begun = newcomer.begin();
        let waiting = places.take(peer(4));
        drop((all, busy));
        assert!(waiting.await.is_some(), "a place that becomes free is taken");
    }

    #[tokio::test]
    async fn a_proxy_has_no_share_but_its_clients_do() {
        let server = crate::config::Server { proxies: vec!["192.0.2.0/24".parse().unwrap()], ..Default::default() };
        let places = Places::new(9, 1, Proxies::of(&server));
        let (first, second) = (take(&places, 1).unwrap(), take(&places, 1).unwrap());
        let client = "198.51.100.7".parse().unwrap();
        assert!(first.is_of(client));
        let busy = first.begin();
        assert!(!second.is_of(client));
        assert!(second.is_of("198.51.100.8".parse().unwrap()));
        drop((first, busy));
        assert_eq!(places.taken.lock().peers.len(), 1);
    }

    #[tokio::test]
    async fn a_connection_is_idle_from_the_end_of_its_last_request() {
        let places = places(1, 1);
        let place = take(&places, 1).unwrap();
        let request = place.begin();
        let mut idle = Box::pin(place.idle_for(Duration::from_millis(20)));
        assert!((&mut idle).now_or_never().is_none(), "a request is in progress");
        drop(request);
        let ended = Instant::now();
        idle.await;
        assert!(ended.elapsed() >= Duration::from_millis(20));
    }
}
