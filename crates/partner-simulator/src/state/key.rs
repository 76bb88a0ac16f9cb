//! The state of a key.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::refusal::Refusal;
use crate::spec::key::{Access, Activation, TokenForm, Version};
use crate::spec::limits::Limits;
use crate::state::traffic::Traffic;

pub(crate) struct KeyState {
    pub(crate) partner: Arc<str>,
    pub(crate) access: Access,
    pub(crate) form: TokenForm,
    /// The token issued last.
    pub(crate) token: Option<String>,
    pub(crate) activated: bool,
    pub(crate) activation: Activation,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) forbidden: BTreeMap<String, Refusal>,
    pub(crate) version: Version,
    pub(crate) limits: Limits,
    pub(crate) traffic: Traffic,
}
