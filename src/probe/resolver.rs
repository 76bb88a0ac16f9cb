//! Resolves host names with the system's resolver. Concurrent look-ups of one name are shared, and what was found is used
//! again for a moment.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

/// Found addresses that are older than this are looked up again. Until the result is there, the others are used.
const REFRESH_AFTER: Duration = Duration::from_secs(1);
/// Found addresses that are older than this are not used. No probe looks for a server that left longer than this.
const MAX_AGE: Duration = Duration::from_secs(5);

/// The system's look-up blocks a thread until it ends. If DNS does not respond, every key of the fleet looks
/// up the same name. Sharing the look-up needs one thread instead of hundreds. The look-up continues after
/// the timeout of the probe that started it, because other probes wait for it too.
///
/// The system does not tell how long a result is valid, so results are kept for seconds only: longer than the time
/// between two probes of a large fleet, and shorter than any validity in use. A failed look-up removes the result.
pub(super) struct Resolver {
    look_up: fn(String) -> BoxFuture<'static, LookupResult>,
    names: Arc<Mutex<HashMap<String, Name>>>,
}

/// Whether addresses that were found a moment ago may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookUp {
    /// The name is looked up for this request, so that its duration and its failure are those of the resolver.
    Always,
    /// A result of the last seconds serves.
    UnlessRecent,
}

/// The addresses of a host.
pub(super) struct Resolved {
    /// In the order of the system's resolver, at least one.
    pub addresses: Vec<SocketAddr>,
    /// The look-up that this request waited for, if it waited for one.
    pub looked_up: Option<Span>,
}

/// From when until when a look-up ran. The task that started it, and that waits for it, may run later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub start: Instant,
    pub end: Instant,
}

/// What a look-up found, and how long it took.
type LookupResult = Result<(Vec<SocketAddr>, Span), Arc<io::Error>>;
type SharedLookUp = Shared<BoxFuture<'static, LookupResult>>;

/// What is known about one name.
#[derive(Default)]
struct Name {
    in_flight: Option<SharedLookUp>,
    found: Option<Found>,
}

/// The result of the last look-up.
struct Found {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Resolver {
    pub(super) fn system() -> Self {
        Self::new(|host| system_look_up(host).boxed())
    }

    fn new(look_up: fn(String) -> BoxFuture<'static, LookupResult>) -> Self {
        Self { look_up, names: Arc::default() }
    }

    /// The addresses of `host` with this port.
    pub(super) async fn resolve(
        &self,
        host: &str,
        port: u16,
        look_up: LookUp,
    ) -> Result<Resolved, Arc<io::Error>> {
        let recent = match look_up {
            LookUp::Always => None,
            LookUp::UnlessRecent => self.recent(host),
        };
        let (mut addresses, looked_up) = if let Some(addresses) = recent {
            (addresses, None)
        } else {
            let (addresses, span) = self.shared_look_up(host).await?;
            (addresses, Some(span))
        };
        for address in &mut addresses {
            address.set_port(port);
        }
        Ok(Resolved { addresses, looked_up })
    }

    /// The addresses that were found in the last seconds, if there are any. If they are not quite new, they are looked up
    /// again for the next probe; this one does not wait.
    fn recent(&self, host: &str) -> Option<Vec<SocketAddr>> {
        let names = lock(&self.names);
        let found = names.get(host)?.found.as_ref()?;
        let age = found.at.elapsed();
        let addresses = (age <= MAX_AGE).then(|| found.addresses.clone());
        drop(names);
        if addresses.is_some() && age > REFRESH_AFTER {
            drop(self.shared_look_up(host));
        }
        addresses
    }

