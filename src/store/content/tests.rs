//! The content of the store, without a disk.

use super::*;
use crate::key_state::{KeyHistory, KeyState, SecretState};
use crate::partner_api::login::LoginRefusal;
use crate::password_fingerprint::PasswordFingerprint;
use crate::store::logins::{FirmRecord, PasswordRecord, RefusalRecord};
use crate::store::{NamedRoute, ProbeName};

const DAY: std::time::Duration = std::time::Duration::from_hours(24);

fn at(days: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + DAY * days
}

fn id(token: &str) -> CredentialId {
    CredentialId::of_token(&"api".into(), "acme", "dupont", &token.into())
}

fn with_a_key() -> Content {
    with("t", state_of(KeyState::Active, 1, true))
}

fn state_of(state: KeyState, day: u32, has_been_active: bool) -> PersistedKeyState {
    PersistedKeyState {
        state,
        has_been_active,
        history: KeyHistory { has_worked: has_been_active, broken_since: None },
        ..PersistedKeyState::new(at(day))
    }
}

fn with(token: &str, persisted: PersistedKeyState) -> Content {
    let mut content = Content::default();
    let (partner, key) = ("acme".into(), "dupont".into());
    content.apply(StateUpdate::Key { partner, key, id: id(token), persisted });
    content
}

/// A key that worked, and was revoked on day 2.
fn broken() -> PersistedKeyState {
    let history = KeyHistory { has_worked: true, broken_since: Some(at(2)) };
    PersistedKeyState { history, ..state_of(KeyState::Revoked, 2, true) }
}

fn known(content: &Content, token: &str) -> Option<PersistedKeyState> {
    content.key(&("acme".into(), "dupont".into()), &id(token))
}

/// Records that a key uses a token.
fn adopt(content: &mut Content, key: &str, token: &str) -> PersistedKeyState {
    let new = PersistedKeyState::new(at(50));
    content.adopt_key(("acme".into(), key.into()), &id(token), new).0
}

#[test]
fn written_content_is_read_back() {
    let mut content = with("t", broken());
    let secret = PersistedSecretState { state: SecretState::Rejected, since: at(2), has_been_active: true };
    content.apply(StateUpdate::Secret { partner: "acme".into(), id: id("s"), persisted: secret });
    let account = refused(2);
    let (auth_url, mail) = ("https://auth".to_owned(), "api@durand.example".to_owned());
    content.apply(StateUpdate::Login { auth_url, mail, account: account.clone() });
    assert!(content.set_key_files([("keys.d/*.yml".to_owned(), 3)].into()));
    let (mut again, damage) =
        Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap();
    assert_eq!((known(&again, "t"), damage), (Some(broken()), Vec::new()));
    assert_eq!((again.key_files("keys.d/*.yml"), again.key_files("*")), (3, 0));
    assert!(!again.set_key_files([("keys.d/*.yml".to_owned(), 3)].into()));
    assert_eq!(again.secret(&"acme".into(), &id("s")), Some(secret));
    assert_eq!(again.account("https://auth", "api@durand.example"), Some(account));
    assert_eq!(adopt(&mut again, "dupont", "new").history.broken_since, Some(at(2)), "the name is read back");
}

#[test]
fn the_state_of_another_token_is_not_returned() {
    assert_eq!(known(&with_a_key(), "another"), None);
}

#[test]
fn a_token_keeps_its_state_under_another_name() {
    let mut content = with("t", state_of(KeyState::Revoked, 1, true));
    assert_eq!(adopt(&mut content, "renamed", "t").state, KeyState::Revoked);
    content.update_configured(&[("acme".into(), "renamed".into())], at(2));
    content.update_configured(&[("acme".into(), "renamed".into())], at(90));
    assert_eq!(known(&content, "t").unwrap().state, KeyState::Revoked, "it is in use");
}

#[test]
fn a_token_that_returns_after_a_typo_continues_with_its_state() {
    let mut content = with_a_key();
    let typo = adopt(&mut content, "dupont", "typo");
    assert_eq!((typo.state, typo.has_been_active, typo.history.has_worked), (KeyState::Unknown, false, true));
    assert_eq!(adopt(&mut content, "dupont", "t"), state_of(KeyState::Active, 1, true));
}

