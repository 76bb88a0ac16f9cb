//! All documented error codes in all body formats seen so far.

use http::StatusCode;
use partner_simulator::{
    BodyForm, DOCUMENTED, DocumentedCode, EXERCICES, Fault, HEALTH, KEY_INFO, LOG_IN, Refusal, Scope,
};
use serde_json::Value;

use crate::support::{acme, client, dupont, get, header, status_and_code, status_and_json};

/// The request ID in the error object, if the format has one.
fn check_error(body: &Value, form: BodyForm, expected: &DocumentedCode) -> Option<String> {
    let error = if matches!(form, BodyForm::Rootless | BodyForm::Framework) { body } else { &body["error"] };
    let details = &error["details"];
    assert_eq!(error["message"], expected.message);
    let id = match form {
        BodyForm::Framework => {
            assert_eq!(body["error"], expected.status.canonical_reason().unwrap());
            assert_eq!(body["code"], expected.status.as_u16());
            return None;
        }
        BodyForm::Standard => details["requestId"].as_str(),
        BodyForm::NumericCode => {
            assert_eq!(body["code"], expected.status.as_u16());
            details["requestId"].as_str()
        }
        BodyForm::CorrelationId => details["correlationId"].as_str(),
        BodyForm::EmptyDetails | BodyForm::Rootless => {
            assert_eq!(details, "");
            None
        }
    };
    assert_eq!(error["code"], expected.code);
    id.map(str::to_owned)
}

#[tokio::test]
async fn each_documented_code_is_sent_in_each_body_format() {
    let sim = acme().start().await.unwrap();
    let client = client();
    let token = dupont(&sim).token().unwrap();
    for documented in DOCUMENTED {
        for form in BodyForm::ALL {
            dupont(&sim).inject_times(1, Fault::Refuse(Refusal::new(documented.code).form(form)));
            let request = client.get(sim.url(KEY_INFO)).bearer_auth(&token);
            let response = request.header("x-third-party-secret", "?").send().await.unwrap();
            let id_in_header = header(&response, "request-id");
            let (status, body) = status_and_json(response).await;
            assert_eq!(status, documented.status.as_u16());
            let id_in_body = check_error(&body, form, documented);
            assert!(id_in_body.is_none() || id_in_body == id_in_header);
            let call = sim.request_log().pop().unwrap();
            assert_eq!(call.code(), (form != BodyForm::Framework).then_some(documented.code));
            assert_eq!(call.request_id(), id_in_header.as_deref());
        }
    }
}

#[tokio::test]
async fn business_codes_have_their_documented_statuses() {
    let documented = [
        ("SOCIETE12", 400),
        ("SOCIETE13", 400),
        ("TOKEN1", 400),
        ("TOKEN2", 400),
        ("GBL15", 500),
        ("DROIT1", 401),
        ("DROIT5", 401),
        ("GBL1", 500),
        ("GBL2", 400),
        ("GBL20", 400),
        ("EXERCICE5", 403),
        ("COMPTE 13", 400),
        ("OCR1", 400),
    ];
    let table = DOCUMENTED.iter().filter(|known| !known.code.starts_with("ERR-"));
    assert_eq!(table.map(|known| (known.code, known.status.as_u16())).collect::<Vec<_>>(), documented);
    let sim = acme().start().await.unwrap();
    for (code, status) in documented {
        dupont(&sim).inject_times(1, Fault::refuse(code));
        assert_eq!(status_and_code(get(&sim, "dupont", EXERCICES).await).await, (status, code.to_owned()));
    }
}

#[tokio::test]
async fn the_documented_body_format_describes_the_request() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject(Fault::refuse("ERR-INTERNAL"));
    let (_, body) = status_and_json(get(&sim, "dupont", "/api/v1/mad/exercices?version=1.0.0").await).await;
    let details = &body["error"]["details"];
    assert_eq!(details["url"], "/api/v1/mad/exercices?version=1.0.0");
    assert_eq!(details["method"], "GET");
    let requested_at = details["requestedAt"].as_str().unwrap();
    assert!(requested_at.ends_with('Z') && requested_at.len() == "2020-08-05T01:23:05.866Z".len());
}

#[tokio::test]
async fn the_status_and_message_of_a_refusal_can_be_chosen() {
    let sim = acme().start().await.unwrap();
    let refusal = Refusal::new("ERR-INTERNAL").status(StatusCode::IM_A_TEAPOT).message("théière");
    dupont(&sim).inject(Fault::Refuse(refusal));
    let (status, body) = status_and_json(get(&sim, "dupont", KEY_INFO).await).await;
    assert_eq!((status, body["error"]["message"].as_str()), (418, Some("théière")));
}

#[tokio::test]
async fn a_refusal_for_a_partner_applies_to_all_its_keys_and_to_no_other_partner() {
    let sim = acme().society_key("martin", 80, 128).partner("other", "other-secret").start().await.unwrap();
    sim.partner("acme").unwrap().inject(Fault::refuse("ERR-SECRET-NOT-CONFIGURED"));
    for key in ["dupont", "martin"] {
        let refused = (401, "ERR-SECRET-NOT-CONFIGURED".to_owned());
        assert_eq!(status_and_code(get(&sim, key, KEY_INFO).await).await, refused);
    }
    let other = client().get(sim.url(KEY_INFO)).header("x-third-party-secret", "other-secret");
    assert_eq!(status_and_code(other.send().await.unwrap()).await.1, "ERR-INVALID-AUTH-HEADER");
    sim.partner("acme").unwrap().heal();
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn a_refusal_for_one_route_does_not_affect_other_routes() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject_on(EXERCICES, Fault::refuse("ERR-MISSING-RULE"));
    assert_eq!(
        status_and_code(get(&sim, "dupont", EXERCICES).await).await,
        (403, "ERR-MISSING-RULE".to_owned())
    );
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
    dupont(&sim).heal();
    assert_eq!(get(&sim, "dupont", EXERCICES).await.status(), 200);
}

#[tokio::test]
async fn maintenance_affects_all_routes_until_it_ends() {
    let sim = acme().start().await.unwrap();
    sim.begin_maintenance();
    let maintenance = (503, "ERR-API-UNDER-MAINTENANCE".to_owned());
    assert_eq!(status_and_code(get(&sim, "dupont", KEY_INFO).await).await, maintenance);
    assert_eq!(status_and_code(client().get(sim.url(HEALTH)).send().await.unwrap()).await, maintenance);
    assert_eq!(status_and_code(client().post(sim.url(LOG_IN)).send().await.unwrap()).await, maintenance);
    sim.heal_all();
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn maintenance_of_the_health_route_does_not_affect_keys() {
    let sim = acme().start().await.unwrap();
    sim.inject(Scope::Route(HEALTH.to_owned()), Fault::maintenance());
    assert_eq!(client().get(sim.url(HEALTH)).send().await.unwrap().status(), 503);
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
    sim.heal(&Scope::Route(HEALTH.to_owned()));
    assert_eq!(client().get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
}
