//! Who is connected, since when they wait, and who has to go.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::{Dropped, Metrics};

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
enum Mood {
    /// It has not asked anything yet.
    Fresh,
    /// An answer is under way.
    Serving,
    /// It may ask again.
    Idle,
}

impl Mood {
    /// How long a connection may stay so. A client that asks at all asks at once; an answer of tens of
    /// megabytes to a slow client takes less than this; a scraper comes back within minutes.
    const fn patience(self) -> Duration {
        match self {
            Self::Fresh => Duration::from_secs(10),
            Self::Serving => Duration::from_mins(2),
            Self::Idle => Duration::from_mins(5),
        }
    }
}

/// All connections, of which there are only so many.
#[derive(Debug)]
pub(super) struct Crowd {
    room: Arc<Semaphore>,
    guests: Mutex<Guests>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Guests {
    last: u64,
    present: HashMap<u64, Guest>,
}

#[derive(Debug)]
struct Guest {
    from: IpAddr,
    mood: Mood,
    since: Instant,
    /// How many answers are under way: HTTP/2 has several on one connection.
    answers: usize,
    /// Whether it asked, and was not let in so far: it waits at the door, or was sent away from there.
    stranger: bool,
    moods: watch::Sender<Instant>,
    leave: CancellationToken,
}

/// A connection's place in the crowd; dropping it leaves.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    from: IpAddr,
    deadline: watch::Receiver<Instant>,
    leave: CancellationToken,
    _room: OwnedSemaphorePermit,
}

/// An answer that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    crowd: Arc<Crowd>,
    number: u64,
    from: IpAddr,
}

impl Crowd {
    /// Nobody yet; at most so many, and at least one.
    pub(super) fn new(most: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self { room: Arc::new(Semaphore::new(most)), guests: Mutex::default(), metrics })
    }

    /// A place for who comes from that address, for which somebody else may have to leave.
    pub(super) async fn enter(self: &Arc<Self>, from: IpAddr) -> Seat {
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
        let moods = watch::Sender::new(now + Mood::Fresh.patience());
        let deadline = moods.subscribe();
        let guest = Guest {
            from,
            mood: Mood::Fresh,
            since: now,
            answers: 0,
            stranger: false,
            moods,
            leave: leave.clone(),
        };
        let mut guests = self.lock();
        guests.last += 1;
        let number = guests.last;
        guests.present.insert(number, guest);
        drop(guests);
        self.metrics.connection_opened();
        Seat { crowd: Arc::clone(self), number, from, deadline, leave, _room: room }
    }

    /// Asks one that is not served, or where all are, one that has been for long. Only who is not asked
    /// already counts.
    pub(super) fn ask_one_to_leave(&self) {
        let guests = self.lock();
        let leaver = guests
            .foremost(|guest| guest.stranger || guest.mood != Mood::Serving)
            .or_else(|| guests.foremost(|guest| guest.since.elapsed() >= SERVED_LONG_ENOUGH));
        if let Some(guest) = leaver {
            guest.leave.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Guest)) {
        if let Some(guest) = self.lock().present.get_mut(&number) {
            change(guest);
        }
    }
}

impl Guests {
    /// Who is to leave first of those who fit and are not leaving already: one of the address that most of
    /// them come from, so that no crowd at one address pushes out who comes from another; of these a
    /// stranger, and of these the one who is here longest.
    fn foremost(&self, fits: impl Fn(&Guest) -> bool) -> Option<&Guest> {
        let fitting = || self.present.values().filter(|guest| !guest.leave.is_cancelled() && fits(guest));
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for guest in fitting() {
            *counts.entry(guest.from).or_default() += 1;
        }
        fitting().max_by_key(|guest| (counts.get(&guest.from), guest.stranger, Reverse(guest.since)))
    }
}

impl Guest {
    fn is(&mut self, mood: Mood) {
        self.mood = mood;
        self.since = Instant::now();
        self.moods.send_replace(self.since + mood.patience());
    }
}

impl Seat {
    /// Marks an answer as under way, to somebody who is a stranger until [`Serving::admitted`].
    pub(super) fn serve(&self) -> Serving {
        self.crowd.change(self.number, |guest| {
            guest.answers += 1;
            if guest.answers == 1 {
                guest.stranger = true;
                guest.is(Mood::Serving);
            }
        });
        Serving { crowd: Arc::clone(&self.crowd), number: self.number, from: self.from }
    }

