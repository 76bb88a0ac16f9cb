//! Opens a TCP connection to one of the addresses of a host.

use std::io;
use std::net::SocketAddr;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep};

use super::exhaustion::{is_exhausted, name_missing_port};

/// How long an address may keep the next one waiting. RFC 8305 recommends 250 ms.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How often the system asks an idle peer.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Connects to the first address that accepts the connection (RFC 8305, "Happy Eyeballs").
///
/// An address that refuses makes the next one start at once. An address that does not answer makes the next one
/// start after [`ATTEMPT_DELAY`], and continues beside it. So one dead address costs a quarter of a second, and
/// not the whole timeout of the probe.
///
/// # Errors
/// If no address accepts a connection: the error of the first address that failed. Resource exhaustion is returned only
/// if nothing else went wrong: an address that refused is a fact about the API.
pub(super) async fn connect(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = interleave_families(addresses).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut first_error: Option<io::Error> = None;
    attempts.extend(waiting.next().map(connect_to));
    loop {
        let next_is_due = async {
            if waiting.len() == 0 { std::future::pending().await } else { sleep(ATTEMPT_DELAY).await }
        };
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some(Ok(connection)) => {
                    // A request is one small write. It must not wait for an acknowledgement.
                    let _ = connection.set_nodelay(true);
                    return Ok(connection);
                }
                Some(Err(error)) => {
                    if first_error.as_ref().is_none_or(|first| is_exhausted(first) && !is_exhausted(&error)) {
                        first_error = Some(error);
                    }
                }
                None => return Err(first_error.unwrap_or_else(no_address)),
            },
            () = next_is_due => {}
        }
        attempts.extend(waiting.next().map(connect_to));
    }
}

/// Has the system ask an idle peer whether it is still there. So a firewall does not forget the connection, and one that is
/// dead is closed before a request needs it.
pub(super) fn detect_dead_peer(connection: &TcpStream) {
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE_INTERVAL).with_interval(KEEP_ALIVE_INTERVAL);
    // Without it, a dead connection costs one probe its timeout.
    let _ = SockRef::from(connection).set_tcp_keepalive(&keep_alive);
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address).await.map_err(|error| name_missing_port(error, address))
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address")
}

/// The addresses of both families in turn, so that a family without a route delays the connection only once.
/// The system's resolver has put the family that it prefers first.
fn interleave_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let prefers_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == prefers_ipv6);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut ordered = Vec::new();
    while preferred.len() + others.len() > 0 {
        ordered.extend(preferred.next());
        ordered.extend(others.next());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::timeout;

    use super::*;

    /// Longer than every successful connection of these tests takes.
    const AMPLE: Duration = Duration::from_secs(20);

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address where the packets that open a connection get no answer: the queue of its listener is full.
    async fn silent_address() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(connection) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(connection.unwrap());
        }
        (listener, queued, address)
    }

    /// An address that refuses connections.
    async fn closed_address() -> SocketAddr {
        listener().await.1
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_does_not_hide_the_next_one() {
        let (_silent, _queued, silent) = silent_address().await;
        let (_listener, alive) = listener().await;
        let connection = timeout(AMPLE, connect(vec![silent, silent, alive])).await.unwrap().unwrap();
        assert_eq!(connection.peer_addr().unwrap(), alive);
    }

    #[tokio::test]
    async fn an_address_that_refuses_makes_the_next_one_start_at_once() {
        let (_listener, alive) = listener().await;
        let closed = closed_address().await;
        let connection =
            timeout(ATTEMPT_DELAY * 20, connect(vec![closed; 30].into_iter().chain([alive]).collect()));
        assert_eq!(connection.await.unwrap().unwrap().peer_addr().unwrap(), alive);
    }

    #[tokio::test]
    async fn without_a_living_address_the_error_of_one_is_returned() {
        let closed = closed_address().await;
        let error = timeout(AMPLE, connect(vec![closed, closed])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(connect(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn addresses_that_do_not_answer_keep_the_probe_waiting_until_its_timeout() {
        let (_silent, _queued, silent) = silent_address().await;
        assert!(timeout(ATTEMPT_DELAY * 3, connect(vec![silent, silent])).await.is_err());
    }

    #[test]
    fn both_families_are_tried_in_turn_and_the_preferred_one_first() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let mixed = parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let ordered = parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(interleave_families(mixed), ordered);
    }
}
