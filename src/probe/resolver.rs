//! Resolves host names with the system's resolver. Concurrent look-ups of one name are shared.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use tokio::sync::oneshot;

/// The system's look-up blocks a thread until it ends. If DNS does not respond, every key of the fleet looks
/// up the same name. Sharing the look-up needs one thread instead of hundreds. The look-up continues after
/// the timeout of the probe that started it, because other probes wait for it too. Results are not cached.
pub(super) struct Resolver {
    look_up: fn(String) -> BoxFuture<'static, LookupResult>,
    in_flight: Arc<Mutex<HashMap<String, Shared<BoxFuture<'static, LookupResult>>>>>,
}

type LookupResult = Result<Vec<SocketAddr>, Arc<io::Error>>;

impl Resolver {
    pub(super) fn system() -> Self {
        Self { look_up: |host| system_look_up(host).boxed(), in_flight: Arc::default() }
    }

    /// The addresses of `host` in the order of the system's resolver, at least one.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> LookupResult {
        let mut addresses = self.shared_look_up(host).await?;
        for address in &mut addresses {
            address.set_port(port);
        }
        Ok(addresses)
    }

    fn shared_look_up(&self, host: &str) -> Shared<BoxFuture<'static, LookupResult>> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = in_flight.get(host) {
            return shared.clone();
        }
        let (sender, receiver) = oneshot::channel();
        let shared = receiver.map(|result| result.unwrap_or_else(|_| Err(Arc::new(no_result()))));
        let shared = shared.boxed().shared();
        in_flight.insert(host.to_owned(), shared.clone());
        // The task may end at once, and then it needs the lock.
        drop(in_flight);
        let look_up = (self.look_up)(host.to_owned());
        let entry = Entry { in_flight: Arc::clone(&self.in_flight), host: host.to_owned() };
        tokio::spawn(async move {
            let result = look_up.await;
            drop(entry);
            // Every probe that waited for it may have timed out.
            let _ = sender.send(result);
        });
        shared
    }
}

/// A look-up under way. Dropping it removes the look-up from the map, however it ends: a result that stayed there would
/// be the result of every later look-up.
struct Entry {
    in_flight: Arc<Mutex<HashMap<String, Shared<BoxFuture<'static, LookupResult>>>>>,
    host: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.host);
    }
}

/// Each look-up has a thread of its own. If the system has no thread left, this is an error; the threads of the runtime
/// would panic.
async fn system_look_up(host: String) -> LookupResult {
    let (sender, receiver) = oneshot::channel();
    let look_up = move || {
        // The receiver is gone if the runtime has ended.
        let _ = sender.send((host.as_str(), 0).to_socket_addrs().map(Vec::from_iter));
    };
    thread::Builder::new().name("resolver".to_owned()).spawn(look_up).map_err(Arc::new)?;
    let found = receiver.await.unwrap_or_else(|_| Err(no_result()));
    match found {
        Ok(found) if found.is_empty() => Err(Arc::new(io::Error::other("the name has no address"))),
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
        let resolver = Resolver { look_up, in_flight: Arc::default() };
        for _ in 0..20 {
            timeout(Duration::from_secs(1), resolver.shared_look_up("api.example")).await.unwrap_err();
        }
        assert_eq!(LOOK_UPS.load(Ordering::Relaxed), 1);
        sleep(SLOW).await;
        resolver.shared_look_up("api.example").await.unwrap_err();
        assert_eq!(LOOK_UPS.load(Ordering::Relaxed), 2, "the result is not cached");
    }

    #[tokio::test]
    async fn a_look_up_that_panics_is_made_again_the_next_time() {
        static LOOK_UPS: AtomicU32 = AtomicU32::new(0);
        let look_up = |_| {
            async {
                assert!(LOOK_UPS.fetch_add(1, Ordering::Relaxed) > 0, "planned panic");
                Ok(vec![([127, 0, 0, 1], 0).into()])
            }
            .boxed()
        };
        let resolver = Resolver { look_up, in_flight: Arc::default() };
        resolver.resolve("api.example", 443).await.unwrap_err();
        let found = resolver.resolve("api.example", 443).await.unwrap();
        assert_eq!(found, [([127, 0, 0, 1], 443).into()]);
    }

    #[tokio::test]
    async fn the_system_resolves_names() {
        let found = Resolver::system().shared_look_up("localhost").await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert!(Resolver::system().shared_look_up("no-such-host.invalid").await.is_err());
    }
}
