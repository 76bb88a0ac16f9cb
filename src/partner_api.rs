//! The protocol of the Partner API: routes, headers, error codes and bodies.
//!
//! These modules interpret bytes. They send no request and keep no state.
//!
//! The sources are MyUnisoft's public documentation, its Postman collection, the TypeScript typings
//! that it publishes and its Node SDK. If these do not specify something, the code accepts every
//! possibility.

pub(crate) mod budget;
pub(crate) mod error;
pub(crate) mod failure;
pub(crate) mod judge;
pub(crate) mod key_info;
pub(crate) mod login;
pub(crate) mod request_id;
mod routes;
pub(crate) mod token;

use std::time::SystemTime;

use http::HeaderMap;
use http::header::DATE;

pub(crate) use login::Firm;
pub(crate) use routes::{EXERCICES_PATH, HEALTH_PATH, KeyInfoMode, Method, SECRET_HEADER, SOCIETY_HEADER};
pub(crate) use token::Access;

/// The JSON text of a body: what follows white space and byte-order marks. RFC 8259 lets a reader ignore the mark, and
/// most clients do. Every reader of a body begins here.
fn json_text(body: &[u8]) -> &[u8] {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let mut text = body.trim_ascii();
    while let Some(rest) = text.strip_prefix(BYTE_ORDER_MARK) {
        text = rest.trim_ascii_start();
    }
    text
}

/// Reads a JSON value.
fn json<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    serde_json::from_slice(json_text(body)).ok()
}

/// Reads a JSON object. An array is refused: serde would read a struct from one, field by field, but the
/// API never sends this.
fn json_object<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    if json_text(body).starts_with(b"{") { json(body) } else { None }
}

/// The text of a body that is JSON but for its characters: bytes of another encoding and control characters are
/// replaced. Clients read such a body, too. `None` if there is nothing to replace.
fn repaired(body: &[u8]) -> Option<String> {
    // Most bodies are clean. They need no copy.
    if str::from_utf8(body).is_ok_and(|text| !text.bytes().any(|byte| byte.is_ascii_control())) {
        return None;
    }
    let text = String::from_utf8_lossy(body);
    Some(text.chars().map(|c| if c.is_ascii_control() { ' ' } else { c }).collect())
}

/// The `date` of a response. Times in the same response come from the same clock.
fn server_date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}
