//! Compressed responses.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use reqwest::{Method, Response};

use crate::support::acme::{state_line, two_keys};
use crate::support::server::{Exporter, client};

/// Sends a request. The response is not decompressed.
async fn request(exporter: &Exporter, method: Method, path: &str, accepted: Option<&str>) -> Response {
    // The provider that `client` installs.
    drop(client());
    let client = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let request = client.request(method, format!("{}{path}", exporter.url));
    let request = match accepted {
        Some(accepted) => request.header(ACCEPT_ENCODING, accepted),
        None => request,
    };
    request.send().await.unwrap()
}

fn header(response: &Response, name: &reqwest::header::HeaderName) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

fn decompress(bytes: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn each_text_response_is_compressed_for_a_client_that_accepts_it() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    exporter.wait_for_line(&state_line("dupont", "active")).await;
    for (path, part) in [
        ("/metrics", "myunisoft_key_state{"),
        ("/", "<h1"),
        ("/key?partner=acme&key=dupont", "<h1"),
        ("/api/v1/status", "\"key\":\"dupont\""),
        ("/api/v1/status/key?partner=acme&key=dupont", "\"key\":\"dupont\""),
        ("/probe?partner=acme&key=dupont", "probe_success"),
        ("/sd", "\"__param_key\":\"dupont\""),
        ("/static/status.js", "fetch"),
    ] {
        let compressed = request(&exporter, Method::GET, path, Some("gzip")).await;
        assert_eq!(compressed.status().as_u16(), 200, "{path}");
        assert_eq!(header(&compressed, &CONTENT_ENCODING), "gzip", "{path}");
        assert!(header(&compressed, &VARY).to_lowercase().contains("accept-encoding"), "{path}");
        assert_eq!(header(&compressed, &CONTENT_LENGTH), "", "{path}: its length is not known yet");
        let bytes = compressed.bytes().await.unwrap();
        let text = decompress(&bytes);
        assert!(text.contains(part), "{path}: {text}");
        assert!(3 * bytes.len() < 2 * text.len(), "{path}: {} of {}", bytes.len(), text.len());
        let plain = request(&exporter, Method::GET, path, None).await;
        assert_eq!(header(&plain, &CONTENT_ENCODING), "", "{path}");
        assert!(header(&plain, &VARY).to_lowercase().contains("accept-encoding"), "{path}: caches must know");
        assert!(plain.text().await.unwrap().contains(part), "{path}");
    }
}

#[tokio::test]
async fn the_client_decides_by_its_preferences() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    for (accepted, encoding) in [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("gzip;q=0.5", "gzip"),
        ("identity;q=0.5, gzip;q=1.0", "gzip"),
        ("br, deflate, gzip;q=0.1", "gzip"),
        ("gzip;q=0", ""),
        ("identity", ""),
        ("br", ""),
        ("identity;q=1, gzip;q=0.5", ""),
        ("nonsense;;q=x", ""),
        ("", ""),
    ] {
        let response = request(&exporter, Method::GET, "/metrics", Some(accepted)).await;
        assert_eq!(header(&response, &CONTENT_ENCODING), encoding, "{accepted}");
        let bytes = response.bytes().await.unwrap();
        let text =
            if encoding.is_empty() { String::from_utf8(bytes.to_vec()).unwrap() } else { decompress(&bytes) };
        assert!(text.contains("myunisoft_exporter_build_info"), "{accepted}");
    }
}

#[tokio::test]
async fn a_small_response_is_not_compressed() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    for path in ["/-/healthy", "/-/ready", "/nowhere"] {
        let response = request(&exporter, Method::GET, path, Some("gzip")).await;
        assert_eq!(header(&response, &CONTENT_ENCODING), "", "{path}");
        assert_ne!(header(&response, &CONTENT_LENGTH), "", "{path}");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let (_simulator, folder) = two_keys().await;
    let exporter = Exporter::start(folder.path(), &[]).await;
    for path in ["/metrics", "/", "/-/healthy", "/nowhere", "/-/reload"] {
        for accepted in [None, Some("gzip")] {
            let get = request(&exporter, Method::GET, path, accepted).await;
            let head = request(&exporter, Method::HEAD, path, accepted).await;
            assert_eq!(head.status(), get.status(), "{path}");
            for name in [CONTENT_ENCODING, CONTENT_TYPE, VARY] {
                assert_eq!(header(&head, &name), header(&get, &name), "{path} {accepted:?} {name}");
            }
            // The page changes from one request to the next.
            let length = if path == "/" { String::new() } else { header(&head, &CONTENT_LENGTH) };
            assert!(
                length.is_empty() || get.text().await.unwrap().len().to_string() == length,
                "{path}: {length}"
            );
            assert!(head.bytes().await.unwrap().is_empty(), "{path}");
        }
    }
}
