//! Detects resource exhaustion: the process or its machine has no file descriptors or no memory left. Then
//! the probe sent no request, and says nothing about the API.

use std::error::Error;
use std::fs::File;
use std::io;

use super::transport_error::any_cause;
use crate::report::Phase;

// The standard library has no names for these errors. The numbers are the same on every Unix.
/// No memory.
const ENOMEM: i32 = 12;
/// No file descriptor left in the system.
const ENFILE: i32 = 23;
/// No file descriptor left in the process.
const EMFILE: i32 = 24;

/// Whether an error that occurred in `phase` was caused by resource exhaustion.
pub(super) fn is_resource_exhaustion(error: &(dyn Error + 'static), phase: Phase) -> bool {
    let is_exhaustion = |cause: &(dyn Error + 'static)| cause.downcast_ref().is_some_and(has_exhaustion_code);
    // The system's resolver returns the same error for an unknown name and for a file it cannot open.
    let no_file_opens = || File::open("/dev/null").is_err_and(|error| has_exhaustion_code(&error));
    any_cause(error, is_exhaustion) || (phase == Phase::Resolve && no_file_opens())
}

fn has_exhaustion_code(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENOMEM | ENFILE | EMFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhaustion_is_found_in_a_nested_cause() {
        let inner = io::Error::from_raw_os_error(EMFILE);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::NotConnected, inner));
        assert!(is_resource_exhaustion(&wrapped, Phase::Connect));
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
}
