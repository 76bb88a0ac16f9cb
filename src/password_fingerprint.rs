//! How a refused password is known again after a restart, without being kept.

use std::num::NonZeroU32;

use ring::pbkdf2;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// About a tenth of a second: nothing beside a log-in, much beside a dictionary.
const ROUNDS: NonZeroU32 = NonZeroU32::new(200_000).unwrap();

/// A salted, slow hash of a password that was refused, cut to one byte. That is enough to tell most
/// changed passwords from the refused one, and it leaves one in 256 of whatever dictionary someone
/// tries on it: too many to tell which it was. Four bytes would leave one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordFingerprint {
    salt: [u8; 16],
    hash: [u8; 1],
}

impl PasswordFingerprint {
    /// Marks a password. Takes about a tenth of a second of computing.
    #[must_use]
    pub fn of(password: &SecretString) -> Self {
        let mut salt = [0; 16];
        // Without randomness the salt is a constant one: the mark still marks.
        let _ = SystemRandom::new().fill(&mut salt);
        Self::with_salt(salt, password)
    }

    /// The mark of this salt. A test that compares passwords fixes it: one in 256 is taken for another.
    pub(crate) fn with_salt(salt: [u8; 16], password: &SecretString) -> Self {
        Self { salt, hash: hash(salt, password) }
    }

    /// Whether it marks this password, or one of the one in 256 that look the same. As slow as marking.
    #[must_use]
    pub fn matches(&self, password: &SecretString) -> bool {
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
    fn a_mark_knows_its_password_and_no_other() {
        let mark = PasswordFingerprint::with_salt([7; 16], &"wrong".into());
        assert!(mark.matches(&"wrong".into()));
        assert!(!mark.matches(&"mended".into()));
    }

    #[test]
    fn the_same_password_is_marked_otherwise_each_time() {
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
