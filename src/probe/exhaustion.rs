//! Detects resource exhaustion: the process or its machine has no file descriptors, local ports, threads or memory
//! left. Then the probe sent no request, and says nothing about the API.

use std::error::Error;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use super::transport_error::any_cause;
use crate::report::Phase;

// The standard library has no names for these errors. The first three numbers are the same on every Unix.
/// No memory.
const ENOMEM: i32 = 12;
/// No file descriptor left in the system.
const ENFILE: i32 = 23;
/// No file descriptor left in the process.
const EMFILE: i32 = 24;
/// No thread, process or routing entry left.
const EAGAIN: i32 = if cfg!(target_os = "linux") { 11 } else { 35 };
/// No memory left for the network.
const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };

/// Every local port is in use, so that no connection to this address can be opened.
#[derive(Debug, thiserror::Error)]
#[error("no local port left")]
struct NoLocalPort;

/// Whether an error that occurred in `phase` was caused by resource exhaustion.
pub(super) fn is_resource_exhaustion(error: &(dyn Error + 'static), phase: Phase) -> bool {
    any_cause(error, is_exhaustion) || (phase == Phase::Resolve && resolver_has_no_resources())
}

/// Replaces the error of a connection to `peer` if it has no local port: the same error number also says that this
/// machine has no address of the peer's family, as without IPv6. That is no exhaustion.
pub(super) fn name_missing_port(error: io::Error, peer: SocketAddr) -> io::Error {
    if error.kind() == io::ErrorKind::AddrNotAvailable && has_address_for(peer) {
        return io::Error::new(error.kind(), NoLocalPort);
    }
    error
}

/// Whether one attempt to connect failed because of resource exhaustion.
pub(super) fn is_exhausted(error: &io::Error) -> bool {
    any_cause(error, is_exhaustion)
}

fn is_exhaustion(cause: &(dyn Error + 'static)) -> bool {
    // Probes that share a look-up share its error.
    let shared = cause.downcast_ref::<Arc<io::Error>>().map(|error| &**error);
    cause.is::<NoLocalPort>() || cause.downcast_ref().or(shared).is_some_and(has_exhaustion_code)
}

fn has_exhaustion_code(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENOMEM | ENFILE | EMFILE | EAGAIN | ENOBUFS))
}

/// Whether this machine has an address that can reach `peer`. The ports of UDP are other ports than those of TCP, and
/// connecting a UDP socket sends nothing.
fn has_address_for(peer: SocketAddr) -> bool {
    let local = match peer {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    UdpSocket::bind(local).and_then(|socket| socket.connect(peer)).is_ok()
}

/// The system's resolver returns the same error for an unknown name and for a file or a socket that it cannot open.
fn resolver_has_no_resources() -> bool {
    let no_file_opens = File::open("/dev/null").is_err_and(|error| has_exhaustion_code(&error));
    let no_port_is_free = || {
        let bound = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
        bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse || has_exhaustion_code(&error))
    };
    no_file_opens || no_port_is_free()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::transport_error::TransportError;

    #[test]
    fn exhaustion_is_found_in_a_nested_cause() {
        for number in [ENOMEM, ENFILE, EMFILE, EAGAIN, ENOBUFS] {
            let inner = io::Error::from_raw_os_error(number);
            let wrapped = io::Error::other(io::Error::new(io::ErrorKind::NotConnected, inner));
            assert!(is_resource_exhaustion(&wrapped, Phase::Connect), "{number}");
        }
    }

    #[test]
    fn a_look_up_without_a_thread_is_exhaustion() {
        let cause = Arc::new(io::Error::from_raw_os_error(EAGAIN));
        let error = TransportError::Resolve { host: "api.example".to_owned(), cause };
        assert!(is_resource_exhaustion(&error, Phase::Resolve));
    }

    #[test]
    fn a_network_error_is_not_exhaustion() {
        for number in [104, 110, 111, 113] {
            assert!(
                !is_resource_exhaustion(&io::Error::from_raw_os_error(number), Phase::Connect),
                "{number}"
            );
        }
        assert!(!is_resource_exhaustion(&io::Error::other("no such host"), Phase::Resolve));
    }

    #[test]
    fn a_missing_local_port_is_exhaustion_and_a_missing_address_is_not() {
        let unavailable = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let missing_port = name_missing_port(unavailable(), "127.0.0.1:443".parse().unwrap());
        assert!(is_resource_exhaustion(&missing_port, Phase::Connect));
        assert_eq!(missing_port.to_string(), "no local port left");
        // No machine has an address that reaches the documentation's prefix with a scope that does not exist.
        let unreachable = "[fe80::1%4000000000]:443".parse().unwrap();
        assert!(!is_resource_exhaustion(&name_missing_port(unavailable(), unreachable), Phase::Connect));
    }
}
