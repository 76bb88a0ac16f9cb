//! The API Cabinet log-in.

use std::time::Duration;

use partner_simulator::{
    EXERCICES, Fault, KEY_INFO, KeySpec, LOG_IN, LoginSpec, Refusal, Simulator, TokenForm,
};
use serde_json::{Value, json};

use crate::support::{SECRET, client, status_and_code, status_and_json};

const MAIL: &str = "api@durand.example";
const PASSWORD: &str = "correct horse";

fn account() -> LoginSpec {
    LoginSpec::new(MAIL, PASSWORD).firm(80, "TESTS PARTENAIRES").society(127)
}

async fn simulator(key: KeySpec) -> Simulator {
    Simulator::builder().partner("acme", SECRET).key(key).start().await.unwrap()
}

async fn log_in(sim: &Simulator, body: Value) -> reqwest::Response {
    client().post(sim.auth_url()).json(&body).send().await.unwrap()
}

async fn log_in_correctly(sim: &Simulator) -> Value {
    let (status, body) =
        status_and_json(log_in(sim, json!({"mail": MAIL, "password": PASSWORD})).await).await;
    assert_eq!(status, 200);
    body
}

async fn get(sim: &Simulator, token: &Value, path: &str) -> reqwest::Response {
    let request = client().get(sim.url(path)).bearer_auth(token.as_str().unwrap());
    request.header("x-third-party-secret", SECRET).header("society-id", "127").send().await.unwrap()
}

#[tokio::test]
async fn a_correct_password_returns_a_token_for_the_firm() {
    let sim = simulator(KeySpec::login("durand", account())).await;
    let body = log_in_correctly(&sim).await;
    assert_eq!(body["firm"], json!({"id": 80, "label": "TESTS PARTENAIRES"}));
    assert_eq!(sim.key("durand").unwrap().token().as_deref(), body["api_token"].as_str());
    assert_eq!(get(&sim, &body["api_token"], EXERCICES).await.status(), 200);
    let call = sim.request_log().pop().unwrap();
    assert_eq!(call.key.as_deref(), Some("durand"));
}

#[tokio::test]
async fn a_wrong_password_is_counted_and_refused_in_the_documented_format() {
    let sim = simulator(KeySpec::login("durand", account())).await;
    let wrong = log_in(&sim, json!({"mail": MAIL, "password": "wrong"})).await;
    let id = wrong.headers().get("request-id").unwrap().to_str().unwrap().to_owned();
    let (status, body) = status_and_json(wrong).await;
    assert_eq!((status, &body["error"]["code"]), (401, &"AUTH1".into()));
    assert_eq!(body["error"]["details"]["requestId"], id.as_str());
    let attempts = sim.account(MAIL).unwrap().attempts();
    assert_eq!((attempts.total, attempts.refused, attempts.locked), (1, 1, false));
    log_in_correctly(&sim).await;
    assert_eq!(sim.account(MAIL).unwrap().attempts().consecutive_wrong_passwords, 0);
}

#[tokio::test]
async fn consecutive_wrong_passwords_lock_the_account() {
    let sim = simulator(KeySpec::login("durand", account().lock_after(3))).await;
    for _ in 0..3 {
        let wrong = log_in(&sim, json!({"mail": MAIL, "password": "wrong"})).await;
        assert_eq!(status_and_code(wrong).await, (401, "AUTH1".into()));
    }
    let body = json!({"mail": MAIL, "password": PASSWORD});
    assert_eq!(status_and_code(log_in(&sim, body).await).await, (403, "AUTH2".into()));
    assert!(sim.account(MAIL).unwrap().attempts().locked);
    sim.account(MAIL).unwrap().unlock();
    log_in_correctly(&sim).await;
}

#[tokio::test]
async fn an_account_with_several_firms_must_choose_one() {
    let sim = simulator(KeySpec::login("durand", account().firm(81, "AUTRE"))).await;
    let body = log_in_correctly(&sim).await;
    assert_eq!(body["status"], "firm-selection");
    assert!(body.get("api_token").is_none());
    for (firm, id) in [(json!(81), 81), (json!("AUTRE"), 81), (json!(80), 80)] {
        let response = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD, "firm": firm})).await;
        let (status, body) = status_and_json(response).await;
        assert_eq!((status, &body["firm"]["id"]), (200, &id.into()));
        let (_, info) =
            status_and_json(get(&sim, &body["api_token"], "/api/v1/key/info?mode=extended").await).await;
        assert_eq!(info["target"]["schemaId"], id);
    }
    let unknown = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD, "firm": 99})).await;
    assert_eq!(status_and_code(unknown).await, (400, "AUTH3".into()));
}

#[tokio::test]
async fn a_body_that_is_not_a_log_in_is_refused_and_not_counted() {
    let sim = simulator(KeySpec::login("durand", account())).await;
    assert_eq!(status_and_code(log_in(&sim, json!({"mail": MAIL})).await).await, (400, "GBL1".into()));
    assert_eq!(sim.account(MAIL).unwrap().attempts().total, 0);
}

fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_token_expires_after_four_hours_and_its_claim_says_so() {
    let sim = simulator(KeySpec::login("durand", account())).await;
    let token = log_in_correctly(&sim).await["api_token"].clone();
    let claims = claims(token.as_str().unwrap());
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 4 * 3_600);
    tokio::time::advance(Duration::from_mins(239)).await;
    assert_eq!(get(&sim, &token, KEY_INFO).await.status(), 200);
    tokio::time::advance(Duration::from_mins(1)).await;
    let refused = get(&sim, &token, KEY_INFO).await;
    assert_eq!(status_and_code(refused).await, (401, "ERR-FIRM-TOKEN-NOT-FOUND".into()));
    let second = log_in_correctly(&sim).await["api_token"].clone();
    assert_eq!(get(&sim, &second, KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn the_expiry_claim_can_be_missing_and_the_token_can_be_opaque() {
    let with_form = |form| simulator(KeySpec { form, ..KeySpec::login("durand", account()) });
    let without = with_form(TokenForm::Jwt).await;
    let token = log_in_correctly(&without).await["api_token"].clone();
    assert!(claims(token.as_str().unwrap()).get("exp").is_none());
    let opaque = with_form(TokenForm::Opaque).await;
    let token = log_in_correctly(&opaque).await["api_token"].clone();
    assert!(!token.as_str().unwrap().contains('.'));
    assert_eq!(get(&opaque, &token, KEY_INFO).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn expires_in_is_written_in_the_chosen_zone() {
    let utc = simulator(KeySpec::login("durand", account())).await;
    let paris = simulator(KeySpec::login("durand", account().offset_minutes(120))).await;
    let hour = |body: &Value| body["expiresIn"].as_str().unwrap()[11..13].parse::<u32>().unwrap();
    let (utc, paris) = (log_in_correctly(&utc).await, log_in_correctly(&paris).await);
    assert_eq!(utc["expiresIn"].as_str().unwrap().len(), "2021-04-12 11:54:46".len());
    // Both log-ins happen in the same hour, or in two consecutive hours.
    assert!([2, 3].contains(&((hour(&paris) + 24 - hour(&utc)) % 24)));
}

#[tokio::test]
async fn a_log_in_can_revoke_earlier_tokens() {
    let sim = simulator(KeySpec::login("durand", LoginSpec { one_token: true, ..account() })).await;
    let first = log_in_correctly(&sim).await["api_token"].clone();
    let second = log_in_correctly(&sim).await["api_token"].clone();
    assert_eq!(get(&sim, &first, KEY_INFO).await.status(), 401);
    assert_eq!(get(&sim, &second, KEY_INFO).await.status(), 200);
    let several_tokens = simulator(KeySpec::login("durand", account())).await;
    let first = log_in_correctly(&several_tokens).await["api_token"].clone();
    log_in_correctly(&several_tokens).await;
    assert_eq!(get(&several_tokens, &first, KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn the_refusal_of_an_expired_token_can_be_chosen() {
    let expired = Refusal::new("ERR-INVALID-FIRM-JWT");
    let login = LoginSpec { lifetime: Duration::ZERO, expired, ..account() };
    let sim = simulator(KeySpec::login("durand", login)).await;
    let token = log_in_correctly(&sim).await["api_token"].clone();
    assert_eq!(
        status_and_code(get(&sim, &token, KEY_INFO).await).await,
        (401, "ERR-INVALID-FIRM-JWT".into())
    );
}

#[tokio::test]
async fn tokens_can_expire_early() {
    let sim = simulator(KeySpec::login("durand", account())).await;
    let token = log_in_correctly(&sim).await["api_token"].clone();
    sim.key("durand").unwrap().expire_tokens();
    assert_eq!(get(&sim, &token, KEY_INFO).await.status(), 401);
}

#[tokio::test]
async fn log_ins_are_logged_with_their_key_and_can_fail_alone() {
    let sim = simulator(KeySpec::login("durand", account())).await;
    let durand = sim.key("durand").unwrap();
    durand.inject(Fault::refuse("ERR-FORBIDDEN-ACCESS"));
    let token = log_in_correctly(&sim).await["api_token"].clone();
    assert_eq!(get(&sim, &token, KEY_INFO).await.status(), 403);
    durand.heal();
    durand.inject_on(LOG_IN, Fault::refuse("ERR-INTERNAL"));
    let refused = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD})).await;
    assert_eq!(status_and_code(refused).await, (500, "ERR-INTERNAL".into()));
    assert_eq!(get(&sim, &token, KEY_INFO).await.status(), 200);
    let log_ins = durand.calls().iter().filter(|call| call.route() == LOG_IN).count();
    assert_eq!((log_ins, sim.account(MAIL).unwrap().attempts().total), (2, 1));
    assert!(!format!("{:?}", sim.request_log()).contains(PASSWORD));
}
