//! Clients that want to keep Prometheus out, and the scrape that must come through all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::pki::{Pki, client, hash, write};
use crate::support::server::{Exporter, PATIENCE, client as plain, until};

async fn exporter(pki: &Pki, flags: &[&str]) -> Exporter {
    write(&pki.path("exporter.yml"), "health: {interval: 15s}\n");
    Exporter::start(pki.folder.path(), flags).await
}

async fn open(exporter: &Exporter, first: &[u8]) -> TcpStream {
    let host = exporter.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream
}

/// What the exporter writes until it closes the connection.
async fn said(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("it is closed");
    String::from_utf8_lossy(&text).into_owned()
}

fn figure(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{series}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Who guess passwords at the same time.
const GUESSERS: u32 = 64;
const DROPPED: &str = "myunisoft_exporter_connections_dropped_total";

#[tokio::test]
async fn a_client_that_never_finishes_its_request_is_disconnected() {
    let pki = Pki::new();
    let exporter = exporter(&pki, &[]).await;
    let slow = open(&exporter, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    let (mut reader, mut writer) = slow.into_split();
    let begun = Instant::now();
    let dripping = tokio::spawn(async move {
        while writer.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut nothing = Vec::new();
    let _ = timeout(PATIENCE, reader.read_to_end(&mut nothing)).await.expect("it is let go");
    assert!(begun.elapsed() >= Duration::from_secs(9), "a hurried client is not taken for a slow one");
    dripping.await.unwrap();
    let metrics = exporter.metrics().await;
    assert!(figure(&metrics, &format!("{DROPPED}{{reason=\"slow\"}}")) >= 1.0, "{metrics}");
}

#[tokio::test]
async fn a_stalled_or_failed_handshake_is_disconnected_and_counted() {
    let pki = Pki::new();
    pki.write("web.yml", "tls_server_config: {cert_file: server.pem, key_file: server.key}\n");
    let web = format!("--web.config.file={}", pki.path("web.yml").display());
    let exporter = exporter(&pki, &[&web]).await;
    let stalled = open(&exporter, &[22, 3, 1]).await;
    let nonsense = open(&exporter, &[0; 64]).await;
    said(nonsense).await;
    let plain = open(&exporter, b"GET / HTTP/1.1\r\n\r\n").await;
    let told = said(plain).await;
    assert!(told.starts_with("HTTP/1.0 400") && told.contains("https://"), "{told}");
    said(stalled).await;
    let url = format!("{}/metrics", exporter.url.replace("http://", "https://"));
    let client = client(&pki, None).build().unwrap();
    let metrics = client.get(url).send().await.unwrap().text().await.unwrap();
    assert!(figure(&metrics, &format!("{DROPPED}{{reason=\"slow\"}}")) >= 1.0, "{metrics}");
    assert!(figure(&metrics, &format!("{DROPPED}{{reason=\"handshake\"}}")) >= 2.0, "{metrics}");
}

#[tokio::test]
async fn oversized_and_malformed_requests_are_refused_with_no_other_effect() {
    let pki = Pki::new();
    let exporter = exporter(&pki, &[]).await;
    let long = "a".repeat(100_000);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"), "431"),
        ("GET / HTTP/1.1\r\n".to_owned() + &"a: b\r\n".repeat(5_000) + "\r\n", "431"),
        ("BREW / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "405"),
        ("\0\0\0\0 / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
    ] {
        let host = exporter.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.unwrap();
        // It may hang up before it was all written.
        let _ = stream.write_all(request.as_bytes()).await;
        let told = said(stream).await;
        let first = told.lines().next().unwrap_or_default();
        // Whoever hangs up on a flood may lose the answer on the way.
        assert!(
            first.contains(status) || (request.len() > 10_000 && first.is_empty()),
            "{request:.40}: {first}"
        );
    }
    for (method, path, status) in [
        ("POST", "/metrics", 405),
        ("DELETE", "/-/healthy", 405),
        ("GET", "/-/reload", 405),
        ("POST", "/-/reload", 403),
        ("GET", "/../../etc/passwd", 404),
    ] {
        let request = plain().request(method.parse().unwrap(), format!("{}{path}", exporter.url));
        let response = request.body(vec![b'x'; 1 << 20]).send().await;
        assert_eq!(response.map(|r| r.status().as_u16()).ok(), Some(status), "{method} {path}");
    }
    assert_eq!(exporter.get("/metrics").await.unwrap().0, 200);
}

#[tokio::test]
async fn password_guessing_does_not_delay_an_authenticated_user() {
    let pki = Pki::new();
    let strong = bcrypt::hash("one", 8).unwrap();
    pki.write("web.yml", &format!("basic_auth_users: {{alice: {strong}, bob: {}}}\n", hash("two")));
    let web = format!("--web.config.file={}", pki.path("web.yml").display());
    let exporter = exporter(&pki, &[&web]).await;
    let client = plain();
    let scrape = || async {
        let request = client.get(format!("{}/metrics", exporter.url)).basic_auth("alice", Some("one"));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(scrape().await, 200);
    let answered = Arc::new(AtomicU32::new(0));
    let guessing: Vec<_> = (0..GUESSERS)
        .map(|guesser| {
            let (client, answered) = (client.clone(), Arc::clone(&answered));
            let url = format!("{}/metrics", exporter.url);
            tokio::spawn(async move {
                for guess in 0.. {
                    let request = client.get(&url).basic_auth("alice", Some(format!("{guesser} {guess}")));
                    assert_eq!(request.send().await.unwrap().status(), 401);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    // All of them stand in the queue for a hash.
    until("a guess", || async { (answered.load(Ordering::Relaxed) > 0).then_some(()) }).await;
    let before = answered.load(Ordering::Relaxed);
    for _ in 0..20 {
        assert_eq!(scrape().await, 200);
    }
    // Who had to queue behind the guesses would let nearly all of them pass, each time.
    let passed = answered.load(Ordering::Relaxed) - before;
    assert!(passed < 20 * GUESSERS / 2, "{passed} guesses were answered during 20 scrapes");
    for guesser in guessing {
        assert!(!guesser.is_finished(), "no guess was right, and each was answered");
        guesser.abort();
    }
}

#[tokio::test]
async fn password_guessing_on_new_connections_blocks_neither_an_authenticated_user_nor_a_first_log_in() {
    let pki = Pki::new();
    let strong = |password: &str| bcrypt::hash(password, 8).unwrap();
    pki.write(
        "web.yml",
        &format!("basic_auth_users: {{alice: {}, bob: {}}}\n", strong("one"), strong("two")),
    );
    let web = format!("--web.config.file={}", pki.path("web.yml").display());
    let exporter = exporter(&pki, &[&web, "--web.max-connections=64"]).await;
    let url = format!("{}/metrics", exporter.url);
    // A connection for each request, and none that is kept: so it must come in each time.
    let from = |address: [u8; 4]| {
        let new = client(&pki, None).pool_max_idle_per_host(0);
        new.local_address(std::net::IpAddr::from(address)).timeout(PATIENCE).build().unwrap()
    };
    let scrape = |client: reqwest::Client, name: &'static str, password: &'static str| {
        let request = client.get(&url).basic_auth(name, Some(password));
        async move { request.send().await.map(|response| response.status().as_u16()) }
    };
    assert_eq!(scrape(from([127, 0, 0, 1]), "alice", "one").await.ok(), Some(200));
    let guessing: Vec<_> = (0..GUESSERS * 4)
        .map(|guesser| {
            let (client, url) = (from([127, 0, 0, 1]), url.clone());
            tokio::spawn(async move {
                for guess in 0.. {
                    let request = client.get(&url).basic_auth("bob", Some(format!("{guesser} {guess}")));
                    // It may have to make room before it is answered.
                    let status = request.send().await.map(|response| response.status().as_u16());
                    assert!(status.is_err() || status.is_ok_and(|status| status == 401));
                }
            })
        })
        .collect();
    until("room to be scarce", || async {
        let request = from([127, 0, 0, 3]).get(&url).basic_auth("alice", Some("one"));
        let metrics = request.send().await.ok()?.text().await.ok()?;
        (figure(&metrics, &format!("{DROPPED}{{reason=\"crowded\"}}")) > 64.0).then_some(())
    })
    .await;
    for round in 0..20 {
        let status = scrape(from([127, 0, 0, 3]), "alice", "one").await;
        assert_eq!(status.as_ref().ok(), Some(&200), "{round}: {status:?}");
    }
    let first = scrape(from([127, 0, 0, 2]), "bob", "two").await;
    assert_eq!(first.as_ref().ok(), Some(&200), "{first:?}");
    for guesser in guessing {
        assert!(!guesser.is_finished(), "no guess was right");
        guesser.abort();
    }
}
