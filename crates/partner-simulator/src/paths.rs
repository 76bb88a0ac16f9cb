//! The paths of the simulated API, and the header that all its responses have.

use http::HeaderName;

/// The health route: the only route without authentication, apart from the log-in.
pub const HEALTH: &str = "/api/partners/health";
/// The API Cabinet log-in.
pub const LOG_IN: &str = "/api/authenticate/firm";
/// Lists the routes that a token may use. With `?mode=extended`, it also activates a new key.
pub const KEY_INFO: &str = "/api/v1/key/info";
/// The fiscal years of a society. MyUnisoft's own status page uses this route as its canary.
pub const EXERCICES: &str = "/api/v1/mad/exercices";
/// Starts an export of all data of a society, although the method is GET.
pub const EXPORT: &str = "/api/v1/mad/all";
/// The societies of a firm, or one society.
pub const SOCIETY: &str = "/api/v1/society";
/// The users of a firm.
pub const USERS: &str = "/api/v1/users_v2";
/// The persons that a firm knows.
pub const PERSONS: &str = "/api/v1/pers_physique";

/// The ID of a response, which users quote to MyUnisoft's support.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// All routes below this prefix require a token and a secret.
pub(crate) const AUTHENTICATED_PREFIX: &str = "/api/v1/";
