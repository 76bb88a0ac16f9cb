//! What the server reports.

use http::StatusCode;
use strum::{IntoStaticStr, VariantArray};

/// Receives what happens to connections and requests, for example to count it.
pub trait Observer: Send + Sync {
    /// A client connection was accepted.
    fn connection_opened(&self);
    /// A client connection has ended.
    fn connection_closed(&self);
    /// The server closed a client connection, or did not accept it.
    fn connection_dropped(&self, reason: DropReason);
    /// A request was answered with this status.
    fn request_answered(&self, status: StatusCode);
}

/// Why the server closed a client connection, or did not accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum DropReason {
    /// The system could not provide another connection: no file descriptor, no memory.
    Accept,
    /// The connection limit was reached, and another connection had precedence.
    Crowded,
    /// The TLS handshake failed.
    Handshake,
    /// The client took too long to send a request, or to read the response.
    Slow,
}
