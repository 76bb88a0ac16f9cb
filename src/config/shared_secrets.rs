//! Finds the tokens that are configured more than once, and the partners' secrets that are configured as tokens.
//!
//! Both are allowed, and both are probably mistakes. So the operator is warned: by `check-config`, at the start and at a
//! reload.

use std::collections::HashMap;
use std::path::Path;

use checked_yaml::quoted;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::warn;

use super::budget::{self, LargestShare, OverUse};
use super::{Config, Credential, Key, Partner};
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
    /// Mail and firm of a log-in: its keys share each token.
    Account(String),
}

/// What the secrets of a configuration say about it.
#[derive(Default)]
pub(super) struct Findings {
    /// About tokens in several places, and about budgets.
    pub(super) warnings: Vec<String>,
    pub(super) largest_share: LargestShare,
}

/// Where one secret is configured.
#[derive(Default)]
struct Uses<'a> {
    secret_of: Vec<&'a Partner>,
    token_of: Vec<(&'a Partner, &'a Key)>,
    is_login: bool,
}

impl Config {
    /// Reads all secrets before they are needed, for a limited time, and logs warnings about those that are shared.
    pub(crate) async fn read_secrets_ahead(&self) -> Vec<WatchedSecret> {
        let mut secrets = secret::read_ahead(self.secrets()).await;
        let values = secrets.iter_mut().map(|secret| secret.current().ok());
        let Findings { warnings, .. } = self.shared_secrets(values);
        for warning in warnings.iter().take(MAX_LOGGED) {
            warn!("{warning}");
        }
        if let Some(more @ 1..) = warnings.len().checked_sub(MAX_LOGGED) {
            warn!(more, "there are more warnings about tokens");
        }
        secrets
    }

    /// A warning for each token that several keys have, for each that is a partner's secret, and about those whose budget the
    /// probes use too much. `values` are the secrets in the order of [`Self::secrets`], as far as they are known.
    pub(super) fn shared_secrets<'a>(
        &'a self,
        values: impl Iterator<Item = Option<&'a SecretString>>,
    ) -> Findings {
        let mut uses: HashMap<_, Uses<'a>> = HashMap::new();
        for ((partner, key, (source, kind)), value) in self.secrets_with_owners().zip(values) {
            let login = key.and_then(account).filter(|_| kind == SecretKind::Password);
            let is_login = login.is_some();
            let uses = uses.entry(login.unwrap_or_else(|| identity(source, value))).or_default();
            uses.is_login = is_login;
            match key {
                Some(key) => uses.token_of.push((partner, key)),
                None => uses.secret_of.push(partner),
            }
        }
        let (mut findings, mut over_use) = (Findings::default(), OverUse::default());
        for uses in uses.into_values() {
            findings.warnings.extend(uses.warning());
            let share = budget::share_of_keys(&uses.token_of);
            let keys = names(&uses.token_of);
            over_use.add(&uses.token_of, &keys);
            let largest = &mut findings.largest_share;
            if share > largest.share || (share >= largest.share && keys < largest.keys) {
                *largest = LargestShare { share, keys };
            }
        }
        findings.warnings.extend(over_use.warnings());
        // The order of a hash map changes with each run.
        findings.warnings.sort();
        findings
    }
}

impl Uses<'_> {
    fn warning(&self) -> Option<String> {
        let keys = || names(&self.token_of);
        let several = self.token_of.len() > 1 && !self.is_login;
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

fn account<'a>(key: &Key) -> Option<Identity<'a>> {
    match &key.credential {
        Credential::Token(_) => None,
        Credential::Login(login) => {
            Some(Identity::Account(format!("{} {:?}", login.mail.to_lowercase(), login.firm)))
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
    let shown: Vec<_> = keys.iter().take(MAX_NAMES).map(budget::name).collect();
    let more = keys.len() - shown.len();
    match shown.as_slice() {
        shown if more > 0 => format!("{} and {more} more", shown.join(", ")),
        [head @ .., last] if !head.is_empty() => format!("{} and {last}", head.join(", ")),
        shown => shown.concat(),
    }
}