#[test]
fn a_key_that_is_removed_and_added_with_another_token_is_a_new_key() {
    let mut content = with("t", broken());
    content.update_configured(&[], at(3));
    assert_eq!(adopt(&mut content, "dupont", "new"), PersistedKeyState::new(at(50)));
    assert_eq!(adopt(&mut content, "again", "t").history.broken_since, Some(at(2)), "the token is the same");
}

#[test]
fn a_token_of_another_api_has_no_history() {
    let mut content = with("t", broken());
    let staging = CredentialId::of_token(&"staging".into(), "acme", "dupont", &"t".into());
    let new = PersistedKeyState::new(at(50));
    let (adopted, _) = content.adopt_key(("acme".into(), "dupont".into()), &staging, new);
    assert_eq!(adopted, new);
    assert_eq!(adopt(&mut content, "dupont", "t"), broken());
}

/// Records that a key uses a token of another API.
fn adopt_elsewhere(content: &mut Content, api: &str, token: &str) -> PersistedKeyState {
    let id = CredentialId::of_token(&api.into(), "acme", "dupont", &token.into());
    content.adopt_key(("acme".into(), "dupont".into()), &id, PersistedKeyState::new(at(50))).0
}

#[test]
fn a_key_that_returns_from_another_api_with_another_token_is_still_broken() {
    let key: KeyName = ("acme".into(), "dupont".into());
    let reread = |content: &Content| {
        Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap().0
    };
    let mut content = with("t", broken());
    assert_eq!(adopt_elsewhere(&mut content, "staging", "s"), PersistedKeyState::new(at(50)));
    assert!(content.update_configured(std::slice::from_ref(&key), at(3)));
    assert_eq!(content.last_key(&key, "api"), Some(broken()));
    let mut again = reread(&content);
    let returned = adopt(&mut again, "dupont", "new");
    assert_eq!((returned.state, returned.history), (KeyState::Unknown, broken().history));
    assert_eq!(again.last_key(&key, "staging"), Some(PersistedKeyState::new(at(50))));
    // What was used at another API is kept for 30 days.
    assert!(!content.update_configured(std::slice::from_ref(&key), at(32)));
    assert_eq!(adopt(&mut reread(&content), "dupont", "new").history, broken().history);
    assert!(content.update_configured(std::slice::from_ref(&key), at(33)));
    assert_eq!(adopt(&mut content, "dupont", "new"), PersistedKeyState::new(at(50)));
}

#[test]
fn a_key_that_never_changed_its_api_has_no_list_of_other_apis() {
    let mut content = with("t", broken());
    adopt(&mut content, "dupont", "new");
    assert!(
        !String::from_utf8(content.to_json(&mut Rendered::default()).unwrap())
            .unwrap()
            .contains("other_apis")
    );
}

#[test]
fn an_older_file_adds_the_history_at_each_api() {
    let mut older = with("t", broken());
    adopt_elsewhere(&mut older, "staging", "s");
    // It started with production, and could read the file only then.
    let mut content = Content::default();
    adopt(&mut content, "dupont", "new");
    content.merge_older(older.clone());
    assert_eq!(adopt(&mut content, "dupont", "new").history, broken().history);
    let mut content = Content::default();
    adopt_elsewhere(&mut content, "staging", "s");
    content.merge_older(older);
    assert_eq!(adopt(&mut content, "dupont", "new").history, broken().history);
}

fn route(probe: &str) -> ProbeName {
    let route = format!("GET /{probe}").into();
    ProbeName { key: None, route: NamedRoute { probe: probe.into(), route } }
}

fn settled(refusal: &str) -> Vec<NamedContradiction> {
    let (probe, by) = (route("exercices"), route("key_info"));
    vec![NamedContradiction { probe, refusal: refusal.into(), by, said: "activated".into() }]
}

fn key(name: &str) -> KeyName {
    ("acme".into(), name.into())
}

