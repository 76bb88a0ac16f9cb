//! The process: runtime and limits, exit codes, sockets, signals, and standard output.

use std::io::{self, Write as _};
use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::thread;

use crate::cli::{Flags, ListenAddress};
use crate::http::ReloadRequest;
use checked_yaml::Problems;
use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

/// The exit code for bad usage and for a bad configuration.
pub(super) const BAD_CONFIGURATION: u8 = 2;

/// Why a command failed although its configuration is valid.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A configuration that is valid by itself, but not with what the exporter remembers.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadConfiguration(pub(super) String);

/// Runs a command in an asynchronous runtime.
pub(super) fn run_async(command: impl AsyncFnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    // Each probe and each client needs a socket: a large fleet needs more than the usual 1,024 open files.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    // A core dump would contain every customer's token.
    let _ = rlimit::setrlimit(rlimit::Resource::CORE, 0, 0);
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(command());
    // A thread that hangs, in a name look-up or on a failing disk, must not keep the process alive.
    runtime.shutdown_background();
    outcome
}

/// How many threads run the probes. A hostile response can keep one of them busy for a moment; about half of the keys have
/// the other one.
const PROBE_THREADS: usize = 2;

/// The threads that run the probes and nothing else. Each has a runtime of its own: threads of one runtime wake each other
/// at each step of a probe, to share the work.
pub(super) struct ProbeThreads {
    runtimes: Vec<Handle>,
    /// A thread ends when its sender is dropped. Nobody waits for that: a thread that hangs must not keep the process alive.
    _stops: Vec<oneshot::Sender<()>>,
}

impl ProbeThreads {
    pub(super) fn start() -> io::Result<Self> {
        let (mut runtimes, mut stops) = (Vec::new(), Vec::new());
        for _ in 0..PROBE_THREADS {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (stop, stopped) = oneshot::channel::<()>();
            runtimes.push(runtime.handle().clone());
            stops.push(stop);
            let run = move || {
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            };
            thread::Builder::new().name("probes".to_owned()).spawn(run)?;
        }
        Ok(Self { runtimes, _stops: stops })
    }

    pub(super) fn handles(&self) -> Vec<Handle> {
        self.runtimes.clone()
    }
}

/// Logs a failure; exit code 0, 1, or 2 for a bad configuration.
pub(super) fn exit_code(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            error!("{cause}");
            if cause.is::<BadConfiguration>() { BAD_CONFIGURATION.into() } else { ExitCode::FAILURE }
        }
    }
}

/// Logs each problem on its own line; exit code 2.
pub(super) fn bad_configuration(problems: &Problems) -> ExitCode {
    for problem in problems {
        error!("{problem}");
    }
    BAD_CONFIGURATION.into()
}

/// The sockets to serve on: those that systemd passes, or else the addresses of the flags, or else `default`.
pub(super) async fn listen(flags: &Flags, default: ListenAddress) -> Result<Vec<TcpListener>, Failure> {
    if flags.systemd_socket {
        return sockets_of_systemd(ListenFd::from_env());
    }
    bind(&flags.listen_addresses_or(default)).await
}

/// Takes over every socket that systemd passes (`LISTEN_FDS`).
fn sockets_of_systemd(mut passed: ListenFd) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let socket = passed.take_tcp_listener(index).map_err(|cause| {
            format!("--web.systemd-socket: socket {index}: {cause}; use ListenStream= with a TCP address")
        })?;
        let Some(socket) = socket else { continue };
        socket.set_nonblocking(true)?;
        info!(address = %socket.local_addr()?, "listening on a socket of systemd");
        listeners.push(TcpListener::from_std(socket)?);
    }
    if listeners.is_empty() {
        let fix = "start the exporter by a .socket unit with ListenStream=, or remove the flag";
        return Err(format!("--web.systemd-socket: systemd passed no socket; {fix}").into());
    }
    Ok(listeners)
}

/// Binds every address.
async fn bind(addresses: &[ListenAddress]) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    for ListenAddress { host, port } in addresses {
        let bound = match host {
            Some(host) if host.as_str() == "::" => listen_on_all_addresses(*port),
            Some(host) => TcpListener::bind((host.as_str(), *port)).await,
            None => bind_all_addresses(*port).await,
        };
        let host = host.as_deref().unwrap_or_default();
        let listener = bound.map_err(|cause| {
            let fix = fix_for_address(cause.kind());
            format!("--web.listen-address: {host}:{port}: {cause}; {fix}")
        })?;
        info!(address = %listener.local_addr()?, "listening");
        listeners.push(listener);
    }
    Ok(listeners)
}

/// What to do about an address that cannot be listened on.
pub(super) const fn fix_for_address(error: io::ErrorKind) -> &'static str {
    match error {
        io::ErrorKind::AddrInUse => "stop the program that listens there, or choose another address",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
        io::ErrorKind::PermissionDenied => {
            "choose a port above 1023, or give the exporter the right to use this one"
        }
        _ => "choose another address",
    }
}

/// A machine without IPv6 has only `0.0.0.0`.
async fn bind_all_addresses(port: u16) -> io::Result<TcpListener> {
    match listen_on_all_addresses(port) {
        Err(cause) if cause.kind() != io::ErrorKind::AddrInUse => TcpListener::bind(("0.0.0.0", port)).await,
        bound => bound,
    }
}

/// Listens on `[::]` for IPv6 and IPv4. By default, a system may give such a socket IPv6 only
/// (`net.ipv6.bindv6only`).
fn listen_on_all_addresses(port: u16) -> io::Result<TcpListener> {
    const BACKLOG: i32 = 1024;
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(false)?;
    // As tokio does: a restarted exporter can listen although connections of the former one are still ending.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Resolves at SIGTERM or SIGINT.
pub(super) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    })
}

/// Requests a reload at each SIGHUP. The reload itself logs its result.
pub(super) fn request_reload_on_sighup(
    requests: mpsc::Sender<ReloadRequest>,
) -> io::Result<impl Future<Output = ()>> {
    let mut hang_ups = signal(SignalKind::hangup())?;
    Ok(async move {
        while hang_ups.recv().await.is_some() {
            let (request, _) = oneshot::channel();
            if requests.send(request).await.is_err() {
                return;
            }
        }
    })
}

/// Prints to standard output. A reader that has closed the pipe, as `head` does, is not an error.
pub(super) fn print(text: std::fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn an_address_without_host_accepts_ipv4_and_ipv6() {
        for host in [None, Some("::".to_owned())] {
            let listeners = bind(&[ListenAddress { host, port: 0 }]).await.unwrap();
            let address = listeners[0].local_addr().unwrap();
            if address.is_ipv6() {
                // Not the system's default, but set explicitly.
                assert!(!SockRef::from(&listeners[0]).only_v6().unwrap());
                TcpStream::connect(("::1", address.port())).await.unwrap();
            }
            TcpStream::connect(("127.0.0.1", address.port())).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_with_a_fix() {
        let taken = bind(&[ListenAddress { host: None, port: 0 }]).await.unwrap();
        let port = taken[0].local_addr().unwrap().port();
        let error = bind(&[ListenAddress { host: None, port }]).await.unwrap_err().to_string();
        assert!(error.contains("--web.listen-address") && error.contains("stop the program"), "{error}");
    }
}
