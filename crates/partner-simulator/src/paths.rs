//! The paths of the simulated API.

/// The one route without authentication.
pub const HEALTH: &str = "/api/partners/health";
/// The API Cabinet log-in.
pub const LOG_IN: &str = "/api/authenticate/firm";
/// What a token may do; and, with `?mode=extended`, what activates a new key.
pub const KEY_INFO: &str = "/api/v1/key/info";
/// A society's fiscal years: the canary of MyUnisoft's own status page.
pub const EXERCICES: &str = "/api/v1/mad/exercices";
/// The societies of a firm.
pub const SOCIETY: &str = "/api/v1/society";
/// The users of a firm.
pub const USERS: &str = "/api/v1/users_v2";
/// The persons a firm knows.
pub const PERSONS: &str = "/api/v1/pers_physique";

/// Everything below wants a token and a secret.
pub(crate) const AUTHENTICATED_PREFIX: &str = "/api/v1/";
