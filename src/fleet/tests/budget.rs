//! The request budget of a key.

use crate::key_state::KeyState;
use partner_simulator::Limits;
use tokio::time::sleep;

use super::{Watched, acme, extended, minutes, one_key};
use crate::test_support::{config, exercices, known_key};

#[tokio::test(start_paused = true)]
async fn no_probe_takes_from_what_is_kept_free() {
    let limits = Limits { window: minutes(5), ..Limits::default() };
    let simulator = acme().limits(limits).society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let watched = one_key(&simulator, vec![extended(), exercices(None)]).await;
    let skipped = || watched.key("dupont").probes.iter().map(|p| p.skipped[0]).sum::<u64>();
    assert_eq!((key.remaining(), skipped()), (16, 0));
    key.spend(10);
    sleep(minutes(2)).await;
    assert_eq!(key.remaining(), 4, "it asks while five are known to be left, and with four no more");
    assert_eq!(skipped(), 2);
    let calls = key.counts().calls;
    sleep(minutes(2)).await;
    assert!(key.counts().calls > calls, "and after the reset it asks again");
}

#[tokio::test(start_paused = true)]
async fn after_a_429_nothing_is_asked_before_the_reset() {
    let limits = Limits { window: minutes(4), ..Limits::default() };
    let simulator = acme().limits(limits).society_key("dupont", 80, 127).start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let mut config =
        config(&simulator, vec![known_key(&simulator, "dupont", vec![extended(), exercices(None)])]);
    config.settings.rate_limit.keep_free = 0;
    let watched = Watched::start(&config);
    sleep(minutes(2)).await;
    key.spend(20);
    sleep(minutes(1)).await;
    let statuses: Vec<_> = key.calls().iter().filter_map(partner_simulator::Call::status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 1, "{statuses:?}");
    assert_eq!(watched.state("dupont"), KeyState::Active);
    sleep(minutes(5)).await;
    assert_eq!(key.calls().last().unwrap().status(), Some(200));
}
