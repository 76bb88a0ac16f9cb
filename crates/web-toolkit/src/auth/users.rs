//! Who may log in, by name and password.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use ring::hmac;
use ring::rand::SystemRandom;
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use tokio::sync::Semaphore;
use tracing::error;

use crate::config::User;

/// How many refused attempts are remembered.
const MAX_CACHED_REFUSALS: usize = 1_000;

/// The users, and what was found of names and passwords so far.
///
/// A hash takes a good part of a second, by design. So it is computed for one attempt at a time, on a
/// thread of its own, and its result is kept: who comes with each scrape pays once. Nothing that is kept
/// can be turned back into a password: it is a keyed hash under a key that lives as long as the process.
///
/// The addresses that clients come from take turns, so that hundreds who guess from one address delay
/// the first log-in from another by one hash, and not by hundreds.
pub(super) struct Users {
    all: Arc<[User]>,
    key: Option<hmac::Key>,
    known: Mutex<CachedResults>,
    hash_slot: Arc<Semaphore>,
    queues: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// What an attempt is known by.
type AttemptDigest = [u8; 32];

/// Accepted attempts are kept apart, so that no flood of wrong ones can make them be forgotten: there is
/// one a user at the most, for one password alone fits a hash.
#[derive(Default)]
struct CachedResults {
    accepted: HashMap<usize, AttemptDigest>,
    refused: HashSet<AttemptDigest>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("count", &self.all.len()).finish_non_exhaustive()
    }
}

/// A name and a password, as a client sent them.
struct Attempt {
    name: Zeroizing<Vec<u8>>,
    password: Zeroizing<Vec<u8>>,
}

impl Users {
    pub(super) fn new(users: Vec<User>) -> Self {
        Self {
            all: users.into(),
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            known: Mutex::default(),
            hash_slot: Arc::new(Semaphore::new(1)),
            queues: Mutex::default(),
        }
    }

    /// Whether nobody is asked who they are.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether who sends this header from that address may come in; everybody may where there are no users.
    pub(super) async fn authenticate(&self, authorization: Option<&HeaderValue>, from: IpAddr) -> bool {
        if self.is_empty() {
            return true;
        }
        let Some(attempt) = authorization.and_then(Attempt::read) else { return false };
        let Some(key) = &self.key else {
            error!("the system gives no random numbers, so nobody can log in");
            return false;
        };
        let (index, exists) = self.against(&attempt, key);
        let digest = attempt.digest(key, index);
        if let Some(known) = self.known(index, digest) {
            return known && exists;
        }
        let queue = self.queue(from);
        let Ok(_place) = queue.acquire().await else { return false };
        let Ok(hash_slot) = Arc::clone(&self.hash_slot).acquire_owned().await else { return false };
        // Whoever had the hash_slot before may have asked the same.
        if let Some(known) = self.known(index, digest) {
            return known && exists;
        }
        let users = Arc::clone(&self.all);
        let fits = tokio::task::spawn_blocking(move || {
            // Until the hash is done, even if the client leaves: else leaving would start another beside it.
            let _turn = hash_slot;
            let hash = users.get(index).map_or("", |user| user.hash.expose_secret());
            bcrypt::verify(&*attempt.password, hash).unwrap_or(false)
        });
        let accepted = fits.await.unwrap_or(false) && exists;
        self.store(index, digest, accepted);
        accepted
    }

    /// Where those stand who come from this address, of whom only the first waits for the hash_slot.
    fn queue(&self, from: IpAddr) -> Arc<Semaphore> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|_, queue| queue.strong_count() > 0);
        let place = queues.entry(from).or_default();
        place.upgrade().unwrap_or_else(|| {
            let queue = Arc::new(Semaphore::new(1));
            *place = Arc::downgrade(&queue);
            queue
        })
    }

    /// Whose hash to compute, and whether that is the one who was named. For a name that nobody has, it is
    /// some user's all the same, always the same one: so it takes as long, and no clock tells the names.
    fn against(&self, attempt: &Attempt, key: &hmac::Key) -> (usize, bool) {
        let is_named = |user: &User| user.name.as_bytes() == &**attempt.name;
        if let Some(index) = self.all.iter().position(is_named) {
            return (index, true);
        }
        let tag = hmac::sign(key, &attempt.name);
        let number =
            tag.as_ref().iter().fold(0, |sum: usize, byte| (sum * 256 + usize::from(*byte)) % self.all.len());
        (number, false)
    }

    fn known(&self, index: usize, digest: AttemptDigest) -> Option<bool> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.accepted.get(&index) == Some(&digest) {
            return Some(true);
        }
        known.refused.contains(&digest).then_some(false)
    }

    fn store(&self, index: usize, digest: AttemptDigest, accepted: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if accepted {
            known.accepted.insert(index, digest);
            return;
        }
        if known.refused.len() >= MAX_CACHED_REFUSALS {
            known.refused.clear();
        }
        known.refused.insert(digest);
    }
}

impl Attempt {
    fn read(header: &HeaderValue) -> Option<Self> {
        let (scheme, encoded) = header.as_bytes().split_at_checked(b"Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let pair = Zeroizing::new(STANDARD.decode(encoded).ok()?);
        let colon = pair.iter().position(|byte| *byte == b':')?;
        let (name, password) = (pair.get(..colon)?, pair.get(colon + 1..)?);
        Some(Self { name: Zeroizing::new(name.to_vec()), password: Zeroizing::new(password.to_vec()) })
    }

    fn digest(&self, key: &hmac::Key, index: usize) -> AttemptDigest {
        let mut context = hmac::Context::with_key(key);
        // Each part with its length, so that no two attempts run together into one.
        for part in [&index.to_be_bytes()[..], &self.name, &self.password] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let mut digest = AttemptDigest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::{Duration, Instant};

    use super::*;

    fn users(users: &[(&str, &str, u32)]) -> Users {
        let user = |(name, password, cost): &(&str, &str, u32)| User {
            name: (*name).to_owned(),
            hash: bcrypt::hash(password, *cost).unwrap().into(),
        };
        Users::new(users.iter().map(user).collect())
    }

    fn basic(name: &str, password: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))).unwrap()
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn is_accepted(users: &Users, name: &str, password: &str) -> bool {
        users.authenticate(Some(&basic(name, password)), HERE).await
    }

