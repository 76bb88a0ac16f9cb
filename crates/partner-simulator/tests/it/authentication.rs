//! Tokens and secrets, and the error codes for wrong ones.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use partner_simulator::{HEALTH, KEY_INFO, KeySpec, PartnerSpec, Refusal, Simulator, TokenForm};

use crate::support::{SECRET, acme, claims, client, dupont, get, status_and_code};

async fn response_code(sim: &Simulator, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = client().get(sim.url(KEY_INFO));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    status_and_code(request.send().await.unwrap()).await
}

fn jwt(payload: &str) -> String {
    format!("Bearer e30.{}.x", URL_SAFE_NO_PAD.encode(payload))
}

#[tokio::test]
async fn each_authentication_error_has_its_code() {
    let sim = acme().partner("other", "other-secret").start().await.unwrap();
    let token = format!("Bearer {}", dupont(&sim).token().unwrap());
    let basic = format!("Basic {}", dupont(&sim).token().unwrap());
    let api = jwt(r#"{"type":"api","m":80,"t":"101","s":"127"}"#);
    let firm = jwt(r#"{"type":"firm","m":80,"p":"1","t":"101"}"#);
    let user = jwt(r#"{"type":"user"}"#);
    let secret = ("x-third-party-secret", SECRET);
    let cases: [(&[(&str, &str)], &str); 11] = [
        (&[], "ERR-INVALID-AUTH-HEADER"),
        (&[("authorization", &basic), secret], "ERR-INVALID-AUTH-HEADER"),
        (&[("authorization", "Bearer "), secret], "ERR-INVALID-AUTH-HEADER"),
        (&[("authorization", &token)], "ERR-SECRET-HEADER-NOT-SET"),
        (&[("authorization", &token), ("x-third-party-secret", "wrong")], "ERR-INVALID-SECRET"),
        (&[("authorization", &token), ("x-third-party-secret", "other-secret")], "ERR-INVALID-SECRET"),
        (&[("authorization", &api), secret], "ERR-API-TOKEN-NOT-FOUND"),
        (&[("authorization", &firm), secret], "ERR-FIRM-TOKEN-NOT-FOUND"),
        (&[("authorization", &user), secret], "ERR-INVALID-USER-JWT"),
        (&[("authorization", "Bearer a.b.c"), secret], "ERR-INVALID-JWT"),
        (&[("authorization", "Bearer opaque"), secret], "ERR-INVALID-JWT"),
    ];
    for (headers, expected) in cases {
        assert_eq!(response_code(&sim, headers).await, (401, expected.to_owned()), "{headers:?}");
    }
    assert_eq!(response_code(&sim, &[("authorization", &token), secret]).await.0, 200);
}

#[tokio::test]
async fn a_pending_secret_is_refused_until_it_is_activated() {
    let acme = PartnerSpec::new("acme", SECRET).secret_pending().key(KeySpec::society("dupont", 80, 127));
    let sim = Simulator::builder().partner_with(acme).start().await.unwrap();
    assert_eq!(
        status_and_code(get(&sim, "dupont", KEY_INFO).await).await,
        (401, "ERR-INVALID-SECRET".into())
    );
    sim.partner("acme").unwrap().activate_secret();
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
    sim.partner("acme").unwrap().replace_secret("new");
    assert_eq!(
        status_and_code(get(&sim, "dupont", KEY_INFO).await).await,
        (401, "ERR-INVALID-SECRET".into())
    );
}

#[tokio::test]
async fn a_revoked_key_is_not_found_until_it_is_restored() {
    let sim = acme().firm_key("martin", 80, &[]).start().await.unwrap();
    for (key, expected) in [("dupont", "ERR-API-TOKEN-NOT-FOUND"), ("martin", "ERR-FIRM-TOKEN-NOT-FOUND")] {
        sim.key(key).unwrap().revoke();
        assert_eq!(status_and_code(get(&sim, key, KEY_INFO).await).await, (401, expected.into()));
        sim.key(key).unwrap().restore();
        assert_eq!(get(&sim, key, KEY_INFO).await.status(), 200);
    }
}

#[tokio::test]
async fn a_replaced_token_is_not_found_but_still_has_its_key_in_the_request_log() {
    let sim = acme().start().await.unwrap();
    let old = format!("Bearer {}", dupont(&sim).token().unwrap());
    let new = format!("Bearer {}", dupont(&sim).replace_token().unwrap());
    let secret = ("x-third-party-secret", SECRET);
    let refused = response_code(&sim, &[("authorization", &old), secret]).await;
    assert_eq!(refused, (401, "ERR-API-TOKEN-NOT-FOUND".into()));
    assert!(!dupont(&sim).is_activated());
    assert_eq!(response_code(&sim, &[("authorization", &new), secret]).await.0, 200);
    let keys: Vec<_> = sim.request_log().iter().map(|call| call.key.clone().unwrap()).collect();
    assert_eq!(keys, ["dupont".into(), "dupont".into()]);
}

#[tokio::test]
async fn a_key_under_the_wrong_partner_is_refused_alone() {
    let sim = acme().partner("other", "other-secret").society_key("martin", 80, 128).start().await.unwrap();
    let status = async |key: &str, secret: &str| {
        let token = format!("Bearer {}", sim.key(key).unwrap().token().unwrap());
        response_code(&sim, &[("authorization", &token), ("x-third-party-secret", secret)]).await
    };
    let wrong_secret = (401, "ERR-INVALID-SECRET".to_owned());
    assert_eq!(status("dupont", "other-secret").await, wrong_secret);
    assert_eq!(status("martin", SECRET).await, wrong_secret);
    assert_eq!(status("dupont", SECRET).await.0, 200);
    assert_eq!(status("martin", "other-secret").await.0, 200);
}

#[tokio::test]
async fn a_deleted_key_that_is_created_again_has_another_token() {
    let sim = acme().start().await.unwrap();
    let old = format!("Bearer {}", dupont(&sim).token().unwrap());
    dupont(&sim).remove();
    let secret = ("x-third-party-secret", SECRET);
    let not_found = (401, "ERR-API-TOKEN-NOT-FOUND".to_owned());
    assert_eq!(response_code(&sim, &[("authorization", &old), secret]).await, not_found);
    sim.partner("acme").unwrap().add_key(&KeySpec::society("dupont", 80, 127).pending());
    assert_eq!(response_code(&sim, &[("authorization", &old), secret]).await, not_found);
    assert!(!dupont(&sim).is_activated());
    assert_eq!(get(&sim, "dupont", KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn the_response_to_a_disconnected_key_contains_the_reason() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).disconnect("contrat résilié");
    let body = get(&sim, "dupont", KEY_INFO).await.text().await.unwrap();
    assert!(body.contains("ERR-THIRD-PARTY-DISCONNECTED") && body.contains("contrat résilié"));
}

#[tokio::test]
async fn a_key_can_be_refused_from_the_start() {
    let key = KeySpec::society("gone", 80, 1).refused(Refusal::new("ERR-FOLDER-NOT-FOUND"));
    let sim = acme().key(key).start().await.unwrap();
    assert_eq!(
        status_and_code(get(&sim, "gone", KEY_INFO).await).await,
        (404, "ERR-FOLDER-NOT-FOUND".into())
    );
}

#[tokio::test]
async fn tokens_have_the_documented_payloads_or_are_opaque() {
    let opaque = KeySpec { form: TokenForm::Opaque, ..KeySpec::society("opaque", 80, 2) };
    let given = KeySpec::society("given", 80, 3).token("given-token");
    let sim = acme().firm_key("martin", 80, &[]).key(opaque).key(given).start().await.unwrap();
    let payload = |key: &str| claims(&sim.key(key).unwrap().token().unwrap());
    let society = payload("dupont");
    assert_eq!(
        (&society["type"], &society["m"], &society["t"], &society["s"]),
        (&"api".into(), &80.into(), &"101".into(), &"127".into()),
    );
    let firm = payload("martin");
    assert_eq!((&firm["type"], &firm["m"], &firm["t"]), (&"firm".into(), &80.into(), &"101".into()));
    assert!(firm["p"].is_string() && firm.get("exp").is_none());
    assert!(!sim.key("opaque").unwrap().token().unwrap().contains('.'));
    assert_eq!(sim.key("given").unwrap().token().as_deref(), Some("given-token"));
    for key in ["opaque", "given"] {
        assert_eq!(get(&sim, key, KEY_INFO).await.status(), 200);
    }
}

#[tokio::test]
async fn credentials_on_the_health_route_are_ignored() {
    let sim = acme().start().await.unwrap();
    let request = client().get(sim.url(HEALTH)).bearer_auth("wrong").header("x-third-party-secret", "wrong");
    assert_eq!(request.send().await.unwrap().status(), 200);
}
