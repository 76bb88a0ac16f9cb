//! Clients that misbehave.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::api::{FLOODED_KEY, INTERVAL};
use crate::injector::Outcome;
use crate::world::World;

/// The probes of the key: key/info and one canary.
const PROBES: u32 = 2;

async fn send(world: &World, first: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(world.url.trim_start_matches("http://")).await.ok()?;
    stream.write_all(first).await.ok()?;
    Some(stream)
}

/// Clients ask for probes of one key and hang up at once: its calls at most double.
pub(crate) async fn hang_up(world: &World) -> Outcome {
    let _process = world.exporter.read().await;
    let calls = || world.simulator.key(FLOODED_KEY).unwrap().counts().calls;
    let request = format!("GET /probe?partner=acme&key={FLOODED_KEY} HTTP/1.1\r\nHost: exporter\r\n\r\n");
    let (before, started, length) = (calls(), Instant::now(), world.duration(3_000, 6_000));
    let mut requests = 0_u32;
    while started.elapsed() < length {
        let connections = (0..20).map(|_| send(world, request.as_bytes()));
        requests += 20;
        drop(futures_util::future::join_all(connections).await);
        sleep(Duration::from_millis(50)).await;
    }
    let made = calls() - before;
    let intervals = started.elapsed().as_secs_f64() / INTERVAL.as_secs_f64() + 1.0;
    let most = 2.0 * f64::from(PROBES) * intervals;
    if f64::from(u32::try_from(made).unwrap()) > most {
        return Err(format!("{made} calls for {requests} requests; at most {most:.0} are allowed"));
    }
    Ok(format!("{requests} requests, {made} calls in {:?}", started.elapsed()))
}

/// All the time: clients that stay connected, send nothing or send invalid requests, and some normal clients.
pub(crate) async fn noise(world: &World) {
    let mut open = Vec::new();
    for round in 0_usize.. {
        for first in [
            &b""[..],
            b"GET /metrics HTTP/1.1\r\nX-Slow:",
            b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01",
        ] {
            open.extend(send(world, first).await);
        }
        if open.len() > 80 {
            open.clear();
        }
        let paths = ["/probe?partner=acme&key=steady1", "/probe?partner=%ff", "/sd", "/", "/nowhere"];
        let _ = timeout(Duration::from_secs(5), world.get(paths[round % paths.len()])).await;
        sleep(Duration::from_millis(200)).await;
    }
}
