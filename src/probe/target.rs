//! Where requests go. What is the same for each request to a route is computed once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Uri};
use url::{Position, Url};

/// How many targets are kept.
const MAX_TARGETS: usize = 1_000;

/// Where a request goes.
pub(super) struct Target {
    pub url: Url,
    /// The parts of the URL in the request, or why it cannot be written.
    pub parts: Result<Parts, Arc<http::Error>>,
}

/// The parts of a URL as a request has them.
pub(super) struct Parts {
    /// The value of the header `host`.
    pub host: HeaderValue,
    /// What the first line names.
    pub uri: Uri,
}

/// The targets of the routes of one API, by path and query.
pub(super) struct Targets {
    base: Url,
    is_absolute: bool,
    by_path: Mutex<HashMap<Box<str>, Arc<Target>>>,
}

impl Target {
    /// `is_absolute`: the first line names the whole URL, as a proxy needs it, and not only path and query.
    pub(super) fn new(url: Url, is_absolute: bool) -> Self {
        Self { parts: Parts::of(&url, is_absolute).map_err(Arc::new), url }
    }
}

impl Parts {
    fn of(url: &Url, is_absolute: bool) -> Result<Self, http::Error> {
        let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])?;
        let first = if is_absolute { Position::BeforeScheme } else { Position::BeforePath };
        Ok(Self { host, uri: url[first..Position::AfterQuery].parse::<Uri>()? })
    }
}

impl Targets {
    /// See [`Target::new`].
    pub(super) fn new(base: Url, is_absolute: bool) -> Self {
        Self { base, is_absolute, by_path: Mutex::default() }
    }

    /// The target of this path and query.
    pub(super) fn get(&self, path: &str) -> Arc<Target> {
        let mut by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = by_path.get(path) {
            return Arc::clone(target);
        }
        // A reload can bring other paths.
        if by_path.len() == MAX_TARGETS {
            by_path.clear();
        }
        let target = Arc::new(Target::new(join(&self.base, path), self.is_absolute));
        by_path.insert(path.into(), Arc::clone(&target));
        target
    }
}

/// The path of the base URL is a prefix, because a gateway can serve the API below a path.
fn join(base: &Url, path: &str) -> Url {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header `host`, and what the first line names.
    fn parts(base: &str, is_absolute: bool) -> (String, String) {
        let target = Targets::new(base.parse().unwrap(), is_absolute).get("/api/x?a=b");
        let Parts { host, uri } = target.parts.as_ref().unwrap();
        (host.to_str().unwrap().to_owned(), uri.to_string())
    }

    #[test]
    fn a_request_names_the_path_below_that_of_the_base_url_and_a_proxy_the_whole_url() {
        let host = "gateway.example:8080".to_owned();
        for base in ["http://gateway.example:8080/below", "http://gateway.example:8080/below/"] {
            assert_eq!(parts(base, false), (host.clone(), "/below/api/x?a=b".to_owned()));
            let whole = "http://gateway.example:8080/below/api/x?a=b".to_owned();
            assert_eq!(parts(base, true), (host.clone(), whole));
        }
        assert_eq!(parts("https://[::1]", false).0, "[::1]");
    }

    #[test]
    fn the_target_of_a_route_is_computed_once() {
        let targets = Targets::new("https://api.example".parse().unwrap(), false);
        let [first, second, other] = ["/a", "/a", "/b"].map(|path| targets.get(path));
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
    }
}
