//! A server that plays a script of bytes and actions on a real socket, to attack its client.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// The pause between two pieces that are sent slowly.
const DRIP_INTERVAL: Duration = Duration::from_millis(20);

/// One step of a script. After the last step, the server closes its sending side and waits until the client closes
/// the connection.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Sends these bytes.
    Send(Bytes),
    /// Sends these bytes again and again, as fast as the client reads them.
    Flood(Bytes),
    /// Sends these bytes again and again, slowly.
    Drip(Bytes),
    /// Sends these bytes once, directly on the TCP connection below TLS.
    BelowTls(Bytes),
    /// Waits for one byte from the client.
    Listen,
    /// Sends nothing more, and leaves the connection open.
    Stall,
    /// Closes the connection with an RST.
    Reset,
    /// Closes the sending side with a FIN. Over TLS, without `close_notify`.
    Finish,
}

/// Chooses the script for a request.
type Choose = Arc<dyn Fn(&str) -> Vec<Action> + Send + Sync>;

/// What the server does before it plays a script.
#[derive(Clone)]
enum Mode {
    /// Plays the script at once on the bare socket. It reads nothing unless the script says so.
    Bare(Vec<Action>),
    /// Does the TLS handshake, if it has a certificate, reads the request, and plays the script chosen for it.
    Respond(Option<TlsAcceptor>, Choose),
}

/// The server. It ends when it is dropped.
pub(crate) struct ScriptedServer {
    scheme: &'static str,
    address: SocketAddr,
    authority: String,
    counters: Arc<Counters>,
    _task: AbortOnDropHandle<()>,
}

/// What the server counts and records.
#[derive(Debug, Default)]
struct Counters {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    sent: AtomicU64,
}

impl ScriptedServer {
    /// Plays this script for each request on plain HTTP.
    pub(crate) async fn http(script: impl Into<Vec<Action>>) -> Self {
        let script = script.into();
        Self::choosing(move |_| script.clone()).await
    }

    /// Plays the script chosen for each request on plain HTTP.
    pub(crate) async fn choosing(choose: impl Fn(&str) -> Vec<Action> + Send + Sync + 'static) -> Self {
        Self::start("http", |_| Mode::Respond(None, Arc::new(choose))).await
    }

    /// Plays this script for each request over TLS. A client that has `ca_pem` trusts the certificate.
    pub(crate) async fn https(script: impl Into<Vec<Action>>) -> Self {
        let script = script.into();
        Self::choosing_over_tls("http/1.1", move |_| script.clone()).await
    }

    /// Plays the script chosen for each request over TLS. ALPN offers only this protocol.
    pub(crate) async fn choosing_over_tls(
        protocol: &str,
        choose: impl Fn(&str) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        Self::start("https", |mut tls| {
            tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
            Mode::Respond(Some(TlsAcceptor::from(Arc::new(tls))), Arc::new(choose))
        })
        .await
    }

    /// Plays this script for each request over TLS with this certificate chain.
    pub(crate) async fn presenting(
        chain: Vec<CertificateDer<'static>>,
        key: &rcgen::KeyPair,
        script: impl Into<Vec<Action>>,
    ) -> Self {
        let script = script.into();
        let tls = server_config(chain, key.serialize_der());
        let choose: Choose = Arc::new(move |_| script.clone());
        Self::start("https", |_| Mode::Respond(Some(TlsAcceptor::from(Arc::new(tls))), choose)).await
    }

    /// Plays the script on the bare socket. The scheme is used only in the URL.
    pub(crate) async fn bare(scheme: &'static str, script: impl Into<Vec<Action>>) -> Self {
        Self::start(scheme, |_| Mode::Bare(script.into())).await
    }

    async fn start(scheme: &'static str, mode: impl FnOnce(ServerConfig) -> Mode) -> Self {
        let (authority, tls) = certificate();
        let mode = mode(tls);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counters = Arc::<Counters>::default();
        let accept = accept(listener, mode, Arc::clone(&counters));
        Self { scheme, address, authority, counters, _task: AbortOnDropHandle::new(tokio::spawn(accept)) }
    }

    /// The certificate authority of the server, in PEM.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.authority
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Each request that the server read, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.counters.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.counters.connections.load(Ordering::Relaxed)
    }

    /// How many bytes the server has sent: those that the client read, and those in the socket buffers.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.counters.sent.load(Ordering::Relaxed)
    }

    /// Waits until all connections are closed.
    pub(crate) async fn all_connections_closed(&self) {
        let closed = async {
            while self.counters.open.load(Ordering::Relaxed) > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_mins(1), closed).await.expect("the client closes its connections");
    }
}