fn json(content: &Content) -> String {
    String::from_utf8(content.to_json(&mut Rendered::default()).unwrap()).unwrap()
}

fn read_back(content: &Content) -> Content {
    let (content, damage) = Content::from_json(json(content).as_bytes()).unwrap();
    assert_eq!(damage, [""; 0]);
    content
}

#[test]
fn settled_contradictions_are_read_back_and_removed_with_the_token() {
    let mut content = with_a_key();
    assert!(!json(&content).contains("contradictions"));
    assert!(content.set_key_contradictions(key("dupont"), &id("t"), settled("not_found")));
    assert!(!content.set_key_contradictions(key("dupont"), &id("t"), settled("not_found")));
    let mut again = read_back(&content);
    assert_eq!(again.key_contradictions(&key("dupont"), &id("t")), settled("not_found"));
    assert_eq!(again.key_contradictions(&key("dupont"), &id("another")), []);
    let mut late = with_a_key();
    late.merge_older(again.clone());
    assert_eq!(late.key_contradictions(&key("dupont"), &id("t")), settled("not_found"));
    again.update_configured(&[], at(10));
    again.update_configured(&[], at(39));
    let mut returned = read_back(&again);
    adopt(&mut returned, "dupont", "t");
    assert_eq!(returned.key_contradictions(&key("dupont"), &id("t")), settled("not_found"));
    again.update_configured(&[], at(40));
    assert!(!json(&again).contains("contradictions"));
    assert!(content.set_key_contradictions(key("dupont"), &id("t"), Vec::new()));
    assert!(!json(&content).contains("contradictions"));
}

#[test]
fn two_keys_with_one_token_keep_their_own_contradictions_and_a_renamed_key_takes_its_own_with_it() {
    let mut content = with_a_key();
    content.set_key_contradictions(key("dupont"), &id("t"), settled("not_found"));
    adopt(&mut content, "martin", "t");
    assert!(content.set_key_contradictions(key("martin"), &id("t"), settled("forbidden")));
    let mut again = read_back(&content);
    for name in ["dupont", "martin"] {
        adopt(&mut again, name, "t");
    }
    assert_eq!(again.key_contradictions(&key("dupont"), &id("t")), settled("not_found"));
    assert_eq!(again.key_contradictions(&key("martin"), &id("t")), settled("forbidden"));
    // A key without contradictions keeps none, although another one with its token has some.
    again.set_key_contradictions(key("martin"), &id("t"), Vec::new());
    adopt(&mut again, "martin", "t");
    assert_eq!(again.key_contradictions(&key("martin"), &id("t")), []);
    again.update_configured(&[key("renamed"), key("martin")], at(5));
    for name in ["martin", "renamed"] {
        adopt(&mut again, name, "t");
    }
    assert_eq!(again.key_contradictions(&key("renamed"), &id("t")), settled("not_found"));
    assert_eq!(again.key_contradictions(&key("martin"), &id("t")), []);
    // Each of the two has some.
    again.set_key_contradictions(key("martin"), &id("t"), settled("forbidden"));
    again.update_configured(&[key("again"), key("martin")], at(6));
    for name in ["martin", "again"] {
        adopt(&mut again, name, "t");
    }
    assert_eq!(again.key_contradictions(&key("again"), &id("t")), settled("not_found"));
    assert_eq!(again.key_contradictions(&key("martin"), &id("t")), settled("forbidden"));
}

#[test]
fn contradictions_follow_a_token_that_two_keys_exchange_or_that_returns_after_a_typo() {
    let mut content = with_a_key();
    content.set_key_contradictions(key("dupont"), &id("t"), settled("not_found"));
    adopt(&mut content, "dupont", "typo");
    assert_eq!(content.key_contradictions(&key("dupont"), &id("typo")), []);
    adopt(&mut content, "dupont", "t");
    assert_eq!(content.key_contradictions(&key("dupont"), &id("t")), settled("not_found"));
    adopt(&mut content, "martin", "u");
    content.set_key_contradictions(key("martin"), &id("u"), settled("forbidden"));
    adopt(&mut content, "dupont", "u");
    adopt(&mut content, "martin", "t");
    assert_eq!(content.key_contradictions(&key("dupont"), &id("u")), settled("forbidden"));
    assert_eq!(content.key_contradictions(&key("martin"), &id("t")), settled("not_found"));
}

