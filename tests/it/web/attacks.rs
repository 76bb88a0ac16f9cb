//! Clients that attack the exporter. A scrape must still succeed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::pki::{Pki, client, hash};
use crate::support::server::{TIMEOUT, client as plain_client, sample_value, until};
use crate::support::web::{connect, dropped, read_until_closed, start, start_with_web_config};

/// Clients that guess passwords at the same time.
const GUESSERS: u32 = 64;

#[tokio::test]
async fn a_client_that_never_finishes_its_request_is_disconnected() {
    let pki = Pki::new();
    let exporter = start(&pki, &[]).await;
    let slow = connect(&exporter, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    let (mut reader, mut writer) = slow.into_split();
    let started = Instant::now();
    let sending = tokio::spawn(async move {
        while writer.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut response = Vec::new();
    let _ = timeout(TIMEOUT, reader.read_to_end(&mut response))
        .await
        .expect("the exporter closes the connection");
    assert!(started.elapsed() >= Duration::from_secs(9), "it was disconnected before ten seconds");
    sending.await.unwrap();
    let metrics = exporter.metrics().await;
    assert!(sample_value(&metrics, &dropped("slow")).unwrap() >= 1.0, "{metrics}");
}

#[tokio::test]
async fn a_stalled_or_failed_handshake_is_disconnected_and_counted() {
    let pki = Pki::new();
    pki.write("web.yml", "tls_server_config: {cert_file: server.pem, key_file: server.key}\n");
    let exporter = start_with_web_config(&pki, &[]).await;
    let stalled = connect(&exporter, &[22, 3, 1]).await;
    let invalid = connect(&exporter, &[0; 64]).await;
    read_until_closed(invalid).await;
    let plain = connect(&exporter, b"GET / HTTP/1.1\r\n\r\n").await;
    let response = read_until_closed(plain).await;
    assert!(response.starts_with("HTTP/1.0 400") && response.contains("https://"), "{response}");
    read_until_closed(stalled).await;
    let url = format!("{}/metrics", exporter.url.replace("http://", "https://"));
    let client = client(&pki, None).build().unwrap();
    let metrics = client.get(url).send().await.unwrap().text().await.unwrap();
    assert!(sample_value(&metrics, &dropped("slow")).unwrap() >= 1.0, "{metrics}");
    assert!(sample_value(&metrics, &dropped("handshake")).unwrap() >= 2.0, "{metrics}");
}

#[tokio::test]
async fn oversized_and_malformed_requests_are_refused_with_no_other_effect() {
    let pki = Pki::new();
    let exporter = start(&pki, &[]).await;
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
        // The exporter may close the connection before it has read the whole request.
        let _ = stream.write_all(request.as_bytes()).await;
        let response = read_until_closed(stream).await;
        let first = response.lines().next().unwrap_or_default();
        // The response to a very long request can be lost if the exporter closes the connection early.
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
        let request = plain_client().request(method.parse().unwrap(), format!("{}{path}", exporter.url));
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
    let exporter = start_with_web_config(&pki, &[]).await;
    let client = plain_client();
    let scrape = || async {
        let request = client.get(format!("{}/metrics", exporter.url)).basic_auth("alice", Some("one"));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(scrape().await, 200);
    let refused = Arc::new(AtomicU32::new(0));
    let guessing: Vec<_> = (0..GUESSERS)
        .map(|guesser| {
            let (client, refused) = (client.clone(), Arc::clone(&refused));
            let url = format!("{}/metrics", exporter.url);
            tokio::spawn(async move {
                for guess in 0.. {
                    let request = client.get(&url).basic_auth("alice", Some(format!("{guesser} {guess}")));
                    assert_eq!(request.send().await.unwrap().status(), 401);
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    // From now on, all of them wait for a hash.
    until("a refused guess", || async { (refused.load(Ordering::Relaxed) > 0).then_some(()) }).await;
    let before = refused.load(Ordering::Relaxed);
    for _ in 0..20 {
        assert_eq!(scrape().await, 200);
    }
    // If a scrape had to wait behind the guesses, nearly all guessers would be refused once during each scrape.
    let guesses = refused.load(Ordering::Relaxed) - before;
    assert!(guesses < 20 * GUESSERS / 2, "{guesses} guesses were refused during 20 scrapes");
    for guesser in guessing {
        assert!(!guesser.is_finished(), "a guess was accepted or received no response");
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
    let exporter = start_with_web_config(&pki, &["--web.max-connections=64"]).await;
    let url = format!("{}/metrics", exporter.url);
    // Each request opens a new connection, so each must be accepted and authenticated.
    let client_at = |address: [u8; 4]| {
        let builder = client(&pki, None).pool_max_idle_per_host(0);
        builder.local_address(std::net::IpAddr::from(address)).timeout(TIMEOUT).build().unwrap()
    };
    let scrape = |client: reqwest::Client, name: &'static str, password: &'static str| {
        let request = client.get(&url).basic_auth(name, Some(password));
        async move { request.send().await.map(|response| response.status().as_u16()) }
    };
    assert_eq!(scrape(client_at([127, 0, 0, 1]), "alice", "one").await.ok(), Some(200));
    let guessing: Vec<_> = (0..GUESSERS * 4)
        .map(|guesser| {
            let (client, url) = (client_at([127, 0, 0, 1]), url.clone());
            tokio::spawn(async move {
                for guess in 0.. {
                    let request = client.get(&url).basic_auth("bob", Some(format!("{guesser} {guess}")));
                    // The exporter may drop the connection before it responds.
                    let status = request.send().await.map(|response| response.status().as_u16());
                    assert!(status.is_err() || status.is_ok_and(|status| status == 401));
                }
            })
        })
        .collect();
    until("connections to be dropped", || async {
        let request = client_at([127, 0, 0, 3]).get(&url).basic_auth("alice", Some("one"));
        let metrics = request.send().await.ok()?.text().await.ok()?;
        (sample_value(&metrics, &dropped("crowded")).unwrap() > 64.0).then_some(())
    })
    .await;
    for round in 0..20 {
        let status = scrape(client_at([127, 0, 0, 3]), "alice", "one").await;
        assert_eq!(status.as_ref().ok(), Some(&200), "{round}: {status:?}");
    }
    let first = scrape(client_at([127, 0, 0, 2]), "bob", "two").await;
    assert_eq!(first.as_ref().ok(), Some(&200), "{first:?}");
    for guesser in guessing {
        assert!(!guesser.is_finished(), "a guess was accepted");
        guesser.abort();
    }
}
