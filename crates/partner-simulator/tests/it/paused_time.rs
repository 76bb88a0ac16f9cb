//! The simulator's clock follows tokio's paused time.

use std::time::Duration;

use partner_simulator::{HEALTH, KEY_INFO};
use tokio::time::{Instant, advance};

use crate::support::{acme, client, dupont, get, header};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(start_paused = true)]
async fn the_date_header_follows_paused_time() {
    let sim = acme().start().await.unwrap();
    let date = async || {
        let response = client().get(sim.url(HEALTH)).send().await.unwrap();
        httpdate::parse_http_date(&header(&response, "date").unwrap()).unwrap()
    };
    let before = date().await;
    advance(DAY).await;
    let passed = date().await.duration_since(before).unwrap();
    assert!(passed.abs_diff(DAY) <= Duration::from_secs(2), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_is_restored_when_the_window_ends() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).spend(20);
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 429);
    advance(Duration::from_secs(9)).await;
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 429);
    advance(Duration::from_secs(1)).await;
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn requests_do_not_advance_paused_time() {
    let sim = acme().tls().start().await.unwrap();
    let ca = reqwest::Certificate::from_pem(sim.ca_pem().unwrap().as_bytes()).unwrap();
    let client = crate::support::client_builder().tls_certs_only([ca]).build().unwrap();
    let begin = Instant::now();
    for _ in 0..100 {
        assert_eq!(client.get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
    }
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_request_log_records_the_start_of_each_request() {
    let sim = acme().start().await.unwrap();
    for _ in 0..3 {
        get(&sim, "dupont", KEY_INFO).await;
        advance(DAY).await;
    }
    let starts = dupont(&sim).starts();
    let gaps: Vec<_> =
        starts.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs() / 86_400).collect();
    assert_eq!(gaps, [1, 1]);
    let calls = dupont(&sim).calls();
    assert!(calls[2].at.duration_since(calls[0].at).unwrap() >= 2 * DAY);
}
