//! A server that attacks whoever asks it: a script of bytes and acts on a real socket.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// Between two pieces of what drips.
const DRIP: Duration = Duration::from_millis(20);

/// One thing that the server does to a connection. A script that has come to its end closes the sending
/// half, and waits for the client to leave.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Sends these bytes.
    Send(Bytes),
    /// Sends them again and again, as fast as somebody takes them.
    Flood(Bytes),
    /// Sends them again and again, slowly.
    Drip(Bytes),
    /// Sends these bytes once, beneath TLS.
    BelowTls(Bytes),
    /// Waits for the client's first byte.
    Listen,
    /// Does nothing more, and leaves the connection open.
    Stall,
    /// Breaks the connection with a RST.
    Reset,
}

/// What a request is answered with.
type Choice = Arc<dyn Fn(&str) -> Vec<Action> + Send + Sync>;

/// How the server treats a connection.
#[derive(Clone)]
enum Manner {
    /// It plays a script on the bare socket, and reads nothing unless the script says so.
    Bare(Vec<Action>),
    /// It shakes hands where it has a certificate, reads the request, and plays the script chosen for it.
    Answer(Option<TlsAcceptor>, Choice),
}

/// The server; it ends when it is dropped.
pub(crate) struct ScriptedServer {
    scheme: &'static str,
    address: SocketAddr,
    authority: String,
    seen: Arc<Seen>,
    _task: AbortOnDropHandle<()>,
}

/// What the server noticed.
#[derive(Debug, Default)]
struct Seen {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    taken: AtomicU64,
}

impl ScriptedServer {
    /// Answers each request on plain HTTP with this script.
    pub(crate) async fn http(script: impl Into<Vec<Action>>) -> Self {
        let script = script.into();
        Self::choosing(move |_| script.clone()).await
    }

    /// Answers each request on plain HTTP with the script chosen for it.
    pub(crate) async fn choosing(choose: impl Fn(&str) -> Vec<Action> + Send + Sync + 'static) -> Self {
        Self::start("http", |_| Manner::Answer(None, Arc::new(choose))).await
    }

    /// Answers each request over TLS with this script; the client trusts the certificate.
    pub(crate) async fn https(script: impl Into<Vec<Action>>) -> Self {
        let script = script.into();
        Self::choosing_over_tls("http/1.1", move |_| script.clone()).await
    }

    /// Answers each request over TLS with the script chosen for it, and agrees on one protocol alone.
    pub(crate) async fn choosing_over_tls(
        protocol: &str,
        choose: impl Fn(&str) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        Self::start("https", |mut tls| {
            tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
            Manner::Answer(Some(TlsAcceptor::from(Arc::new(tls))), Arc::new(choose))
        })
        .await
    }

    /// Plays the script on the bare socket, whatever the URL's scheme promises.
    pub(crate) async fn bare(scheme: &'static str, script: impl Into<Vec<Action>>) -> Self {
        Self::start(scheme, |_| Manner::Bare(script.into())).await
    }

    async fn start(scheme: &'static str, manner: impl FnOnce(ServerConfig) -> Manner) -> Self {
        let (authority, tls) = certificate();
        let manner = manner(tls);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Seen>::default();
        let accept = accept(listener, manner, Arc::clone(&seen));
        Self { scheme, address, authority, seen, _task: AbortOnDropHandle::new(tokio::spawn(accept)) }
    }

    /// The certificate authority of the server, in PEM.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.authority
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Every request it read, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// How many bytes it got rid of: what the client took, and what the sockets hold.
    pub(crate) fn taken(&self) -> u64 {
        self.seen.taken.load(Ordering::Relaxed)
    }

    /// Waits until no client holds a connection open.
    pub(crate) async fn all_connections_closed(&self) {
        let closed = async {
            while self.seen.open.load(Ordering::Relaxed) > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_mins(1), closed).await.expect("the client closes its connections");
    }
}

/// A certificate for loopback that is its own authority, and what to present.
fn certificate() -> (String, ServerConfig) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    (cert.pem(), config)
}