#[test]
fn two_partners_with_one_secret_keep_their_own_contradictions() {
    let secret = CredentialId::of_secret(&"api".into(), "acme", &"s".into());
    let mut content = Content::default();
    for partner in ["acme", "zenith"] {
        content.adopt_secret(partner.into(), &secret, PersistedSecretState::new(at(1)));
    }
    assert!(content.set_secret_contradictions("acme".into(), &secret, settled("refused")));
    assert!(!content.set_secret_contradictions("zenith".into(), &secret, Vec::new()));
    let mut again = read_back(&content);
    assert_eq!(again.secret_contradictions(&"acme".into(), &secret), settled("refused"));
    assert_eq!(again.secret_contradictions(&"zenith".into(), &secret), []);
    again.update_configured(&[("renamed".into(), "dupont".into()), ("zenith".into(), "petit".into())], at(2));
    let mut again = read_back(&again);
    for partner in ["zenith", "renamed"] {
        again.adopt_secret(partner.into(), &secret, PersistedSecretState::new(at(3)));
    }
    assert_eq!(again.secret_contradictions(&"renamed".into(), &secret), settled("refused"));
    assert_eq!(again.secret_contradictions(&"zenith".into(), &secret), []);
}

#[test]
fn a_key_that_is_renamed_takes_its_own_state_with_it_and_not_that_of_another_key_with_its_token() {
    let active = state_of(KeyState::Active, 3, true);
    for (leaves, stays, expected) in [("dupont", "martin", broken()), ("martin", "dupont", active)] {
        let mut content = with("t", broken());
        let (partner, name) = key("martin");
        content.apply(StateUpdate::Key { partner, key: name, id: id("t"), persisted: active });
        content.update_configured(&[key("renamed"), key(stays)], at(5));
        assert_eq!(adopt(&mut content, "renamed", "t"), expected, "{leaves} is renamed");
    }
}

#[test]
fn the_times_of_request_ids_are_read_back() {
    let mut content = Content::default();
    let (api, route) = (Arc::from("api"), "/api/v1/society");
    assert!(content.request_ids_mut().record(&api, route, at(1)));
    let mut again = Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap().0;
    assert_eq!(again.request_ids().of("api"), [(route.into(), at(1))]);
    let mut late = Content::default();
    late.merge_older(again.clone());
    assert_eq!(late.request_ids().of("api"), [(route.into(), at(1))]);
    assert!(!again.update_configured(&[], at(20)));
    assert!(again.update_configured(&[], at(31)));
}

#[test]
fn two_keys_with_one_token_keep_their_own_states() {
    let mut content = with("t", broken());
    let active = state_of(KeyState::Active, 3, true);
    let (partner, key) = ("acme".into(), "martin".into());
    content.apply(StateUpdate::Key { partner, key, id: id("t"), persisted: active });
    let mut again = Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap().0;
    assert_eq!((adopt(&mut again, "dupont", "t"), adopt(&mut again, "martin", "t")), (broken(), active));
}

#[test]
fn a_replacement_of_a_rejected_secret_stays_rejected_until_it_is_accepted() {
    let secret = |text: &str| CredentialId::of_secret(&"api".into(), "acme", &text.into());
    let rejected = PersistedSecretState { state: SecretState::Rejected, since: at(2), has_been_active: true };
    let mut content = Content::default();
    content.apply(StateUpdate::Secret { partner: "acme".into(), id: secret("s"), persisted: rejected });
    let new = PersistedSecretState::new(at(3));
    let (adopted, _) = content.adopt_secret("acme".into(), &secret("typo"), new);
    assert_eq!((adopted.state, adopted.since), (SecretState::Rejected, at(2)));
}