    #[tokio::test]
    async fn only_the_right_password_of_the_right_user_opens_and_so_it_stays() {
        let users = users(&[("alice", "one", 4), ("bob", "two:three", 4)]);
        for _ in 0..3 {
            assert!(is_accepted(&users, "alice", "one").await);
            assert!(is_accepted(&users, "bob", "two:three").await, "a password may hold colons");
            for (name, password) in [
                ("alice", "two:three"),
                ("bob", "one"),
                ("carol", "one"),
                ("carol", "two:three"),
                ("", ""),
                ("alice", ""),
            ] {
                assert!(!is_accepted(&users, name, password).await, "{name} {password}");
            }
        }
    }

    #[tokio::test]
    async fn everybody_may_come_in_where_there_are_no_users_and_nobody_without_a_name_where_there_are() {
        assert!(users(&[]).authenticate(None, HERE).await);
        let users = users(&[("alice", "one", 4)]);
        assert!(!users.authenticate(None, HERE).await);
        for header in
            ["", "Basic", "Basic ", "Basic !", "Bearer YWxpY2U6b25l", "Basic YWxpY2U", "BasicYWxpY2U6b25l"]
        {
            assert!(!users.authenticate(Some(&HeaderValue::from_static(header)), HERE).await, "{header}");
        }
        assert!(users.authenticate(Some(&HeaderValue::from_static("bASIC YWxpY2U6b25l")), HERE).await);
    }

    #[tokio::test]
    async fn a_flood_of_wrong_passwords_makes_nobody_s_right_one_forgotten() {
        let users = users(&[("alice", "one", 4)]);
        assert!(is_accepted(&users, "alice", "one").await);
        for attempt in 0..MAX_CACHED_REFUSALS + 10 {
            let digest = hmac::sign(users.key.as_ref().unwrap(), &attempt.to_be_bytes());
            users.store(0, digest.as_ref().try_into().unwrap(), false);
        }
        let known = users.known.lock().unwrap();
        assert!(known.accepted.len() == 1 && known.refused.len() <= MAX_CACHED_REFUSALS);
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_costs_what_a_user_s_does() {
        // The cost is such that whatever else happens takes nothing beside it.
        let users = users(&[("alice", "one", 9)]);
        let mut fastest = [Duration::MAX; 2];
        for round in 0..5 {
            for (place, name) in ["alice", "nobody"].into_iter().enumerate() {
                let started = Instant::now();
                assert!(!is_accepted(&users, name, &format!("wrong {round}")).await);
                fastest[place] = fastest[place].min(started.elapsed());
            }
        }
        let [known, unknown] = fastest.map(|took| took.as_secs_f64());
        assert!(unknown > known / 2.0 && known > unknown / 2.0, "{known} {unknown}");
    }

    #[tokio::test]
    async fn a_first_log_in_waits_for_one_guess_of_each_other_address() {
        let users = Arc::new(users(&[("alice", "one", 8)]));
        let answered = Arc::new(AtomicUsize::new(0));
        let guesses: Vec<_> = (0..40)
            .map(|guess| {
                let (users, answered) = (Arc::clone(&users), Arc::clone(&answered));
                tokio::spawn(async move {
                    assert!(!is_accepted(&users, "alice", &format!("wrong {guess}")).await);
                    answered.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        while users.hash_slot.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let before = answered.load(Ordering::Relaxed);
        let there = IpAddr::from([127, 0, 0, 2]);
        assert!(users.authenticate(Some(&basic("alice", "one")), there).await);
        let passed = answered.load(Ordering::Relaxed) - before;
        assert!(passed <= 2, "{passed} guesses went first");
        for guess in guesses {
            guess.await.unwrap();
        }
        drop(users.queue(there));
        assert_eq!(users.queues.lock().unwrap().len(), 1, "who is gone is forgotten");
    }

    #[tokio::test]
    async fn who_leaves_while_a_hash_is_computed_starts_no_second_one_beside_it() {
        let users = Arc::new(users(&[("alice", "one", 8)]));
        let leaving = {
            let users = Arc::clone(&users);
            tokio::spawn(async move { is_accepted(&users, "alice", "wrong").await })
        };
        while users.hash_slot.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        assert_eq!(users.hash_slot.available_permits(), 0);
        assert!(is_accepted(&users, "alice", "one").await);
    }

    #[test]
    fn names_that_nobody_has_are_spread_over_the_users() {
        let users = users(&[("alice", "one", 4), ("bob", "two", 4)]);
        let key = users.key.as_ref().unwrap();
        let against = |name: &str| {
            let attempt = Attempt::read(&basic(name, "x")).unwrap();
            users.against(&attempt, key)
        };
        assert_eq!(against("bob"), (1, true));
        let hit: HashSet<_> = (0..64).map(|n| against(&format!("nobody{n}"))).collect();
        assert_eq!(hit, [(0, false), (1, false)].into());
        assert_eq!(against("nobody1"), against("nobody1"));
    }
}