async fn accept(listener: TcpListener, manner: Manner, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        seen.connections.fetch_add(1, Ordering::Relaxed);
        seen.open.fetch_add(1, Ordering::Relaxed);
        let (manner, seen) = (manner.clone(), Arc::clone(&seen));
        connections.spawn(async move {
            converse(stream, manner, &seen).await;
            seen.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn converse(stream: TcpStream, manner: Manner, seen: &Seen) {
    match manner {
        Manner::Bare(script) => play(stream, |stream| stream, script, seen).await,
        Manner::Answer(None, choose) => answer(stream, |stream| stream, choose, seen).await,
        Manner::Answer(Some(tls), choose) => {
            // A client that refuses the handshake has left.
            let Ok(stream) = tls.accept(stream).await else { return };
            answer(stream, |stream| stream.get_ref().0, choose, seen).await;
        }
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    socket: fn(&S) -> &TcpStream,
    choose: Choice,
    seen: &Seen,
) {
    let Some(request) = read_request(&mut stream).await else { return };
    let script = choose(&request);
    seen.requests.lock().unwrap().push(request);
    play(stream, socket, script, seen).await;
}

/// Reads head and body; `None` where the client leaves first.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        request.push(char::from(stream.read_u8().await.ok()?));
    }
    let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(request + &String::from_utf8(body).unwrap())
}

async fn play<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    socket: fn(&S) -> &TcpStream,
    script: Vec<Action>,
    seen: &Seen,
) {
    for action in script {
        let goes_on = match action {
            Action::Send(bytes) => write_bytes(&mut stream, &bytes, seen).await,
            Action::Flood(bytes) => loop {
                if !write_bytes(&mut stream, &bytes, seen).await {
                    break false;
                }
            },
            Action::Drip(bytes) => loop {
                if !write_bytes(&mut stream, &bytes, seen).await {
                    break false;
                }
                sleep(DRIP).await;
            },
            Action::BelowTls(bytes) => {
                socket(&stream).writable().await.unwrap();
                socket(&stream).try_write(&bytes).is_ok()
            }
            Action::Listen => stream.read_u8().await.is_ok(),
            Action::Stall => {
                read_to_the_end(&mut stream).await;
                false
            }
            Action::Reset => {
                socket(&stream).set_zero_linger().unwrap();
                false
            }
        };
        if !goes_on {
            return;
        }
    }
    // What the client left unread, or sends meanwhile, must not turn the end into a RST.
    let _ = stream.shutdown().await;
    read_to_the_end(&mut stream).await;
}

/// Whether somebody took it.
async fn write_bytes(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], seen: &Seen) -> bool {
    let sent = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    let sent = sent.await.is_ok();
    if sent {
        seen.taken.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
    sent
}

async fn read_to_the_end(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

pub(crate) fn send(bytes: impl AsRef<[u8]>) -> Action {
    Action::Send(Bytes::copy_from_slice(bytes.as_ref()))
}

pub(crate) fn flood(piece: impl AsRef<[u8]>) -> Action {
    Action::Flood(piece.as_ref().repeat((64 << 10) / piece.as_ref().len()).into())
}

pub(crate) fn drip(piece: impl AsRef<[u8]>) -> Action {
    Action::Drip(Bytes::copy_from_slice(piece.as_ref()))
}

/// An answer's head, given as its lines without the protocol.
pub(crate) fn head(lines: &str) -> Action {
    send(format!("HTTP/1.1 {}\r\n\r\n", lines.replace('\n', "\r\n")))
}

/// The head of a JSON answer that ends where the connection does.
pub(crate) fn json_head() -> Action {
    head("200 OK\ncontent-type: application/json")
}

/// A whole answer of JSON.
pub(crate) fn json(status: u16, body: impl AsRef<[u8]>) -> Action {
    json_with("", status, body)
}

/// The same with these header lines.
pub(crate) fn json_with(headers: &str, status: u16, body: impl AsRef<[u8]>) -> Action {
    let headers = headers.lines().fold(String::new(), |text, line| text + line + "\r\n");
    let length = body.as_ref().len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    send([head.as_bytes(), body.as_ref()].concat())
}

/// A piece of gzip that can follow itself for ever: a thousand times larger once unpacked.
pub(crate) fn bomb() -> (Action, Action) {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(b"[").unwrap();
    gzip.flush().unwrap();
    let fuse = std::mem::take(gzip.get_mut());
    // After a flush the piece before must not be referred to: only the second one stands by itself.
    for _ in 0..2 {
        gzip.get_mut().clear();
        gzip.write_all(&vec![b' '; 1 << 20]).unwrap();
        gzip.flush().unwrap();
    }
    let piece = std::mem::take(gzip.get_mut());
    assert!(piece.len() < 4 << 10, "{}", piece.len());
    (send(fuse), flood(piece))
}

pub(crate) fn gzip_head() -> Action {
    head("200 OK\ncontent-type: application/json\ncontent-encoding: gzip")
}

pub(crate) fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}
