//! The API Cabinet log-in.

use std::time::Duration;

use http::StatusCode;
use partner_simulator::{
    BodyForm, EXERCICES, EndedTokens, Fault, KEY_INFO, KeySpec, LOG_IN, LoginSpec, LoginStatus, Refusal,
    Scope, Simulator, TokenForm,
};
use serde_json::{Value, json};

use crate::support::{SECRET, claims, client, log_in, status_and_code, status_and_json};

const MAIL: &str = "api@durand.example";
const PASSWORD: &str = "correct horse";

fn account() -> LoginSpec {
    LoginSpec::new(MAIL, PASSWORD).firm(80, "TESTS PARTENAIRES").society(127)
}

async fn simulator(key: KeySpec) -> Simulator {
    Simulator::builder().partner("acme", SECRET).key(key).start().await.unwrap()
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
    assert_eq!((status, &body["error"]["code"]), (400, &"GBL20".into()));
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
        assert_eq!(status_and_code(wrong).await, (400, "GBL20".into()));
    }
    let body = json!({"mail": MAIL, "password": PASSWORD});
    assert_eq!(status_and_code(log_in(&sim, body).await).await, (401, "DROIT5".into()));
    assert!(sim.account(MAIL).unwrap().attempts().locked);
    sim.account(MAIL).unwrap().unlock();
    log_in_correctly(&sim).await;
}

#[tokio::test]
async fn an_account_with_several_firms_must_choose_one() {
    let sim = simulator(KeySpec::login("durand", account().firm(81, "AUTRE"))).await;
    let body = log_in_correctly(&sim).await;
    let details = json!([
        {"member_group_id": "80", "label": "TESTS PARTENAIRES"},
        {"member_group_id": "81", "label": "AUTRE"},
    ]);
    assert_eq!(body, json!({"status": "firm-selection", "details": details}));
    for (firm, id) in [(json!(81), 81), (json!("AUTRE"), 81), (json!(80), 80)] {
        let response = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD, "firm": firm})).await;
        let (status, body) = status_and_json(response).await;
        assert_eq!((status, &body["firm"]["id"]), (200, &id.into()));
        let (_, info) =
            status_and_json(get(&sim, &body["api_token"], "/api/v1/key/info?mode=extended").await).await;
        assert_eq!(info["target"]["schemaId"], id);
    }
    let unknown = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD, "firm": 99})).await;
    assert_eq!(status_and_code(unknown).await, (401, "DROIT5".into()));
}

#[tokio::test]
async fn a_body_that_is_not_a_log_in_is_refused_and_not_counted() {
    let sim = simulator(KeySpec::login("durand", account())).await;
    assert_eq!(status_and_code(log_in(&sim, json!({"mail": MAIL})).await).await, (500, "GBL1".into()));
    assert_eq!(sim.account(MAIL).unwrap().attempts().total, 0);
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
async fn a_log_in_can_end_the_earlier_tokens_of_the_same_firm_or_of_all_firms() {
    let cases = [
        (EndedTokens::None, [200, 200, 200]),
        (EndedTokens::SameFirm, [401, 200, 200]),
        (EndedTokens::AllFirms, [401, 401, 200]),
    ];
    for (ended_tokens, expected) in cases {
        let account = LoginSpec { ended_tokens, ..account().firm(81, "AUTRE") };
        let sim = simulator(KeySpec::login("durand", account)).await;
        let mut tokens = Vec::new();
        for firm in [80, 81, 80] {
            let response = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD, "firm": firm})).await;
            tokens.push(status_and_json(response).await.1["api_token"].clone());
        }
        let mut statuses = Vec::new();
        for token in &tokens {
            statuses.push(get(&sim, token, KEY_INFO).await.status().as_u16());
        }
        assert_eq!(statuses, expected, "{ended_tokens:?}");
    }
}

#[tokio::test]
async fn another_log_in_of_the_account_can_end_the_token_of_a_client() {
    let account = LoginSpec { ended_tokens: EndedTokens::AllFirms, ..account() };
    let sim = simulator(KeySpec::login("durand", account)).await;
    let token = log_in_correctly(&sim).await["api_token"].clone();
    let other = json!(sim.account(MAIL).unwrap().another_log_in(80).unwrap());
    let refused = get(&sim, &token, KEY_INFO).await;
    assert_eq!(status_and_code(refused).await, (401, "ERR-FIRM-TOKEN-NOT-FOUND".into()));
    assert_eq!(get(&sim, &other, KEY_INFO).await.status(), 200);
    assert_eq!(sim.account(MAIL).unwrap().attempts().total, 1);
    assert_eq!(sim.account(MAIL).unwrap().another_log_in(99), None);
}

