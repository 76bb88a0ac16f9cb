//! The server below the routes: accepts connections, speaks TLS and HTTP on them, and lets none of them
//! keep what another needs.
//!
//! Every connection is in one of three moods ([`Mood`]), each with a patience of its own, and there is
//! room for so many ([`ConnectionLimits`]): where it is full, somebody of the address that has the most of them makes
//! room for who comes. So neither clients that never finish a request, nor thousands that never leave, nor
//! thousands that guess passwords keep Prometheus out.

mod connection_limits;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use crate::auth::{Auth, Protection};
use crate::observer::{DropReason, Observer};
use connection_limits::{ConnectionGuard, ConnectionLimits, RequestGuard, network};

/// A request's head larger than this is refused: no client of an exporter writes a tenth of it.
const LARGEST_HEAD: usize = 16 << 10;
/// How many requests one HTTP/2 connection may have under way.
const MOST_STREAMS: u32 = 16;
/// How long to wait before accepting again when the system has no descriptor left.
const BREATH: Duration = Duration::from_millis(200);
/// How often at the most the log tells that connections can't be accepted.
const REMINDER: Duration = Duration::from_mins(1);

/// What answers, for every listener alike. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    /// The routes.
    pub router: Router,
    /// Who may come in.
    pub auth: Auth,
    /// Where it is counted.
    pub observer: Arc<dyn Observer>,
}

/// Serves on every listener until `stop`, with at most so many connections in all; then ends when the
/// answers under way have gone out.
pub async fn serve(
    listeners: Vec<TcpListener>,
    service: Service,
    most_connections: usize,
    stop: CancellationToken,
) {
    let limits = ConnectionLimits::new(most_connections, Arc::clone(&service.observer));
    let mut listening = JoinSet::new();
    for listener in listeners {
        listening.spawn(accept(listener, service.clone(), Arc::clone(&limits), stop.clone()));
    }
    while listening.join_next().await.is_some() {}
}

/// Accepts on one listener, and waits in the end for the connections that came by it.
async fn accept(
    listener: TcpListener,
    service: Service,
    limits: Arc<ConnectionLimits>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let mut trouble = Trouble::default();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok((stream, from)) => (stream, network(from.ip())),
            Err(error) if is_the_client_s(&error) => continue,
            Err(error) => {
                service.observer.connection_dropped(DropReason::Accept);
                trouble.note(&error);
                // Whoever leaves gives back a descriptor.
                limits.ask_one_to_leave();
                sleep(BREATH).await;
                continue;
            }
        };
        trouble.is_over();
        let guard = tokio::select! {
            () = stop.cancelled() => break,
            guard = limits.enter(from) => guard,
        };
        connections.spawn(attend(stream, guard, service.clone(), stop.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Whether the client went away before it was accepted.
fn is_the_client_s(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// What stands in the log while connections can't be accepted: a line as it begins, one a minute, one as
/// it ends.
#[derive(Default)]
struct Trouble {
    told: Option<Instant>,
}

impl Trouble {
    fn note(&mut self, error: &io::Error) {
        if self.told.is_none_or(|told| told.elapsed() >= REMINDER) {
            self.told = Some(Instant::now());
            warn!(
                %error,
                "connections can't be accepted; if files are too many, raise the limit (ulimit -n, LimitNOFILE=)"
            );
        }
    }

    fn is_over(&mut self) {
        if self.told.take().is_some() {
            info!("connections are accepted again");
        }
    }
}

/// One connection from its first byte to its last.
async fn attend(stream: TcpStream, guard: ConnectionGuard, mut service: Service, stop: CancellationToken) {
    let protection = service.auth.current();
    let _ = stream.set_nodelay(true);
    let Some(config) = &protection.tls else {
        // Each request is looked at by itself: here a change of the protection ends no connection.
        return converse(stream, Speech::Http1, &guard, &mut service, &stop).await;
    };
    let handshake = greet(stream, TlsAcceptor::from(Arc::clone(config)));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        dropped = guard.lost() => return service.observer.connection_dropped(dropped),
        () = stop.cancelled() => return,
    };
    match shaken {
        Ok(stream) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let speech = if http2 { Speech::Https2 } else { Speech::Https1 };
            converse(stream, speech, &guard, &mut service, &stop).await;
        }
        Err(error) => {
            // Not louder: anybody can make it happen as often as they like.
            debug!(%error, "TLS handshake failed");
            service.observer.connection_dropped(DropReason::Handshake);
        }
    }
}

/// Shakes hands. Whoever speaks plain HTTP is told so in plain HTTP.
async fn greet(
    mut stream: TcpStream,
    tls: TlsAcceptor,
) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    const ANSWER: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
        This port speaks HTTPS: ask again with https://.\n";
    let mut first = [0];
    stream.peek(&mut first).await?;
    // Every method begins with a capital; a handshake begins with 22.
    if first.iter().all(u8::is_ascii_uppercase) {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client spoke plain HTTP"));
    }
    tls.accept(stream).await
}

/// What was agreed upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Http1,
    Https1,
    Https2,
}

/// Speaks HTTP until either side ends it, or this side loses patience.
async fn converse<S>(
    stream: S,
    speech: Speech,
    guard: &ConnectionGuard,
    service: &mut Service,
    stop: &CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handler = service_fn(|request| {
        let (service, serving) = (service.clone(), guard.serve());
        async move {
            let answer = service.answer(request, &serving).await;
            // The mood lasts until the last piece of the body was taken.
            Ok::<_, Infallible>(answer.map(|body| {
                body.map_frame(move |frame| {
                    let _ = &serving;
                    frame
                })
            }))
        }
    });
    let mut auth = service.auth.clone();
    let builder = http(speech);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), handler));
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    debug!(error, "connection ended early");
                }
                return;
            }
            dropped = guard.lost() => return service.observer.connection_dropped(dropped),
            () = stop.cancelled(), if !leaving => leaving = true,
            // Whoever shook hands by other rules does so again.
            () = auth.changed(), if speech != Speech::Http1 && !leaving => leaving = true,
        }
        connection.as_mut().graceful_shutdown();
    }
}

/// HTTP within bounds. The patience is this module's own: hyper's would end a connection that waits for
/// the next scrape.
fn http(speech: Speech) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(LARGEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX));
    if speech == Speech::Https2 { builder.http2_only() } else { builder.http1_only() }
}

impl Service {
    async fn answer(&self, request: Request<Incoming>, serving: &RequestGuard) -> Response {
        let protection: Arc<Protection> = self.auth.clone().current();
        let mut answer = match protection.authorize(&request, serving.from()).await {
            Ok(()) => {
                serving.admitted();
                match self.router.clone().oneshot(request.map(Body::new)).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                }
            }
            Err(answer) => answer,
        };
        protection.apply_headers(&mut answer);
        self.observer.request_answered(answer.status());
        answer
    }
}
