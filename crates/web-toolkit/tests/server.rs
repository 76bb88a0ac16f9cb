//! Serves a small router on real sockets, as an exporter does.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use web_toolkit::{AuthHandle, DropReason, LoadedWebConfig, Observer, Protection, Service, load, serve};

const PATIENCE: Duration = Duration::from_secs(20);
/// `alice:one`
const ALICE: &str = "Authorization: Basic YWxpY2U6b25l\r\n";

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    dropped: Mutex<Vec<DropReason>>,
    statuses: Mutex<Vec<u16>>,
}

impl Observer for Counts {
    fn connection_opened(&self) {
        self.open.fetch_add(1, Ordering::SeqCst);
    }

    fn connection_closed(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    fn connection_dropped(&self, reason: DropReason) {
        self.dropped.lock().unwrap().push(reason);
    }

    fn request_answered(&self, status: StatusCode) {
        self.statuses.lock().unwrap().push(status.as_u16());
    }
}

struct Server {
    folder: TempDir,
    address: std::net::SocketAddr,
    handle: AuthHandle,
    counts: Arc<Counts>,
    /// Ends the response of `/slow`.
    finish: Arc<Notify>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    /// Serves with this web configuration, which may name `server.pem`, `server.key` and `client.pem`.
    async fn start(config: &str, max_connections: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["server", "client"] {
            let CertifiedKey { cert, signing_key } =
                generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            fs::write(folder.path().join(format!("{name}.pem")), cert.pem()).unwrap();
            fs::write(folder.path().join(format!("{name}.key")), signing_key.serialize_pem()).unwrap();
        }
        let handle = AuthHandle::new(protection(&folder, config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (finish, counts) = (Arc::new(Notify::new()), Arc::new(Counts::default()));
        let finished = Arc::clone(&finish);
        let slow = get(async move || {
            finished.notified().await;
            "slow"
        });
        let router = Router::new().route("/", get(async || "hello")).route("/slow", slow);
        let observer: Arc<dyn Observer> = Arc::clone(&counts) as _;
        let service = Service {
            router,
            auth: handle.subscribe(),
            observer,
            public_paths: ["/public".to_owned()].into(),
            refused_handshakes: Arc::default(),
        };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(vec![listener], service, max_connections, stop.clone()));
        Self { folder, address, handle, counts, finish, stop, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Does a TLS handshake, with a client certificate if `identity` names one.
    async fn connect_tls(
        &self,
        identity: Option<&str>,
        alpn: &[&str],
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let pem = |name: &str| fs::read(self.folder.path().join(name)).unwrap();
        let certificate = |name: &str| CertificateDer::from_pem_slice(&pem(&format!("{name}.pem"))).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate("server")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_slice(&pem(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![certificate(name)], key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.connect().await).await
    }

    async fn wait_for(&self, what: &str, condition: impl Fn(&Counts) -> bool) {
        let poll = async {
            while !condition(&self.counts) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("waited for {what}"));
    }
}

fn read_config(folder: &TempDir, text: &str) -> LoadedWebConfig {
    let file = folder.path().join("web.yml");
    fs::write(&file, text).unwrap();
    load(&file).unwrap_or_else(|problems| panic!("{problems}"))
}

fn protection(folder: &TempDir, text: &str) -> Protection {
    let config = if text.is_empty() { LoadedWebConfig::default() } else { read_config(folder, text) };
    Protection::new(config.config).unwrap()
}

fn users() -> String {
    format!("basic_auth_users: {{alice: {}}}\n", bcrypt::hash("one", 4).unwrap())
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), path: &str, headers: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Sends a request on a connection that stays open, and returns the response. The body of a refusal is chunked.
async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), headers: &str) -> String {
    send(stream, "/", headers).await;
    let mut response = Vec::new();
    let read = async {
        while !response.ends_with(b"hello") && !response.ends_with(b"\r\n0\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut response).await.unwrap(), 0);
        }
    };
    timeout(PATIENCE, read).await.expect("a response");
    String::from_utf8(response).unwrap()
}

/// Everything that the server sends until it closes the connection.
async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("the connection is closed");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_user_with_the_right_password_is_accepted_and_others_are_refused() {
    let server = Server::start(&users(), 9).await;
    let mut stream = server.connect().await;
    let wrong = "Authorization: Basic YWxpY2U6dHdv\r\n";
    for (headers, status) in [("", "401"), (ALICE, "200"), (wrong, "401"), (ALICE, "200")] {
        let response = exchange(&mut stream, headers).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {response}");
        assert_eq!(response.contains("www-authenticate: Basic"), status == "401", "{response}");
    }
    assert_eq!(*server.counts.statuses.lock().unwrap(), [401, 200, 401, 200]);
}

#[tokio::test]
async fn responses_have_the_default_security_headers_and_the_configured_ones() {
    let headers =
        "http_server_config: {headers: {X-Frame-Options: sameorigin, X-Content-Type-Options: \"\"}}\n";
    for (config, frame_options, nosniff) in [("", "DENY", true), (headers, "sameorigin", false)] {
        let server = Server::start(config, 9).await;
        let response = exchange(&mut server.connect().await, "").await;
        assert!(response.contains(&format!("x-frame-options: {frame_options}\r\n")), "{response}");
        assert_eq!(response.contains("x-content-type-options: nosniff\r\n"), nosniff, "{response}");
        assert!(response.contains("content-security-policy: default-src 'none'"), "{response}");
    }
}

#[tokio::test]
async fn requests_above_the_rate_limit_are_refused() {
    let server = Server::start("rate_limit: {interval: 1h, burst: 2}\n", 9).await;
    let mut stream = server.connect().await;
    exchange(&mut stream, "").await;
    exchange(&mut stream, "").await;
    send(&mut stream, "/", "Connection: close\r\n").await;
    assert!(read_to_end(&mut stream).await.starts_with("HTTP/1.1 429"));
}

const TLS: &str = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";

#[tokio::test]
async fn tls_clients_get_a_response_and_plain_http_clients_an_explanation() {
    let server = Server::start(TLS, 9).await;
    let mut stream = server.connect_tls(None, &[]).await.unwrap();
    assert!(exchange(&mut stream, "").await.starts_with("HTTP/1.1 200"));
    for (alpn, chosen) in [(&["h2", "http/1.1"][..], "h2"), (&["http/1.1"], "http/1.1")] {
        let stream = server.connect_tls(None, alpn).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(chosen.as_bytes()));
    }
    let mut plain = server.connect().await;
    send(&mut plain, "/", "").await;
    let response = read_to_end(&mut plain).await;
    assert!(response.starts_with("HTTP/1.0 400") && response.contains("https://"), "{response}");
    assert_eq!(*server.counts.dropped.lock().unwrap(), [DropReason::Handshake]);
}

#[tokio::test]
async fn a_client_without_an_allowed_certificate_is_refused() {
    let config = |san: &str| {
        format!(
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  client_ca_file: client.pem\n  \
             client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [{san}]\n"
        )
    };
    for (san, identity, accepted) in [
        ("localhost", Some("client"), true),
        ("localhost", Some("server"), false),
        ("localhost", None, false),
        ("other.example", Some("client"), false),
    ] {
        let server = Server::start(&config(san), 9).await;
        let outcome = async {
            let mut stream = server.connect_tls(identity, &[]).await?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
            let mut response = String::new();
            stream.read_to_string(&mut response).await.map(|_| response)
        };
        let outcome = timeout(PATIENCE, outcome).await.expect("an end");
        let response = outcome.unwrap_or_default();
        assert_eq!(response.starts_with("HTTP/1.0 200"), accepted, "{san} {identity:?}: {response}");
    }
}

#[tokio::test]
async fn a_new_protection_applies_to_open_connections() {
    let server = Server::start("", 9).await;
    let mut plain = server.connect().await;
    assert!(exchange(&mut plain, "").await.starts_with("HTTP/1.1 200"));
    server.handle.replace(protection(&server.folder, &users()));
    assert!(exchange(&mut plain, "").await.starts_with("HTTP/1.1 401"));
    server.handle.replace(protection(&server.folder, TLS));
    let mut secure = server.connect_tls(None, &[]).await.unwrap();
    exchange(&mut secure, "").await;
    server.handle.replace(protection(&server.folder, &format!("{TLS}{}", users())));
    assert_eq!(
        read_to_end(&mut secure).await,
        "",
        "a TLS connection ends, so that the client does a new handshake"
    );
}

#[tokio::test]
async fn at_the_connection_limit_the_oldest_idle_connection_makes_room() {
    let server = Server::start("", 2).await;
    let mut active = server.connect().await;
    send(&mut active, "/slow", "Connection: close\r\n").await;
    let mut idle = server.connect().await;
    exchange(&mut idle, "").await;
    let mut new = server.connect().await;
    assert!(exchange(&mut new, "").await.starts_with("HTTP/1.1 200"));
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(*server.counts.dropped.lock().unwrap(), [DropReason::Crowded]);
    server.finish.notify_one();
    assert!(read_to_end(&mut active).await.ends_with("slow"));
    drop(new);
    server.wait_for("all connections to end", |counts| counts.open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_graceful_stop_finishes_responses_and_closes_other_connections() {
    let server = Server::start("", 9).await;
    let mut active = server.connect().await;
    send(&mut active, "/slow", "").await;
    let (mut new, mut idle) = (server.connect().await, server.connect().await);
    exchange(&mut idle, "").await;
    server.wait_for("three connections", |counts| counts.open.load(Ordering::SeqCst) == 3).await;
    server.stop.cancel();
    assert_eq!(read_to_end(&mut idle).await + &read_to_end(&mut new).await, "");
    assert!(TcpStream::connect(server.address).await.is_err(), "no connection is accepted");
    assert!(!server.serving.is_finished(), "a response is in progress");
    server.finish.notify_one();
    assert!(read_to_end(&mut active).await.ends_with("slow"));
    timeout(PATIENCE, server.serving).await.expect("the server ends").unwrap();
    assert_eq!(server.counts.open.load(Ordering::SeqCst), 0);
}

#[test]
fn every_drop_reason_has_its_label_value() {
    use strum::VariantArray as _;
    let values: Vec<_> = DropReason::VARIANTS.iter().map(DropReason::into_str).collect();
    assert_eq!(values, ["accept", "crowded", "handshake", "slow"]);
}

#[test]
fn the_summary_describes_the_protection() {
    let folder = tempfile::tempdir().unwrap();
    let summary = |text: &str| read_config(&folder, text).summary();
    assert_eq!(summary("http_server_config: {}\n"), "Web: plain HTTP, no password required\n");
    let limited = summary(&format!("{}rate_limit: {{interval: 1s, burst: 20}}\n", users()));
    assert!(limited.starts_with("Web: plain HTTP, 1 user, one request per 1s (burst of 20)\n"), "{limited}");
}
