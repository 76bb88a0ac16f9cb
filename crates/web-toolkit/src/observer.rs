//! Reports what happens to connections and requests.

use http::StatusCode;
use strum::{IntoStaticStr, VariantArray};

/// Receives what happens to connections and requests, for example to count it.
pub trait Observer: Send + Sync {
    /// A client connection was accepted.
    fn connection_opened(&self);
    /// A client connection ended.
    fn connection_closed(&self);
    /// The server closed a client connection, or did not accept it.
    fn connection_dropped(&self, reason: DropReason);
    /// A response with this status was sent to a client.
    fn request_answered(&self, status: StatusCode);
}

/// Why the server closed a client connection, or did not accept it. The variants in snake case are label values
/// of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum DropReason {
    /// The system had no file descriptor or memory left for another connection.
    Accept,
    /// The connection limit was reached, and the connection was closed to make room for another.
    Crowded,
    /// The TLS handshake failed.
    Handshake,
    /// The client took too long to send a request, or to read the response.
    Slow,
}
