//! Who is connected, since when they wait, and who has to go.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::observer::{DropReason, Observer};

/// How long an answer may be under way before its client may have to make room for another.
const SERVED_LONG_ENOUGH: Duration = Duration::from_secs(10);
/// How often one who waits for room looks again for somebody who could leave.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What counts as one address: of IPv6, where everybody has billions, the network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionState {
    /// It has not asked anything yet.
    New,
    /// An answer is under way.
    Active,
    /// It may ask again.
    Idle,
}

impl ConnectionState {
    /// How long a connection may stay so. A client that asks at all asks at once; an answer of tens of
    /// megabytes to a slow client takes less than this; a scraper comes back within minutes.
    const fn patience(self) -> Duration {
        match self {
            Self::New => Duration::from_secs(10),
            Self::Active => Duration::from_mins(2),
            Self::Idle => Duration::from_mins(5),
        }
    }
}

/// All connections, of which there are only so many.
pub(super) struct ConnectionLimits {
    room: Arc<Semaphore>,
    connections: Mutex<Connections>,
    observer: Arc<dyn Observer>,
}

#[derive(Debug, Default)]
struct Connections {
    last: u64,
    present: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    from: IpAddr,
    state: ConnectionState,
    since: Instant,
    /// How many answers are under way: HTTP/2 has several on one connection.
    answers: usize,
    /// Whether it asked, and was not let in so far: it waits at the door, or was sent away from there.
    unauthenticated: bool,
    deadline_sender: watch::Sender<Instant>,
    leave: CancellationToken,
}

/// A connection's place in the limits; dropping it leaves.
pub(super) struct ConnectionGuard {
    limits: Arc<ConnectionLimits>,
    number: u64,
    from: IpAddr,
    deadline: watch::Receiver<Instant>,
    leave: CancellationToken,
    _room: OwnedSemaphorePermit,
}

/// An answer that is under way until this is dropped.
pub(super) struct RequestGuard {
    limits: Arc<ConnectionLimits>,
    number: u64,
    from: IpAddr,
}

impl ConnectionLimits {
    /// Nobody yet; at most so many, and at least one.
    pub(super) fn new(most: usize, observer: Arc<dyn Observer>) -> Arc<Self> {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self { room: Arc::new(Semaphore::new(most)), connections: Mutex::default(), observer })
    }

    /// A place for who comes from that address, for which somebody else may have to leave.
    pub(super) async fn enter(self: &Arc<Self>, from: IpAddr) -> ConnectionGuard {
        let room = loop {
            let room = Arc::clone(&self.room);
            if let Ok(room) = Arc::clone(&room).try_acquire_owned() {
                break room;
            }
            self.ask_one_to_leave();
            if let Ok(Ok(room)) = timeout(LOOK_AGAIN, room.acquire_owned()).await {
                break room;
            }
        };
        let (now, leave) = (Instant::now(), CancellationToken::new());
        let deadline_sender = watch::Sender::new(now + ConnectionState::New.patience());
        let deadline = deadline_sender.subscribe();
        let connection = Connection {
            from,
            state: ConnectionState::New,
            since: now,
            answers: 0,
            unauthenticated: false,
            deadline_sender,
            leave: leave.clone(),
        };
        let mut connections = self.lock();
        connections.last += 1;
        let number = connections.last;
        connections.present.insert(number, connection);
        drop(connections);
        self.observer.connection_opened();
        ConnectionGuard { limits: Arc::clone(self), number, from, deadline, leave, _room: room }
    }

    /// Asks one that is not served, or where all are, one that has been for long. Only who is not asked
    /// already counts.
    pub(super) fn ask_one_to_leave(&self) {
        let connections = self.lock();
        let leaver = connections
            .foremost(|connection| connection.unauthenticated || connection.state != ConnectionState::Active)
            .or_else(|| connections.foremost(|connection| connection.since.elapsed() >= SERVED_LONG_ENOUGH));
        if let Some(connection) = leaver {
            connection.leave.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.lock().present.get_mut(&number) {
            change(connection);
        }
    }
}

impl Connections {
    /// Who is to leave first of those who fit and are not leaving already: one of the address that most of
    /// them come from, so that no limits at one address pushes out who comes from another; of these a
    /// unauthenticated, and of these the one who is here longest.
    fn foremost(&self, fits: impl Fn(&Connection) -> bool) -> Option<&Connection> {
        let fitting = || {
            self.present.values().filter(|connection| !connection.leave.is_cancelled() && fits(connection))
        };
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for connection in fitting() {
            *counts.entry(connection.from).or_default() += 1;
        }
        fitting().max_by_key(|connection| {
            (counts.get(&connection.from), connection.unauthenticated, Reverse(connection.since))
        })
    }
}

impl Connection {
    fn is(&mut self, state: ConnectionState) {
        self.state = state;
        self.since = Instant::now();
        self.deadline_sender.send_replace(self.since + state.patience());
    }
}