#[test]
fn adopting_the_same_token_again_writes_nothing() {
    let mut content = with_a_key();
    let new = PersistedKeyState::new(at(50));
    assert!(!content.adopt_key(("acme".into(), "dupont".into()), &id("t"), new).1);
    assert!(content.adopt_key(("acme".into(), "martin".into()), &id("t"), new).1);
}

#[test]
fn an_older_file_does_not_replace_a_newer_state() {
    let mut content = with("t", state_of(KeyState::NotFound, 5, false));
    content.merge_older(with("t", state_of(KeyState::Active, 1, true)));
    let expected = PersistedKeyState { state: KeyState::NotFound, ..state_of(KeyState::Active, 5, true) };
    assert_eq!(known(&content, "t"), Some(expected), "has_been_active stays true");
    content.merge_older(with("t", state_of(KeyState::Unknown, 1, false)));
    assert_eq!(known(&content, "t"), Some(expected));
}

#[test]
fn an_older_file_replaces_a_state_that_is_still_unknown() {
    let mut content = with("t", PersistedKeyState::new(at(5)));
    content.merge_older(with("t", broken()));
    assert_eq!(known(&content, "t"), Some(broken()));
}

#[test]
fn a_token_in_an_older_file_marks_its_replacement_as_broken_and_not_as_active() {
    let mut content = with("new", state_of(KeyState::NotFound, 5, false));
    content.merge_older(with("old", broken()));
    let token = known(&content, "new").unwrap();
    assert_eq!((token.state, token.has_been_active), (KeyState::NotFound, false));
    assert_eq!(token.history, broken().history);
}

#[test]
fn a_file_of_version_1_is_migrated() {
    let version_1 = CredentialId::of_token(&"api".into(), "acme", "dupont", &"t".into()).version_1;
    let fingerprint = serde_json::to_string(&version_1).unwrap();
    let text = format!(
        r#"{{"version":1,"keys":[{{"partner":"acme","key":"dupont","fingerprint":{fingerprint},
        "state":"revoked","since":"1970-01-03T00:00:00Z","has_been_active":true}}],"secrets":[],"logins":[]}}"#
    );
    let (mut content, damage) = Content::from_json(text.as_bytes()).unwrap();
    let expected = broken();
    assert_eq!((known(&content, "t"), damage), (Some(expected), Vec::new()));
    assert_eq!(adopt(&mut content, "dupont", "t"), expected);
    content.update_configured(&[("acme".into(), "dupont".into())], at(3));
    let mut again = Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap().0;
    assert_eq!(adopt(&mut again, "dupont", "t"), expected);
    let replaced = adopt(&mut Content::from_json(text.as_bytes()).unwrap().0, "dupont", "new");
    assert_eq!((replaced.state, replaced.history.broken_since), (KeyState::Unknown, Some(at(2))));
}

/// The record of an account whose password was refused so many times.
fn refused(times: u32) -> AccountRecord {
    let refusal = RefusalRecord { times, last: at(3), refusal: LoginRefusal::Credentials };
    let firm = FirmRecord { firm: None, is_own: false, refusal: refusal.clone() };
    let password = PasswordFingerprint::with_salt([7; 16], &"wrong".into());
    let password = PasswordRecord { password, account: Some(refusal), firms: vec![firm] };
    AccountRecord { journal: 5, passwords: vec![password] }
}

#[test]
fn refused_log_ins_in_a_file_of_an_earlier_version_are_read_as_the_account_s() {
    let text = br#"{"version":1,"keys":[],"secrets":[],"logins":[{"auth_url":"https://auth",
        "mail":"api@durand.example","times":2,"last":"2026-01-01T00:00:00Z",
        "password":{"salt":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7],"hash":[1]}}]}"#;
    let (content, damage) = Content::from_json(text).unwrap();
    assert_eq!(damage, [""; 0]);
    let account = content.account("https://auth", "api@durand.example").unwrap();
    assert_eq!(account.passwords[0].account.as_ref().unwrap().times, 2);
}

