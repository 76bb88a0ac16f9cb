//! Reads URLs, and the paths of canaries.

use checked_yaml::{Cursor, Reported};
use std::net::IpAddr;

use url::Url;

/// Reads a URL to which tokens and passwords are sent: `https`, or `http` to a loopback address, where
/// nobody else can read them.
pub(super) fn api_url(at: &Cursor<'_>) -> Result<Url, Reported> {
    let url = url(at)?;
    let error = if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        "must start with `https://`, because secrets are sent there; \
         `http://` is allowed only for loopback addresses"
    } else if !url.username().is_empty() || url.password().is_some() {
        "must not contain a user or a password; remove the user, the password and the `@`"
    } else if url.query().is_some() || url.fragment().is_some() {
        "must end with its path; remove the `?` or `#` and everything after it"
    } else {
        return Ok(url);
    };
    Err(at.error(error))
}

/// Reads the URL of an HTTP proxy. It may contain a user and a password.
pub(super) fn proxy_url(at: &Cursor<'_>) -> Result<Url, Reported> {
    let url = url(at)?;
    let error = if !matches!(url.scheme(), "http" | "https") {
        "must start with `http://` or `https://`; no other kind of proxy is supported"
    } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        "must end with the port; remove the path and everything after it"
    } else {
        return Ok(url);
    };
    Err(at.error(error))
}

fn url(at: &Cursor<'_>) -> Result<Url, Reported> {
    let text = at.text()?;
    // The parser would remove line breaks and tabs without an error.
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(at.error("contains a space or a control character; remove it"));
    }
    match Url::parse(text) {
        Ok(url) if url.has_host() => Ok(url),
        _ => Err(at.error("is not a URL; write scheme, host and path, as in `https://host/path`")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Reads the path and query of a canary. They are appended to the API's scheme and authority, and can't
/// lead to another host.
pub(super) fn canary_path<'a>(at: &Cursor<'a>) -> Result<&'a str, Reported> {
    const MAX_LENGTH: usize = 2048;
    let path = at.text()?;
    let error = if path.contains("://") && !path.starts_with('/') {
        "must be a path on the API, not a whole URL; start with `/`, \
         because `api.base_url` gives scheme and host"
    } else if !path.starts_with('/') {
        "must start with `/`; write path and query, as in `/api/v1/society`"
    } else if path.starts_with("//") {
        "must not start with `//`, which names another host; start with one `/`"
    } else if path.contains('#') {
        "must not contain a fragment; remove the `#` and everything after it, or write `%23`"
    } else if path.contains(|c: char| c.is_control() || c.is_whitespace()) {
        "must not contain spaces or control characters; percent-encode them, as in `%20` for a space"
    } else if path.contains('\\') || !path.is_ascii() || path.parse::<http::uri::PathAndQuery>().is_err() {
        "contains a character that is not allowed in a URL; write it as `%` and two hexadecimal digits"
    } else if path.len() > MAX_LENGTH {
        "is longer than 2048 characters; shorten it"
    } else {
        return Ok(path);
    };
    Err(at.error(error))
}
