//! Probes that use an open connection again, against a server that keeps its connections, or closes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;

const RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: r\r\ncontent-length: 9\r\n\r\n[{\"a\":1}]";
const LONG: Duration = Duration::from_secs(20);

/// What the server does with a connection after some answers.
#[derive(Clone, Copy)]
enum After {
    /// Closes it at once.
    Close(u32),
    /// Reads one more request, and closes the connection without an answer.
    CloseUnanswered(u32),
    /// Reads one more request, and never answers.
    Hang(u32),
    /// Answers with hundreds of headers.
    ManyHeaders(u32),
    /// Sends interim responses without end.
    EndlessInterim(u32),
    Never,
}

struct Server {
    api: Api,
    connections: Arc<AtomicU32>,
    /// How many connections have ended.
    closed: Arc<AtomicU32>,
    /// The credentials of each request.
    seen: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Server {
    async fn start(after: After) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let api = Api { base_url: base_url.parse().unwrap(), ca_pem: Some(cert.pem()), ..Api::default() };
        let server = Self { api, connections: Arc::default(), closed: Arc::default(), seen: Arc::default() };
        let (connections, closed, seen) =
            (Arc::clone(&server.connections), Arc::clone(&server.closed), Arc::clone(&server.seen));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, closed, seen) = (acceptor.clone(), Arc::clone(&closed), Arc::clone(&seen));
                tokio::spawn(async move {
                    serve(acceptor, stream, after, &seen).await;
                    closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, after: After, seen: &std::sync::Mutex<Vec<String>>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    for answered in 0.. {
        if matches!(after, After::Close(limit) if answered == limit) {
            break;
        }
        let Some(request) = read_request(&mut stream).await else { return };
        seen.lock().unwrap().push(request);
        match after {
            After::CloseUnanswered(limit) if answered == limit => break,
            After::Hang(limit) if answered == limit => std::future::pending().await,
            After::ManyHeaders(limit) if answered >= limit => {
                let response =
                    RESPONSE.replace("\r\n\r\n", &format!("\r\n{}\r\n", "x-more: a\r\n".repeat(500)));
                // The client may give up.
                let _ = stream.write_all(response.as_bytes()).await;
            }
            After::EndlessInterim(limit) if answered >= limit => {
                while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {}
                break;
            }
            _ => stream.write_all(RESPONSE.as_bytes()).await.unwrap(),
        }
    }
    let _ = stream.shutdown().await;
}

/// The `authorization` of the next request; `None` if the client has closed the connection.
async fn read_request(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    head.lines().find_map(|line| line.strip_prefix("authorization: ")).map(str::to_owned)
}

async fn probe(prober: &Prober, token: &str, connection: Connection, timeout: Duration) -> ProbeReport {
    let (token, secret) = (SecretString::from(token), SecretString::from(SECRET));
    let credentials = Some(Credentials { token: &token, secret: &secret, society_id: None });
    let request = ProbeRequest { kind: CANARY, path: EXERCICES_PATH, credentials, timeout, connection };
    prober.probe(request).await
}

async fn reusing(prober: &Prober, token: &str) -> ProbeReport {
    probe(prober, token, Connection::Reuse, LONG).await
}

fn samples(report: &ProbeReport) -> Vec<Phase> {
    report.phases.samples().map(|(phase, _)| phase).collect()
}

const REUSED: [Phase; 2] = [Phase::Processing, Phase::Transfer];

#[tokio::test]
async fn an_open_connection_serves_every_key_and_has_no_sample_of_the_first_phases() {
    let server = Server::start(After::Never).await;
    let prober = Prober::new(&server.api).unwrap();
    let first = reusing(&prober, "one").await;
    assert_eq!(reason(&first), None, "{first:?}");
    assert!(samples(&first).starts_with(&[Phase::Resolve, Phase::Connect, Phase::Tls]), "{first:?}");
    for token in ["two", "one", "two"] {
        let report = reusing(&prober, token).await;
        assert_eq!(reason(&report), None, "{report:?}");
        assert_eq!(samples(&report), REUSED);
        assert_eq!(report.phases.iter().map(|(_, took)| took).sum::<Duration>(), report.phases.total());
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(*server.seen.lock().unwrap(), ["Bearer one", "Bearer two", "Bearer one", "Bearer two"]);
    let fresh = probe(&prober, "one", Connection::Fresh, LONG).await;
    assert!(samples(&fresh).contains(&Phase::Tls), "a fresh probe uses no open connection");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn probes_at_the_same_time_have_a_connection_each() {
    let server = Server::start(After::Never).await;
    let prober = Prober::new(&server.api).unwrap();
    for _ in 0..3 {
        let (one, two) = tokio::join!(reusing(&prober, "one"), reusing(&prober, "two"));
        assert_eq!((reason(&one), reason(&two)), (None, None), "{one:?} {two:?}");
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_serves_only_the_runtime_that_opened_it() {
    let server = Server::start(After::Never).await;
    let prober = Prober::new(&server.api).unwrap();
    assert_eq!(reason(&reusing(&prober, "one").await), None);
    let of_another_runtime = prober.clone();
    let report = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(reusing(&of_another_runtime, "two"))
    });
    assert_eq!(reason(&report.await.unwrap()), None);
    assert_eq!(server.connections(), 2);
    let again = reusing(&prober, "one").await;
    assert_eq!(samples(&again), REUSED, "its own connection still waits for it");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_was_idle_for_too_long_is_closed_whatever_its_runtime_is() {
    let server = Server::start(After::Never).await;
    let prober = Prober::new(&server.api).unwrap();
    let of_another_runtime = prober.clone();
    let runtime = tokio::task::spawn_blocking(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        assert_eq!(reason(&runtime.block_on(reusing(&of_another_runtime, "one"))), None);
        runtime
    });
    let runtime = runtime.await.unwrap();
    for (waited, closed) in [(80, 0), (20, 1)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(waited)).await;
        tokio::time::resume();
        assert_eq!(reason(&reusing(&prober, "two").await), None);
        while server.closed.load(Ordering::SeqCst) < closed {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.closed.load(Ordering::SeqCst), closed, "after {waited} s more");
    }
    assert_eq!(server.connections(), 2);
    runtime.shutdown_background();
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_it_was_idle_is_no_failure() {
    let server = Server::start(After::Close(1)).await;
    let prober = Prober::new(&server.api).unwrap();
    for number in 1..=5 {
        let report = reusing(&prober, "one").await;
        assert_eq!(reason(&report), None, "{report:?}");
        assert!(samples(&report).contains(&Phase::Tls));
        assert_eq!(server.connections(), number);
        // The next probe starts when the client may have seen the end, or not yet.
        while server.closed.load(Ordering::SeqCst) < number {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_request_that_an_open_connection_did_not_answer_is_sent_once_more_on_a_new_one() {
    let server = Server::start(After::CloseUnanswered(1)).await;
    let prober = Prober::new(&server.api).unwrap();
    assert_eq!(reason(&reusing(&prober, "one").await), None);
    let report = reusing(&prober, "two").await;
    assert_eq!(reason(&report), None, "{report:?}");
    assert!(samples(&report).contains(&Phase::Tls), "the phases are those of the new connection");
    assert_eq!(server.connections(), 2);
    assert_eq!(*server.seen.lock().unwrap(), ["Bearer one", "Bearer two", "Bearer two"]);
}

#[tokio::test]
async fn a_new_connection_that_is_closed_without_an_answer_is_a_failure() {
    let server = Server::start(After::CloseUnanswered(0)).await;
    let prober = Prober::new(&server.api).unwrap();
    assert_eq!(reason(&reusing(&prober, "one").await), Some(Reason::Io));
    assert_eq!(server.connections(), 1, "the request is not sent again");
}

#[tokio::test]
async fn a_connection_that_did_not_answer_in_time_is_not_used_again() {
    let server = Server::start(After::Hang(1)).await;
    let prober = Prober::new(&server.api).unwrap();
    assert_eq!(reason(&reusing(&prober, "one").await), None);
    let late = probe(&prober, "one", Connection::Reuse, Duration::from_millis(300)).await;
    assert_eq!(reason(&late), Some(Reason::Timeout));
    assert_eq!(samples(&late), [Phase::Processing]);
    assert_eq!(reason(&reusing(&prober, "one").await), None);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_api_that_begins_to_send_hundreds_of_headers_is_asked_twice_once_and_its_connections_are_used_again()
 {
    let server = Server::start(After::ManyHeaders(1)).await;
    let prober = Prober::new(&server.api).unwrap();
    for token in ["one", "two", "three", "four"] {
        let report = reusing(&prober, token).await;
        assert_eq!((reason(&report), report.status), (None, Some(200)), "{report:?}");
    }
    // The first answer of a connection is short. The second one is too large for the first connection.
    let expected = ["Bearer one", "Bearer two", "Bearer two", "Bearer three", "Bearer four"];
    assert_eq!(*server.seen.lock().unwrap(), expected);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn the_limit_before_a_body_holds_for_each_response_of_an_open_connection() {
    let server = Server::start(After::EndlessInterim(3)).await;
    let prober = Prober::new(&server.api).unwrap();
    for token in ["one", "two", "three"] {
        assert_eq!(reason(&reusing(&prober, token).await), None);
    }
    let flooded = reusing(&prober, "four").await;
    assert_eq!((reason(&flooded), samples(&flooded)), (Some(Reason::Io), vec![Phase::Processing]));
    assert_eq!(server.connections(), 1, "the request is not sent again");
}
