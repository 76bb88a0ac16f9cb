//! Connections that wait for their next request.
//!
//! They are shared by all keys of one API. The credentials are headers of each request, and a connection carries one
//! request at a time, so it does not know any key.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::time::{Duration, Instant};

use super::http_connection::HttpConnection;

/// A connection that waited longer is closed. Probes that run once a minute find theirs.
const MAX_IDLE: Duration = Duration::from_secs(90);
/// An older connection is closed, so that a new address of the API is used, and the certificate is verified again.
const MAX_AGE: Duration = Duration::from_mins(5);
/// How many connections may wait: as many as there may be probes at the same time.
const MAX_CONNECTIONS: usize = 512;

struct Idle {
    connection: HttpConnection,
    since: Instant,
}

/// The one that waits shortest is last.
#[derive(Default)]
pub(super) struct IdleConnections(Mutex<Vec<Idle>>);

impl IdleConnections {
    /// Takes the connection of this runtime that waits shortest. Closes those that are too old.
    pub(super) fn take(&self) -> Option<HttpConnection> {
        let (now, runtime) = (Instant::now(), Handle::current().id());
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.is_usable(now));
        // Another runtime would be woken, and wake this one, for each step of the exchange.
        let place = idle.iter().rposition(|idle| idle.connection.runtime() == runtime)?;
        Some(idle.remove(place).connection)
    }

    /// Keeps a connection whose response was read to its end.
    pub(super) fn put(&self, connection: HttpConnection) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_CONNECTIONS {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    /// Closes all connections: if one of them was dead, the others may be dead, too.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Idle {
    fn is_usable(&self, now: Instant) -> bool {
        now.duration_since(self.since) <= MAX_IDLE && now.duration_since(self.connection.opened()) <= MAX_AGE
    }
}
