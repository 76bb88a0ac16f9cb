//! Fingerprints: they tell which token, account or secret a persisted state belongs to.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::Login;
use crate::partner_api::Firm;

/// A SHA-256 hash, truncated to 128 bits. Tokens and partners' secrets are long and random, so they
/// cannot be found from their hash by guessing. A password is neither long nor random, so the
/// fingerprint of an account is made from its mail and firm instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Fingerprint(Arc<str>);

/// The fingerprint of a credential, and what is needed to find states that an earlier version wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CredentialId {
    /// The identity of the API that the credential is for.
    pub api: Arc<str>,
    /// It depends on the API and the credential, and not on the names of partner and key.
    pub fingerprint: Fingerprint,
    /// The fingerprint in version 1 of the state file. It depends on the names, and not on the API.
    pub version_1: Fingerprint,
}

impl CredentialId {
    pub(crate) fn of_token(api: &Arc<str>, partner: &str, key: &str, token: &SecretString) -> Self {
        let token = token.expose_secret();
        Self::new(api, &["token", api, token], &["token", partner, key, token])
    }

    pub(crate) fn of_secret(api: &Arc<str>, partner: &str, secret: &SecretString) -> Self {
        let secret = secret.expose_secret();
        Self::new(api, &["secret", api, secret], &["secret", partner, secret])
    }

    /// Of an API Cabinet account, because its tokens change. Upper and lower case in the mail make no
    /// difference.
    pub(crate) fn of_login(api: &Arc<str>, partner: &str, key: &str, login: &Login) -> Self {
        let firm = match &login.firm {
            None => String::new(),
            Some(Firm::Id(id)) => id.to_string(),
            Some(Firm::Name(name)) => format!("name {name}"),
        };
        let mail = login.mail.to_lowercase();
        Self::new(api, &["login", api, &mail, &firm], &["login", partner, key, &mail, &firm])
    }

    /// Whether a fingerprint in the state file is that of this credential.
    pub(super) fn is(&self, fingerprint: &Fingerprint) -> bool {
        self.fingerprint == *fingerprint || self.version_1 == *fingerprint
    }

    fn new(api: &Arc<str>, parts: &[&str], version_1: &[&str]) -> Self {
        Self {
            api: Arc::clone(api),
            fingerprint: Fingerprint::of("myunisoft-exporter fingerprint 2", parts),
            version_1: Fingerprint::of("myunisoft-exporter fingerprint 1", version_1),
        }
    }
}

impl Fingerprint {
    fn of(domain: &str, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update(domain);
        for part in parts {
            // The length keeps ("a", "bc") and ("ab", "c") apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let head = hash.finalize().iter().take(16).fold(0_u128, |head, &byte| head << 8 | u128::from(byte));
        Self(format!("{head:032x}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretSource;

    fn of_token(api: &str, partner: &str, key: &str, token: &str) -> CredentialId {
        CredentialId::of_token(&api.into(), partner, key, &token.into())
    }

    #[test]
    fn a_fingerprint_depends_on_the_token_and_the_api_and_not_on_names() {
        let one = of_token("api", "acme", "dupont", "t").fingerprint;
        assert_eq!(one, of_token("api", "other", "martin", "t").fingerprint);
        assert_ne!(one, of_token("api", "acme", "dupont", "u").fingerprint);
        assert_ne!(one, of_token("staging", "acme", "dupont", "t").fingerprint);
        assert_ne!(one, CredentialId::of_secret(&"api".into(), "acme", &"t".into()).fingerprint);
    }

    #[test]
    fn a_fingerprint_of_version_1_depends_on_the_token_and_the_names() {
        let of = |partner, key, token| of_token("api", partner, key, token).version_1;
        assert_eq!(of("acme", "dupont", "t"), of_token("staging", "acme", "dupont", "t").version_1);
        for other in [of("acme", "dupont", "u"), of("acme", "martin", "t"), of("acmed", "upont", "t")] {
            assert_ne!(of("acme", "dupont", "t"), other);
        }
    }

    #[test]
    fn the_case_of_a_mail_does_not_change_the_fingerprint() {
        let of = |mail: &str| {
            let password = SecretSource::Inline("p".into());
            let login = Login { mail: mail.to_owned(), password, firm: None };
            CredentialId::of_login(&"api".into(), "acme", "durand", &login)
        };
        assert_eq!(of("api@durand.example"), of("API@Durand.example"));
        assert_ne!(of("api@durand.example"), of("api@petit.example"));
    }

    #[test]
    fn a_fingerprint_does_not_contain_the_token() {
        let fingerprint = of_token("api", "acme", "dupont", "canary").fingerprint;
        assert!(!serde_json::to_string(&fingerprint).unwrap().contains("canary"));
        assert_eq!(fingerprint.0.len(), 32);
    }
}
