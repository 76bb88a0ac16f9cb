//! Routes, societies and schemas that contradict each other.

use http::StatusCode;
use partner_simulator::{
    EXERCICES, Fault, HEALTH, KEY_INFO, KeySpec, Limits, LoginSpec, Refusal, SOCIETY, Scope, Simulator, USERS,
};
use serde_json::json;

use crate::support::{acme, client, dupont, get, get_as, log_in, status_and_code};

/// Key-wide refusals that one route alone can send.
const KEY_WIDE: [&str; 4] =
    ["ERR-FORBIDDEN-ACCESS", "ERR-INVALID-API-JWT", "ERR-FOLDER-NOT-FOUND", "ERR-API-TOKEN-NOT-FOUND"];

async fn code_about(sim: &Simulator, society: &str) -> (u16, String) {
    let request = get_as(sim, "martin", EXERCICES).header("society-id", society);
    status_and_code(request.send().await.unwrap()).await
}

#[tokio::test]
async fn one_route_can_refuse_a_key_that_the_other_routes_accept() {
    let limits = Limits { total: 1_000, ..Limits::default() };
    let sim = acme().limits(limits).society_key("martin", 80, 128).start().await.unwrap();
    for (refusing, accepting) in [(EXERCICES, KEY_INFO), (KEY_INFO, EXERCICES)] {
        for code in KEY_WIDE {
            for status in [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
                dupont(&sim).inject_on(refusing, Fault::Refuse(Refusal::new(code).status(status)));
                let refused = status_and_code(get(&sim, "dupont", refusing).await).await;
                assert_eq!(refused, (status.as_u16(), code.to_owned()));
                assert_eq!(get(&sim, "dupont", accepting).await.status(), 200);
                assert_eq!(get(&sim, "martin", refusing).await.status(), 200);
                dupont(&sim).heal();
            }
        }
    }
}

#[tokio::test]
async fn one_society_of_a_firm_can_be_refused_alone() {
    let sim = acme().firm_key("martin", 80, &[1234, 1235]).start().await.unwrap();
    for code in KEY_WIDE {
        sim.key("martin").unwrap().inject_within(Scope::Society(1235), Fault::refuse(code));
        assert_eq!(code_about(&sim, "1235").await.1, code);
        assert_eq!(code_about(&sim, "1234").await.0, 200);
        assert_eq!(get(&sim, "martin", KEY_INFO).await.status(), 200);
        sim.key("martin").unwrap().heal();
        assert_eq!(code_about(&sim, "1235").await.0, 200);
    }
}

#[tokio::test]
async fn one_key_of_a_partner_can_be_refused_for_its_secret() {
    let sim = acme().society_key("martin", 80, 128).start().await.unwrap();
    dupont(&sim).refuse(Refusal::new("ERR-INVALID-SECRET"));
    assert_eq!(status_and_code(get(&sim, "dupont", KEY_INFO).await).await.1, "ERR-INVALID-SECRET");
    assert_eq!(get(&sim, "martin", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn an_archived_folder_is_not_found_by_any_key_until_it_is_restored() {
    let sim = acme().firm_key("martin", 80, &[127, 128]).start().await.unwrap();
    sim.archive_folder(127);
    for route in [KEY_INFO, EXERCICES] {
        assert_eq!(status_and_code(get(&sim, "dupont", route).await).await.1, "ERR-FOLDER-NOT-FOUND");
    }
    assert_eq!(code_about(&sim, "127").await.1, "ERR-FOLDER-NOT-FOUND");
    assert_eq!(code_about(&sim, "128").await.0, 200);
    for route in [KEY_INFO, SOCIETY, USERS] {
        assert_eq!(get(&sim, "martin", route).await.status(), 200);
    }
    sim.restore_folder(127);
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn an_inactive_folder_is_refused_by_its_routes_and_not_by_key_info() {
    let sim = acme().firm_key("martin", 80, &[127, 128]).start().await.unwrap();
    sim.deactivate_folder(127);
    assert_eq!(status_and_code(get(&sim, "dupont", EXERCICES).await).await, (400, "SOCIETE12".to_owned()));
    assert_eq!(code_about(&sim, "127").await.1, "SOCIETE12");
    assert_eq!(code_about(&sim, "128").await.0, 200);
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
    sim.restore_folder(127);
    assert_eq!(get(&sim, "dupont", EXERCICES).await.status(), 200);
}

#[tokio::test]
async fn a_deleted_schema_refuses_all_its_tokens_and_no_others() {
    let account = LoginSpec::new("api@durand.example", "password").firm(80, "TESTS");
    let acme = acme().firm_key("martin", 80, &[]).key(KeySpec::login("durand", account));
    let sim = acme.society_key("elsewhere", 81, 127).start().await.unwrap();
    sim.delete_schema(80);
    let body = json!({"mail": "api@durand.example", "password": "password"});
    assert_eq!(log_in(&sim, body).await.status(), 200);
    for key in ["dupont", "martin", "durand"] {
        assert_eq!(status_and_code(get(&sim, key, KEY_INFO).await).await.1, "ERR-SCHEMA-NOT-FOUND");
    }
    assert_eq!(get(&sim, "elsewhere", KEY_INFO).await.status(), 200);
    assert_eq!(client().get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
    sim.restore_schema(80);
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn scopes_can_be_combined() {
    let sim = acme().firm_key("martin", 80, &[1234, 1235]).start().await.unwrap();
    let all_but_health = Scope::Everything.except(Scope::Route(HEALTH.to_owned()));
    sim.inject(all_but_health.clone(), Fault::maintenance());
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 503);
    assert_eq!(client().get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
    sim.heal(&all_but_health);
    let about_both =
        Scope::All(vec![Scope::Schema(80), Scope::Society(1234), Scope::Route(EXERCICES.to_owned())]);
    sim.inject(about_both, Fault::refuse("DROIT1"));
    assert_eq!(code_about(&sim, "1234").await, (401, "DROIT1".to_owned()));
    assert_eq!(code_about(&sim, "1235").await.0, 200);
    assert_eq!(get(&sim, "dupont", EXERCICES).await.status(), 200);
}
