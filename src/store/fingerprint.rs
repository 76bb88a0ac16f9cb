//! Fingerprints: they tell which token, account or secret a persisted state belongs to.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::Login;
use crate::partner_api::Firm;

/// A SHA-256 hash, truncated to 128 bits. Tokens and partners' secrets are long and random, so they
/// cannot be found from their hash by guessing. A password is neither long nor random, so the
/// fingerprint of an account is made from its mail and firm instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint(Box<str>);

impl Fingerprint {
    pub(crate) fn of_token(partner: &str, key: &str, token: &SecretString) -> Self {
        Self::of(&["token", partner, key, token.expose_secret()])
    }

    pub(crate) fn of_secret(partner: &str, secret: &SecretString) -> Self {
        Self::of(&["secret", partner, secret.expose_secret()])
    }

    /// Of an API Cabinet account, because its tokens change. Upper and lower case in the mail make no
    /// difference.
    pub(crate) fn of_login(partner: &str, key: &str, login: &Login) -> Self {
        let firm = match &login.firm {
            None => String::new(),
            Some(Firm::Id(id)) => id.to_string(),
            Some(Firm::Name(name)) => format!("name {name}"),
        };
        Self::of(&["login", partner, key, &login.mail.to_lowercase(), &firm])
    }

    fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update("myunisoft-exporter fingerprint 1");
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

    #[test]
    fn a_fingerprint_depends_on_the_token_the_partner_and_the_key() {
        let of = |partner, key, token: &str| Fingerprint::of_token(partner, key, &token.into());
        assert_eq!(of("acme", "dupont", "t"), of("acme", "dupont", "t"));
        for other in [of("acme", "dupont", "u"), of("acme", "martin", "t"), of("acmed", "upont", "t")] {
            assert_ne!(of("acme", "dupont", "t"), other);
        }
        assert_ne!(of("acme", "", "t"), Fingerprint::of_secret("acme", &"t".into()));
    }

    #[test]
    fn the_case_of_a_mail_does_not_change_the_fingerprint() {
        let of = |mail: &str| {
            let password = SecretSource::Inline("p".into());
            Fingerprint::of_login("acme", "durand", &Login { mail: mail.to_owned(), password, firm: None })
        };
        assert_eq!(of("api@durand.example"), of("API@Durand.example"));
        assert_ne!(of("api@durand.example"), of("api@petit.example"));
    }

    #[test]
    fn a_fingerprint_does_not_contain_the_token() {
        let fingerprint = Fingerprint::of_token("acme", "dupont", &"canary".into());
        assert!(!serde_json::to_string(&fingerprint).unwrap().contains("canary"));
        assert_eq!(fingerprint.0.len(), 32);
    }
}
