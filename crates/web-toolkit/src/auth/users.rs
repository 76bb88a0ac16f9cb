//! Checks the names and passwords of users.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

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

/// The maximum number of refused attempts whose result is cached.
const MAX_CACHED_REFUSALS: usize = 1_000;

/// The users, and the cached results of password checks.
///
/// A bcrypt hash takes tenths of a second, by design. So only one is computed at a time, on a blocking
/// thread, and the result is cached: a client that authenticates with each scrape waits once. The cache
/// holds keyed hashes, whose key lives as long as the process, so no password can be recovered from it.
///
/// Only one attempt per client address waits for the next hash. So if hundreds of clients guess passwords
/// from one address, the first log-in from another address waits for one of their hashes, not for hundreds.
pub(super) struct Users {
    all: Arc<[User]>,
    /// `None` if the system provides no random numbers.
    key: Option<hmac::Key>,
    cache: Mutex<Cache>,
    hash_slot: Arc<Semaphore>,
    address_queues: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// The keyed hash of a name and a password.
type AttemptDigest = [u8; 32];

/// Accepted attempts are cached apart from refused ones, so that wrong passwords cannot remove them. One
/// accepted attempt per user (by index) is enough.
#[derive(Default)]
struct Cache {
    accepted: HashMap<usize, AttemptDigest>,
    refused: HashSet<AttemptDigest>,
}

impl Users {
    pub(super) fn new(users: Vec<User>) -> Self {
        Self {
            all: users.into(),
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            cache: Mutex::default(),
            hash_slot: Arc::new(Semaphore::new(1)),
            address_queues: Mutex::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a request with this header from this address is authenticated. Without users, every
    /// request is accepted.
    pub(super) async fn authenticate(&self, authorization: Option<&HeaderValue>, client: IpAddr) -> bool {
        if self.is_empty() {
            return true;
        }
        let Some(attempt) = authorization.and_then(Attempt::parse) else { return false };
        let Some(key) = &self.key else {
            error!("the system provides no random numbers, so no user can log in");
            return false;
        };
        let digest = attempt.digest(key);
        let user_index = self.all.iter().position(|user| user.name.as_bytes() == &**attempt.name);
        if let Some(accepted) = self.cached(user_index, digest) {
            return accepted;
        }
        let queue = self.address_queue(client);
        let Ok(_turn) = queue.acquire().await else { return false };
        let Ok(hash_slot) = Arc::clone(&self.hash_slot).acquire_owned().await else { return false };
        // While this attempt waited, the same name and password may have been checked.
        if let Some(accepted) = self.cached(user_index, digest) {
            return accepted;
        }
        let users = Arc::clone(&self.all);
        let check = tokio::task::spawn_blocking(move || {
            // Held until the hash is computed, even if the client disconnects: otherwise a client that
            // reconnects could start a second hash at the same time.
            let _hash_slot = hash_slot;
            verify(&users, user_index, &attempt.password)
        });
        let accepted = check.await.unwrap_or(false);
        self.store(user_index.filter(|_| accepted), digest);
        accepted
    }

    /// The queue of a client address. Only the first attempt in it waits for the hash slot.
    fn address_queue(&self, client: IpAddr) -> Arc<Semaphore> {
        let mut queues = self.address_queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|_, queue| queue.strong_count() > 0);
        let entry = queues.entry(client).or_default();
        entry.upgrade().unwrap_or_else(|| {
            let queue = Arc::new(Semaphore::new(1));
            *entry = Arc::downgrade(&queue);
            queue
        })
    }

    fn cached(&self, user_index: Option<usize>, digest: AttemptDigest) -> Option<bool> {
        let cache = self.cache();
        if user_index.is_some_and(|index| cache.accepted.get(&index) == Some(&digest)) {
            return Some(true);
        }
        cache.refused.contains(&digest).then_some(false)
    }

    /// Caches that the attempt was accepted for a user, or refused (`None`).
    fn store(&self, accepted_for: Option<usize>, digest: AttemptDigest) {
        let mut cache = self.cache();
        if let Some(user_index) = accepted_for {
            cache.accepted.insert(user_index, digest);
            return;
        }
        if cache.refused.len() >= MAX_CACHED_REFUSALS {
            cache.refused.clear();
        }
        cache.refused.insert(digest);
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this is the password of the user. Every refusal takes as long as one hash of the highest
/// configured cost, so the time of a response does not reveal which names exist.
fn verify(users: &[User], user_index: Option<usize>, password: &[u8]) -> bool {
    let user = user_index.and_then(|index| users.get(index));
    if user.is_some_and(|user| bcrypt::verify(password, user.hash.expose_secret()).unwrap_or(false)) {
        return true;
    }
    let highest = users.iter().map(|user| user.cost).max().unwrap_or_default();
    for cost in padding_costs(user.map(|user| user.cost), highest) {
        let _ = std::hint::black_box(bcrypt::hash_with_salt(password, cost, [0; 16]));
    }
    false
}

/// The costs of the hashes that a refusal computes in addition to the user's own, which has the cost `own`.
fn padding_costs(own: Option<u32>, highest: u32) -> Range<u32> {
    match own {
        // A hash of cost n takes 2^n rounds. One more hash of each cost from n to m - 1, where m is the highest
        // cost, makes 2^m rounds in total.
        Some(own) => own..highest,
        None => highest..highest + 1,
    }
}

/// A name and a password, as a client sent them.
struct Attempt {
    name: Zeroizing<Vec<u8>>,
    password: Zeroizing<Vec<u8>>,
}

impl Attempt {
    /// Parses an `Authorization` header of the scheme `Basic`.
    fn parse(header: &HeaderValue) -> Option<Self> {
        let (scheme, encoded) = header.as_bytes().split_at_checked(b"Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let pair = Zeroizing::new(STANDARD.decode(encoded).ok()?);
        let colon = pair.iter().position(|byte| *byte == b':')?;
        let (name, password) = (pair.get(..colon)?, pair.get(colon + 1..)?);
        Some(Self { name: Zeroizing::new(name.to_vec()), password: Zeroizing::new(password.to_vec()) })
    }

    fn digest(&self, key: &hmac::Key) -> AttemptDigest {
        let mut context = hmac::Context::with_key(key);
        // Each part is preceded by its length, so that two different attempts cannot have the same input.
        for part in [&self.name, &self.password] {
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

    use super::*;

    fn users(users: &[(&str, &str, u32)]) -> Users {
        let user = |(name, password, cost): &(&str, &str, u32)| User {
            name: (*name).to_owned(),
            hash: bcrypt::hash(password, *cost).unwrap().into(),
            cost: *cost,
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
    async fn only_the_password_of_the_user_is_accepted_also_from_the_cache() {
        let users = users(&[("alice", "one", 4), ("bob", "two:three", 4)]);
        for _ in 0..3 {
            assert!(is_accepted(&users, "alice", "one").await);
            assert!(is_accepted(&users, "bob", "two:three").await, "a password may contain colons");
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
    async fn a_request_without_valid_credentials_is_refused_only_if_there_are_users() {
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
    async fn many_wrong_passwords_do_not_evict_an_accepted_one_from_the_cache() {
        let users = users(&[("alice", "one", 4)]);
        assert!(is_accepted(&users, "alice", "one").await);
        for attempt in 0..MAX_CACHED_REFUSALS + 10 {
            let digest = hmac::sign(users.key.as_ref().unwrap(), &attempt.to_be_bytes());
            users.store(None, digest.as_ref().try_into().unwrap());
        }
        let cache = users.cache();
        assert!(cache.accepted.len() == 1 && cache.refused.len() <= MAX_CACHED_REFUSALS);
    }

    #[test]
    fn every_refusal_takes_as_many_rounds_as_the_highest_cost_whether_or_not_the_name_exists() {
        for own in [None, Some(6), Some(8), Some(9)] {
            let rounds = |cost| 1_u64 << cost;
            let padding: u64 = padding_costs(own, 9).map(rounds).sum();
            assert_eq!(own.map_or(0, rounds) + padding, rounds(9), "{own:?}");
        }
    }

    #[tokio::test]
    async fn a_first_log_in_waits_for_at_most_one_hash_of_each_other_address() {
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
        assert!(passed <= 2, "{passed} guesses were checked first");
        for guess in guesses {
            guess.await.unwrap();
        }
        drop(users.address_queue(there));
        assert_eq!(users.address_queues.lock().unwrap().len(), 1, "the queues of absent clients are removed");
    }

    #[tokio::test]
    async fn a_client_that_disconnects_during_its_hash_still_holds_the_hash_slot() {
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
}
