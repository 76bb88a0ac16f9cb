//! Logs refused TLS handshakes: once per client address and cause.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tracing::{debug, warn};

use crate::handshake_error::{self, Peer};

/// How many refusals are remembered. A client with many addresses must fill neither the memory nor the log.
const MAX_REMEMBERED: usize = 1000;

/// The refused handshakes that the log has told.
#[derive(Debug, Default)]
pub struct RefusedHandshakes(Mutex<HashSet<(IpAddr, String)>>);

impl RefusedHandshakes {
    /// Logs a failed handshake: as a warning if the client was refused, and the log has not told it yet.
    pub(super) fn log(&self, client: IpAddr, error: &io::Error) {
        let cause = handshake_error::describe(error, Peer::Client, "client_ca_file");
        if is_refusal(error) && self.is_new(client, cause.clone()) {
            warn!(%client, error = cause, "TLS handshake refused; further ones of this client for this cause are not logged");
        } else {
            debug!(%client, error = cause, "TLS handshake failed");
        }
    }

    fn is_new(&self, client: IpAddr, cause: String) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_REMEMBERED && told.insert((client, cause))
    }
}

/// Whether one side refused the other. A client that closes the connection, as a port scan does, was not refused.
fn is_refusal(error: &io::Error) -> bool {
    handshake_error::tls_error(error).is_some() || error.kind() == io::ErrorKind::InvalidData
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::CertificateError;
    use rustls::pki_types::UnixTime;

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
    fn an_expired_certificate_is_one_cause_at_all_times() {
        let at = |hours| UnixTime::since_unix_epoch(Duration::from_hours(hours));
        let refused = RefusedHandshakes::default();
        for now in [480_001, 480_002] {
            let expired = CertificateError::ExpiredContext { time: at(now), not_after: at(480_000) };
            refused.log(IpAddr::from([10, 0, 0, 1]), &io::Error::other(rustls::Error::from(expired)));
        }
        assert_eq!(refused.0.lock().unwrap().len(), 1);
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