impl ConnectionGuard {
    /// Marks an answer as under way, to somebody who is a unauthenticated until [`RequestGuard::admitted`].
    pub(super) fn serve(&self) -> RequestGuard {
        self.limits.change(self.number, |connection| {
            connection.answers += 1;
            if connection.answers == 1 {
                connection.unauthenticated = true;
                connection.is(ConnectionState::Active);
            }
        });
        RequestGuard { limits: Arc::clone(&self.limits), number: self.number, from: self.from }
    }

    /// Resolves when this connection has to go, and tells why.
    pub(super) async fn lost(&self) -> DropReason {
        let mut deadlines = self.deadline.clone();
        loop {
            let deadline = *deadlines.borrow_and_update();
            tokio::select! {
                () = self.leave.cancelled() => return DropReason::Crowded,
                () = sleep_until(deadline) => return DropReason::Slow,
                Ok(()) = deadlines.changed() => {}
            }
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.limits.lock().present.remove(&self.number);
        self.limits.observer.connection_closed();
    }
}

impl RequestGuard {
    /// The address of whom it is for.
    pub(super) const fn from(&self) -> IpAddr {
        self.from
    }

    /// Whom it is for was let in.
    pub(super) fn admitted(&self) {
        self.limits.change(self.number, |connection| connection.unauthenticated = false);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.limits.change(self.number, |connection| {
            connection.answers -= 1;
            if connection.answers == 0 {
                connection.is(ConnectionState::Idle);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    struct Ignore;

    impl Observer for Ignore {
        fn connection_opened(&self) {}
        fn connection_closed(&self) {}
        fn connection_dropped(&self, _: DropReason) {}
        fn request_answered(&self, _: StatusCode) {}
    }

    fn limits(most: usize) -> Arc<ConnectionLimits> {
        ConnectionLimits::new(most, Arc::new(Ignore))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_wait_so_long_and_no_longer_in_each_of_its_moods() {
        let limits = limits(9);
        let begun = Instant::now();
        assert_eq!(limits.enter(HERE).await.lost().await, DropReason::Slow);
        assert_eq!(begun.elapsed(), ConnectionState::New.patience());
        let guard = limits.enter(HERE).await;
        let serving = guard.serve();
        let begun = Instant::now();
        assert_eq!(guard.lost().await, DropReason::Slow);
        assert_eq!(begun.elapsed(), ConnectionState::Active.patience());
        drop(serving);
        let begun = Instant::now();
        assert_eq!(guard.lost().await, DropReason::Slow);
        assert_eq!(begun.elapsed(), ConnectionState::Idle.patience());
    }

    #[tokio::test(start_paused = true)]
    async fn several_answers_on_one_connection_are_one_mood() {
        let limits = limits(9);
        let guard = limits.enter(HERE).await;
        let (first, second) = (guard.serve(), guard.serve());
        tokio::time::advance(Duration::from_mins(1)).await;
        drop(first);
        let begun = Instant::now();
        guard.lost().await;
        assert_eq!(begun.elapsed() + Duration::from_mins(1), ConnectionState::Active.patience());
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_who_waits_longest_makes_room() {
        let limits = limits(2);
        let (first, second) = (limits.enter(HERE).await, limits.enter(HERE).await);
        let _serving = first.serve();
        let (lost, third) = tokio::join!(
            async {
                let lost = second.lost().await;
                drop(second);
                lost
            },
            limits.enter(HERE)
        );
        assert_eq!(lost, DropReason::Crowded);
        let _also = third.serve();
        // Both are served now: a fourth waits until one of them has been for long.
        let begun = Instant::now();
        let (lost, _fourth) = tokio::join!(
            async {
                let lost = first.lost().await;
                drop(first);
                lost
            },
            limits.enter(HERE)
        );
        assert_eq!(lost, DropReason::Crowded);
        assert!(begun.elapsed() <= SERVED_LONG_ENOUGH + LOOK_AGAIN, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_who_was_not_let_in_makes_room_before_who_was() {
        let limits = limits(3);
        let (known, guessing, refused) =
            (limits.enter(HERE).await, limits.enter(HERE).await, limits.enter(HERE).await);
        known.serve().admitted();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(refused.serve());
        tokio::time::advance(Duration::from_secs(1)).await;
        let waiting = guessing.serve();
        for unauthenticated in [refused, guessing] {
            let (lost, ()) = tokio::join!(
                async {
                    let lost = unauthenticated.lost().await;
                    drop(unauthenticated);
                    lost
                },
                async { std::mem::forget(limits.enter(HERE).await) }
            );
            assert_eq!(lost, DropReason::Crowded);
        }
        drop(waiting);
        assert!(!known.leave.is_cancelled(), "who is known is the last to leave");
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_the_address_with_the_most_connections_makes_room() {
        let limits = limits(3);
        let there = IpAddr::from([192, 0, 2, 1]);
        let lonely = limits.enter(there).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let older = limits.enter(HERE).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let younger = limits.enter(HERE).await;
        let (lost, _fourth) = tokio::join!(
            async {
                let lost = older.lost().await;
                drop(older);
                lost
            },
            limits.enter(HERE)
        );
        assert_eq!(lost, DropReason::Crowded);
        assert!(!lonely.leave.is_cancelled() && !younger.leave.is_cancelled());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
    }
}
