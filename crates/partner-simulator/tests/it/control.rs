//! Start, stop and inspection of a simulator.

use std::net::SocketAddr;

use partner_simulator::{HEALTH, KEY_INFO, KeySpec, PartnerSpec, Simulator, StartError};

use crate::support::{SECRET, acme, client, dupont, get, status_and_code};

#[tokio::test]
async fn several_simulators_run_side_by_side() {
    let (one, two) = (acme().start().await.unwrap(), acme().start().await.unwrap());
    assert_ne!(one.address(), two.address());
    get(&one, "dupont", KEY_INFO).await;
    assert_eq!((one.counts().calls, two.counts().calls), (1, 0));
    assert_eq!((one.connections(), two.connections()), (1, 0));
}

#[tokio::test]
async fn a_stopped_simulator_refuses_connections() {
    let sim = Simulator::builder().start().await.unwrap();
    let held = client();
    assert_eq!(held.get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
    sim.shutdown().await;
    assert!(held.get(sim.url(HEALTH)).send().await.is_err());
}

#[tokio::test]
async fn a_simulator_stops_when_its_last_handle_is_dropped() {
    let sim = acme().start().await.unwrap();
    let (clone, url) = (sim.clone(), sim.url(HEALTH));
    drop(sim);
    assert_eq!(client().get(url.clone()).send().await.unwrap().status(), 200);
    drop(clone);
    while tokio::net::TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_error_for_an_address_in_use_names_the_address() {
    let sim = acme().start().await.unwrap();
    let error = Simulator::builder().listen(sim.address()).start().await.unwrap_err();
    assert!(matches!(error, StartError::Listen { address, .. } if address == sim.address()));
    assert!(error.to_string().contains(&sim.address().to_string()));
}

#[tokio::test]
async fn a_key_before_any_partner_is_an_error() {
    let error = Simulator::builder().society_key("lost", 1, 2).start().await.unwrap_err();
    assert!(error.to_string().contains("lost"));
}

#[tokio::test]
async fn the_address_can_be_chosen() {
    let address: SocketAddr = "[::1]:0".parse().unwrap();
    // On a machine without IPv6, this test checks nothing.
    if let Ok(sim) = Simulator::builder().listen(address).start().await {
        assert!(sim.base_url().as_str().starts_with("http://[::1]:"));
    }
}

#[tokio::test]
async fn partners_can_be_added_and_removed() {
    let sim = acme().start().await.unwrap();
    let late = PartnerSpec::new("late", "late-secret").key(KeySpec::society("zoe", 9, 9));
    let late = sim.add_partner(&late);
    let zoe = sim.key("zoe").unwrap();
    let get_as_zoe = || {
        let request = client().get(sim.url("/api/v1/key/info?mode=extended"));
        request
            .bearer_auth(zoe.token().unwrap_or_default())
            .header("x-third-party-secret", "late-secret")
            .send()
    };
    let info: serde_json::Value = get_as_zoe().await.unwrap().json().await.unwrap();
    assert_eq!(info["target"]["thirdPartyId"], 102);
    late.remove();
    assert!(sim.partner("late").is_none() && sim.key("zoe").is_none());
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn the_request_log_contains_keys_and_partners_but_no_tokens() {
    let sim = acme().start().await.unwrap();
    get(&sim, "dupont", "/api/v1/key/info?mode=extended").await;
    client().get(sim.url(HEALTH)).send().await.unwrap();
    let log = sim.request_log();
    let known: Vec<_> =
        log.iter().map(|call| (call.route(), call.key.as_deref(), call.partner.as_deref())).collect();
    assert_eq!(known, [(KEY_INFO, Some("dupont"), Some("acme")), (HEALTH, None, None)]);
    let printed = format!("{log:?}");
    assert!(!printed.contains(SECRET) && !printed.contains(&dupont(&sim).token().unwrap()));
}

#[tokio::test]
async fn the_request_log_drops_the_oldest_requests() {
    let sim = acme().request_log_capacity(2).start().await.unwrap();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(status_and_code(client().get(sim.url(path)).send().await.unwrap()).await.0, 404);
    }
    let routes: Vec<_> = sim.request_log().iter().map(|call| call.route().to_owned()).collect();
    assert_eq!(routes, ["/2", "/3"]);
    assert_eq!(sim.counts().calls, 3);
}

#[tokio::test]
async fn repeatable_tokens_are_the_same_at_each_start() {
    let token = async || {
        let builder = Simulator::builder().repeatable_tokens().partner("acme", "secret");
        let simulator = builder.society_key("dupont", 80, 127).start().await.unwrap();
        simulator.key("dupont").unwrap().token().unwrap()
    };
    assert_eq!(token().await, token().await);
}
