//! Recognizes a refused password after a restart without storing the password.

use std::num::NonZeroU32;

use ring::pbkdf2;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Takes about a tenth of a second: little compared with a log-in, much for a dictionary attack.
const ROUNDS: NonZeroU32 = NonZeroU32::new(200_000).unwrap();

/// A salted, slow hash of a refused password, truncated to two bytes. Two bytes are enough to tell a changed password
/// from the refused one, except for one in 65,536. As many words of a dictionary match it: too many candidates for an
/// account that is locked after a few tries. Four bytes would leave about one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PasswordFingerprint {
    salt: [u8; 16],
    hash: Hash,
}

/// An earlier version of the state file has one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Hash {
    One([u8; 1]),
    Two([u8; 2]),
}

impl PasswordFingerprint {
    /// Takes about a tenth of a second of CPU time.
    pub(crate) fn of(password: &SecretString) -> Self {
        let mut salt = [0; 16];
        // Without a source of randomness the salt is constant; the fingerprint still works.
        let _ = SystemRandom::new().fill(&mut salt);
        Self::with_salt(salt, password)
    }

    /// Tests that compare passwords use a fixed salt, because one password in 65,536 matches by chance.
    pub(crate) fn with_salt(salt: [u8; 16], password: &SecretString) -> Self {
        Self { salt, hash: Hash::Two(hash(salt, password)) }
    }

    /// Whether the fingerprint is of this password; also true for one in 65,536 other passwords. As slow as
    /// [`Self::of`].
    pub(crate) fn matches(&self, password: &SecretString) -> bool {
        let hash = hash(self.salt, password);
        match self.hash {
            Hash::One([first]) => hash[0] == first,
            Hash::Two(known) => hash == known,
        }
    }
}

fn hash(salt: [u8; 16], password: &SecretString) -> [u8; 2] {
    let mut hash = [0; 2];
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
    fn a_fingerprint_that_is_written_is_read_again_and_has_two_bytes() {
        let fingerprint = PasswordFingerprint::with_salt([7; 16], &"wrong".into());
        let text = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(serde_json::from_str::<PasswordFingerprint>(&text).unwrap(), fingerprint);
        let Hash::Two([first, second]) = fingerprint.hash else { panic!("{text}") };
        let with = |hash: &str| text.replace(&format!("[{first},{second}]}}"), hash);
        assert_ne!(with("[]}"), text);
        for other in ["[]}", "[1,2,3]}", "[1,2,3,4]}"] {
            assert!(serde_json::from_str::<PasswordFingerprint>(&with(other)).is_err(), "{other}");
        }
        let earlier: PasswordFingerprint = serde_json::from_str(&with(&format!("[{first}]}}"))).unwrap();
        assert!(earlier.matches(&"wrong".into()) && !earlier.matches(&"fixed".into()));
    }
}
