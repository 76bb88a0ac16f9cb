//! Where a secret comes from. A secret can be used; it can't be printed.

use std::path::PathBuf;

use secrecy::SecretString;

/// Where the operator keeps a secret.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// A file that holds the secret and at most one final line break; read afresh when it changes.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// In the configuration itself. `SecretString` prints as `[REDACTED]`.
    Inline(SecretString),
}
