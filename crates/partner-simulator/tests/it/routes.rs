//! What the routes answer when all is well, and what stands on every answer.

use std::collections::HashSet;
use std::io::Read;

use partner_simulator::{
    CANARY, EXERCICES, Fault, HEALTH, KEY_INFO, KeySpec, PERSONS, SOCIETY, Simulator, USERS, Version,
};

use crate::support::{SECRET, acme, ask, client, code, dupont, get_as, header, read};

fn firm() -> partner_simulator::SimulatorBuilder {
    Simulator::builder().partner("acme", SECRET).firm_key("martin", 80, &[1234, 1235])
}

#[tokio::test]
async fn health_wants_no_authentication() {
    let sim = Simulator::builder().start().await.unwrap();
    assert_eq!(client().get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
    assert_eq!(client().head(sim.url(HEALTH)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn key_info_lists_the_routes_that_the_token_may_call() {
    let sim = acme().start().await.unwrap();
    let (status, routes) = read(ask(&sim, "dupont", KEY_INFO).await).await;
    assert_eq!(status, 200);
    let exercices = serde_json::json!({"path": EXERCICES, "method": "get"});
    assert!(routes.as_array().unwrap().contains(&exercices));
    dupont(&sim).forbid(EXERCICES, partner_simulator::Refusal::new("ERR-FORBIDDEN-ROUTE"));
    let (_, routes) = read(ask(&sim, "dupont", KEY_INFO).await).await;
    assert!(!routes.as_array().unwrap().contains(&exercices));
    assert_eq!(code(ask(&sim, "dupont", EXERCICES).await).await, (403, "ERR-FORBIDDEN-ROUTE".into()));
}

#[tokio::test]
async fn extended_key_info_tells_of_a_society_key() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).set_version(Version { current: 1, latest: 2, beta: true });
    let (_, info) = read(ask(&sim, "dupont", "/api/v1/key/info?mode=extended").await).await;
    let target = serde_json::json!({"type": "api", "schemaId": 80, "thirdPartyId": 101, "societyId": 127});
    assert_eq!(info["target"], target);
    assert_eq!(info["version"], serde_json::json!({"current": 1, "latest": 2, "beta": true}));
    assert_eq!((&info["canBeActivated"], &info["isActivated"]), (&true.into(), &true.into()));
    assert!(info["routes"].is_array());
}

#[tokio::test]
async fn extended_key_info_names_no_society_for_a_firm() {
    let sim = firm().start().await.unwrap();
    let (_, info) = read(ask(&sim, "martin", "/api/v1/key/info?mode=extended").await).await;
    assert_eq!(info["target"], serde_json::json!({"type": "firm", "schemaId": 80, "thirdPartyId": 101}));
}

#[tokio::test]
async fn a_firm_key_must_name_a_society_that_it_holds() {
    let sim = firm().start().await.unwrap();
    let with = |id: &'static str| get_as(&sim, "martin", EXERCICES).header("society-id", id).send();
    assert_eq!(with("1235").await.unwrap().status(), 200);
    assert_eq!(code(with("9").await.unwrap()).await, (403, "DROIT1".into()));
    assert_eq!(code(with("x").await.unwrap()).await, (400, "GBL1".into()));
    assert_eq!(code(ask(&sim, "martin", EXERCICES).await).await, (400, "GBL1".into()));
    let asked: Vec<_> = sim.journal().iter().map(|call| call.society_id.clone()).collect();
    assert_eq!(asked, [Some("1235".into()), Some("9".into()), Some("x".into()), None]);
}

#[tokio::test]
async fn every_accounting_answer_carries_the_canary() {
    let sim = firm().society_key("dupont", 80, 127).start().await.unwrap();
    for route in [SOCIETY, USERS, PERSONS] {
        assert!(ask(&sim, "martin", route).await.text().await.unwrap().contains(CANARY), "{route}");
    }
    let exercices = ask(&sim, "dupont", "/api/v1/mad/exercices?version=1.0.0").await;
    assert!(exercices.text().await.unwrap().contains(CANARY));
}

#[tokio::test]
async fn unknown_routes_answer_a_business_404() {
    let sim = acme().start().await.unwrap();
    assert_eq!(code(ask(&sim, "dupont", "/api/v1/nothing").await).await, (404, "GBL2".into()));
    assert_eq!(code(client().get(sim.url("/")).send().await.unwrap()).await, (404, "GBL2".into()));
    let posted = client().post(sim.url(HEALTH)).send().await.unwrap();
    assert_eq!(code(posted).await, (404, "GBL2".into()));
}

#[tokio::test]
async fn a_head_has_the_length_of_the_get_and_no_body() {
    let sim = acme().start().await.unwrap();
    let body = ask(&sim, "dupont", EXERCICES).await.bytes().await.unwrap();
    let head = client().head(sim.url(EXERCICES)).bearer_auth(dupont(&sim).token().unwrap());
    let head = head.header("x-third-party-secret", SECRET).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(header(&head, "content-length").unwrap(), body.len().to_string());
    assert!(head.bytes().await.unwrap().is_empty());
    assert_eq!(sim.journal().pop().unwrap().method, "HEAD");
}

#[tokio::test]
async fn every_answer_carries_a_request_id_of_its_own() {
    let sim = acme().start().await.unwrap();
    let mut ids = Vec::new();
    for path in [HEALTH, KEY_INFO, EXERCICES, "/api/v1/nothing", "/", "/api/v1/key/info?mode=extended"] {
        ids.push(header(&ask(&sim, "dupont", path).await, "request-id").unwrap());
    }
    let lengths: HashSet<_> = ids.iter().map(String::len).collect();
    assert_eq!(lengths, HashSet::from([20, 40, 8]));
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    let noted: Vec<_> = sim.journal().iter().map(|call| call.request_id().unwrap().to_owned()).collect();
    assert_eq!(noted, ids);
}

#[tokio::test]
async fn answers_look_like_those_of_the_real_api() {
    let sim = acme().start().await.unwrap();
    let response = ask(&sim, "dupont", KEY_INFO).await;
    assert_eq!(header(&response, "server").as_deref(), Some("Microsoft-IIS/10.0"));
    assert_eq!(header(&response, "vary").as_deref(), Some("Origin"));
    assert_eq!(header(&response, "keep-alive").as_deref(), Some("timeout=5"));
    assert!(header(&response, "content-length").is_some());
}

#[tokio::test]
async fn answers_are_compressed_and_chunked_where_the_client_accepts_it() {
    let sim = acme().start().await.unwrap();
    let response = get_as(&sim, "dupont", EXERCICES).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(header(&response, "content-encoding").as_deref(), Some("gzip"));
    assert_eq!(header(&response, "transfer-encoding").as_deref(), Some("chunked"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&response.bytes().await.unwrap()[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains(CANARY));
}

#[tokio::test]
async fn bodies_of_the_edge_are_not_the_apis_to_compress() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject(Fault::captive_portal());
    let response = get_as(&sim, "dupont", EXERCICES).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(header(&response, "content-encoding"), None);
    assert_eq!(header(&response, "server"), None);
}

#[tokio::test]
async fn a_key_added_later_is_served_and_a_removed_one_is_not() {
    let sim = acme().start().await.unwrap();
    let acme = sim.partner("acme").unwrap();
    let late = acme.add_key(&KeySpec::society("late", 80, 5));
    assert_eq!(ask(&sim, "late", KEY_INFO).await.status(), 200);
    let request = get_as(&sim, "late", KEY_INFO);
    late.remove();
    assert_eq!(code(request.send().await.unwrap()).await, (401, "ERR-API-TOKEN-NOT-FOUND".into()));
}
