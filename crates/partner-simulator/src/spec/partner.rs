//! What partners are like when they come into being.

use crate::refusal::Refusal;
use crate::spec::key::KeySpec;

/// A partner, with the keys it has from the start.
#[derive(Clone, Debug)]
pub struct PartnerSpec {
    /// By which tests call it; never sent.
    pub name: String,
    /// The `X-Third-Party-Secret`.
    pub secret: String,
    /// Why the secret is refused, where it is.
    pub refusal: Option<Refusal>,
    /// Its keys.
    pub keys: Vec<KeySpec>,
}

impl PartnerSpec {
    /// A partner whose secret is active.
    #[must_use]
    pub fn new(name: &str, secret: &str) -> Self {
        Self { name: name.to_owned(), secret: secret.to_owned(), refusal: None, keys: Vec::new() }
    }

    /// Its secret isn't activated yet: MyUnisoft does that by hand, some time after generating it.
    #[must_use]
    pub fn secret_pending(self) -> Self {
        self.secret_refused(Refusal::new("ERR-INVALID-SECRET"))
    }

    /// Its secret is refused.
    #[must_use]
    pub fn secret_refused(mut self, refusal: Refusal) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// And this key.
    #[must_use]
    pub fn key(mut self, key: KeySpec) -> Self {
        self.keys.push(key);
        self
    }
}
