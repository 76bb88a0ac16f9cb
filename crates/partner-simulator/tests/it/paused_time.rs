//! The simulator's clock follows tokio's paused time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use partner_simulator::{ClockShift, HEALTH, KEY_INFO, KeySpec, LoginSpec};
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::support::{acme, claims, client, dupont, get, header, log_in, status_and_json};

const DAY: Duration = Duration::from_hours(24);

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

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
async fn the_times_that_the_api_sends_can_be_wrong() {
    let hour = Duration::from_hours(1);
    let account = LoginSpec::new("api@durand.example", "password").firm(80, "TESTS");
    let sim = acme().key(KeySpec::login("durand", account)).start().await.unwrap();
    let durand = sim.account("api@durand.example").unwrap();
    for (shift, difference) in [(ClockShift::Ahead(hour), 3_600), (ClockShift::Behind(hour), -3_600)] {
        sim.shift_clock(shift);
        let response = get(&sim, "dupont", KEY_INFO).await;
        let date = httpdate::parse_http_date(&header(&response, "date").unwrap()).unwrap();
        let reset = header(&response, "x-rate-limit-reset").unwrap();
        let reset: i64 = reset.split('.').next().unwrap().parse().unwrap();
        let expiry = claims(&durand.another_log_in(80).unwrap())["exp"].as_i64().unwrap();
        let shifted = seconds(sim.now()) + difference;
        assert!(seconds(date).abs_diff(shifted) <= 2, "{shift:?}");
        assert!(reset.abs_diff(shifted) <= 12, "{shift:?}");
        assert!(expiry.abs_diff(shifted + 4 * 3_600) <= 2, "{shift:?}");
        let body = json!({"mail": "api@durand.example", "password": "password"});
        let (_, answer) = status_and_json(log_in(&sim, body).await).await;
        let expires_in = humantime::parse_rfc3339_weak(answer["expiresIn"].as_str().unwrap()).unwrap();
        assert!(seconds(expires_in).abs_diff(shifted + 4 * 3_600) <= 2, "{shift:?}");
        let (_, refused) = status_and_json(get(&sim, "dupont", "/api/v1/nothing").await).await;
        let requested_at = refused["error"]["details"]["requestedAt"].as_str().unwrap();
        let requested_at = humantime::parse_rfc3339(requested_at).unwrap();
        assert!(seconds(requested_at).abs_diff(shifted) <= 2, "{shift:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shifted_clock_does_not_change_how_long_a_token_is_accepted() {
    let account = LoginSpec::new("api@durand.example", "password").firm(80, "TESTS");
    let sim = acme().key(KeySpec::login("durand", account)).start().await.unwrap();
    sim.shift_clock(ClockShift::Behind(DAY));
    sim.account("api@durand.example").unwrap().another_log_in(80).unwrap();
    assert_eq!(get(&sim, "durand", KEY_INFO).await.status(), 200);
    advance(Duration::from_hours(4)).await;
    assert_eq!(get(&sim, "durand", KEY_INFO).await.status(), 401);
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
