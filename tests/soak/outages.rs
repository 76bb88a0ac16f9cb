//! Faults of the API.

use std::time::Duration;

use axum::http::StatusCode;
use partner_simulator::{Fault, Scope};
use tokio::time::{Instant, sleep};

use crate::api::{FAULTY_KEYS, WITNESSES};
use crate::injector::Outcome;
use crate::server::Exporter;
use crate::world::World;

const UP: &str = "myunisoft_probe_up{probe=\"health\"} 1";
const DOWN: &str = "myunisoft_probe_up{probe=\"health\"} 0";
/// Of an outage of the whole fleet, at most so many lines are logged while it begins.
const MOST_LINES: usize = 15;

/// All requests but those of the witnesses.
fn others() -> Scope {
    WITNESSES
        .into_iter()
        .fold(Scope::Everything, |scope, (name, _)| scope.except(Scope::Key(name.to_owned())))
}

/// The lines about failing probes. A key whose responses are replaced has lines of its own, and a reload, which another
/// fault may cause at the same time, repeats its warnings.
fn lines(exporter: &Exporter) -> Vec<String> {
    let output = exporter.server.output();
    let is_counted = |line: &&str| line.contains(" reason=") && !line.contains("key=faulty");
    output.lines().filter(is_counted).map(ToOwned::to_owned).collect()
}

/// Whether the lines since the fault are few enough, and how many there are.
fn few(before: &[String], after: &[String]) -> Outcome {
    let new = after.get(before.len()..).unwrap_or_default();
    if new.len() > MOST_LINES {
        return Err(format!("{} lines about one outage:\n{}", new.len(), new.join("\n")));
    }
    Ok(format!("log lines: {}", new.len()))
}

/// Nobody gets an answer of the API. The log says it in a few lines, and it ends with the fault.
async fn outage(world: &World, fault: Fault) -> Outcome {
    let exporter = world.exporter.read().await;
    let before = lines(&exporter);
    world.simulator.inject(others(), fault);
    let noticed = world.expect_line(DOWN).await;
    let length = world.duration(2_000, 8_000);
    sleep(length).await;
    let after = lines(&exporter);
    world.simulator.heal(&others());
    noticed?;
    world.expect_line(UP).await?;
    Ok(format!("for {length:?}; {}", few(&before, &after)?))
}

pub(crate) async fn bad_gateway(world: &World) -> Outcome {
    outage(world, Fault::edge(StatusCode::BAD_GATEWAY)).await
}

pub(crate) async fn silent(world: &World) -> Outcome {
    outage(world, Fault::Silence).await
}

/// No connection is accepted: no state moves.
pub(crate) async fn refused(world: &World) -> Outcome {
    let exporter = world.exporter.read().await;
    let before = lines(&exporter);
    let from = Instant::now();
    world.relay.close();
    let noticed = world.expect_line(DOWN).await;
    let length = world.duration(2_000, 6_000);
    sleep(length).await;
    let after = lines(&exporter);
    let metrics = world.metrics().await;
    world.relay.open().await;
    world.was_blind_since(from, false);
    noticed?;
    let state = "myunisoft_key_state{partner=\"acme\",key=\"steady0\",state=\"active\"} 1";
    if !metrics.is_some_and(|text| text.lines().any(|line| line == state)) {
        return Err("a state moved".to_owned());
    }
    world.expect_line(UP).await?;
    Ok(format!("for {length:?}; {}", few(&before, &after)?))
}

/// Each second, other keys get other responses.
pub(crate) async fn random_responses(world: &World) -> Outcome {
    let faults = [
        ("close", Fault::Close),
        ("silence", Fault::Silence),
        ("delay", Fault::Delay(Duration::from_millis(700))),
        ("stall", Fault::Stall),
        ("truncate", Fault::Truncate),
        ("close after headers", Fault::CloseAfterHeaders),
        ("broken gzip", Fault::BrokenGzip),
        ("5 MB", Fault::Huge(5_000_000)),
        ("not HTTP", Fault::garbage()),
        ("captive portal", Fault::captive_portal()),
        ("502", Fault::edge(StatusCode::BAD_GATEWAY)),
        ("revoked", Fault::refuse("ERR-API-TOKEN-NOT-FOUND")),
        ("internal error", Fault::refuse("ERR-INTERNAL")),
        ("maintenance", Fault::maintenance()),
    ];
    let mut chosen = Vec::new();
    for number in 0..FAULTY_KEYS {
        let scope = Scope::Key(format!("faulty{number}"));
        world.simulator.heal(&scope);
        if world.random(3) > 0 {
            let (name, fault) = &faults[usize::try_from(world.random(faults.len() as u64)).unwrap()];
            world.simulator.inject(scope, fault.clone());
            chosen.push(*name);
        }
    }
    sleep(Duration::from_secs(1)).await;
    Ok(chosen.join(", "))
}
