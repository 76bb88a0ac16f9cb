//! When probes run, and what they send.

use crate::config::{Key, Probe};
use crate::key_state::KeyState;
use crate::partner_api::failure::Reason;
use tokio::time::{Duration, sleep};

use super::{Watched, acme, extended, minutes, one_key};
use crate::test_support::{config, exercices, known_key};

#[tokio::test(start_paused = true)]
async fn a_key_is_never_asked_twice_at_once_and_its_probes_stand_apart() {
    let simulator = acme().society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let _watched = one_key(&simulator, vec![extended(), exercices(None)]).await;
    sleep(minutes(60)).await;
    assert_eq!(key.counts().max_in_flight, 1);
    let starts = key.starts();
    let apart = starts.windows(2).map(|two| two[1] - two[0]);
    assert!(apart.clone().all(|apart| apart.as_secs().abs_diff(30) <= 1), "{:?}", apart.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_fleet_starts_spread_over_the_interval_and_a_reload_moves_nobody() {
    let names: Vec<_> = (0..120).map(|number| format!("key-{number}")).collect();
    let builder = names.iter().fold(acme(), |builder, name| builder.society_key(name, 80, 127));
    let simulator = builder.request_log_capacity(10_000).start().await.unwrap();
    let keys = |probe: fn() -> Probe| -> Vec<Key> {
        names.iter().map(|name| known_key(&simulator, name, vec![probe()])).collect()
    };
    let mut watched = Watched::start(&config(&simulator, keys(extended)));
    sleep(minutes(2)).await;
    let busiest = |calls: &[tokio::time::Instant]| {
        calls
            .iter()
            .map(|at| {
                calls.iter().filter(|other| **other >= *at && **other - *at < Duration::from_secs(1)).count()
            })
            .max()
    };
    let of_keys = |from: tokio::time::Instant| -> Vec<_> {
        simulator
            .request_log()
            .iter()
            .filter(|c| c.key.is_some() && c.started >= from)
            .map(|c| c.started)
            .collect()
    };
    let all = of_keys(tokio::time::Instant::now() - minutes(2));
    assert_eq!(all.len(), 240, "each key twice in two minutes");
    assert!(busiest(&all).unwrap() < 12, "two a second on average, never a burst: {:?}", busiest(&all));
    // Every key's definition changes.
    let mut changed = keys(extended);
    for key in &mut changed {
        key.probes[0].timing.timeout = Duration::from_secs(9);
    }
    let reload = tokio::time::Instant::now();
    watched.fleet.apply(&config(&simulator, changed)).unwrap();
    sleep(minutes(1)).await;
    let after = of_keys(reload);
    assert_eq!(after.len(), 120, "each key once in the minute after, as if nothing had happened");
    assert!(busiest(&after).unwrap() < 12, "{:?}", busiest(&after));
}

#[tokio::test(start_paused = true)]
async fn a_firm_key_s_canary_names_its_society() {
    let simulator = acme().firm_key("martin", 81, &[1201]).start().await.unwrap();
    let key = known_key(&simulator, "martin", vec![exercices(Some(1201))]);
    let watched = Watched::start(&config(&simulator, vec![key]));
    sleep(minutes(2)).await;
    assert_eq!(watched.state("martin"), KeyState::Active);
    let society = simulator.key("martin").unwrap().calls()[0].society_id.clone();
    assert_eq!(society.as_deref(), Some("1201"));
    let without = known_key(&simulator, "martin", vec![exercices(None)]);
    let watched = Watched::start(&config(&simulator, vec![without]));
    sleep(minutes(2)).await;
    assert_eq!(watched.reason("martin", 0), Some(Reason::ApiError));
}
