//! The request budget that probes share with production, and the limit on simultaneous requests.

use std::time::Duration;

use futures_util::future::join_all;
use partner_simulator::{
    Concurrency, CountedTogether, EXERCICES, Fault, KEY_INFO, KeySpec, LOG_IN, Limits, RateHeaders,
    RetryAfter, SOCIETY, Simulator, SimulatorBuilder, USERS,
};

use crate::support::{SECRET, acme, client, dupont, get, get_as, header, status_and_code};

fn small(total: u32, headers: RateHeaders) -> Limits {
    Limits { total, headers, window: Duration::from_hours(1), ..Limits::default() }
}

#[tokio::test]
async fn responses_report_the_budget_and_requests_beyond_it_are_refused() {
    let sim = acme().start().await.unwrap();
    for left in (0..20).rev() {
        let response = get(&sim, "dupont", KEY_INFO).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-rate-limit-total").as_deref(), Some("20"));
        assert_eq!(header(&response, "x-rate-limit-remaining"), Some(left.to_string()));
    }
    let refused = get(&sim, "dupont", KEY_INFO).await;
    assert_eq!(header(&refused, "x-rate-limit-remaining").as_deref(), Some("0"));
    assert_eq!(status_and_code(refused).await, (429, "ERR-TOO-MANY-REQUEST".into()));
    assert_eq!(dupont(&sim).remaining(), 0);
}

#[tokio::test]
async fn each_token_has_its_own_budget() {
    let sim = acme().society_key("martin", 80, 128).start().await.unwrap();
    dupont(&sim).spend(100);
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 429);
    assert_eq!(get(&sim, "martin", KEY_INFO).await.status(), 200);
    dupont(&sim).replace_token();
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn the_unit_of_reset_can_be_chosen() {
    let epoch = |sim: &Simulator| sim.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    for (headers, unit) in [(RateHeaders::Seconds, 1.0), (RateHeaders::Milliseconds, 1_000.0)] {
        let sim = acme().limits(small(20, headers)).start().await.unwrap();
        let response = get(&sim, "dupont", KEY_INFO).await;
        let reset = header(&response, "x-rate-limit-reset").unwrap();
        assert_eq!(reset.contains('.'), headers == RateHeaders::Seconds);
        let left = reset.parse::<f64>().unwrap() / unit - epoch(&sim);
        assert!((3_500.0..=3_600.0).contains(&left), "{left}");
    }
}

#[tokio::test]
async fn rate_limit_headers_can_be_incomplete_invalid_or_absent() {
    let keys = [RateHeaders::WithoutReset, RateHeaders::Garbage, RateHeaders::Absent].map(|headers| {
        KeySpec { limits: Some(small(20, headers)), ..KeySpec::society(&format!("{headers:?}"), 80, 1) }
    });
    let sim = keys.into_iter().fold(acme(), SimulatorBuilder::key).start().await.unwrap();
    let without_reset = get(&sim, "WithoutReset", KEY_INFO).await;
    assert_eq!(header(&without_reset, "x-rate-limit-remaining").as_deref(), Some("19"));
    assert_eq!(header(&without_reset, "x-rate-limit-reset"), None);
    let garbage = header(&get(&sim, "Garbage", KEY_INFO).await, "x-rate-limit-reset").unwrap();
    assert!(garbage.parse::<f64>().is_err());
    assert_eq!(header(&get(&sim, "Absent", KEY_INFO).await, "x-rate-limit-total"), None);
}

#[tokio::test]
async fn a_request_beyond_the_budget_can_say_when_to_try_again() {
    let keys = [RetryAfter::Absent, RetryAfter::Seconds, RetryAfter::Date].map(|retry_after| {
        let limits = Limits { retry_after, ..small(1, RateHeaders::Seconds) };
        KeySpec { limits: Some(limits), ..KeySpec::society(&format!("{retry_after:?}"), 80, 1) }
    });
    let sim = keys.into_iter().fold(acme(), SimulatorBuilder::key).start().await.unwrap();
    let mut values = Vec::new();
    for key in ["Absent", "Seconds", "Date"] {
        assert_eq!(header(&get(&sim, key, KEY_INFO).await, "retry-after"), None);
        let refused = get(&sim, key, KEY_INFO).await;
        assert_eq!(refused.status(), 429);
        values.push(header(&refused, "retry-after"));
    }
    assert_eq!(values[0], None);
    let seconds: u64 = values[1].as_ref().unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&seconds), "{seconds}");
    let date = httpdate::parse_http_date(values[2].as_ref().unwrap()).unwrap();
    let rest = date.duration_since(sim.now()).unwrap();
    assert!((3_500..=3_601).contains(&rest.as_secs()), "{rest:?}");
}

