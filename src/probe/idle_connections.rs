//! Connections that wait for their next request.
//!
//! They are shared by all keys of one API. The credentials are headers of each request, and a connection carries one
//! request at a time, so it does not know any key.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::time::{Duration, Instant};

/// A connection that waited longer is closed. Probes that run once a minute find theirs.
const MAX_IDLE: Duration = Duration::from_secs(90);
/// An older connection is closed, so that a new address of the API is used, and the certificate is verified again.
const MAX_AGE: Duration = Duration::from_mins(5);
/// How many connections may wait: as many as there may be probes at the same time.
const MAX_CONNECTIONS: usize = 512;

/// A connection over which a request can be sent.
pub(super) struct HttpConnection {
    pub sender: SendRequest<Full<Bytes>>,
    opened: Instant,
}

struct Idle {
    connection: HttpConnection,
    since: Instant,
}

/// The one that waits shortest is last.
#[derive(Default)]
pub(super) struct IdleConnections(Mutex<Vec<Idle>>);

impl HttpConnection {
    /// A connection that was opened now.
    pub(super) fn new(sender: SendRequest<Full<Bytes>>) -> Self {
        Self { sender, opened: Instant::now() }
    }
}

impl IdleConnections {
    /// Takes the connection that waits shortest, unless the server has closed it. Closes those that are too old.
    pub(super) fn take(&self) -> Option<HttpConnection> {
        let now = Instant::now();
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.is_usable(now));
        idle.pop().map(|idle| idle.connection)
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
        !self.connection.sender.is_closed()
            && now.duration_since(self.since) <= MAX_IDLE
            && now.duration_since(self.connection.opened) <= MAX_AGE
    }
}
