//! Whether a probe failed for want of something that this process or its machine ran out of: then
//! nothing was asked, and nothing may be said about the API.

use std::error::Error;
use std::fs::File;
use std::io;

use crate::report::Phase;

/// No memory, no descriptor left in the system, none left to the process. They have these numbers on
/// every Unix; the standard library has no names for them.
const SHORTAGES: [i32; 3] = [12, 23, 24];

/// Whether `error`, met in `phase`, is a shortage of one's own.
pub(super) fn is_resource_exhaustion(error: &(dyn Error + 'static), phase: Phase) -> bool {
    // The system's look-up tells a name that is not there and files that can't be read alike.
    tells_shortage(error) || (phase == Phase::Resolve && none_left())
}

fn tells_shortage(error: &(dyn Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    // An `io::Error` that wraps another names the other's cause, not the other itself.
    let wrapped = io.and_then(io::Error::get_ref);
    io.is_some_and(is_shortage)
        || wrapped.is_some_and(|wrapped| tells_shortage(wrapped))
        || error.source().is_some_and(tells_shortage)
}

fn none_left() -> bool {
    File::open("/dev/null").is_err_and(|cause| is_shortage(&cause))
}

fn is_shortage(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|number| SHORTAGES.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_found_however_deep_it_lies() {
        let inner = io::Error::from_raw_os_error(24);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::NotConnected, inner));
        assert!(is_resource_exhaustion(&wrapped, Phase::Connect));
    }

    #[test]
    fn what_the_other_side_does_is_no_shortage() {
        for number in [104, 110, 111, 113] {
            assert!(
                !is_resource_exhaustion(&io::Error::from_raw_os_error(number), Phase::Connect),
                "{number}"
            );
        }
        assert!(!is_resource_exhaustion(&io::Error::other("no such host"), Phase::Resolve));
    }
}
