//! Name look-ups: the system's, with those for one name that overlap made into one.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::phase_timer;

/// The system's look-up blocks a thread until it answers. While DNS is dead every key of the fleet
/// asks for the same name: sharing the look-up under way keeps that to one thread instead of hundreds.
/// It goes on when the probe that began it has run out of time, for others wait for it too. Nothing is
/// remembered once a look-up has ended.
pub(super) struct Resolver {
    ask: fn(String) -> BoxFuture<'static, Found>,
    under_way: Arc<Mutex<HashMap<String, Shared<BoxFuture<'static, Found>>>>>,
}

type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;

impl Resolver {
    /// The system's resolver.
    pub(super) fn system() -> Self {
        Self { ask: |host| ask_the_system(host).boxed(), under_way: Arc::default() }
    }

    fn look_up(&self, host: &str) -> Shared<BoxFuture<'static, Found>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = under_way.get(host) {
            return shared.clone();
        }
        let (asked, ended) = ((self.ask)(host.to_owned()), Arc::clone(&self.under_way));
        let host = host.to_owned();
        let name = host.clone();
        let task = tokio::spawn(async move {
            let found = asked.await;
            ended.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            found
        });
        let shared = task.map(|ended| ended.unwrap_or_else(|died| Err(Arc::new(io::Error::other(died)))));
        let shared = shared.boxed().shared();
        under_way.insert(host, shared.clone());
        shared
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let shared = self.look_up(name.as_str());
        Box::pin(async move {
            let addresses = shared.await?;
            phase_timer::resolved();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

async fn ask_the_system(host: String) -> Found {
    // Port 0 stands for the URL's.
    let addresses: Vec<_> = tokio::net::lookup_host((host, 0)).await.map_err(Arc::new)?.collect();
    if addresses.is_empty() {
        Err(Arc::new(io::Error::other("the name has no address")))
    } else {
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{Duration, sleep, timeout};

    use super::*;

    const SLOW: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn probes_that_give_up_one_after_the_other_wait_for_one_look_up() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let ask = |_| {
            async {
                ASKED.fetch_add(1, Ordering::Relaxed);
                sleep(SLOW).await;
                Err(Arc::new(io::Error::other("dead")))
            }
            .boxed()
        };
        let resolver = Resolver { ask, under_way: Arc::default() };
        for _ in 0..20 {
            timeout(Duration::from_secs(1), resolver.look_up("api.example")).await.unwrap_err();
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        sleep(SLOW).await;
        resolver.look_up("api.example").await.unwrap_err();
        assert_eq!(ASKED.load(Ordering::Relaxed), 2, "an ended look-up is not remembered");
    }

    #[tokio::test]
    async fn the_system_is_asked() {
        let found = Resolver::system().look_up("localhost").await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert!(Resolver::system().look_up("no-such-host.invalid").await.is_err());
    }
}
