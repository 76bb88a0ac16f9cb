//! Serves routes over HTTP/1.1 and HTTP/2, with or without TLS, within connection limits.

mod connection_limits;
mod refused_handshakes;

use std::convert::Infallible;
use std::io::{
    self,
    ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset},
};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use crate::auth::Auth;
use crate::observer::{DropReason, Observer};
use connection_limits::{Connection, ConnectionLimits};
pub use refused_handshakes::RefusedHandshakes;

/// The maximum size of a request's head, in bytes: more than ten times what clients of an exporter send. For
/// HTTP/2 it is hyper's default.
const MAX_HEAD_SIZE: usize = 16 << 10;
/// The maximum number of simultaneous requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 16;
/// The delay before the next attempt to accept a connection if the system has no file descriptor left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(200);
/// The minimum time between two warnings that connections cannot be accepted.
const ACCEPT_WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// What a server serves. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub router: Router,
    pub auth: Auth,
    pub observer: Arc<dyn Observer>,
    /// Paths that clients may read without a password, such as those that an orchestrator asks.
    pub public_paths: Arc<[String]>,
    /// Which refused handshakes the log has told.
    pub refused_handshakes: Arc<RefusedHandshakes>,
}

/// Serves on all listeners until `stop` is cancelled, then returns when the responses in progress have been
/// sent. All listeners together have at most `max_connections` connections.
pub async fn serve(
    listeners: Vec<TcpListener>,
    service: Service,
    max_connections: usize,
    stop: CancellationToken,
) {
    let limits = ConnectionLimits::new(max_connections, Arc::clone(&service.observer));
    let tasks = TaskTracker::new();
    for listener in listeners {
        tasks.spawn(accept(listener, service.clone(), Arc::clone(&limits), tasks.clone(), stop.clone()));
    }
    tasks.close();
    tasks.wait().await;
}

/// Accepts connections until `stop` is cancelled.
async fn accept(
    listener: TcpListener,
    service: Service,
    limits: Arc<ConnectionLimits>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut last_warning: Option<Instant> = None;
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, client)) => {
                if last_warning.take().is_some() {
                    info!("connections are accepted again");
                }
                let admitted = stop.run_until_cancelled(limits.admit(client.ip())).await;
                let Some(connection) = admitted else { break };
                tasks.spawn(handle(stream, connection, service.clone(), stop.clone()));
            }
            // The client disconnected before the connection was accepted.
            Err(error) if matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset) => {
            }
            Err(error) => {
                service.observer.connection_dropped(DropReason::Accept);
                if last_warning.is_none_or(|at| at.elapsed() >= ACCEPT_WARNING_INTERVAL) {
                    last_warning = Some(Instant::now());
                    warn!(
                        %error,
                        "connections cannot be accepted; if too many files are open, raise the limit \
                         (ulimit -n, LimitNOFILE=)"
                    );
                }
                // A connection that is closed gives back a file descriptor.
                limits.close_one();
                sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Serves a connection until it ends, or until the connection limits close it.
async fn handle(stream: TcpStream, connection: Arc<Connection>, service: Service, stop: CancellationToken) {
    let observer = Arc::clone(&service.observer);
    tokio::select! {
        () = serve_connection(stream, &connection, service, &stop) => {}
        reason = connection.closed() => observer.connection_dropped(reason),
    }
}

/// Serves a connection until it ends. If `stop` is cancelled, or if the protection of a TLS connection changes,
/// it ends after the current response. Without TLS the connection stays, because the protection is looked up
/// for each request.
async fn serve_connection(
    stream: TcpStream,
    connection: &Arc<Connection>,
    mut service: Service,
    stop: &CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = service.auth.current().tls.clone() else {
        return serve_http(stream, false, connection, service, stop.cancelled()).await;
    };
    match stop.run_until_cancelled(handshake(stream, tls)).await {
        Some(Ok(stream)) => {
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let mut auth = service.auth.clone();
            let end = async { stop.run_until_cancelled(auth.changed()).await.unwrap_or_default() };
            serve_http(stream, http2, connection, service, end).await;
        }
        Some(Err(error)) => {
            service.refused_handshakes.log(connection.client, &error);
            service.observer.connection_dropped(DropReason::Handshake);
        }
        None => {}
    }
}

/// Does the TLS handshake. A client that uses plain HTTP gets a response in plain HTTP that says so.
async fn handshake(mut stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
    const RESPONSE: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
        This port uses TLS. Send the request to https://.\n";
    let mut first = [0];
    stream.peek(&mut first).await?;
    // HTTP methods start with a capital letter, and a TLS handshake with the byte 22.
    if first[0].is_ascii_uppercase() {
        stream.write_all(RESPONSE).await?;
        stream.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client used plain HTTP"));
    }
    TlsAcceptor::from(tls).accept(stream).await
}

/// Serves requests until the client closes the connection, or until the end of the response that is in progress
/// when `end` resolves.
async fn serve_http<S>(
    stream: S,
    http2: bool,
    connection: &Arc<Connection>,
    service: Service,
    end: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handler = service_fn(|request| {
        let (service, request_guard) = (service.clone(), connection.start_request());
        async move {
            let response = service.respond(request, &request_guard.0).await;
            // The request ends when the last frame of the body has been taken.
            Ok::<_, Infallible>(response.map(|body| {
                body.map_frame(move |frame| {
                    let _ = &request_guard;
                    frame
                })
            }))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    // hyper's timeout for a request head would also close idle connections between two scrapes.
    builder.http1().header_read_timeout(None).max_buf_size(MAX_HEAD_SIZE);
    builder.http2().max_concurrent_streams(MAX_STREAMS);
    let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    let mut http = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), handler));
    let result = tokio::select! {
        result = http.as_mut() => result,
        () = end => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = result {
        debug!(error, "connection ended early");
    }
}

impl Service {
    fn is_public<B>(&self, request: &Request<B>) -> bool {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        reads && self.public_paths.iter().any(|path| path == request.uri().path())
    }

    async fn respond(mut self, request: Request<Incoming>, connection: &Connection) -> Response {
        let protection = self.auth.current();
        let is_public = self.is_public(&request);
        let authorized = if is_public {
            protection.check_rate()
        } else {
            protection.authorize(&request, connection.client).await
        };
        let mut response = match authorized {
            Ok(()) => {
                // A connection that needs no password keeps no authenticated client out.
                if !is_public || protection.is_open() {
                    connection.mark_authenticated();
                }
                let Ok(response) = self.router.oneshot(request.map(Body::new)).await;
                response
            }
            Err(response) => response,
        };
        protection.apply_headers(&mut response);
        self.observer.request_answered(response.status());
        response
    }
}