#[tokio::test]
async fn each_status_of_the_log_in_service_can_be_the_answer_to_a_correct_password() {
    let sim = simulator(KeySpec::login("durand", account())).await;
    let account = sim.account(MAIL).unwrap();
    let statuses = [
        (LoginStatus::Authenticated, "authenticated"),
        (LoginStatus::FirmSelection, "firm-selection"),
        (LoginStatus::UpdatePassword, "update-password"),
        (LoginStatus::RequireOtp, "require-otp"),
        (LoginStatus::RequireCguApproval, "require-cgu-approval"),
    ];
    for (status, text) in statuses {
        account.set_status(Some(status));
        let body = log_in_correctly(&sim).await;
        assert_eq!(body["status"], text);
        assert_eq!(body.get("api_token").is_some(), status == LoginStatus::Authenticated, "{text}");
        let wrong = log_in(&sim, json!({"mail": MAIL, "password": "wrong"})).await;
        assert_eq!(status_and_code(wrong).await, (400, "GBL20".into()));
    }
    account.set_status(None);
    assert!(log_in_correctly(&sim).await.get("status").is_none());
}

#[tokio::test]
async fn the_form_of_the_answers_can_be_chosen() {
    let account = LoginSpec {
        firm_id_as_text: true,
        refusal_form: BodyForm::Rootless,
        status_without_token: StatusCode::FORBIDDEN,
        ..account()
    };
    let sim = simulator(KeySpec::login("durand", account)).await;
    assert_eq!(log_in_correctly(&sim).await["firm"]["id"], "80");
    let wrong = log_in(&sim, json!({"mail": MAIL, "password": "wrong"})).await;
    let (status, body) = status_and_json(wrong).await;
    assert_eq!((status, &body["code"]), (400, &"GBL20".into()));
    sim.account(MAIL).unwrap().set_status(Some(LoginStatus::RequireOtp));
    let without_token = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD})).await;
    assert_eq!(without_token.status(), 403);
}

#[tokio::test]
async fn a_password_can_be_changed() {
    let sim = simulator(KeySpec::login("durand", account())).await;
    sim.account(MAIL).unwrap().set_password("new");
    let old = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD})).await;
    assert_eq!(status_and_code(old).await, (400, "GBL20".into()));
    let new = log_in(&sim, json!({"mail": MAIL, "password": "new"})).await;
    assert_eq!(new.status(), 200);
}

#[tokio::test]
async fn keys_with_the_same_mail_share_the_account_and_have_their_own_tokens() {
    let other_firm = LoginSpec::new(MAIL, "ignored").firm(81, "AUTRE");
    let builder = Simulator::builder().partner("acme", SECRET).key(KeySpec::login("durand", account()));
    let sim = builder.key(KeySpec::login("other", other_firm)).start().await.unwrap();
    assert_eq!(log_in_correctly(&sim).await["status"], "firm-selection");
    for (firm, key) in [(80, "durand"), (81, "other")] {
        let response = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD, "firm": firm})).await;
        let token = status_and_json(response).await.1["api_token"].clone();
        assert_eq!(sim.key(key).unwrap().token().as_deref(), token.as_str());
        assert_eq!(sim.request_log().pop().unwrap().key.as_deref(), Some(key));
        sim.key(key).unwrap().revoke();
        assert_eq!(get(&sim, &token, KEY_INFO).await.status(), 401);
    }
    assert_eq!(sim.account(MAIL).unwrap().attempts().total, 3);
    sim.key("durand").unwrap().remove();
    assert_eq!(log_in_correctly(&sim).await["firm"]["id"], 81);
    let same_firm = LoginSpec::new(MAIL, "ignored").firm(81, "AUTRE");
    sim.partner("acme").unwrap().add_key(&KeySpec::login("third", same_firm));
    assert_eq!(log_in_correctly(&sim).await["firm"]["id"], 81);
    sim.key("other").unwrap().remove();
    sim.key("third").unwrap().remove();
    assert!(sim.account(MAIL).is_none());
}

#[tokio::test]
async fn a_log_in_can_end_the_tokens_of_other_keys_of_the_account() {
    let account = || LoginSpec { ended_tokens: EndedTokens::AllFirms, ..LoginSpec::new(MAIL, PASSWORD) };
    let builder = Simulator::builder().partner("acme", SECRET);
    let builder = builder.key(KeySpec::login("durand", account().firm(80, "TESTS")));
    let sim = builder.key(KeySpec::login("other", account().firm(81, "AUTRE"))).start().await.unwrap();
    let account = sim.account(MAIL).unwrap();
    let first = json!(account.another_log_in(80).unwrap());
    let second = json!(account.another_log_in(81).unwrap());
    assert_eq!(get(&sim, &first, KEY_INFO).await.status(), 401);
    assert_eq!(get(&sim, &second, KEY_INFO).await.status(), 200);
}

#[tokio::test]
async fn one_firm_of_an_account_can_be_refused_alone() {
    let sim = simulator(KeySpec::login("durand", account().firm(81, "AUTRE"))).await;
    let log_ins_to_81 = Scope::Schema(81).and(Scope::Route(LOG_IN.into()));
    sim.inject(log_ins_to_81.clone(), Fault::refuse("DROIT5"));
    for (firm, expected) in [(json!(81), 401), (json!("AUTRE"), 401), (json!(80), 200)] {
        let response = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD, "firm": firm})).await;
        assert_eq!(response.status(), expected, "{firm}");
    }
    sim.heal(&log_ins_to_81);
    let response = log_in(&sim, json!({"mail": MAIL, "password": PASSWORD, "firm": 81})).await;
    assert_eq!(response.status(), 200);
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
