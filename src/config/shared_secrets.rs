//! Finds the tokens that are configured more than once, and the partners' secrets that are configured as tokens.
//!
//! Both are allowed, and both are probably mistakes. So the operator is warned: by `check-config`, at the start and at a
//! reload.

use std::collections::HashMap;
use std::path::Path;

use checked_yaml::quoted;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::warn;

use super::{Config, Key, Partner};
use crate::secret::{self, SecretKind, SecretSource, WatchedSecret};

/// So many names of keys are written out in one warning, the others are only counted.
const MAX_NAMES: usize = 4;
/// So many warnings are logged, the others are only counted.
const MAX_LOGGED: usize = 10;

/// What is compared. It is never shown.
#[derive(PartialEq, Eq, Hash)]
enum Identity<'a> {
    Value(&'a str),
    /// The value is not known, but the same file has the same value.
    File(&'a Path),
    Variable(&'a str),
}

/// Where one secret is configured.
#[derive(Default)]
struct Uses<'a> {
    secret_of: Vec<&'a Partner>,
    token_of: Vec<(&'a Partner, &'a Key)>,
}

impl Config {
    /// Reads all secrets before they are needed, for a limited time, and logs warnings about those that are shared.
    pub(crate) async fn read_secrets_ahead(&self) -> Vec<WatchedSecret> {
        let mut secrets = secret::read_ahead(self.secrets()).await;
        let values = secrets.iter_mut().map(|secret| secret.current().ok());
        let warnings = self.shared_secrets(values);
        for warning in warnings.iter().take(MAX_LOGGED) {
            warn!("{warning}");
        }
        if let Some(more @ 1..) = warnings.len().checked_sub(MAX_LOGGED) {
            warn!(more, "more tokens are configured in several places");
        }
        secrets
    }

    /// A warning for each token that several keys have, and for each that is a partner's secret. `values` are the
    /// secrets in the order of [`Self::secrets`], as far as they are known.
    pub(super) fn shared_secrets<'a>(
        &'a self,
        values: impl Iterator<Item = Option<&'a SecretString>>,
    ) -> Vec<String> {
        let mut uses: HashMap<_, Uses<'a>> = HashMap::new();
        for ((partner, key, (source, kind)), value) in self.secrets_with_owners().zip(values) {
            if kind == SecretKind::Password {
                continue;
            }
            let uses = uses.entry(identity(source, value)).or_default();
            match key {
                Some(key) => uses.token_of.push((partner, key)),
                None => uses.secret_of.push(partner),
            }
        }
        let mut warnings: Vec<_> = uses.into_values().filter_map(|uses| uses.warning()).collect();
        // The order of a hash map changes with each run.
        warnings.sort();
        warnings
    }
}

impl Uses<'_> {
    fn warning(&self) -> Option<String> {
        let keys = || names(&self.token_of);
        let several = self.token_of.len() > 1;
        match (self.secret_of.first(), self.token_of.first()) {
            (Some(partner), Some(_)) => Some(format!(
                "the secret of the partner {} is also the token of the {} {}; write the customer's token there",
                quoted(&partner.name),
                if several { "keys" } else { "key" },
                keys(),
            )),
            (None, Some(_)) if several => Some(format!(
                "the same token is configured for the keys {}; they share its history and its request budget; \
                 give each key a token of its own, or remove all but one",
                keys()
            )),
            (None | Some(_), None) | (None, Some(_)) => None,
        }
    }
}

fn identity<'a>(source: &'a SecretSource, value: Option<&'a SecretString>) -> Identity<'a> {
    match (value, source) {
        (Some(value), _) | (None, SecretSource::Inline(value)) => Identity::Value(value.expose_secret()),
        (None, SecretSource::File(path) | SecretSource::UnnamedFile(path)) => Identity::File(path),
        (None, SecretSource::Env(name) | SecretSource::UnnamedEnv(name)) => Identity::Variable(name),
    }
}

/// The names of the first keys, and the number of the others.
fn names(keys: &[(&Partner, &Key)]) -> String {
    let name =
        |(partner, key): &(&Partner, &Key)| format!("{} of {}", quoted(&key.name), quoted(&partner.name));
    let shown: Vec<_> = keys.iter().take(MAX_NAMES).map(name).collect();
    let more = keys.len() - shown.len();
    match shown.as_slice() {
        shown if more > 0 => format!("{} and {more} more", shown.join(", ")),
        [head @ .., last] if !head.is_empty() => format!("{} and {last}", head.join(", ")),
        shown => shown.concat(),
    }
}
