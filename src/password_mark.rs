//! How a refused password is known again after a restart, without being kept.

use std::num::NonZeroU32;

use ring::pbkdf2;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// About a tenth of a second: nothing beside a log-in, much beside a dictionary.
const ROUNDS: NonZeroU32 = NonZeroU32::new(200_000).unwrap();

/// A salted, slow hash of a password that was refused, cut to four bytes: enough to tell whether
/// the password has been changed since, too little to tell which it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordMark {
    salt: [u8; 16],
    hash: [u8; 4],
}

impl PasswordMark {
    /// Marks a password. Takes about a tenth of a second of computing.
    #[must_use]
    pub fn of(password: &SecretString) -> Self {
        let mut salt = [0; 16];
        // Without randomness the salt is a constant one: the mark still marks.
        let _ = SystemRandom::new().fill(&mut salt);
        Self { salt, hash: hash(salt, password) }
    }

    /// Whether it marks this password. As slow as marking it.
    #[must_use]
    pub fn is_of(&self, password: &SecretString) -> bool {
        hash(self.salt, password) == self.hash
    }
}

fn hash(salt: [u8; 16], password: &SecretString) -> [u8; 4] {
    let mut hash = [0; 4];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.expose_secret().as_bytes(), &mut hash);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_knows_its_password_and_no_other() {
        let mark = PasswordMark::of(&"wrong".into());
        assert!(mark.is_of(&"wrong".into()));
        assert!(!mark.is_of(&"mended".into()));
    }

    #[test]
    fn the_same_password_is_marked_otherwise_each_time() {
        assert_ne!(PasswordMark::of(&"wrong".into()), PasswordMark::of(&"wrong".into()));
    }
}