    /// Resolves when this connection has to go, and tells why.
    pub(super) async fn lost(&self) -> Dropped {
        let mut deadlines = self.deadline.clone();
        loop {
            let deadline = *deadlines.borrow_and_update();
            tokio::select! {
                () = self.leave.cancelled() => return Dropped::Crowded,
                () = sleep_until(deadline) => return Dropped::Slow,
                Ok(()) = deadlines.changed() => {}
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.lock().present.remove(&self.number);
        self.crowd.metrics.connection_closed();
    }
}

impl Serving {
    /// The address of whom it is for.
    pub(super) const fn from(&self) -> IpAddr {
        self.from
    }

    /// Whom it is for was let in.
    pub(super) fn admitted(&self) {
        self.crowd.change(self.number, |guest| guest.stranger = false);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.crowd.change(self.number, |guest| {
            guest.answers -= 1;
            if guest.answers == 0 {
                guest.is(Mood::Idle);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn crowd(most: usize) -> Arc<Crowd> {
        Crowd::new(most, Arc::new(Metrics::new().unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_wait_so_long_and_no_longer_in_each_of_its_moods() {
        let crowd = crowd(9);
        let begun = Instant::now();
        assert_eq!(crowd.enter(HERE).await.lost().await, Dropped::Slow);
        assert_eq!(begun.elapsed(), Mood::Fresh.patience());
        let seat = crowd.enter(HERE).await;
        let serving = seat.serve();
        let begun = Instant::now();
        assert_eq!(seat.lost().await, Dropped::Slow);
        assert_eq!(begun.elapsed(), Mood::Serving.patience());
        drop(serving);
        let begun = Instant::now();
        assert_eq!(seat.lost().await, Dropped::Slow);
        assert_eq!(begun.elapsed(), Mood::Idle.patience());
    }

    #[tokio::test(start_paused = true)]
    async fn several_answers_on_one_connection_are_one_mood() {
        let crowd = crowd(9);
        let seat = crowd.enter(HERE).await;
        let (first, second) = (seat.serve(), seat.serve());
        tokio::time::advance(Duration::from_mins(1)).await;
        drop(first);
        let begun = Instant::now();
        seat.lost().await;
        assert_eq!(begun.elapsed() + Duration::from_mins(1), Mood::Serving.patience());
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_who_waits_longest_makes_room() {
        let crowd = crowd(2);
        let (first, second) = (crowd.enter(HERE).await, crowd.enter(HERE).await);
        let _serving = first.serve();
        let (lost, third) = tokio::join!(
            async {
                let lost = second.lost().await;
                drop(second);
                lost
            },
            crowd.enter(HERE)
        );
        assert_eq!(lost, Dropped::Crowded);
        let _also = third.serve();
        // Both are served now: a fourth waits until one of them has been for long.
        let begun = Instant::now();
        let (lost, _fourth) = tokio::join!(
            async {
                let lost = first.lost().await;
                drop(first);
                lost
            },
            crowd.enter(HERE)
        );
        assert_eq!(lost, Dropped::Crowded);
        assert!(begun.elapsed() <= SERVED_LONG_ENOUGH + LOOK_AGAIN, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_who_was_not_let_in_makes_room_before_who_was() {
        let crowd = crowd(3);
        let (known, guessing, refused) =
            (crowd.enter(HERE).await, crowd.enter(HERE).await, crowd.enter(HERE).await);
        known.serve().admitted();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(refused.serve());
        tokio::time::advance(Duration::from_secs(1)).await;
        let waiting = guessing.serve();
        for stranger in [refused, guessing] {
            let (lost, ()) = tokio::join!(
                async {
                    let lost = stranger.lost().await;
                    drop(stranger);
                    lost
                },
                async { std::mem::forget(crowd.enter(HERE).await) }
            );
            assert_eq!(lost, Dropped::Crowded);
        }
        drop(waiting);
        assert!(!known.leave.is_cancelled(), "who is known is the last to leave");
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_the_address_with_the_most_connections_makes_room() {
        let crowd = crowd(3);
        let there = IpAddr::from([192, 0, 2, 1]);
        let lonely = crowd.enter(there).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let older = crowd.enter(HERE).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let younger = crowd.enter(HERE).await;
        let (lost, _fourth) = tokio::join!(
            async {
                let lost = older.lost().await;
                drop(older);
                lost
            },
            crowd.enter(HERE)
        );
        assert_eq!(lost, Dropped::Crowded);
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
