//! The URLs of a configuration, and the paths of canaries.

use checked_yaml::{Cursor, Reported};
use std::net::IpAddr;

use reqwest::Url;

/// A URL to which tokens and passwords are sent: `https`, or `http` where nobody can listen.
pub(super) fn api_url(at: &Cursor<'_>) -> Result<Url, Reported> {
    let url = url(at)?;
    let error = if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        "must begin with `https://`, for secrets travel there; `http://` is for loopback addresses alone"
    } else if !url.username().is_empty() || url.password().is_some() {
        "must not hold a user or a password; remove what stands before the `@`"
    } else if url.query().is_some() || url.fragment().is_some() {
        "must end with its path; remove what follows the `?` or `#`"
    } else {
        return Ok(url);
    };
    Err(at.error(error))
}

/// The URL of an HTTP proxy; it may hold a user and a password.
pub(super) fn proxy_url(at: &Cursor<'_>) -> Result<Url, Reported> {
    let url = url(at)?;
    let error = if !matches!(url.scheme(), "http" | "https") {
        "must begin with `http://` or `https://`; no other kind of proxy is supported"
    } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        "must end with the port; remove the path and what follows it"
    } else {
        return Ok(url);
    };
    Err(at.error(error))
}

fn url(at: &Cursor<'_>) -> Result<Url, Reported> {
    let text = at.text()?;
    // The parser would drop line breaks and tabs without a word.
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(at.error("holds a blank or a control character; remove it"));
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

/// Path and query of a canary: what follows the API's scheme and authority, and can't lead elsewhere.
pub(super) fn canary_path<'a>(at: &Cursor<'a>) -> Result<&'a str, Reported> {
    const MAX_LENGTH: usize = 2048;
    let path = at.text()?;
    let error = if path.contains("://") && !path.starts_with('/') {
        "must be a path on the API, not a whole URL; begin it with `/` and leave scheme and host to `api.base_url`"
    } else if !path.starts_with('/') {
        "must begin with `/`; write path and query, as in `/api/v1/society`"
    } else if path.starts_with("//") {
        "must not begin with `//`, which names another host; begin it with one `/`"
    } else if path.contains('#') {
        "must not hold a fragment; remove the `#` and what follows, or write `%23`"
    } else if path.contains(|c: char| c.is_control() || c.is_whitespace()) {
        "must not hold blanks or control characters; write them as `%20` and the like"
    } else if path.contains('\\') || !path.is_ascii() || path.parse::<http::uri::PathAndQuery>().is_err() {
        "holds a character that no URL may; write it as `%` and two hexadecimal digits"
    } else if path.len() > MAX_LENGTH {
        "is longer than 2048 characters; shorten it"
    } else {
        return Ok(path);
    };
    Err(at.error(error))
}
