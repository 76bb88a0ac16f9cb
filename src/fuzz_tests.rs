//! Fuzz tests: each parser of untrusted bytes gets mutated input. It must return, and its result must have
//! limits.
//!
//! `make test` tries some hundred inputs per test, `make fuzz` a hundred thousand.

use std::time::{Duration, SystemTime};

use crate::config;
use crate::http::router;
use crate::partner_api::judge::{RequestKind, Response, judge};
use crate::partner_api::login;
use crate::partner_api::token::Claims;
use crate::partner_api::{KeyInfoMode, Method};
use crate::store::Store;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tower::ServiceExt as _;
use web_toolkit as web;

use crate::test_support::app;

/// One mutation of the input.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Repeats a piece of the input: position, length, number of repetitions.
    Repeat(Index, usize, usize),
    Truncate(Index),
}

/// Bytes that parsers often handle wrongly.
const TRICKY: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"NaN",
    b"true",
    b"&a",
    b"*a",
    b"!!str",
    b"<<",
    b"- ",
    b": ",
    b"\n",
    b"\r\n",
    b"\t",
    b"|",
    b"%00",
    b"%",
    b"&",
    b"=",
    b"+",
    b"partner=",
    b"2038-01-19",
    b"eyJhbGciOiJub25lIn0.",
    b"$2y$31$",
];

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let piece = prop_oneof![select(TRICKY).prop_map(<[u8]>::to_vec), vec(any::<u8>(), 1..8)];
    let mutation = prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        4 => (any::<Index>(), piece).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        2 => (any::<Index>(), 1..40usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        1 => (any::<Index>(), 1..20usize, 2..400usize).prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
    ];
    vec(mutation, 0..6)
}

