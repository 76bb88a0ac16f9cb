//! When probes run, and what they send.

use std::sync::Arc;

use crate::config::{Connection, Key, Probe, Target};
use crate::fleet::{Fleet, new_connections_per_second};
use crate::key_state::KeyState;
use crate::monitor::MAX_PROBES_IN_FLIGHT;
use crate::partner_api::failure::Reason;
use partner_simulator::{Fault, Scope};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Duration, advance, sleep};

use super::{RunningFleet, extended, fleet_of_one_key, minutes, simulator_builder};
use crate::store::Store;
use crate::test_support::{config, context, exercices, known_key};

#[tokio::test(start_paused = true)]
async fn the_probes_of_one_key_never_overlap_and_have_equal_distances() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let _fleet = fleet_of_one_key(&simulator, vec![extended(), exercices(None)]).await;
    sleep(minutes(60)).await;
    assert_eq!(key.counts().max_in_flight, 1);
    let starts = key.starts();
    let apart = starts.windows(2).map(|two| two[1] - two[0]);
    assert!(apart.clone().all(|apart| apart.as_secs().abs_diff(30) <= 1), "{:?}", apart.collect::<Vec<_>>());
}

#[tokio::test]
async fn only_probes_that_open_a_connection_count_for_the_grid() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let [mut first, mut second, mut third] = [extended(), exercices(None), exercices(None)];
    for (probe, seconds) in [(&mut first, 10), (&mut second, 4), (&mut third, 1)] {
        probe.timing.interval = Duration::from_secs(seconds);
    }
    let Target::Canary(canary) = &mut third.target else { unreachable!() };
    canary.connection = Connection::Reuse;
    let probes = vec![first, second, third];
    let config = config(&simulator, vec![known_key(&simulator, "dupont", probes)]);
    assert!((new_connections_per_second(&config) - 0.35).abs() < 1e-9);
}

#[tokio::test]
async fn each_key_runs_on_the_thread_that_its_names_decide() {
    let names: Vec<_> = (0..20).map(|number| format!("key-{number}")).collect();
    let builder = names.iter().fold(simulator_builder(), |builder, name| builder.society_key(name, 80, 127));
    let simulator = builder.start().await.unwrap();
    let keys = names.iter().map(|name| known_key(&simulator, name, vec![extended()])).collect();
    let parent = tempfile::tempdir().unwrap();
    // Nothing runs them, so their tasks stay.
    let runtimes = [0, 1].map(|_| Builder::new_current_thread().build().unwrap());
    let handles = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
    let context = context(Store::open(parent.path(), |_| {}).unwrap());
    let mut fleet = Fleet::new(Arc::new(context)).with_probe_runtimes(handles);
    fleet.apply(&config(&simulator, keys)).unwrap();
    let of_first = names.iter().filter(|name| fleet.start.grids.thread("acme", name) == 0).count();
    let tasks = runtimes.each_ref().map(|runtime| runtime.metrics().num_alive_tasks());
    assert_eq!(tasks, [of_first + 1, 20 - of_first], "the first one has the health probe, too");
    drop(fleet);
    runtimes.into_iter().for_each(Runtime::shutdown_background);
}

