//! Limits the number of connections and the time that each of them may wait.
//!
//! A connection is new, active or idle; each state has its own timeout. If the maximum number of connections
//! is reached, one is closed to make room for the next, from the client address that has the most of them.
//! So Prometheus can connect even if clients never finish a request, and even if thousands of clients never
//! disconnect or guess passwords. A configured rate limit counts all their requests, however.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::observer::{DropReason, Observer};

/// A connection whose response has been in progress for this long may be closed to make room.
const LONG_RESPONSE: Duration = Duration::from_secs(10);
/// How often a new connection that waits for room looks for a connection to close.
const ADMIT_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// All open connections.
pub(super) struct ConnectionLimits {
    slots: Arc<Semaphore>,
    /// Connections that have ended are removed when the next one is admitted.
    connections: Mutex<Vec<Weak<Connection>>>,
    observer: Arc<dyn Observer>,
}

/// A connection, which counts as open until it is dropped.
pub(super) struct Connection {
    /// The client's address; for IPv6, its network.
    pub(super) client: IpAddr,
    status: watch::Sender<Status>,
    observer: Arc<dyn Observer>,
    _slot: OwnedSemaphorePermit,
}

#[derive(Clone, Copy)]
struct Status {
    /// The number of responses in progress: `None` on a new connection, 0 on an idle one, several on an
    /// active HTTP/2 connection.
    responses: Option<usize>,
    /// When the connection became new, active or idle.
    since: Instant,
    /// Whether the client has sent a request and none was accepted since: it waits for the check of its
    /// password, or was refused.
    unauthenticated: bool,
    /// Whether the connection was chosen to make room.
    closing: bool,
}

/// A request, which is in progress until this is dropped.
pub(super) struct RequestGuard(pub(super) Arc<Connection>);

impl ConnectionLimits {
    /// At least one connection is allowed.
    pub(super) fn new(max_connections: usize, observer: Arc<dyn Observer>) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(max_connections.clamp(1, Semaphore::MAX_PERMITS)));
        Arc::new(Self { slots, connections: Mutex::default(), observer })
    }

    /// Waits for room for a connection from this address, and closes another connection if necessary.
    pub(super) async fn admit(&self, client: IpAddr) -> Arc<Connection> {
        let slot = loop {
            if self.slots.available_permits() == 0 {
                self.close_one();
            }
            let slot = Arc::clone(&self.slots).acquire_owned();
            if let Ok(Ok(slot)) = timeout(ADMIT_RETRY_INTERVAL, slot).await {
                break slot;
            }
        };
        self.observer.connection_opened();
        let since = Instant::now();
        let status = Status { responses: None, since, unauthenticated: false, closing: false };
        let connection = Arc::new(Connection {
            client: network(client),
            status: watch::Sender::new(status),
            observer: Arc::clone(&self.observer),
            _slot: slot,
        });
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
        connection
    }

    /// Closes one connection: one without a response in progress or without authentication, or else one
    /// whose response takes long. If there is neither, it closes none.
    pub(super) fn close_one(&self) {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open: Vec<_> = connections.iter().filter_map(Weak::upgrade).collect();
        open.retain(|connection| !connection.status().closing);
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for connection in &open {
            *counts.entry(connection.client).or_default() += 1;
        }
        open.retain(|connection| {
            let status = connection.status();
            status.may_be_closed_first() || status.since.elapsed() >= LONG_RESPONSE
        });
        let chosen = open.iter().max_by_key(|connection| {
            let status = connection.status();
            // Many connections from one address do not close those of another address.
            let count = counts.get(&connection.client);
            (status.may_be_closed_first(), count, status.unauthenticated, Reverse(status.since))
        });
        if let Some(connection) = chosen {
            connection.status.send_modify(|status| status.closing = true);
        }
    }
}

impl Status {
    /// How long the connection may stay new, active or idle. Clients send their first request at once; a
    /// response of tens of megabytes to a slow client takes less than two minutes; scrapers return within
    /// minutes.
    const fn timeout(self) -> Duration {
        match self.responses {
            None => Duration::from_secs(10),
            Some(0) => Duration::from_mins(5),
            Some(_) => Duration::from_mins(2),
        }
    }

    const fn may_be_closed_first(self) -> bool {
        self.unauthenticated || matches!(self.responses, None | Some(0))
    }
}

impl Connection {
    fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Counts a request, which is unauthenticated until [`Self::mark_authenticated`].
    pub(super) fn start_request(self: &Arc<Self>) -> RequestGuard {
        self.status.send_modify(|status| {
            if matches!(status.responses, None | Some(0)) {
                status.since = Instant::now();
                status.unauthenticated = true;
            }
            status.responses = Some(status.responses.unwrap_or_default() + 1);
        });
        RequestGuard(Arc::clone(self))
    }

    /// Marks the client as authenticated.
    pub(super) fn mark_authenticated(&self) {
        self.status.send_modify(|status| status.unauthenticated = false);
    }