fn mutated(seed: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for mutation in mutations {
        let at = |index: &Index, bytes: &[u8]| index.index(bytes.len() + 1);
        match mutation {
            Mutation::Replace(index, byte) if !bytes.is_empty() => *index.get_mut(&mut bytes) = *byte,
            Mutation::Replace(..) => {}
            Mutation::Insert(index, piece) => {
                let at = at(index, &bytes);
                bytes.splice(at..at, piece.iter().copied());
            }
            Mutation::Remove(index, length) => {
                let at = at(index, &bytes);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Mutation::Repeat(index, length, times) => {
                let at = at(index, &bytes);
                let piece = bytes[at..(at + length).min(bytes.len())].repeat(*times);
                bytes.splice(at..at, piece);
            }
            Mutation::Truncate(index) => bytes.truncate(at(index, &bytes)),
        }
    }
    bytes
}

/// A mutation of one of the seeds.
fn mutation_of(seeds: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (select(seeds), mutations()).prop_map(|(seed, mutations)| mutated(seed.as_bytes(), &mutations))
}

const BODIES: &[&str] = &[
    "",
    "[]",
    r#"[{"path":"/api/v1/society","method":"get"}]"#,
    r#"{"target":{"type":"api","schemaId":80,"thirdPartyId":101,"societyId":127},"version":{"current":1,"latest":2,"beta":false},"canBeActivated":true,"isActivated":true,"routes":[{"path":"/a","method":"get"}]}"#,
    r#"{"error":{"code":"ERR-API-TOKEN-NOT-FOUND","message":"m","details":{"url":"/x","method":"GET","requestedAt":"d","requestId":"req-1"}}}"#,
    r#"{"code":"OCR1","message":"m","details":""}"#,
    r#"{"api_token":"eyJhbGciOiJIUzI1NiJ9.eyJ0eXBlIjoiZmlybSIsIm0iOjgwLCJleHAiOjE5MDAwMDAwMDB9.c2ln","expiresIn":"2021-04-12 11:54:46","firm":{"id":80,"label":"X"}}"#,
    r#"{"status":"firm-selection","firms":[]}"#,
    "<html><body>captive</body></html>",
];

const CERTIFICATE_BUNDLES: &[&str] = &[
    "-----BEGIN CERTIFICATE-----\nMIIBbTCCAROgAwIBAgIUfEz5VOvZvQ2wBSQKhgMkFQ4npGkwCgYIKoZIzj0EAwIw\nDDEKMAgGA1UEAwwBYTAeFw0yNjExMjUyMTM5MDNaFw0zNjExMjIyMTM5MDNaMAwx\nCjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR3tdN8aMxJ6NW5\nCluRQMml7cbz1Q+W78IX3l8Ptj520dxWZOnQWJokrrz+p9z+laIzrz3DRzNYs4MJ\negY7xtsoo1MwUTAdBgNVHQ4EFgQUaipttW5lDO9T6av+IfmjYZYffWEwHwYDVR0j\nBBgwFoAUaipttW5lDO9T6av+IfmjYZYffWEwDwYDVR0TAQH/BAUwAwEB/zAKBggq\nhkjOPQQDAgNIADBFAiEAtoq7iLkXGnHnLGqP+TGWajxVmAG+9A6fNihAdd2MPmoC\nIAEeLSadZ7y5P1jvlpUKXCeGsA2PX7B5g+IvYEnj/CP/\n-----END CERTIFICATE-----",
    "# A comment\r\n  -----BEGIN TRUSTED CERTIFICATE-----\r\nKey: value\r\nMAA=\r\n-----END TRUSTED CERTIFICATE-----",
    "-----BEGIN X509 CERTIFICATE-----MAA=-----END X509 CERTIFICATE----------BEGIN PKCS7-----MAA=-----END PKCS7-----",
];

const HEADER_VALUES: &[&str] = &[
    "20",
    "-1",
    "0",
    "1596442585.866154",
    "1596442585866",
    "req-44b440f90368471d",
    "Wed, 21 Oct 2015 07:28:00 GMT",
    "120",
    "NaN",
    "1e400",
];

const HEADER_NAMES: [&str; 7] = [
    "request-id",
    "x-rate-limit-remaining",
    "x-rate-limit-total",
    "x-rate-limit-reset",
    "date",
    "retry-after",
    "content-type",
];

fn headers() -> impl Strategy<Value = HeaderMap> {
    vec((select(&HEADER_NAMES[..]), mutation_of(HEADER_VALUES)), 0..8).prop_map(|pairs| {
        let header = |(name, value): (&'static str, Vec<u8>)| {
            Some((HeaderName::from_static(name), HeaderValue::from_bytes(&value).ok()?))
        };
        pairs.into_iter().filter_map(header).collect()
    })
}

fn statuses() -> impl Strategy<Value = u16> {
    prop_oneof![select(&[200, 204, 301, 304, 400, 401, 403, 404, 429, 500, 503][..]), 100..=999u16]
}

const REQUEST_KINDS: &[RequestKind] = &[
    RequestKind::Health,
    RequestKind::KeyInfo(KeyInfoMode::Extended),
    RequestKind::KeyInfo(KeyInfoMode::Routes),
    RequestKind::Canary(Method::Get),
    RequestKind::Canary(Method::Head),
];

const CONFIGURATIONS: &[&str] = &[
    "api: {base_url: \"https://api.example\"}\nhealth: {interval: 15s, timeout: 5s}\nkey_info: {interval: 60s, mode: extended}\n",
    "canaries:\n  exercices: {path: \"/api/v1/x?y=1\", interval: 60s, timeout: 10s, society: false}\nrate_limit: {keep_free: 5}\n",
    "partners:\n  - name: acme\n    secret: s\n    keys:\n      - {name: dupont, access: society, token: t, canaries: [exercices]}\n",
    "partners: [{name: acme, secret: s, keys: [{name: d, access: firm, canaries: [], login: {mail: a@b.c, password: p, firm: 80}}]}]\n",
    "key_files: [\"keys.d/*.yml\", \"[\"]\nmetrics: {request_ids: false}\n",
    "a: &a [1, 2]\nb: *a\n",
];

const WEB_CONFIGURATIONS: &[&str] = &[
    "tls_server_config: {cert: c, key: k, client_auth_type: RequireAnyClientCert, min_version: TLS12, cipher_suites: [], curve_preferences: [X25519]}\n",
    "basic_auth_users:\n  alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze\n",
    "http_server_config: {http2: false, headers: {X-Frame-Options: deny, Content-Security-Policy: \"default-src 'none'\"}}\n",
    "rate_limit: {interval: 1s, burst: 20}\n",
];

const PERSISTED_STATES: &[&str] = &[
    r#"{"version":1,"keys":[{"partner":"acme","key":"dupont","fingerprint":"0123456789abcdef0123456789abcdef","state":"active","since":"2026-01-01T00:00:00Z","has_been_active":true}],"secrets":[],"logins":[]}"#,
    r#"{"version":1,"keys":[],"secrets":[],"logins":[{"auth_url":"https://auth","mail":"a@b.c","journal":7,"passwords":[{"password":{"salt":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7],"hash":[1]},"account":{"times":2,"last":"2026-01-01T00:00:00Z","refusal":"credentials"},"firms":[{"firm":80,"is_own":true,"times":1,"last":"2026-01-01T00:00:00Z","refusal":"require-otp"}]}]}]}"#,
    r#"{"version":1}"#,
    "{}",
];

const URLS: &[&str] = &[
    "/probe?partner=acme&key=dupont",
    "/probe?partner=a%20b&key=%C3%A9",
    "/sd",
    "/?state=active&partner=a%20b&name=%C3%A9&page=2",
    "/key?partner=acme&key=dupont",
    "/api/v1/status?state=revoked&partner=&name=x",
    "/api/v1/status/key?partner=acme&key=dupont",
    "/static/style.css?v=1",
    "/metrics",
    "/-/healthy",
    "/",
];

/// Much longer than any input takes, because the machine may be busy.
const TIME_LIMIT: Duration = Duration::from_secs(20);

fn written(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.yml");
    std::fs::write(&file, content).unwrap();
    (folder, file)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_response_is_judged_and_the_judgement_has_limits(
        kind in select(REQUEST_KINDS), status in statuses(), headers in headers(), body in mutation_of(BODIES), complete in any::<bool>(),
    ) {
        let received = SystemTime::now();
        let judgement = judge(kind, Response { status, headers: &headers, body: &body, complete, received, expects_request_id: false });
        if let Err(failure) = &judgement.outcome {
            prop_assert!(failure.detail.len() < 500, "{}", failure.detail);
            prop_assert!(!failure.detail.contains(char::is_control), "{}", failure.detail);
        }
        if let Some(id) = &judgement.request_id {
            prop_assert!(id.as_str().len() <= 128 && id.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        }
        prop_assert!(judgement.budget.holds_for <= Duration::from_mins(10), "{:?}", judgement.budget);
        // Only an error of the API can be evidence against a key; in a success, it must have a documented code.
        if let (Some(_), Err(failure)) = (judgement.key, &judgement.outcome) {
            let is_documented = failure.code.as_ref().is_some_and(|code| code.documented().is_some());
            let can_refuse = (400..600).contains(&status) || (200..300).contains(&status) && is_documented;
            prop_assert!(can_refuse, "{judgement:?}");
        }
    }

    #[test]
    fn any_log_in_response_is_read(status in statuses(), headers in headers(), body in mutation_of(BODIES)) {
        let answer = login::read(status, &headers, &body, SystemTime::now());
        if let login::LoginAnswer::Token { lives_for, .. } = answer {
            // The `exp` claim of a JWT is trusted without a limit, but the clock must be able to hold it.
            prop_assert!(SystemTime::now().checked_add(lives_for).is_some(), "{lives_for:?}");
        }
    }

    #[test]
    fn any_token_is_parsed_without_a_panic(token in mutation_of(BODIES)) {
        let _ = Claims::parse(&String::from_utf8_lossy(&token));
    }

    #[test]
    fn any_configuration_is_accepted_or_its_errors_have_a_place(content in mutation_of(CONFIGURATIONS)) {
        let (_folder, file) = written(&content);
        let started = tokio::time::Instant::now();
        if let Err(problems) = config::load(&file, config::Secrets::Check) {
            let text = problems.to_string();
            prop_assert!(text.lines().count() >= 1 && text.lines().all(|line| line.contains(": ")), "{text}");
            prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
        prop_assert!(started.elapsed() < TIME_LIMIT);
    }

    #[test]
    fn any_web_configuration_is_accepted_or_its_errors_have_a_place(content in mutation_of(WEB_CONFIGURATIONS)) {
        let (_folder, file) = written(&content);
        if let Err(problems) = web::load(&file) {
            let text = problems.to_string();
            prop_assert!(text.lines().count() >= 1 && text.lines().all(|line| line.contains(": ")), "{text}");
            prop_assert!(!text.contains("$2y$"), "{text}");
        }
    }

    #[test]
    fn any_bundle_of_certificates_is_read_or_its_error_says_what_to_do(pem in mutation_of(CERTIFICATE_BUNDLES)) {
        match web::certificate_bundle::read(&pem) {
            Ok(certificates) => prop_assert!(!certificates.is_empty()),
            Err(problem) => {
                prop_assert!(problem.contains("; ") && problem.len() < 300, "{problem}");
                prop_assert!(!problem.contains(char::is_control), "{problem:?}");
            }
        }
    }

    #[test]
    fn any_persisted_state_is_read_or_kept(text in mutation_of(PERSISTED_STATES)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("state.json"), &text).unwrap();
            let store = Store::open(folder.path(), |_| ()).unwrap();
            store.close().await;
            let kept = std::fs::read_dir(folder.path()).unwrap().flatten();
            let kept = kept.filter_map(|file| std::fs::read(file.path()).ok()).any(|content| content == text);
            // A file that was read may be replaced. A file that was not read is kept unchanged.
            let replaced = std::fs::read(folder.path().join("state.json")).is_ok_and(|now| now != text);
            assert!(kept || replaced, "{}", String::from_utf8_lossy(&text));
        });
    }

    #[test]
    fn any_request_gets_a_response(uri in mutation_of(URLS), method in select(&["GET", "HEAD", "POST", "OPTIONS", "X"][..])) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let Ok(request) = Request::builder().method(method).uri(&uri[..]).body(Body::empty()) else { return Ok(()) };
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let response = router(app(folder.path())).oneshot(request).await.unwrap();
            let status = response.status();
            assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{status}");
            assert!(to_bytes(response.into_body(), 1 << 20).await.is_ok());
        });
    }
}
