//! The TCP listener, TLS handshakes, and one task per connection.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Layer;

use crate::fault_stream::{ConnectionControl, FaultStream};
use crate::state::Shared;
use crate::tls::Tls;

pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) router: Router,
    /// `None`: plain HTTP.
    pub(crate) tls: Option<Tls>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Server {
    /// Accepts connections until the simulator stops. Each task does its own handshake, so a slow handshake
    /// does not delay other connections.
    pub(crate) async fn accept_connections(self: Arc<Self>, listener: TcpListener) {
        let accepting = async {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => self.spawn(stream),
                    // Probably out of file descriptors. An immediate retry would only use CPU time.
                    Err(error) => {
                        tracing::debug!(%error, "simulator: cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        self.stop.run_until_cancelled(accepting).await;
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream) {
        self.shared.lock().connections += 1;
        let server = Arc::clone(self);
        self.tasks
            .spawn(async move { server.stop.run_until_cancelled(server.handle_connection(stream)).await });
    }

    async fn handle_connection(&self, stream: TcpStream) {
        // Sends small responses immediately. The option only saves time, so an error can be ignored.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.serve(stream).await };
        match TlsAcceptor::from(tls.chain().config).accept(stream).await {
            Ok(stream) => self.serve(stream).await,
            Err(error) => tracing::debug!(%error, "simulator: TLS handshake failed"),
        }
    }

    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let control = ConnectionControl::default();
        let service = TowerToHyperService::new(Extension(control.clone()).layer(self.router.clone()));
        let stream = TokioIo::new(FaultStream { stream, control });
        let builder = Builder::new(TokioExecutor::new());
        // The client closed the connection, or an injected fault did. There is nothing to do.
        if let Err(error) = builder.serve_connection(stream, service).await {
            tracing::trace!(%error, "simulator: connection closed with an error");
        }
    }
}