    /// Resolves when the connection must be closed, with the reason.
    pub(super) async fn closed(&self) -> DropReason {
        let mut changes = self.status.subscribe();
        loop {
            let status = *changes.borrow_and_update();
            if status.closing {
                return DropReason::Crowded;
            }
            if timeout_at(status.since + status.timeout(), changes.changed()).await.is_err() {
                return DropReason::Slow;
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.observer.connection_closed();
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.status.send_modify(|status| {
            status.responses = status.responses.map(|responses| responses.saturating_sub(1));
            if status.responses == Some(0) {
                status.since = Instant::now();
            }
        });
    }
}

/// What counts as one client address. For IPv6 it is the /64 network, because one client can have billions of
/// addresses in it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::StatusCode;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    struct Ignore;

    impl Observer for Ignore {
        fn connection_opened(&self) {}
        fn connection_closed(&self) {}
        fn connection_dropped(&self, _: DropReason) {}
        fn request_answered(&self, _: StatusCode) {}
    }

    fn limits(max_connections: usize) -> Arc<ConnectionLimits> {
        ConnectionLimits::new(max_connections, Arc::new(Ignore))
    }

    /// Admits a connection from `HERE`, for which `chosen` must be closed, with its request in progress.
    async fn admit_instead_of(
        limits: &ConnectionLimits,
        chosen: Arc<Connection>,
        request: Option<RequestGuard>,
    ) -> Arc<Connection> {
        let close = async {
            assert_eq!(chosen.closed().await, DropReason::Crowded);
            drop((chosen, request));
        };
        tokio::join!(close, limits.admit(HERE)).1
    }

    #[tokio::test(start_paused = true)]
    async fn each_connection_state_has_its_timeout() {
        let limits = limits(9);
        let started = Instant::now();
        assert_eq!(limits.admit(HERE).await.closed().await, DropReason::Slow);
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        let connection = limits.admit(HERE).await;
        let request = connection.start_request();
        let started = Instant::now();
        assert_eq!(connection.closed().await, DropReason::Slow);
        assert_eq!(started.elapsed(), Duration::from_mins(2));
        drop(request);
        let started = Instant::now();
        assert_eq!(connection.closed().await, DropReason::Slow);
        assert_eq!(started.elapsed(), Duration::from_mins(5));
    }

    #[tokio::test(start_paused = true)]
    async fn the_timeout_changes_while_it_is_awaited() {
        let limits = limits(9);
        let connection = limits.admit(HERE).await;
        drop(connection.start_request());
        let started = Instant::now();
        let request = async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            connection.start_request()
        };
        let (reason, _request) = tokio::join!(connection.closed(), request);
        assert_eq!((reason, started.elapsed()), (DropReason::Slow, Duration::from_mins(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_active_until_its_last_response_ends() {
        let limits = limits(9);
        let connection = limits.admit(HERE).await;
        let started = Instant::now();
        let (first, second) = (connection.start_request(), connection.start_request());
        tokio::time::advance(Duration::from_mins(1)).await;
        drop(first);
        connection.closed().await;
        assert_eq!(started.elapsed(), Duration::from_mins(2));
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn an_active_connection_makes_room_only_after_ten_seconds() {
        let limits = limits(2);
        let (first, second) = (limits.admit(HERE).await, limits.admit(HERE).await);
        let request = first.start_request();
        request.0.mark_authenticated();
        let third = admit_instead_of(&limits, second, None).await;
        let also = third.start_request();
        also.0.mark_authenticated();
        // Both are active now: a fourth waits until the response of one of them has taken long.
        let started = Instant::now();
        let _fourth = admit_instead_of(&limits, first, Some(request)).await;
        let waited = started.elapsed();
        assert!(waited >= LONG_RESPONSE && waited <= LONG_RESPONSE + ADMIT_RETRY_INTERVAL, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn unauthenticated_connections_make_room_before_authenticated_ones() {
        let limits = limits(3);
        let authenticated = limits.admit(HERE).await;
        let (guessing, refused) = (limits.admit(HERE).await, limits.admit(HERE).await);
        authenticated.start_request().0.mark_authenticated();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(refused.start_request());
        tokio::time::advance(Duration::from_secs(1)).await;
        let request = guessing.start_request();
        let _first = admit_instead_of(&limits, refused, None).await;
        let _second = admit_instead_of(&limits, guessing, Some(request)).await;
        assert!(!authenticated.status().closing);
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_with_the_most_connections_makes_room() {
        let limits = limits(3);
        let other = limits.admit(THERE).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let older = limits.admit(HERE).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let younger = limits.admit(HERE).await;
        let _fourth = admit_instead_of(&limits, older, None).await;
        assert!(!other.status().closing && !younger.status().closing);
    }

    #[test]
    fn the_addresses_of_an_ipv6_network_count_as_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
    }
}
