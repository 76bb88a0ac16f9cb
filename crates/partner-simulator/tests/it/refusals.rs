//! Every documented code, in every form of body that was seen.

use http::StatusCode;
use partner_simulator::{BodyForm, DOCUMENTED, EXERCICES, Fault, HEALTH, KEY_INFO, LOG_IN, Refusal, Scope};
use serde_json::Value;

use crate::support::{acme, ask, client, code, dupont, header, read};

/// The error's own object, and the id that it tells.
fn parts(body: &Value, form: BodyForm) -> (&Value, Option<&str>) {
    let error = if form == BodyForm::Rootless { body } else { &body["error"] };
    let details = &error["details"];
    let id = match form {
        BodyForm::Standard => details["requestId"].as_str(),
        BodyForm::CorrelationId => details["correlationId"].as_str(),
        BodyForm::EmptyDetails | BodyForm::Rootless => {
            assert_eq!(details, "");
            None
        }
    };
    (error, id)
}

#[tokio::test]
async fn each_documented_code_is_answered_in_each_form_of_body() {
    let sim = acme().start().await.unwrap();
    let client = client();
    let token = dupont(&sim).token().unwrap();
    for documented in DOCUMENTED {
        for form in BodyForm::ALL {
            dupont(&sim).inject_times(1, Fault::Refuse(Refusal::new(documented.code).form(form)));
            let request = client.get(sim.url(KEY_INFO)).bearer_auth(&token);
            let response = request.header("x-third-party-secret", "?").send().await.unwrap();
            let given = header(&response, "request-id");
            let (status, body) = read(response).await;
            let (error, told) = parts(&body, form);
            assert_eq!(status, documented.status.as_u16());
            assert_eq!(error["code"], documented.code);
            assert_eq!(error["message"], documented.message);
            assert!(told.is_none() || told == given.as_deref());
            let call = sim.journal().pop().unwrap();
            assert_eq!(call.code(), Some(documented.code));
            assert_eq!(call.request_id(), given.as_deref());
        }
    }
}

#[tokio::test]
async fn the_documented_form_tells_of_the_call() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject(Fault::refuse("ERR-INTERNAL"));
    let (_, body) = read(ask(&sim, "dupont", "/api/v1/mad/exercices?version=1.0.0").await).await;
    let details = &body["error"]["details"];
    assert_eq!(details["url"], "/api/v1/mad/exercices?version=1.0.0");
    assert_eq!(details["method"], "GET");
    let requested_at = details["requestedAt"].as_str().unwrap();
    assert!(requested_at.ends_with('Z') && requested_at.len() == "2020-08-05T01:23:05.866Z".len());
}

#[tokio::test]
async fn status_and_message_of_a_refusal_are_free() {
    let sim = acme().start().await.unwrap();
    let refusal = Refusal::new("ERR-INTERNAL").status(StatusCode::IM_A_TEAPOT).message("théière");
    dupont(&sim).inject(Fault::Refuse(refusal));
    let (status, body) = read(ask(&sim, "dupont", KEY_INFO).await).await;
    assert_eq!((status, body["error"]["message"].as_str()), (418, Some("théière")));
}

#[tokio::test]
async fn a_partners_refusal_meets_all_its_keys_and_no_other_partners() {
    let sim = acme().society_key("martin", 80, 128).partner("other", "other-secret").start().await.unwrap();
    sim.partner("acme").unwrap().inject(Fault::refuse("ERR-SECRET-NOT-CONFIGURED"));
    for key in ["dupont", "martin"] {
        let refused = (401, "ERR-SECRET-NOT-CONFIGURED".to_owned());
        assert_eq!(code(ask(&sim, key, KEY_INFO).await).await, refused);
    }
    let other = client().get(sim.url(KEY_INFO)).header("x-third-party-secret", "other-secret");
    assert_eq!(code(other.send().await.unwrap()).await.1, "ERR-INVALID-AUTH-HEADER");
    sim.partner("acme").unwrap().heal();
    assert_eq!(ask(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn a_refusal_of_one_route_leaves_the_keys_others_alone() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject_on(EXERCICES, Fault::refuse("ERR-MISSING-RULE"));
    assert_eq!(code(ask(&sim, "dupont", EXERCICES).await).await, (403, "ERR-MISSING-RULE".to_owned()));
    assert_eq!(ask(&sim, "dupont", KEY_INFO).await.status(), 200);
    dupont(&sim).heal();
    assert_eq!(ask(&sim, "dupont", EXERCICES).await.status(), 200);
}

#[tokio::test]
async fn maintenance_covers_everything_and_ends() {
    let sim = acme().start().await.unwrap();
    sim.begin_maintenance();
    let maintenance = (503, "ERR-API-UNDER-MAINTENANCE".to_owned());
    assert_eq!(code(ask(&sim, "dupont", KEY_INFO).await).await, maintenance);
    assert_eq!(code(client().get(sim.url(HEALTH)).send().await.unwrap()).await, maintenance);
    assert_eq!(code(client().post(sim.url(LOG_IN)).send().await.unwrap()).await, maintenance);
    sim.heal_all();
    assert_eq!(ask(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn maintenance_of_health_alone_leaves_keys_alone() {
    let sim = acme().start().await.unwrap();
    sim.begin_health_maintenance();
    assert_eq!(client().get(sim.url(HEALTH)).send().await.unwrap().status(), 503);
    assert_eq!(ask(&sim, "dupont", KEY_INFO).await.status(), 200);
    sim.heal(&Scope::Route(HEALTH.to_owned()));
    assert_eq!(client().get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
}
