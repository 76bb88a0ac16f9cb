//! The state of a partner.

use crate::refusal::Refusal;

pub(crate) struct PartnerState {
    pub(crate) secret: String,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) third_party: u64,
}
