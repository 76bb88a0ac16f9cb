//! Recognizes a refused password after a restart without storing the password.

use std::num::NonZeroU32;

use ring::pbkdf2;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Takes about a tenth of a second: little compared with a log-in, much for a dictionary attack.
const ROUNDS: NonZeroU32 = NonZeroU32::new(200_000).unwrap();

/// A salted, slow hash of a refused password, truncated to one byte. One byte is enough to tell most
/// changed passwords from the refused one. One word in 256 of a dictionary matches it: too many
/// candidates to find the password. Four bytes would leave about one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PasswordFingerprint {
    salt: [u8; 16],
    hash: [u8; 1],
}

impl PasswordFingerprint {
    /// Takes about a tenth of a second of CPU time.
    pub(crate) fn of(password: &SecretString) -> Self {
        let mut salt = [0; 16];
        // Without a source of randomness the salt is constant; the fingerprint still works.
        let _ = SystemRandom::new().fill(&mut salt);
        Self::with_salt(salt, password)
    }

    /// Tests that compare passwords use a fixed salt, because one password in 256 matches by chance.
    pub(crate) fn with_salt(salt: [u8; 16], password: &SecretString) -> Self {
        Self { salt, hash: hash(salt, password) }
    }

    /// Whether the fingerprint is of this password; also true for one in 256 other passwords. As slow as
    /// [`Self::of`].
    pub(crate) fn matches(&self, password: &SecretString) -> bool {
        hash(self.salt, password) == self.hash
    }
}

fn hash(salt: [u8; 16], password: &SecretString) -> [u8; 1] {
    let mut hash = [0; 1];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.expose_secret().as_bytes(), &mut hash);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_matches_its_password_and_not_another() {
        let fingerprint = PasswordFingerprint::with_salt([7; 16], &"wrong".into());
        assert!(fingerprint.matches(&"wrong".into()));
        assert!(!fingerprint.matches(&"fixed".into()));
    }

    #[test]
    fn two_fingerprints_of_the_same_password_differ() {
        assert_ne!(PasswordFingerprint::of(&"wrong".into()), PasswordFingerprint::of(&"wrong".into()));
    }

    #[test]
    fn a_fingerprint_that_is_written_is_read_again_and_has_exactly_one_byte() {
        let fingerprint = PasswordFingerprint::with_salt([7; 16], &"wrong".into());
        let text = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(serde_json::from_str::<PasswordFingerprint>(&text).unwrap(), fingerprint);
        let end = format!("[{}]}}", fingerprint.hash[0]);
        for other in ["[]}", "[1,2,3,4]}"] {
            let other = text.replace(&end, other);
            assert_ne!(other, text);
            assert!(serde_json::from_str::<PasswordFingerprint>(&other).is_err(), "{other}");
        }
    }
}