#[tokio::test(start_paused = true)]
async fn probes_are_spread_over_the_interval_and_a_reload_does_not_move_them() {
    let names: Vec<_> = (0..120).map(|number| format!("key-{number}")).collect();
    let builder = names.iter().fold(simulator_builder(), |builder, name| builder.society_key(name, 80, 127));
    let simulator = builder.request_log_capacity(10_000).start().await.unwrap();
    let keys = |probe: fn() -> Probe| -> Vec<Key> {
        names.iter().map(|name| known_key(&simulator, name, vec![probe()])).collect()
    };
    let mut fleet = RunningFleet::start(&config(&simulator, keys(extended)));
    sleep(minutes(2)).await;
    let most_in_one_second = |calls: &[tokio::time::Instant]| {
        calls
            .iter()
            .map(|at| {
                calls.iter().filter(|other| **other >= *at && **other - *at < Duration::from_secs(1)).count()
            })
            .max()
    };
    let starts_since = |from: tokio::time::Instant| -> Vec<_> {
        simulator
            .request_log()
            .iter()
            .filter(|c| c.key.is_some() && c.started >= from)
            .map(|c| c.started)
            .collect()
    };
    let all = starts_since(tokio::time::Instant::now() - minutes(2));
    assert_eq!(all.len(), 240, "two probes per key in two minutes");
    assert!(
        most_in_one_second(&all).unwrap() < 12,
        "two per second on average, without a burst: {:?}",
        most_in_one_second(&all)
    );
    // The definition of every key changes.
    let mut changed = keys(extended);
    for key in &mut changed {
        Arc::make_mut(&mut key.probes)[0].timing.timeout = Duration::from_secs(9);
    }
    let reload = tokio::time::Instant::now();
    fleet.apply(&config(&simulator, changed));
    sleep(minutes(1)).await;
    let after = starts_since(reload);
    assert_eq!(after.len(), 120, "one probe per key in the minute after the reload, as before");
    assert!(most_in_one_second(&after).unwrap() < 12, "{:?}", most_in_one_second(&after));
}

#[tokio::test(start_paused = true)]
async fn a_canary_of_a_key_with_firm_access_sends_the_society_id() {
    let simulator = simulator_builder().firm_key("martin", 81, &[1201]).start().await.unwrap();
    let key = known_key(&simulator, "martin", vec![exercices(Some(1201))]);
    let fleet = RunningFleet::start(&config(&simulator, vec![key]));
    sleep(minutes(2)).await;
    assert_eq!(fleet.state("martin"), KeyState::Active);
    let society = simulator.key("martin").unwrap().calls()[0].society_id.clone();
    assert_eq!(society.as_deref(), Some("1201"));
    let without = known_key(&simulator, "martin", vec![exercices(None)]);
    let fleet = RunningFleet::start(&config(&simulator, vec![without]));
    sleep(minutes(2)).await;
    assert_eq!(fleet.reason("martin", 0), Some(Reason::ApiError));
}

#[tokio::test(start_paused = true)]
async fn keys_that_get_no_answers_do_not_keep_the_permits_of_the_others() {
    let builder = simulator_builder().society_key("silent", 80, 127).society_key("healthy", 80, 128);
    let simulator = builder.start().await.unwrap();
    let keys = ["silent", "healthy"].map(|name| known_key(&simulator, name, vec![extended()]));
    let fleet = RunningFleet::start(&config(&simulator, keys.into()));
    simulator.inject(Scope::Key("silent".to_owned()), Fault::Silence);
    sleep(minutes(3)).await;
    let context = fleet.inner.context();
    let total = |name| fleet.key(name).probes[0].total;
    let more = async |name| {
        let before = total(name);
        sleep(minutes(5)).await;
        total(name) - before
    };
    let mut held = Vec::new();
    for _ in 0..MAX_PROBES_IN_FLIGHT {
        held.push(context.start_probe(None, true).await);
    }
    assert!(more("healthy").await >= 4, "the silent keys have permits of their own");
    assert_eq!(more("silent").await, 0);
    held.clear();
    for _ in 0..MAX_PROBES_IN_FLIGHT {
        held.push(context.start_probe(None, false).await);
    }
    assert!(more("silent").await >= 4);
    simulator.heal(&Scope::Key("silent".to_owned()));
    sleep(minutes(2)).await;
    assert_eq!(
        (more("healthy").await, more("silent").await),
        (0, 0),
        "it answers again, so it waits with the others"
    );
    held.clear();
    assert!(more("silent").await >= 4);
}

#[tokio::test(start_paused = true)]
async fn a_due_time_before_the_first_step_of_a_key_s_task_is_not_lost() {
    let simulator = simulator_builder().society_key("dupont", 80, 127).start().await.unwrap();
    let keys = vec![known_key(&simulator, "dupont", vec![extended()])];
    let fleet = RunningFleet::start(&config(&simulator, keys));
    // The machine is so busy that the task runs only now.
    advance(minutes(1)).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!((fleet.key("dupont").probes[0].total, fleet.key("dupont").probes[0].skipped), (1, [0; 3]));
}
