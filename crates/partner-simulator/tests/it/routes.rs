//! Successful responses, and the headers of all responses.

use std::collections::HashSet;
use std::io::Read;
use std::time::Duration;

use partner_simulator::{
    CANARY, EXERCICES, EXPORT, Fault, HEALTH, KEY_INFO, KeySpec, PERSONS, SOCIETY, Simulator, USERS, Version,
};

use crate::support::{SECRET, acme, client, dupont, get, get_as, header, status_and_code, status_and_json};

fn firm() -> partner_simulator::SimulatorBuilder {
    Simulator::builder().partner("acme", SECRET).firm_key("martin", 80, &[1234, 1235])
}

#[tokio::test]
async fn the_health_route_needs_no_authentication() {
    let sim = Simulator::builder().start().await.unwrap();
    assert_eq!(client().get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
    assert_eq!(client().head(sim.url(HEALTH)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn key_info_lists_the_routes_that_the_token_may_call() {
    let sim = acme().start().await.unwrap();
    let (status, routes) = status_and_json(get(&sim, "dupont", KEY_INFO).await).await;
    assert_eq!(status, 200);
    let exercices = serde_json::json!({"path": EXERCICES, "method": "get"});
    assert!(routes.as_array().unwrap().contains(&exercices));
    dupont(&sim).forbid(EXERCICES, partner_simulator::Refusal::new("ERR-FORBIDDEN-ROUTE"));
    let (_, routes) = status_and_json(get(&sim, "dupont", KEY_INFO).await).await;
    assert!(!routes.as_array().unwrap().contains(&exercices));
    assert_eq!(
        status_and_code(get(&sim, "dupont", EXERCICES).await).await,
        (403, "ERR-FORBIDDEN-ROUTE".into())
    );
}

#[tokio::test]
async fn extended_key_info_describes_a_society_key() {
    let version = Version { current: 1, latest: 2, beta: true };
    let dupont = KeySpec { version, ..KeySpec::society("dupont", 80, 127) };
    let sim = Simulator::builder().partner("acme", SECRET).key(dupont).start().await.unwrap();
    let (_, info) = status_and_json(get(&sim, "dupont", "/api/v1/key/info?mode=extended").await).await;
    let target = serde_json::json!({"type": "api", "schemaId": 80, "thirdPartyId": 101, "societyId": 127});
    assert_eq!(info["target"], target);
    assert_eq!(info["version"], serde_json::json!({"current": 1, "latest": 2, "beta": true}));
    assert_eq!((&info["canBeActivated"], &info["isActivated"]), (&true.into(), &true.into()));
    assert!(info["routes"].is_array());
}

#[tokio::test]
async fn extended_key_info_names_no_society_for_a_firm() {
    let sim = firm().start().await.unwrap();
    let (_, info) = status_and_json(get(&sim, "martin", "/api/v1/key/info?mode=extended").await).await;
    assert_eq!(info["target"], serde_json::json!({"type": "firm", "schemaId": 80, "thirdPartyId": 101}));
}

#[tokio::test]
async fn a_firm_key_must_name_one_of_its_societies() {
    let sim = firm().start().await.unwrap();
    let with = |id: &'static str| get_as(&sim, "martin", EXERCICES).header("society-id", id).send();
    assert_eq!(with("1235").await.unwrap().status(), 200);
    assert_eq!(status_and_code(with("9").await.unwrap()).await, (401, "DROIT1".into()));
    assert_eq!(status_and_code(with("x").await.unwrap()).await, (500, "GBL1".into()));
    assert_eq!(status_and_code(get(&sim, "martin", EXERCICES).await).await, (500, "GBL1".into()));
    let society_ids: Vec<_> = sim.request_log().iter().map(|call| call.society_id.clone()).collect();
    assert_eq!(society_ids, [Some("1235".into()), Some("9".into()), Some("x".into()), None]);
}

#[tokio::test]
async fn every_accounting_response_contains_the_canary() {
    let sim = firm().society_key("dupont", 80, 127).start().await.unwrap();
    for route in [SOCIETY, USERS, PERSONS].iter().chain(&FIRM_ONLY) {
        assert!(get(&sim, "martin", route).await.text().await.unwrap().contains(CANARY), "{route}");
    }
    let exercices = get(&sim, "dupont", "/api/v1/mad/exercices?version=1.0.0").await;
    assert!(exercices.text().await.unwrap().contains(CANARY));
}

#[tokio::test]
async fn an_unknown_route_returns_404() {
    let sim = acme().start().await.unwrap();
    let not_found = (404, "ERR-HTTP".to_owned());
    assert_eq!(status_and_code(get(&sim, "dupont", "/api/v1/nothing").await).await, not_found);
    assert_eq!(status_and_code(client().get(sim.url("/")).send().await.unwrap()).await, not_found);
    let posted = client().post(sim.url(HEALTH)).send().await.unwrap();
    assert_eq!(status_and_code(posted).await, not_found);
}

#[tokio::test]
async fn a_fiscal_year_is_open_or_closed() {
    let sim = acme().start().await.unwrap();
    let (_, years) = status_and_json(get(&sim, "dupont", "/api/v1/mad/exercices?version=1.0.0").await).await;
    let states: HashSet<_> =
        years.as_array().unwrap().iter().map(|year| year["state"].as_str().unwrap()).collect();
    assert_eq!(states, HashSet::from(["open", "closed"]));
    assert!(
        years[0]["producerId"].is_string() && years[0]["name"].is_string() && years[0]["period"].is_object()
    );
}

#[tokio::test]
async fn firm_wide_routes_return_the_documented_objects() {
    let sim = firm().start().await.unwrap();
    let body = async |route| status_and_json(get(&sim, "martin", route).await).await.1;
    let societies = body(SOCIETY).await;
    assert_eq!((&societies["row_numbers"], &societies["pages_number"]), (&2.into(), &1.into()));
    assert_eq!(societies["society_array"][1]["society_id"], 1235);
    let users = body(USERS).await;
    assert_eq!(users["bdelete"], false);
    assert!(users["user_array"].is_array());
    assert!(body(PERSONS).await["array_pers_physique"].is_array());
}

#[tokio::test]
async fn the_society_route_returns_one_object_if_the_request_is_about_one_society() {
    let sim = firm().society_key("dupont", 80, 127).start().await.unwrap();
    let (_, own) = status_and_json(get(&sim, "dupont", SOCIETY).await).await;
    assert_eq!(own["society_id"], 127);
    let named = get_as(&sim, "martin", SOCIETY).header("society-id", "1234").send().await.unwrap();
    assert_eq!(status_and_json(named).await.1["society_id"], 1234);
}

const FIRM_ONLY: [&str; 6] = [
    "/api/v1/wallet",
    "/api/v1/member",
    "/api/v1/dashboard/modules",
    "/api/v1/society/search",
    "/api/v1/gestion_center",
    "/api/v1/compte_edi",
];

#[tokio::test]
async fn the_token_of_a_society_may_not_use_the_routes_for_firms() {
    let sim = firm().society_key("dupont", 80, 127).start().await.unwrap();
    let (_, of_society) = status_and_json(get(&sim, "dupont", KEY_INFO).await).await;
    let (_, of_firm) = status_and_json(get(&sim, "martin", KEY_INFO).await).await;
    for route in FIRM_ONLY {
        assert_eq!(get(&sim, "martin", route).await.status(), 200, "{route}");
        let refused = status_and_code(get(&sim, "dupont", route).await).await;
        assert_eq!(refused, (403, "ERR-FORBIDDEN-ROUTE".to_owned()), "{route}");
        let listed = serde_json::json!({"path": route, "method": "get"});
        assert!(!of_society.as_array().unwrap().contains(&listed), "{route}");
        assert!(of_firm.as_array().unwrap().contains(&listed), "{route}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_society_can_start_one_export_an_hour() {
    let sim = acme().society_key("martin", 80, 128).start().await.unwrap();
    for _ in 0..2 {
        let (status, export) = status_and_json(get(&sim, "dupont", EXPORT).await).await;
        let expected = serde_json::json!({"id": "export_sch-80_acf-127", "status": "INIT"});
        assert_eq!((status, export), (200, expected));
        assert_eq!(sim.exports(), 1);
    }
    get(&sim, "martin", EXPORT).await;
    assert_eq!(sim.exports(), 2);
    tokio::time::advance(Duration::from_hours(1)).await;
    get(&sim, "dupont", EXPORT).await;
    assert_eq!(sim.exports(), 3);
}

#[tokio::test]
async fn a_head_response_has_the_length_of_the_get_response_and_no_body() {
    let sim = acme().start().await.unwrap();
    let body = get(&sim, "dupont", EXERCICES).await.bytes().await.unwrap();
    let head = client().head(sim.url(EXERCICES)).bearer_auth(dupont(&sim).token().unwrap());
    let head = head.header("x-third-party-secret", SECRET).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(header(&head, "content-length").unwrap(), body.len().to_string());
    assert!(head.bytes().await.unwrap().is_empty());
    assert_eq!(sim.request_log().pop().unwrap().method, "HEAD");
}

#[tokio::test]
async fn every_response_has_a_different_request_id() {
    let sim = acme().start().await.unwrap();
    let mut ids = Vec::new();
    for path in [HEALTH, KEY_INFO, EXERCICES, "/api/v1/nothing", "/", "/api/v1/key/info?mode=extended"] {
        ids.push(header(&get(&sim, "dupont", path).await, "request-id").unwrap());
    }
    let lengths: HashSet<_> = ids.iter().map(String::len).collect();
    assert_eq!(lengths, HashSet::from([20, 40, 8]));
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    let logged: Vec<_> = sim.request_log().iter().map(|call| call.request_id().unwrap().to_owned()).collect();
    assert_eq!(logged, ids);
}

#[tokio::test]
async fn responses_have_the_headers_of_the_real_api() {
    let sim = acme().start().await.unwrap();
    let response = get(&sim, "dupont", KEY_INFO).await;
    assert_eq!(header(&response, "server").as_deref(), Some("Microsoft-IIS/10.0"));
    assert_eq!(header(&response, "vary").as_deref(), Some("Origin"));
    assert_eq!(header(&response, "keep-alive").as_deref(), Some("timeout=5"));
    assert!(header(&response, "content-length").is_some());
}

#[tokio::test]
async fn responses_are_compressed_and_chunked_if_the_client_accepts_it() {
    let sim = acme().start().await.unwrap();
    let response = get_as(&sim, "dupont", EXERCICES).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(header(&response, "content-encoding").as_deref(), Some("gzip"));
    assert_eq!(header(&response, "transfer-encoding").as_deref(), Some("chunked"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&response.bytes().await.unwrap()[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains(CANARY));
}

#[tokio::test]
async fn responses_that_do_not_come_from_the_api_are_not_compressed() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject(Fault::captive_portal());
    let response = get_as(&sim, "dupont", EXERCICES).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(header(&response, "content-encoding"), None);
    assert_eq!(header(&response, "server"), None);
}

#[tokio::test]
async fn a_key_added_later_is_accepted_and_a_removed_key_is_not() {
    let sim = acme().start().await.unwrap();
    let acme = sim.partner("acme").unwrap();
    let late = acme.add_key(&KeySpec::society("late", 80, 5));
    assert_eq!(get(&sim, "late", KEY_INFO).await.status(), 200);
    let request = get_as(&sim, "late", KEY_INFO);
    late.remove();
    assert_eq!(status_and_code(request.send().await.unwrap()).await, (401, "ERR-API-TOKEN-NOT-FOUND".into()));
}