/// A self-signed certificate for the loopback address, and the TLS configuration with it.
fn certificate() -> (String, ServerConfig) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    (cert.pem(), server_config(vec![cert.der().clone()], signing_key.serialize_der()))
}

fn server_config(chain: Vec<CertificateDer<'static>>, key: Vec<u8>) -> ServerConfig {
    let key = PrivateKeyDer::Pkcs8(key.into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_no_client_auth().with_single_cert(chain, key).unwrap()
}

async fn accept(listener: TcpListener, mode: Mode, counters: Arc<Counters>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        counters.connections.fetch_add(1, Ordering::Relaxed);
        counters.open.fetch_add(1, Ordering::Relaxed);
        let (mode, counters) = (mode.clone(), Arc::clone(&counters));
        connections.spawn(async move {
            serve(stream, mode, &counters).await;
            counters.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn serve(stream: TcpStream, mode: Mode, counters: &Counters) {
    match mode {
        Mode::Bare(script) => play(stream, |stream| stream, script, counters).await,
        Mode::Respond(None, choose) => respond(stream, |stream| stream, choose, counters).await,
        Mode::Respond(Some(tls), choose) => {
            // A client that refuses the handshake closes the connection.
            let Ok(stream) = tls.accept(stream).await else { return };
            respond(stream, |stream| stream.get_ref().0, choose, counters).await;
        }
    }
}

async fn respond<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    socket: fn(&S) -> &TcpStream,
    choose: Choose,
    counters: &Counters,
) {
    let Some(request) = read_request(&mut stream).await else { return };
    let script = choose(&request);
    counters.requests.lock().unwrap().push(request);
    play(stream, socket, script, counters).await;
}

/// Reads head and body; `None` if the client closes the connection first.
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
    counters: &Counters,
) {
    for action in script {
        let continues = match action {
            Action::Send(bytes) => write_bytes(&mut stream, &bytes, counters).await,
            Action::Flood(bytes) => loop {
                if !write_bytes(&mut stream, &bytes, counters).await {
                    break false;
                }
            },
            Action::Drip(bytes) => loop {
                if !write_bytes(&mut stream, &bytes, counters).await {
                    break false;
                }
                sleep(DRIP_INTERVAL).await;
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
            Action::Finish => {
                rustix::net::shutdown(socket(&stream), rustix::net::Shutdown::Write).unwrap();
                read_to_the_end(&mut stream).await;
                false
            }
        };
        if !continues {
            return;
        }
    }
    // The rest is read, because unread data would turn the close into an RST.
    let _ = stream.shutdown().await;
    read_to_the_end(&mut stream).await;
}

/// Whether the bytes could be sent.
async fn write_bytes(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], counters: &Counters) -> bool {
    let sent = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    let sent = sent.await.is_ok();
    if sent {
        counters.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
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

/// The head of a response, given as its lines without the protocol version.
pub(crate) fn head(lines: &str) -> Action {
    send(format!("HTTP/1.1 {}\r\n\r\n", lines.replace('\n', "\r\n")))
}

/// The head of a JSON response whose body ends with the connection.
pub(crate) fn json_head() -> Action {
    head("200 OK\ncontent-type: application/json")
}

/// A complete JSON response.
pub(crate) fn json(status: u16, body: impl AsRef<[u8]>) -> Action {
    json_with("", status, body)
}

/// The same with additional header lines.
pub(crate) fn json_with(headers: &str, status: u16, body: impl AsRef<[u8]>) -> Action {
    let headers = headers.lines().fold(String::new(), |text, line| text + line + "\r\n");
    let length = body.as_ref().len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    send([head.as_bytes(), body.as_ref()].concat())
}

/// A gzip bomb: its start, and a piece that can be repeated without end and is about a thousand times larger when it
/// is decompressed.
pub(crate) fn bomb() -> (Action, Action) {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(b"[").unwrap();
    gzip.flush().unwrap();
    let start = std::mem::take(gzip.get_mut());
    // The first piece can refer back to the text before it. The second one refers only to spaces, so it can be repeated.
    for _ in 0..2 {
        gzip.get_mut().clear();
        gzip.write_all(&vec![b' '; 1 << 20]).unwrap();
        gzip.flush().unwrap();
    }
    let piece = std::mem::take(gzip.get_mut());
    assert!(piece.len() < 4 << 10, "{}", piece.len());
    (send(start), flood(piece))
}

/// One gzip member.
pub(crate) fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_ref()).unwrap();
    gzip.finish().unwrap()
}

pub(crate) fn gzip_head() -> Action {
    head("200 OK\ncontent-type: application/json\ncontent-encoding: gzip")
}

/// JSON arrays nested this deep.
pub(crate) fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}
