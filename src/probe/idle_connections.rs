//! Connections that wait for their next request.
//!
//! They are shared by all keys of one API. The credentials are headers of each request, and a connection carries one
//! request at a time, so it does not know any key.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::{self, Handle};
use tokio::time::{Duration, Instant};

use super::http_connection::HttpConnection;

/// A connection that waited longer is closed. Probes that run once a minute find theirs.
const MAX_IDLE: Duration = Duration::from_secs(90);
/// An older connection is closed, so that a new address of the API is used, and the certificate is verified again.
const MAX_AGE: Duration = Duration::from_mins(5);
/// How many connections of a runtime may wait: as many as there may be probes at the same time.
const MAX_CONNECTIONS: usize = 512;

struct Idle {
    connection: HttpConnection,
    since: Instant,
}

/// The connections of one runtime. The one that waits shortest is last.
type OfRuntime = VecDeque<Idle>;

#[derive(Default)]
pub(super) struct IdleConnections(Mutex<HashMap<runtime::Id, OfRuntime>>);

impl IdleConnections {
    /// Takes the connection of this runtime that waits shortest. Each step of an exchange on a connection of another runtime
    /// would wake that runtime, and it would wake this one. Closes all connections that have waited too long.
    pub(super) fn take(&self) -> Option<HttpConnection> {
        let now = Instant::now();
        let mut all = self.lock();
        for idle in all.values_mut() {
            while idle.pop_front_if(|longest| now.duration_since(longest.since) > MAX_IDLE).is_some() {}
        }
        let idle = all.get_mut(&Handle::current().id())?;
        while let Some(Idle { connection, .. }) = idle.pop_back() {
            if now.duration_since(connection.opened()) <= MAX_AGE {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose response was read to its end.
    pub(super) fn put(&self, connection: HttpConnection) {
        let mut all = self.lock();
        let idle = all.entry(connection.runtime()).or_default();
        if idle.len() < MAX_CONNECTIONS {
            idle.push_back(Idle { connection, since: Instant::now() });
        }
    }

    /// Closes all connections: if one of them was dead, the others may be dead, too.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<runtime::Id, OfRuntime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
