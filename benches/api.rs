//! A Partner API that knows the truth: `api PORT CERTIFICATE KEY [DNS_ADDRESS]`. It is also the proxy in front of itself, so it
//! can delay each phase of a probe but the look-up: the response to CONNECT, the handshake, the first and the last byte of
//! the response. It measures each delay with its own clock, and prints it with the request ID of the response.
//! The DNS server delays each answer, too, and prints when it answered and how long the client waited.
//!
//! A line `revoke TOKEN` on its standard input revokes a token.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and fails by panicking")]

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Duration, Instant, sleep};
use tokio_rustls::TlsAcceptor;

/// How long a DNS client waits for an answer.
const LOOK_UP: Duration = Duration::from_millis(20);

const KEY_INFO: &str = r#"{"target":{"type":"api","schemaId":80,"thirdPartyId":101,"societyId":127},
"version":{"current":1,"latest":1,"beta":false},"canBeActivated":true,"isActivated":true,
"routes":[{"path":"/api/v1/society","method":"get"}]}"#;

struct Api {
    acceptor: TlsAcceptor,
    /// The number of the last request.
    requests: AtomicU64,
    revoked: Mutex<HashSet<String>>,
}

/// The delays of the phases of one probe. Different probes have different ones.
struct Delays {
    connect: Duration,
    tls: Duration,
    processing: Duration,
    transfer: Duration,
}

impl Delays {
    fn of(number: u64) -> Self {
        let of = |least: u64, span: u64, factor: u64| {
            Duration::from_micros((least + number.wrapping_mul(factor) % span) * 1_000)
        };
        Self {
            connect: of(5, 26, 7),
            tls: of(10, 31, 11),
            processing: of(20, 61, 13),
            transfer: of(5, 36, 17),
        }
    }
}

/// Reads the head of a request, and nothing more: the client waits for the response.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Sends the bytes now, and not when the client confirms earlier ones.
async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

impl Api {
    fn body(&self, head: &str) -> (u16, &'static str) {
        let path = head.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/api/partners/health") {
            return (200, r#"{"status":"UP"}"#);
        }
        let token = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then(|| value.trim_start_matches("Bearer "))
        });
        if token.is_none_or(|token| self.revoked.lock().unwrap().contains(token)) {
            return (
                401,
                r#"{"status":"fail","error":{"code":"ERR-API-TOKEN-NOT-FOUND","message":"The API token was not found"}}"#,
            );
        }
        (
            200,
            if path.starts_with("/api/v1/key/info") {
                KEY_INFO
            } else {
                r#"[{"id":1,"start_date":"2026-01-01"}]"#
            },
        )
    }

    /// One probe. Its client asks for a tunnel, shakes hands, and sends one request.
    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let accepted = Instant::now();
        stream.set_nodelay(true)?;
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let delays = Delays::of(number);
        read_head(&mut stream).await?;
        sleep(delays.connect).await;
        send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await?;
        let connected = Instant::now();
        // The first bytes of the handshake wait in the kernel.
        stream.readable().await?;
        sleep(delays.tls).await;
        // It ends when the last message of the client is here.
        let mut stream = self.acceptor.accept(stream).await?;
        let shaken = Instant::now();
        let head = read_head(&mut stream).await?;
        let requested = Instant::now();
        let (status, body) = self.body(&head);
        sleep(delays.processing).await;
        let head = format!(
            "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\nrequest-id: bench-{number}\r\n\
             x-rate-limit-limit: 20\r\nx-rate-limit-remaining: 19\r\nx-rate-limit-reset: 10\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        send(&mut stream, head.as_bytes()).await?;
        let answered = Instant::now();
        sleep(delays.transfer).await;
        send(&mut stream, body.as_bytes()).await?;
        let sent = Instant::now();
        let micros = |from: Instant, to: Instant| to.duration_since(from).as_micros();
        println!(
            "{{\"id\":\"bench-{number}\",\"connect\":{},\"tls\":{},\"processing\":{},\"transfer\":{}}}",
            micros(accepted, connected),
            micros(connected, shaken),
            micros(requested, answered),
            micros(answered, sent)
        );
        stream.shutdown().await
    }

    /// Runs on a thread of its own, because reading blocks.
    fn revoke_on_demand(&self) {
        for line in io::stdin().lines().map_while(Result::ok) {
            if let Some(token) = line.strip_prefix("revoke ") {
                self.revoked.lock().unwrap().insert(token.to_owned());
            }
        }
    }
}

/// The answer to a question: this machine, or nothing if it is not about IPv4.
fn dns_answer(query: &[u8]) -> Option<Vec<u8>> {
    let name_len = query.get(12..)?.iter().position(|byte| *byte == 0)? + 1;
    let question = query.get(12..12 + name_len + 4)?;
    let is_v4 = question.get(name_len..name_len + 2)? == [0, 1];
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_v4), 0, 0, 0, 0]);
    answer.extend(question);
    if is_v4 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

async fn serve_dns(address: SocketAddr) {
    let socket = Arc::new(UdpSocket::bind(address).await.unwrap());
    let mut query = [0; 512];
    loop {
        let (len, client): (usize, SocketAddr) = socket.recv_from(&mut query).await.unwrap();
        let (asked, socket) = (Instant::now(), Arc::clone(&socket));
        let Some(answer) = query.get(..len).and_then(dns_answer) else { continue };
        tokio::spawn(async move {
            sleep(LOOK_UP).await;
            socket.send_to(&answer, client).await.unwrap();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let waited = asked.elapsed().as_micros();
            println!("{{\"client\":\"{client}\",\"dns\":{waited},\"at\":{:.6}}}", now.as_secs_f64());
        });
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo bench` itself passes a flag.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [port, certificate, key, dns @ ..] = arguments.as_slice() else { return };
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let mut tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tls.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let api = Arc::new(Api { acceptor, requests: AtomicU64::default(), revoked: Mutex::default() });
    if let Some(dns) = dns.first() {
        tokio::spawn(serve_dns(dns.parse().unwrap()));
    }
    std::thread::spawn({
        let api = Arc::clone(&api);
        move || api.revoke_on_demand()
    });
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).await.unwrap();
    println!("{{\"ready\":true}}");
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let api = Arc::clone(&api);
        tokio::spawn(async move { api.serve(stream).await });
    }
}