    fn shared_look_up(&self, host: &str) -> SharedLookUp {
        let mut names = lock(&self.names);
        let name = names.entry(host.to_owned()).or_default();
        if let Some(shared) = &name.in_flight {
            return shared.clone();
        }
        let (sender, receiver) = oneshot::channel();
        let shared = receiver.map(|result| result.unwrap_or_else(|_| Err(Arc::new(no_result()))));
        let shared = shared.boxed().shared();
        name.in_flight = Some(shared.clone());
        // The task may end at once, and then it needs the lock.
        drop(names);
        let look_up = (self.look_up)(host.to_owned());
        let mut entry = Entry { names: Arc::clone(&self.names), host: host.to_owned(), found: None };
        tokio::spawn(async move {
            let result = look_up.await;
            let found = result.as_ref().ok().cloned();
            entry.found = found.map(|(addresses, _)| Found { addresses, at: Instant::now() });
            drop(entry);
            // Every probe that waited for it may have timed out.
            let _ = sender.send(result);
        });
        shared
    }
}

/// A look-up under way. Dropping it ends the look-up in the map, however it ends: a result that stayed there would
/// be the result of every later look-up.
struct Entry {
    names: Arc<Mutex<HashMap<String, Name>>>,
    host: String,
    /// What was found, if the look-up succeeded.
    found: Option<Found>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut names = lock(&self.names);
        match self.found.take() {
            Some(found) => {
                names.insert(std::mem::take(&mut self.host), Name { in_flight: None, found: Some(found) });
            }
            None => {
                names.remove(&self.host);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each look-up has a thread of its own. If the system has no thread left, this is an error; the threads of the runtime
/// would panic.
async fn system_look_up(host: String) -> LookupResult {
    let (sender, receiver) = oneshot::channel();
    let look_up = move || {
        let start = Instant::now();
        let found = (host.as_str(), 0).to_socket_addrs().map(Vec::from_iter);
        let span = Span { start, end: Instant::now() };
        // The receiver is gone if the runtime has ended.
        let _ = sender.send(found.map(|addresses| (addresses, span)));
    };
    thread::Builder::new().name("resolver".to_owned()).spawn(look_up).map_err(Arc::new)?;
    let found = receiver.await.unwrap_or_else(|_| Err(no_result()));
    match found {
        Ok((addresses, _)) if addresses.is_empty() => {
            Err(Arc::new(io::Error::other("the name has no address")))
        }
        found => found.map_err(Arc::new),
    }
}

fn no_result() -> io::Error {
    io::Error::other("the look-up ended without a result")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{Duration, sleep, timeout};

    use super::*;

    const SLOW: Duration = Duration::from_secs(30);

    fn at_once() -> Span {
        let now = Instant::now();
        Span { start: now, end: now }
    }

    #[tokio::test(start_paused = true)]
    async fn probes_that_time_out_one_after_another_share_one_look_up() {
        static LOOK_UPS: AtomicU32 = AtomicU32::new(0);
        let look_up = |_| {
            async {
                LOOK_UPS.fetch_add(1, Ordering::Relaxed);
                sleep(SLOW).await;
                Err(Arc::new(io::Error::other("no response")))
            }
            .boxed()
        };
        let resolver = Resolver::new(look_up);
        for _ in 0..20 {
            timeout(Duration::from_secs(1), resolver.shared_look_up("api.example")).await.unwrap_err();
        }
        assert_eq!(LOOK_UPS.load(Ordering::Relaxed), 1);
        sleep(SLOW).await;
        resolver.shared_look_up("api.example").await.unwrap_err();
        assert_eq!(LOOK_UPS.load(Ordering::Relaxed), 2, "a failure is not kept");
    }

    #[tokio::test]
    async fn a_look_up_that_panics_is_made_again_the_next_time() {
        static LOOK_UPS: AtomicU32 = AtomicU32::new(0);
        let look_up = |_| {
            async {
                assert!(LOOK_UPS.fetch_add(1, Ordering::Relaxed) > 0, "planned panic");
                Ok((vec![([127, 0, 0, 1], 0).into()], at_once()))
            }
            .boxed()
        };
        let resolver = Resolver::new(look_up);
        assert!(resolver.resolve("api.example", 443, LookUp::UnlessRecent).await.is_err());
        let found = resolver.resolve("api.example", 443, LookUp::UnlessRecent).await.unwrap();
        assert_eq!(found.addresses, [([127, 0, 0, 1], 443).into()]);
    }

    /// Each look-up takes 20 ms and finds an address with its number; the tenth and the following ones fail.
    fn numbered(look_ups: &'static AtomicU32) -> BoxFuture<'static, LookupResult> {
        async {
            sleep(Duration::from_millis(20)).await;
            match look_ups.fetch_add(1, Ordering::Relaxed) + 1 {
                number @ 1..10 => {
                    Ok((vec![([127, 0, 0, u8::try_from(number).unwrap()], 0).into()], at_once()))
                }
                _ => Err(Arc::new(io::Error::other("no response"))),
            }
        }
        .boxed()
    }

    /// The last number of the address, and whether the request waited for it.
    async fn resolved(resolver: &Resolver, look_up: LookUp) -> Option<(u8, bool)> {
        let Resolved { addresses, looked_up } = resolver.resolve("api.example", 443, look_up).await.ok()?;
        let SocketAddr::V4(address) = addresses[0] else { return None };
        Some((address.ip().octets()[3], looked_up.is_some()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_looks_a_name_up_once_a_second_and_no_probe_waits() {
        static LOOK_UPS: AtomicU32 = AtomicU32::new(0);
        let resolver = Resolver::new(|_| {
            async {
                LOOK_UPS.fetch_add(1, Ordering::Relaxed);
                Ok((vec![([127, 0, 0, 1], 0).into()], at_once()))
            }
            .boxed()
        });
        let mut waits = 0;
        for _ in 0..60 * 333 {
            let found = resolver.resolve("api.example", 443, LookUp::UnlessRecent).await.unwrap();
            waits += u32::from(found.looked_up.is_some());
            sleep(Duration::from_millis(3)).await;
        }
        let look_ups = LOOK_UPS.load(Ordering::Relaxed);
        assert!((55..=60).contains(&look_ups), "{look_ups} look-ups in a minute");
        assert_eq!(waits, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_address_is_seen_within_seconds_and_an_old_one_is_not_used() {
        static LOOK_UPS: AtomicU32 = AtomicU32::new(0);
        let resolver = Resolver::new(|_| numbered(&LOOK_UPS));
        assert_eq!(resolved(&resolver, LookUp::UnlessRecent).await, Some((1, true)));
        assert_eq!(resolved(&resolver, LookUp::UnlessRecent).await, Some((1, false)));
        sleep(REFRESH_AFTER * 2).await;
        assert_eq!(resolved(&resolver, LookUp::UnlessRecent).await, Some((1, false)));
        sleep(Duration::from_millis(25)).await;
        assert_eq!(resolved(&resolver, LookUp::UnlessRecent).await, Some((2, false)), "found meanwhile");
        sleep(MAX_AGE + Duration::from_millis(1)).await;
        assert_eq!(resolved(&resolver, LookUp::UnlessRecent).await, Some((3, true)), "too old");
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_to_look_up_always_waits_and_a_failure_ends_what_was_found() {
        static LOOK_UPS: AtomicU32 = AtomicU32::new(0);
        let resolver = Resolver::new(|_| numbered(&LOOK_UPS));
        for number in 1..10 {
            assert_eq!(resolved(&resolver, LookUp::Always).await, Some((number, true)));
        }
        assert_eq!(resolved(&resolver, LookUp::UnlessRecent).await, Some((9, false)));
        assert_eq!(resolved(&resolver, LookUp::Always).await, None);
        assert_eq!(resolved(&resolver, LookUp::UnlessRecent).await, None, "the name servers do not answer");
    }

    #[tokio::test]
    async fn the_system_resolves_names() {
        let (found, _) = Resolver::system().shared_look_up("localhost").await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert!(Resolver::system().shared_look_up("no-such-host.invalid").await.is_err());
    }
}