#[test]
fn refusals_in_an_older_file_count_unless_the_account_logged_in_or_was_refused_since() {
    let login = |mail: &str, account| StateUpdate::Login {
        auth_url: "https://auth".to_owned(),
        mail: mail.to_owned(),
        account,
    };
    let (mut content, mut older) = (Content::default(), Content::default());
    for mail in ["untouched", "logged in", "refused"] {
        assert!(older.apply(login(mail, refused(2))));
    }
    assert!(!content.apply(login("logged in", AccountRecord::default())), "nothing to write");
    assert!(content.apply(login("refused", refused(1))));
    content.merge_older(older);
    let account = |mail| content.account("https://auth", mail).unwrap();
    let expected = [refused(2), AccountRecord::default(), refused(1)];
    assert_eq!(["untouched", "logged in", "refused"].map(account), expected);
    let again = Content::from_json(&content.to_json(&mut Rendered::default()).unwrap()).unwrap().0;
    assert_eq!(again.logins.len(), 2);
    assert!(
        content.apply(login("refused", AccountRecord::default())),
        "the refusal must be removed from the file"
    );
}

#[test]
fn the_state_of_a_removed_key_is_kept_for_thirty_days() {
    let mut content = with_a_key();
    assert!(content.update_configured(&[], at(10)));
    assert!(!content.update_configured(&[], at(39)));
    assert!(known(&content, "t").is_some());
    assert!(content.update_configured(&[], at(40)));
    assert!(known(&content, "t").is_none());
}

#[test]
fn a_key_that_is_configured_again_is_kept() {
    let mut content = with_a_key();
    let configured = [("acme".into(), "dupont".into())];
    content.update_configured(&[], at(10));
    adopt(&mut content, "dupont", "t");
    assert!(!content.update_configured(&configured, at(90)));
    assert!(known(&content, "t").is_some());
}

#[test]
fn text_of_another_form_or_version_is_an_error() {
    let other_version = br#"{"version":9,"keys":[],"secrets":[],"logins":[]}"#;
    let torn = &with_a_key().to_json(&mut Rendered::default()).unwrap()[..50];
    for text in [&b""[..], b"null", b"[]", b"{}", b"\xff\xfe", other_version, torn] {
        assert!(Content::from_json(text).is_err(), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn an_unreadable_record_is_named_and_does_not_affect_the_others() {
    let text = String::from_utf8(with_a_key().to_json(&mut Rendered::default()).unwrap()).unwrap();
    let (before, good) = text.split_once("\"tokens\": [").unwrap();
    let wrong = r#"{"fingerprint":"f","state":"fine","since":"2026-01-01T00:00:00Z","has_been_active":true}"#;
    let text = format!("{before}\"tokens\": [{wrong},{good}");
    let (content, damage) = Content::from_json(text.as_bytes()).unwrap();
    assert_eq!(known(&content, "t").unwrap().state, KeyState::Active);
    assert!(damage.len() == 1 && damage[0].contains("tokens[0]") && damage[0].contains("fine"), "{damage:?}");
}

#[test]
fn the_text_does_not_depend_on_what_was_written_before() {
    let mut rendered = Rendered::default();
    let mut content = with_a_key();
    let mut check = |content: &Content| {
        let text = String::from_utf8(content.to_json(&mut rendered).unwrap()).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text.lines().count(), serde_json::to_string_pretty(&parsed).unwrap().lines().count());
        assert_eq!(text.as_bytes(), content.to_json(&mut Rendered::default()).unwrap());
        text
    };
    let first = check(&content);
    assert!(first.contains("\n  \"keys\": [\n    {\n      \"partner\": \"acme\",\n"), "{first}");
    adopt(&mut content, "martin", "another");
    assert_ne!(check(&content), first);
    let (partner, key) = ("acme".into(), "dupont".into());
    content.apply(StateUpdate::Key { partner, key, id: id("t"), persisted: broken() });
    assert!(check(&content).contains("revoked"));
    content.update_configured(&[("acme".into(), "martin".into())], at(60));
    content.update_configured(&[("acme".into(), "martin".into())], at(120));
    assert!(!check(&content).contains("dupont"));
}
