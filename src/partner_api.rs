//! The Partner API's words: routes, headers, codes, bodies. Pure: bytes in, meaning out.
//!
//! The source of every fact here is MyUnisoft's public documentation, its Postman collection, the
//! typings it publishes and its Node SDK. Where these are silent, the code accepts every possibility.

pub mod budget;
pub mod error;
pub mod failure;
pub mod judge;
pub mod key_info;
pub mod login;
pub mod request_id;
pub mod token;

use serde_with::SerializeDisplay;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// The health route; it needs no authentication.
pub const HEALTH_PATH: &str = "/api/partners/health";
/// The routes a token may call.
pub const KEY_INFO_PATH: &str = "/api/v1/key/info";
/// The same with the key's activation. **Asking it is what activates a new key.**
pub const KEY_INFO_EXTENDED_PATH: &str = "/api/v1/key/info?mode=extended";
/// The canary of the vendor's own status page: a society's fiscal years.
pub const EXERCICES_PATH: &str = "/api/v1/mad/exercices?version=1.0.0";

/// Carries the partner's secret.
pub const SECRET_HEADER: &str = "x-third-party-secret";
/// Names the society, for routes about one society called with firm access.
pub const SOCIETY_HEADER: &str = "society-id";

/// Reads a JSON object. (serde would take an array for a struct, field by field: no answer of the API.)
fn json_object<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    if is_object { serde_json::from_slice(body).ok() } else { None }
}

/// What a token opens.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Access {
    /// One society.
    Society,
    /// A whole schema.
    Firm,
}

/// How key/info is asked.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum KeyInfoMode {
    /// `?mode=extended`: says whether the key is activated, and **activates a new key**.
    Extended,
    /// Plain: lists the routes, without the side effect of activation.
    Routes,
}

/// The methods a canary may use: none that could change anything.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str)]
pub enum Method {
    /// The default.
    #[strum(serialize = "GET")]
    Get,
    /// Judged by status alone: it has no body.
    #[strum(serialize = "HEAD")]
    Head,
}

/// How a firm is named in a log-in: the documentation allows a numeric id or a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(untagged)]
pub enum Firm {
    /// The firm's numeric id.
    Id(u64),
    /// The firm's name.
    Name(String),
}
