//! Handshakes with a wrong certificate, without a TLS server, or without an end; and hostile proxies.

use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::config::Api;
use crate::partner_api::judge::RequestKind;
use partner_simulator::{Simulator, TlsOptions};

use super::scripted_server::Action;
use super::{
    AMPLE, SHORT, ScriptedServer, api, drip, flood, json, json_head, log_in, outcomes, outcomes_of,
    outcomes_within, probe, send,
};
use crate::test_support;

/// The simulated API with this certificate, and its configuration.
async fn presenting(tls: TlsOptions) -> (Simulator, Api) {
    let simulator = Simulator::builder().tls_with(tls).start().await.unwrap();
    let api = test_support::api(&simulator);
    (simulator, api)
}

/// No request is sent, and the expiry of the certificate is reported anyway.
async fn is_refused_and_its_expiry_is_reported(tls: TlsOptions) {
    let (simulator, api) = presenting(tls).await;
    assert_eq!(outcomes_of(&api, AMPLE).await, ["tls"; 4]);
    assert!(simulator.request_log().is_empty(), "no request was sent");
    let expiry = simulator.certificate_expiry().map(seconds);
    assert_eq!(probe(&api, RequestKind::Health, AMPLE).await.certificate_expiry.map(seconds), expiry);
    assert_eq!(log_in(&api, AMPLE).await.certificate_expiry.map(seconds), expiry);
}

