//! A partner and its secret.

use crate::refusal::Refusal;

/// A partner and its secret.
pub(crate) struct PartnerState {
    pub(crate) secret: String,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) third_party: u64,
}
