//! Resolves host names with the system's resolver. Concurrent look-ups of one name are shared.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _, Shared};

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
        let look_up = (self.look_up)(host.to_owned());
        let task = tokio::spawn({
            let (in_flight, host) = (Arc::clone(&self.in_flight), host.to_owned());
            async move {
                let result = look_up.await;
                in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&host);
                result
            }
        });
        let shared = task.map(|joined| joined.unwrap_or_else(|panic| Err(Arc::new(io::Error::other(panic)))));
        let shared = shared.boxed().shared();
        in_flight.insert(host.to_owned(), shared.clone());
        shared
    }
}

async fn system_look_up(host: String) -> LookupResult {
    let found: Vec<_> = tokio::net::lookup_host((host, 0)).await.map_err(Arc::new)?.collect();
    if found.is_empty() { Err(Arc::new(io::Error::other("the name has no address"))) } else { Ok(found) }
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
    async fn the_system_resolves_names() {
        let found = Resolver::system().shared_look_up("localhost").await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert!(Resolver::system().shared_look_up("no-such-host.invalid").await.is_err());
    }
}
