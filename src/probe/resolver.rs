//! Name look-ups: the system's, with those for one name that overlap made into one.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

use super::stamps;

/// The system's look-up blocks a thread until it answers. While DNS is dead every key of the fleet
/// asks for the same name: sharing the look-up under way keeps that to one thread instead of hundreds.
/// Nothing is remembered once a look-up has ended.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    under_way: Mutex<HashMap<String, Weak<LookUp>>>,
}

type LookUp = OnceCell<Result<Vec<SocketAddr>, Arc<io::Error>>>;

impl Resolver {
    fn look_up(&self, host: &str) -> Arc<LookUp> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = under_way.get(host).and_then(Weak::upgrade).filter(|cell| !cell.initialized()) {
            return shared;
        }
        let fresh = Arc::new(LookUp::new());
        under_way.insert(host.to_owned(), Arc::downgrade(&fresh));
        fresh
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let shared = self.look_up(name.as_str());
        Box::pin(async move {
            let found = shared.get_or_init(|| ask(name.as_str())).await;
            match found {
                Ok(addresses) => {
                    stamps::resolved();
                    Ok(Box::new(addresses.clone().into_iter()) as Addrs)
                }
                Err(error) => Err(Arc::clone(error).into()),
            }
        })
    }
}

async fn ask(host: &str) -> Result<Vec<SocketAddr>, Arc<io::Error>> {
    // Port 0 stands for the URL's.
    let addresses: Vec<_> = tokio::net::lookup_host((host, 0)).await.map_err(Arc::new)?.collect();
    if addresses.is_empty() {
        return Err(Arc::new(io::Error::other("the name has no address")));
    }
    Ok(addresses)
}
