//! Activation of new keys by requests.

use partner_simulator::{Activation, EXERCICES, KEY_INFO, KeySpec, Refusal, Simulator};

use crate::support::{SECRET, get, status_and_code, status_and_json};

const EXTENDED: &str = "/api/v1/key/info?mode=extended";

async fn new_key(activation: Activation) -> Simulator {
    let key = KeySpec::society("new", 80, 127).pending().activation(activation);
    Simulator::builder().partner("acme", SECRET).key(key).start().await.unwrap()
}

async fn is_activated(sim: &Simulator) -> bool {
    status_and_json(get(sim, "new", EXTENDED).await).await.1["isActivated"].as_bool().unwrap()
}

#[tokio::test]
async fn the_first_extended_response_activates_the_key_and_the_second_says_so() {
    let sim = new_key(Activation::default()).await;
    assert!(!is_activated(&sim).await);
    assert!(sim.key("new").unwrap().is_activated());
    assert!(is_activated(&sim).await);
}

#[tokio::test]
async fn the_response_that_activates_the_key_can_already_say_so() {
    let sim = new_key(Activation { reported_immediately: true, ..Activation::default() }).await;
    assert!(is_activated(&sim).await);
}

#[tokio::test]
async fn a_key_that_cannot_be_activated_stays_pending() {
    let sim =
        new_key(Activation { possible: false, reported_immediately: true, ..Activation::default() }).await;
    for _ in 0..3 {
        let (_, info) = status_and_json(get(&sim, "new", EXTENDED).await).await;
        assert_eq!((&info["canBeActivated"], &info["isActivated"]), (&false.into(), &false.into()));
    }
    sim.key("new").unwrap().activate();
    assert!(is_activated(&sim).await);
}

#[tokio::test]
async fn any_accepted_request_activates_a_key_by_default() {
    for path in [KEY_INFO, EXERCICES] {
        let sim = new_key(Activation::default()).await;
        assert_eq!(get(&sim, "new", path).await.status(), 200);
        assert!(is_activated(&sim).await, "{path}");
    }
}

#[tokio::test]
async fn a_refused_request_does_not_activate_a_key() {
    let sim = new_key(Activation::default()).await;
    sim.key("new").unwrap().forbid(EXERCICES, Refusal::new("ERR-FORBIDDEN-ROUTE"));
    assert_eq!(get(&sim, "new", EXERCICES).await.status(), 403);
    assert!(!sim.key("new").unwrap().is_activated());
}

#[tokio::test]
async fn a_request_that_its_route_refuses_does_not_activate_a_key() {
    let key = KeySpec::firm("new", 80, &[127]).pending();
    let sim = Simulator::builder().partner("acme", SECRET).key(key).start().await.unwrap();
    assert_eq!(status_and_code(get(&sim, "new", EXERCICES).await).await, (500, "GBL1".to_owned()));
    assert!(!sim.key("new").unwrap().is_activated());
}

#[tokio::test]
async fn plain_key_info_and_canaries_can_leave_a_key_pending() {
    let sim = new_key(Activation { by_any_call: false, ..Activation::default() }).await;
    for path in [KEY_INFO, EXERCICES] {
        assert_eq!(get(&sim, "new", path).await.status(), 200);
    }
    assert!(!sim.key("new").unwrap().is_activated());
    assert_eq!(get(&sim, "new", EXTENDED).await.status(), 200);
    assert!(sim.key("new").unwrap().is_activated());
}

#[tokio::test]
async fn a_canary_can_be_refused_until_the_key_is_activated() {
    let refused_before = Some(Refusal::new("ERR-TOKEN-ACTIVATION-FAILURE"));
    let sim = new_key(Activation { refused_before, ..Activation::default() }).await;
    let refused = (500, "ERR-TOKEN-ACTIVATION-FAILURE".to_owned());
    assert_eq!(status_and_code(get(&sim, "new", EXERCICES).await).await, refused);
    assert_eq!(get(&sim, "new", EXTENDED).await.status(), 200);
    assert_eq!(get(&sim, "new", EXERCICES).await.status(), 200);
}

#[tokio::test]
async fn an_activated_key_can_be_made_pending_again() {
    let sim = new_key(Activation::default()).await;
    sim.key("new").unwrap().activate();
    sim.key("new").unwrap().set_pending();
    assert!(!is_activated(&sim).await);
}