/// The expiry of a certificate is in whole seconds.
fn seconds(expiry: SystemTime) -> u64 {
    expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    is_refused_and_its_expiry_is_reported(TlsOptions::expired()).await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    is_refused_and_its_expiry_is_reported(TlsOptions::wrong_host()).await;
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused() {
    is_refused_and_its_expiry_is_reported(TlsOptions::self_signed()).await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (simulator, mut api) = presenting(TlsOptions::default()).await;
    let (_other, trusted) = presenting(TlsOptions::default()).await;
    api.ca_pem = trusted.ca_pem;
    assert_eq!(outcomes_of(&api, AMPLE).await, ["tls"; 4]);
    assert!(simulator.request_log().is_empty(), "no request was sent");
}

#[tokio::test]
async fn plain_text_on_the_tls_port_is_a_failed_handshake() {
    let script = [Action::Listen, send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")];
    assert_eq!(outcomes(&ScriptedServer::bare("https", script).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn random_bytes_on_the_tls_port_are_a_failed_handshake() {
    assert_eq!(
        outcomes(&ScriptedServer::bare("https", [flood("\x16\x03\x03\x00\x04noise")]).await).await,
        ["tls"; 4]
    );
    assert_eq!(outcomes(&ScriptedServer::bare("https", [flood("\0")]).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn a_half_closed_connection_before_the_handshake_is_a_failed_handshake() {
    assert_eq!(outcomes(&ScriptedServer::bare("https", []).await).await, ["tls"; 4]);
}

#[tokio::test]
async fn an_alert_instead_of_a_handshake_is_a_failed_handshake() {
    let handshake_failure = [0x15, 3, 3, 0, 2, 2, 40];
    let server = ScriptedServer::bare("https", [Action::Listen, send(handshake_failure)]).await;
    assert_eq!(outcomes(&server).await, ["tls"; 4]);
}

#[tokio::test]
async fn a_handshake_that_stalls_times_out() {
    let server = ScriptedServer::bare("https", [Action::Stall]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_handshake_that_stalls_inside_a_record_times_out() {
    let server =
        ScriptedServer::bare("https", [Action::Listen, send([0x16, 3, 3, 0x40, 0, 2, 0]), Action::Stall])
            .await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_handshake_that_arrives_byte_by_byte_times_out() {
    let hello_of_megabytes = [0x16, 3, 3, 0x3f, 0xff, 2, 0x3f, 0xff, 0xff];
    let server =
        ScriptedServer::bare("https", [Action::Listen, send(hello_of_megabytes), drip("\x03")]).await;
    assert_eq!(outcomes_within(SHORT, &server).await, ["timeout"; 4]);
}

#[tokio::test]
async fn a_server_that_speaks_only_http2_is_a_failed_handshake() {
    let server = ScriptedServer::choosing_over_tls("h2", |_| Vec::new()).await;
    assert_eq!(outcomes(&server).await, ["tls"; 4]);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn random_bytes_after_the_handshake_are_a_broken_connection() {
    for noise in
        ["HTTP/1.1 200 OK\r\n\r\n", "\x17\x03\x03\x00\x1ea record that nobody encrypted", "\0\0\0\0\0\0\0"]
    {
        let beneath = Action::BelowTls(noise.into());
        assert_eq!(
            outcomes(&ScriptedServer::https([beneath.clone(), Action::Stall]).await).await,
            ["io"; 4],
            "{noise:?}"
        );
        let server = ScriptedServer::https([json_head(), send("["), beneath, Action::Stall]).await;
        assert_eq!(outcomes(&server).await, ["io"; 4], "{noise:?} in the body");
    }
}

#[tokio::test]
async fn a_hostile_proxy_is_a_failed_connection() {
    let cases: [(Action, &str); 5] = [
        (flood("HTTP/1.1 200 OK\r\nx-endless: a\r\n"), "connect"),
        (flood("HTTP/1.1 100 Continue\r\n\r\n"), "connect"),
        (send("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "tls"),
        (Action::Reset, "connect"),
        (Action::Stall, "timeout"),
    ];
    for (action, word) in cases {
        let proxy = ScriptedServer::http([action.clone()]).await;
        let mut api = api(&ScriptedServer::https([]).await);
        api.proxy_url = Some(proxy.url("/").parse().unwrap());
        assert_eq!(outcomes_of(&api, SHORT).await, [word; 4], "{action:.60?}");
        proxy.all_connections_closed().await;
    }
}

/// A correct response for every route.
const BODY: &str = r#"{"isActivated":true,"api_token":"opaque"}"#;
const DAY: Duration = Duration::from_hours(24);

/// The parameters of a certificate that is valid from 100 days ago until so many days from now.
fn params(names: &[&str], common_name: &str, days_left: i64) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    let end = if days_left < 0 { now - DAY } else { now + DAY * u32::try_from(days_left).unwrap() };
    (params.not_before, params.not_after) = ((now - DAY * 100).into(), end.into());
    params
}

fn authority(common_name: &str, days_left: i64) -> CertificateParams {
    let mut params = params(&[], common_name, days_left);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A self-signed certificate that says it is a certificate authority, as `openssl req -x509` makes it: the outcome of
/// a health probe at a server that shows it, if this certificate is configured. Also the cause of a failure.
async fn outcome_of_a_pinned_authority(name: &str, days_left: i64, is_pinned: bool) -> Result<(), String> {
    let key = KeyPair::generate().unwrap();
    let mut params = params(&[name], "self-signed", days_left);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let shown = params.self_signed(&key).unwrap();
    // The other certificate has the same name and the same key.
    let pinned = if is_pinned { shown.pem() } else { params.self_signed(&key).unwrap().pem() };
    let server = ScriptedServer::presenting(vec![shown.der().clone()], &key, [json(200, BODY)]).await;
    let api = Api { ca_pem: Some(pinned), ..api(&server) };
    probe(&api, RequestKind::Health, AMPLE).await.outcome.map_err(|failure| failure.detail)
}

#[tokio::test]
async fn a_configured_certificate_that_the_server_shows_is_trusted_even_if_it_is_an_authority() {
    assert_eq!(outcome_of_a_pinned_authority("127.0.0.1", 90, true).await, Ok(()));
}

#[tokio::test]
async fn a_configured_certificate_must_have_the_right_name_be_valid_and_be_the_same() {
    let other_name = outcome_of_a_pinned_authority("other.example", 90, true).await.unwrap_err();
    assert!(other_name.contains("is for other names: other.example"), "{other_name}");
    let expired = outcome_of_a_pinned_authority("127.0.0.1", -1, true).await.unwrap_err();
    assert!(expired.contains("has expired"), "{expired}");
    let other = outcome_of_a_pinned_authority("127.0.0.1", 90, false).await.unwrap_err();
    assert!(other.contains("shows the certificate of a certificate authority as its own"), "{other}");
    assert!(!other.contains("OtherError"), "{other}");
}

#[tokio::test]
async fn a_configured_certificate_of_the_server_is_trusted_without_its_authority() {
    let issuer =
        CertifiedIssuer::self_signed(authority("Issuer", 900), KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = params(&["127.0.0.1"], "leaf", 90).signed_by(&key, &issuer).unwrap();
    let server = ScriptedServer::presenting(vec![leaf.der().clone()], &key, [json(200, BODY)]).await;
    let api = Api { ca_pem: Some(leaf.pem()), ..api(&server) };
    assert_eq!(outcomes_of(&api, AMPLE).await, ["ok", "ok", "ok", "token"]);
}

/// Days until the expiry that a health probe reports.
async fn days_left(server: &ScriptedServer, ca_pem: String) -> (bool, u64) {
    let report = probe(&Api { ca_pem: Some(ca_pem), ..api(server) }, RequestKind::Health, AMPLE).await;
    let expiry = report.certificate_expiry.unwrap();
    let days = expiry.duration_since(SystemTime::now()).map_or(0, |left| left.as_secs().div_ceil(86_400));
    (report.outcome.is_ok(), days)
}

#[tokio::test]
async fn the_expiry_is_that_of_the_chain_that_verifies_and_not_of_a_needless_certificate() {
    let root = CertifiedIssuer::self_signed(authority("Root", 3_000), KeyPair::generate().unwrap()).unwrap();
    let old = CertifiedIssuer::self_signed(authority("Old root", 1), KeyPair::generate().unwrap()).unwrap();
    let intermediate =
        CertifiedIssuer::signed_by(authority("Intermediate", 60), KeyPair::generate().unwrap(), &root)
            .unwrap();
    let again = authority("Intermediate", 30).signed_by(intermediate.key(), &root).unwrap();
    let cross = |days| authority("Root", days).signed_by(root.key(), &old).unwrap().der().clone();
    let key = KeyPair::generate().unwrap();
    let leaf = params(&["127.0.0.1"], "leaf", 90).signed_by(&key, &intermediate).unwrap().der().clone();
    let needed = intermediate.der().clone();
    let cases = [
        (vec![leaf.clone(), needed.clone()], 60, 60, "the intermediate certificate is needed"),
        (vec![leaf.clone(), needed.clone(), cross(-1)], 60, 0, "the cross-signed root has expired"),
        (vec![leaf.clone(), cross(5), needed.clone()], 60, 5, "the cross-signed root ends soon"),
        (vec![leaf.clone(), again.der().clone(), needed], 60, 30, "of two that serve, the later one"),
        (vec![leaf, again.der().clone()], 30, 30, "the only one"),
    ];
    for (chain, days, earliest, case) in cases {
        let server = ScriptedServer::presenting(chain, &key, [json(200, BODY)]).await;
        assert_eq!(days_left(&server, root.pem()).await, (true, days), "{case}");
        // Without a trusted authority, it is not known which certificate is needed.
        let stranger =
            CertifiedIssuer::self_signed(authority("Stranger", 9), KeyPair::generate().unwrap()).unwrap();
        assert_eq!(days_left(&server, stranger.pem()).await, (false, earliest), "{case}, untrusted");
    }
}

/// The cause of a failed health probe, and its reason.
async fn cause(api: &Api, limit: Duration) -> (&'static str, String) {
    let failure = probe(api, RequestKind::Health, limit).await.outcome.unwrap_err();
    (failure.reason.into_str(), failure.detail)
}

#[tokio::test]
async fn the_cause_of_a_failed_handshake_is_a_plain_sentence() {
    let unused = || Simulator::builder().tls().start();
    let other_authority = unused().await.unwrap().ca_pem();
    for (tls, text) in [
        (TlsOptions::expired(), "a certificate of the server expired at 20"),
        (TlsOptions::wrong_host(), "the server's certificate is for other names: "),
        (TlsOptions::default(), "not signed by the trusted certificate authority whose name it gives"),
    ] {
        let (_simulator, mut api) = presenting(tls).await;
        if text.contains("authority") {
            api.ca_pem.clone_from(&other_authority);
        }
        let (reason, cause) = cause(&api, AMPLE).await;
        assert!(reason == "tls" && cause.contains(text) && cause.contains("127.0.0.1:"), "{cause}");
    }
    let (_simulator, mut api_of_a_stranger) = presenting(TlsOptions::default()).await;
    let stranger =
        CertifiedIssuer::self_signed(authority("Stranger", 9), KeyPair::generate().unwrap()).unwrap();
    api_of_a_stranger.ca_pem = Some(stranger.pem());
    let unknown = cause(&api_of_a_stranger, AMPLE).await.1;
    assert!(unknown.contains("comes from a certificate authority that is not trusted here"), "{unknown}");
    let alert = ScriptedServer::bare("https", [Action::Listen, send([0x15, 3, 3, 0, 2, 2, 40])]).await;
    assert!(cause(&api(&alert), AMPLE).await.1.contains("the alert \"handshake failure\""));
    let plain = [Action::Listen, send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")];
    let plain = ScriptedServer::bare("https", plain).await;
    assert!(cause(&api(&plain), AMPLE).await.1.contains("does not speak TLS on this port"));
    let closed = ScriptedServer::bare("https", []).await;
    assert!(cause(&api(&closed), AMPLE).await.1.contains("the server closed the connection"));
}

#[tokio::test]
async fn the_cause_names_the_host_that_was_not_reached() {
    let server = ScriptedServer::https([json(200, BODY)]).await;
    let mut nameless = api(&server);
    nameless.base_url = "https://no-such-host.invalid".parse().unwrap();
    let (reason, text) = cause(&nameless, AMPLE).await;
    assert!(reason == "dns" && text.contains("no-such-host.invalid"), "{text}");
    let mut proxied = api(&server);
    proxied.proxy_url = Some("http://user:hidden@no-such-proxy.invalid:3128".parse().unwrap());
    let (reason, text) = cause(&proxied, AMPLE).await;
    assert!(reason == "dns" && text.contains("no-such-proxy.invalid") && !text.contains("hidden"), "{text}");
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    proxied.proxy_url = Some(format!("http://{closed}").parse().unwrap());
    let (reason, text) = cause(&proxied, AMPLE).await;
    assert!(reason == "connect" && text.contains(&closed.to_string()), "{text}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_status() {
    for (status, text) in
        [("407 Proxy Authentication Required", "api.proxy_url"), ("403 Forbidden", "status 403")]
    {
        let response = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno");
        let proxy = ScriptedServer::http([send(response)]).await;
        let mut api = api(&ScriptedServer::https([]).await);
        api.proxy_url = Some(proxy.url("/").parse().unwrap());
        let (reason, cause) = cause(&api, AMPLE).await;
        let host = proxy.url("").replace("http://", "");
        assert!(reason == "connect" && cause.contains(text) && cause.contains(&host), "{cause}");
    }
}

/// A proxy that opens a tunnel, with this head of its response.
async fn tunnel(head: String) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut inward, _)) = proxy.accept().await {
            let head = head.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(inward.read_u8().await.unwrap());
                }
                let request = String::from_utf8(request).unwrap();
                assert!(request.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{request}");
                let target = request.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
                let mut outward = tokio::net::TcpStream::connect(target).await.unwrap();
                inward.write_all(head.as_bytes()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inward, &mut outward).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_proxy_may_send_large_headers_with_its_tunnel() {
    let server = ScriptedServer::https([json(200, BODY)]).await;
    for head in [
        format!("HTTP/1.1 200 Connection established\r\nx-ticket: {}\r\n\r\n", "a".repeat(10 << 10)),
        format!("HTTP/1.0 200\r\n{}\r\n", "x-policy: a\r\n".repeat(300)),
    ] {
        let mut api = api(&server);
        api.proxy_url = Some(format!("http://user:pass@{}", tunnel(head).await).parse().unwrap());
        assert_eq!(outcomes_of(&api, AMPLE).await, ["ok", "ok", "ok", "token"]);
    }
}

#[tokio::test]
async fn a_plain_request_through_a_proxy_names_the_whole_url() {
    let proxy = ScriptedServer::http([json(200, BODY)]).await;
    let mut api = api(&proxy);
    api.base_url = "http://api.example:8080/prefix".parse().unwrap();
    api.proxy_url = Some(proxy.url("/").replace("http://", "http://user:pass@").parse().unwrap());
    assert!(probe(&api, RequestKind::Health, AMPLE).await.outcome.is_ok());
    let request = proxy.requests().remove(0);
    assert!(
        request.starts_with("GET http://api.example:8080/prefix/api/partners/health HTTP/1.1\r\n"),
        "{request}"
    );
    let has = |line: &str| request.to_lowercase().contains(&line.to_lowercase());
    assert!(
        has("host: api.example:8080\r\n") && has("proxy-authorization: Basic dXNlcjpwYXNz\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn a_proxy_with_tls_gets_the_request_for_a_tunnel_in_its_own_handshake() {
    let proxy = ScriptedServer::https([send("HTTP/1.1 403 Forbidden\r\n\r\n")]).await;
    let mut api = api(&proxy);
    api.base_url = "https://api.example".parse().unwrap();
    api.proxy_url = Some(proxy.url("/").parse().unwrap());
    let report = probe(&api, RequestKind::Health, AMPLE).await;
    let failure = report.outcome.unwrap_err();
    assert_eq!(
        (failure.reason.into_str(), report.certificate_expiry),
        ("connect", None),
        "{}",
        failure.detail
    );
    assert!(proxy.requests()[0].starts_with("CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n"));
    // A proxy whose certificate is not trusted gets no request.
    api.ca_pem = Some(ScriptedServer::https([]).await.ca_pem().to_owned());
    let (reason, cause) = cause(&api, AMPLE).await;
    assert!(reason == "connect" && cause.contains("127.0.0.1:"), "{cause}");
    assert_eq!(proxy.requests().len(), 1);
}
