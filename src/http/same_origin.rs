//! Tells requests that a page of another site makes a browser send.
//!
//! Such a page could make the browsers of its visitors ask for things that only a network close to the exporter can
//! reach. Programs, such as Prometheus and curl, send none of the headers that are checked here.

use axum::http::{HeaderMap, Uri, header};
use url::Url;

/// Set by browsers, and not changeable by pages; but only on HTTPS and on the loopback interface.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Whether a page of another site is behind the request.
pub(super) fn is_cross_site(headers: &HeaderMap, uri: &Uri, external: Option<&Url>) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        // `none`: the user typed the address, or opened a bookmark.
        return site != "same-origin" && site != "none";
    }
    [header::ORIGIN, header::REFERER]
        .iter()
        .find_map(|name| headers.get(name))
        .is_some_and(|origin| !origin.to_str().is_ok_and(|origin| is_own(origin, headers, uri, external)))
}

/// Whether this origin, or the origin of this URL, is the exporter itself.
fn is_own(origin: &str, headers: &HeaderMap, uri: &Uri, external: Option<&Url>) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    if external.is_some_and(|external| external.origin() == origin.origin()) {
        return true;
    }
    let Some(host) = requested_host(headers, uri) else { return false };
    // The scheme is not known behind a proxy, so only host and port are compared.
    Url::parse(&format!("{}://{host}", origin.scheme())).is_ok_and(|own| own.origin() == origin.origin())
}

/// The host and port that the client asked for.
pub(super) fn requested_host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    // HTTP/2 sends the host as part of the request URI, here without user information.
    let authority = uri.authority().and_then(|authority| authority.as_str().rsplit('@').next());
    authority.or_else(|| headers.get(header::HOST)?.to_str().ok())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn refused(headers: &[(&str, &str)], external: Option<&str>) -> bool {
        let header =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let headers = headers.iter().map(header).collect();
        let external = external.map(|url| Url::parse(url).unwrap());
        is_cross_site(&headers, &Uri::from_static("/probe"), external.as_ref())
    }

    #[test]
    fn a_program_is_not_a_page_of_another_site() {
        assert!(!refused(&[("host", "exporter:10698")], None));
    }

    #[test]
    fn a_browser_tells_which_site_is_behind_a_request() {
        for (site, expected) in
            [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true), ("", true)]
        {
            assert_eq!(refused(&[("host", "a"), ("sec-fetch-site", site)], None), expected, "{site}");
        }
    }

    #[test]
    fn an_origin_must_be_the_host_that_was_asked() {
        for (origin, expected) in [
            ("http://exporter:10698", false),
            ("http://exporter", true),
            ("http://evil.example", true),
            ("http://exporter:10698.evil.example", true),
            ("null", true),
            ("", true),
        ] {
            for header in ["origin", "referer"] {
                let headers = [("host", "exporter:10698"), (header, origin)];
                assert_eq!(refused(&headers, None), expected, "{header}: {origin}");
            }
        }
        assert!(
            !refused(&[("host", "exporter"), ("origin", "http://exporter:80")], None),
            "the default port"
        );
        assert!(!refused(&[("host", "exporter"), ("referer", "http://exporter/key?partner=a")], None));
        assert!(refused(&[("origin", "http://exporter")], None), "no Host header");
    }

    #[test]
    fn the_external_url_is_an_origin_of_the_exporter_too() {
        let headers = [("host", "10.0.0.1:10698"), ("origin", "https://mon.example")];
        assert!(!refused(&headers, Some("https://mon.example/myunisoft/")));
        assert!(refused(&headers, Some("https://other.example/")));
        assert!(refused(&headers, None));
    }
}
