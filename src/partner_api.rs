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
mod routes;
pub mod token;

pub use login::Firm;
pub use routes::{
    EXERCICES_PATH, HEALTH_PATH, KEY_INFO_EXTENDED_PATH, KEY_INFO_PATH, KeyInfoMode, Method, SECRET_HEADER,
    SOCIETY_HEADER,
};
pub use token::Access;

/// Reads a JSON object. (serde would take an array for a struct, field by field: no answer of the API.)
fn json_object<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    if is_object { serde_json::from_slice(body).ok() } else { None }
}