#[tokio::test]
async fn a_heavy_route_costs_several_requests() {
    let sim = acme().cost(SOCIETY, 8).start().await.unwrap();
    assert_eq!(get(&sim, "dupont", SOCIETY).await.status(), 200);
    assert_eq!(dupont(&sim).remaining(), 12);
}

#[tokio::test]
async fn production_traffic_uses_the_budget() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).spend(15);
    let response = get(&sim, "dupont", KEY_INFO).await;
    assert_eq!(header(&response, "x-rate-limit-remaining").as_deref(), Some("4"));
}

#[tokio::test]
async fn unknown_routes_use_the_budget_and_refused_tokens_get_no_budget_headers() {
    let sim = acme().start().await.unwrap();
    assert_eq!(get(&sim, "dupont", "/api/v1/nothing").await.status(), 404);
    assert_eq!(dupont(&sim).remaining(), 19);
    dupont(&sim).revoke();
    assert_eq!(header(&get(&sim, "dupont", KEY_INFO).await, "x-rate-limit-total"), None);
    assert_eq!(header(&client().post(sim.url(LOG_IN)).send().await.unwrap(), "x-rate-limit-total"), None);
}

/// The sorted statuses of simultaneous requests. Their bodies stall, so all are in flight when the last one starts.
async fn at_once(sim: &Simulator, calls: usize, path: &str) -> Vec<u16> {
    dupont(sim).inject(Fault::Stall);
    let requests = (0..calls).map(|_| get_as(sim, "dupont", path).send());
    let responses = join_all(requests).await;
    dupont(sim).heal();
    let mut statuses: Vec<_> =
        responses.iter().map(|response| response.as_ref().unwrap().status().as_u16()).collect();
    statuses.sort_unstable();
    statuses
}

#[tokio::test]
async fn ten_simultaneous_requests_to_one_route_are_accepted_and_the_eleventh_is_not() {
    let sim = acme().start().await.unwrap();
    let statuses = at_once(&sim, 11, EXERCICES).await;
    assert_eq!(statuses, [vec![200; 10], vec![429]].concat());
    let codes: Vec<_> = sim.request_log().iter().filter_map(|call| call.code().map(str::to_owned)).collect();
    assert_eq!(codes, ["ERR-TOO-MANY-CONCURRENT-REQUEST"]);
    assert_eq!(dupont(&sim).counts().max_in_flight, 11);
    assert_eq!(sim.counts().max_in_flight, 11);
}

#[tokio::test]
async fn an_abandoned_request_is_no_longer_in_flight() {
    let sim = acme().start().await.unwrap();
    at_once(&sim, 5, EXERCICES).await;
    while dupont(&sim).counts().in_flight > 0 {
        tokio::task::yield_now().await;
    }
    dupont(&sim).inject(Fault::Silence);
    let waiting = tokio::spawn(get_as(&sim, "dupont", KEY_INFO).send());
    while dupont(&sim).counts().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    while dupont(&sim).counts().in_flight > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_concurrency_limit_and_its_code_can_be_chosen() {
    let concurrency =
        Concurrency { limit: 1, counted: CountedTogether::Route, code: "ERR-TOO-MANY-CONCURRENT-REQUESTS" };
    let sim = acme().concurrency(concurrency).start().await.unwrap();
    assert_eq!(at_once(&sim, 3, EXERCICES).await, [200, 429, 429]);
    assert_eq!(sim.request_log().pop().unwrap().code(), Some("ERR-TOO-MANY-CONCURRENT-REQUESTS"));
}

#[tokio::test]
async fn simultaneous_requests_about_one_society_can_be_limited_together() {
    let concurrency = Concurrency { limit: 1, counted: CountedTogether::Society, ..Concurrency::default() };
    let sim = acme().firm_key("martin", 80, &[127, 128]).concurrency(concurrency).start().await.unwrap();
    dupont(&sim).inject(Fault::Stall);
    let open = get(&sim, "dupont", KEY_INFO).await;
    let status_about = async |society| {
        let request = get_as(&sim, "martin", EXERCICES).header("society-id", society);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(
        (open.status().as_u16(), status_about("127").await, status_about("128").await),
        (200, 429, 200)
    );
    assert_eq!(get(&sim, "martin", USERS).await.status(), 200);
}

#[tokio::test]
async fn a_complete_response_frees_its_place_in_the_concurrency_limit() {
    let sim = acme().concurrency(Concurrency { limit: 1, ..Concurrency::default() }).start().await.unwrap();
    let client = client();
    let token = dupont(&sim).token().unwrap();
    for _ in 0..15 {
        let request =
            client.get(sim.url(EXERCICES)).bearer_auth(&token).header("x-third-party-secret", SECRET);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap();
    }
}
