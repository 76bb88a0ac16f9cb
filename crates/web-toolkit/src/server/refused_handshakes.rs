//! Logs refused TLS handshakes: once per client address and cause.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tracing::{debug, warn};

/// How many refusals are remembered. A client with many addresses must fill neither the memory nor the log.
const MAX_REMEMBERED: usize = 1000;

/// The refused handshakes that the log has told.
#[derive(Debug, Default)]
pub struct RefusedHandshakes(Mutex<HashSet<(IpAddr, String)>>);

impl RefusedHandshakes {
    /// Logs a failed handshake: as a warning if the client was refused, and the log has not told it yet.
    pub(super) fn log(&self, client: IpAddr, error: &io::Error) {
        if is_refusal(error) && self.is_new(client, error.to_string()) {
            warn!(%client, %error, "TLS handshake refused; further ones of this client for this cause are not logged");
        } else {
            debug!(%client, %error, "TLS handshake failed");
        }
    }

    fn is_new(&self, client: IpAddr, cause: String) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_REMEMBERED && told.insert((client, cause))
    }
}

/// Whether one side refused the other. A client that closes the connection, as a port scan does, was not refused.
fn is_refusal(error: &io::Error) -> bool {
    let is_of_tls = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()).is_some();
    is_of_tls || error.kind() == io::ErrorKind::InvalidData
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_once_per_address_and_cause() {
        let refused = RefusedHandshakes::default();
        let [one, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let is_new = |client, cause: &str| refused.is_new(client, cause.to_owned());
        assert!(is_new(one, "expired") && !is_new(one, "expired"));
        assert!(is_new(one, "unknown issuer") && is_new(other, "expired"));
    }

    #[test]
    fn many_addresses_do_not_fill_the_memory() {
        let refused = RefusedHandshakes::default();
        for number in 0..5_000_u32 {
            refused.is_new(IpAddr::from(number.to_be_bytes()), "expired".to_owned());
        }
        assert_eq!(refused.0.lock().map(|told| told.len()).unwrap_or_default(), MAX_REMEMBERED);
    }

    #[test]
    fn a_client_that_closes_the_connection_was_not_refused() {
        assert!(!is_refusal(&io::Error::from(io::ErrorKind::UnexpectedEof)));
        assert!(is_refusal(&io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError)));
    }
}
