//! The initial settings of a partner.

use crate::refusal::Refusal;
use crate::spec::key::KeySpec;

/// A partner and its initial keys.
#[derive(Clone, Debug)]
pub struct PartnerSpec {
    /// The name that tests use. It is never sent.
    pub name: String,
    /// The value of the `X-Third-Party-Secret` header.
    pub secret: String,
    /// If set, all requests with this secret are refused.
    pub refusal: Option<Refusal>,
    pub keys: Vec<KeySpec>,
}

impl PartnerSpec {
    /// A partner with an active secret.
    pub fn new(name: &str, secret: &str) -> Self {
        Self { name: name.to_owned(), secret: secret.to_owned(), refusal: None, keys: Vec::new() }
    }

    /// The secret is not active yet: MyUnisoft activates it by hand, some time after generating it.
    #[must_use]
    pub fn secret_pending(mut self) -> Self {
        self.refusal = Some(Refusal::new("ERR-INVALID-SECRET"));
        self
    }

    #[must_use]
    pub fn key(mut self, key: KeySpec) -> Self {
        self.keys.push(key);
        self
    }
}
