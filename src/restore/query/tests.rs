//! The queries, and what the answers of Prometheus mean.

use serde_json::json;

use super::*;
use crate::test_support::at;

fn scope() -> Scope {
    Scope { matchers: "job=\"m\",cluster=~\"a|b\"".to_owned(), api: "https://api.example".to_owned() }
}

fn sample(labels: &[(&str, &str)], value: &str) -> Sample {
    let metric = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Sample { metric, value: (0.0, value.to_owned()) }
}

/// Which exporter showed which state last at which time.
fn states(shown: &[(&str, &str, u64)]) -> Vec<Sample> {
    let shown = shown.iter().map(|(instance, state, time)| {
        sample(&[("key", "dupont"), ("instance", instance), ("state", state)], &time.to_string())
    });
    shown.collect()
}

/// What each exporter says: a time.
fn times(values: &[(&str, u64)]) -> Vec<Sample> {
    let samples = values
        .iter()
        .map(|(instance, time)| sample(&[("key", "dupont"), ("instance", instance)], &time.to_string()));
    samples.collect()
}

fn remembered(answers: &Answers) -> Option<PersistedKeyState> {
    remembered_keys(answers, at(10_000)).remove("dupont")
}

fn key(
    state: KeyState,
    since: u64,
    has_been_active: bool,
    history: (bool, Option<u64>),
) -> PersistedKeyState {
    let history = KeyHistory { has_worked: history.0, broken_since: history.1.map(at) };
    PersistedKeyState { state, since: at(since), has_been_active, history }
}

#[test]
fn every_query_is_about_these_exporters_this_api_and_these_keys() {
    let batch = Batch { partner: "ac\"me", keys: &["a.b", "c|d\\", "été 1"] };
    let queries = scope().key_queries(WINDOWS[0], &batch);
    for query in &queries {
        assert!(
            query.contains(r#"{job="m",cluster=~"a|b",partner="ac\"me",key=~"a\\.b|c\\|d\\\\|été 1""#),
            "{query}"
        );
        let joined = r#" and ignoring (partner, key, state, identity) myunisoft_exporter_api_info{job="m",cluster=~"a|b",identity="https://api.example"})"#;
        assert!(query.contains(joined) && query.ends_with("[15m:5s])"), "{query}");
    }
    for query in scope().secret_queries(WINDOWS[2], "acme") {
        assert!(
            query.contains(r#"identity="https://api.example""#) && query.ends_with("[30d:5m])"),
            "{query}"
        );
    }
}

#[test]
fn the_state_that_was_shown_last_counts_whichever_exporter_showed_it() {
    let moved = Answers {
        states: states(&[("a", "active", 500), ("b", "forbidden", 900)]),
        since: times(&[("a", 100), ("b", 700)]),
        ..Default::default()
    };
    assert_eq!(remembered(&moved), Some(key(KeyState::Forbidden, 700, true, (true, Some(700)))));
    let back = Answers {
        states: states(&[("a", "active", 900), ("b", "forbidden", 500)]),
        since: times(&[("a", 700), ("b", 100)]),
        ..Default::default()
    };
    assert_eq!(remembered(&back), Some(key(KeyState::Active, 700, true, (true, None))));
}

/// Two replicas: their states, since when, and when the API last answered each of them.
fn replicas(a: (&str, u64, Option<u64>), b: (&str, u64, Option<u64>)) -> KeyState {
    let shown = [("a", a), ("b", b)];
    let answered = |is_accepted: bool| {
        let of = shown.iter().filter_map(|(instance, (state, _, answered))| {
            let is_refusal = matches!(*state, "revoked" | "forbidden" | "not_found");
            (is_refusal != is_accepted).then_some((*instance, (*answered)?))
        });
        times(&of.collect::<Vec<_>>())
    };
    let answers = Answers {
        // Replica a is scraped a little later: that must not decide.
        states: states(&[("a", a.0, 1_001), ("b", b.0, 1_000)]),
        since: times(&[("a", a.1), ("b", b.1)]),
        accepted_at: answered(true),
        refused_at: answered(false),
        ..Default::default()
    };
    remembered(&answers).unwrap().state
}

#[test]
fn of_replicas_that_disagree_the_one_with_the_most_recent_evidence_is_right() {
    for (a, b, expected) in [
        // Replica b saw the refusal later than a saw an acceptance.
        (("active", 100, Some(950)), ("revoked", 980, Some(980)), KeyState::Revoked),
        (("revoked", 980, Some(980)), ("active", 100, Some(950)), KeyState::Revoked),
        // Replica b lost the network after the refusal. The key works again, and a never saw that it did not.
        (("active", 100, Some(990)), ("revoked", 500, Some(520)), KeyState::Active),
        (("revoked", 500, Some(520)), ("active", 100, Some(990)), KeyState::Active),
        // Replica a lost the network before the revocation.
        (("active", 100, Some(400)), ("revoked", 500, Some(990)), KeyState::Revoked),
        // Replica a restarted without its disk, and shows what it restored: it has no answer of its own.
        (("revoked", 500, None), ("active", 700, Some(710)), KeyState::Active),
        (("active", 100, None), ("forbidden", 700, None), KeyState::Forbidden),
        // Without any difference, the state counts whose error the next probe corrects without a false alert.
        (("revoked", 500, None), ("revoked", 500, None), KeyState::Revoked),
    ] {
        assert_eq!(replicas(a, b), expected, "{a:?} {b:?}");
    }
    let same = Answers {
        states: states(&[("a", "forbidden", 900), ("b", "active", 900)]),
        since: times(&[("a", 700), ("b", 700)]),
        ..Default::default()
    };
    assert_eq!(remembered(&same).unwrap().state, KeyState::Active);
}

#[test]
fn evidence_is_asked_for_only_if_exporters_disagree_now() {
    let answers = |shown: &[(&str, &str, u64)]| Answers { states: states(shown), ..Default::default() };
    assert!(answers(&[("a", "active", 900), ("b", "revoked", 900)]).keys_disagree());
    assert!(!answers(&[("a", "active", 500), ("a", "revoked", 900), ("b", "revoked", 900)]).keys_disagree());
    let queries = scope().key_evidence_queries(WINDOWS[0], &Batch { partner: "acme", keys: &["dupont"] });
    for query in queries.iter().chain(&scope().secret_evidence_queries("acme")) {
        assert!(query.contains("job=\"m\"") && query.contains("identity=\"https://api.example\""), "{query}");
    }
}

#[test]
fn a_stale_replica_does_not_break_a_key_that_works_for_the_other_one() {
    let answers = Answers {
        states: states(&[("a", "pending", 1_000), ("b", "revoked", 1_001)]),
        since: times(&[("a", 900), ("b", 500)]),
        broken_at: times(&[("b", 1_001)]),
        broken_since: times(&[("b", 500)]),
        ..Default::default()
    };
    assert_eq!(remembered(&answers), Some(key(KeyState::Pending, 900, false, (false, None))));
}

#[test]
fn a_key_is_broken_since_the_time_that_prometheus_knows() {
    let answers = Answers {
        states: states(&[("a", "active", 500), ("a", "revoked", 900)]),
        since: times(&[("a", 600)]),
        broken_at: times(&[("a", 900)]),
        broken_since: times(&[("a", 600)]),
        ..Default::default()
    };
    assert_eq!(remembered(&answers), Some(key(KeyState::Revoked, 600, true, (true, Some(600)))));
}

#[test]
fn a_key_that_worked_again_is_not_broken() {
    let mut answers = Answers {
        states: states(&[("a", "revoked", 500), ("a", "active", 900)]),
        since: times(&[("a", 550)]),
        broken_at: times(&[("a", 500)]),
        broken_since: times(&[("a", 400)]),
        ..Default::default()
    };
    assert_eq!(remembered(&answers), Some(key(KeyState::Active, 550, true, (true, None))));
    // Its next token waits for the activation.
    answers.states = states(&[("a", "revoked", 500), ("a", "active", 700), ("a", "pending", 900)]);
    assert_eq!(remembered(&answers), Some(key(KeyState::Pending, 550, true, (true, None))));
}

#[test]
fn a_replacement_that_never_worked_stays_not_found_and_its_key_broken() {
    let answers = Answers {
        states: states(&[("a", "active", 500), ("a", "not_found", 900)]),
        since: times(&[("a", 700)]),
        broken_at: times(&[("a", 900)]),
        broken_since: times(&[("a", 600)]),
        ..Default::default()
    };
    assert_eq!(remembered(&answers), Some(key(KeyState::NotFound, 700, false, (true, Some(600)))));
}

#[test]
fn an_exporter_without_history_that_showed_not_found_is_corrected() {
    let answers = Answers {
        states: states(&[("a", "active", 500), ("b", "not_found", 900)]),
        since: times(&[("a", 100), ("b", 700)]),
        ..Default::default()
    };
    assert_eq!(remembered(&answers), Some(key(KeyState::Revoked, 700, true, (true, Some(700)))));
}

#[test]
fn a_key_that_never_worked_is_not_broken() {
    let answers = Answers {
        states: states(&[("a", "not_found", 900)]),
        since: times(&[("a", 700)]),
        ..Default::default()
    };
    assert_eq!(remembered(&answers), Some(key(KeyState::NotFound, 700, false, (false, None))));
    assert_eq!(remembered(&Answers::default()), None);
}

#[test]
fn values_that_are_no_times_and_labels_that_are_no_states_are_ignored() {
    let mut answers = Answers {
        states: states(&[("a", "active", 900)]),
        since: times(&[("a", 20_000)]),
        ..Default::default()
    };
    for (state, value) in
        [("revoked", "NaN"), ("revoked", "+Inf"), ("revoked", "-1"), ("revoked", "x"), ("odd", "950")]
    {
        answers.states.push(sample(&[("key", "dupont"), ("state", state)], value));
    }
    answers.states.push(sample(&[("state", "revoked")], "950"));
    answers.states.push(sample(&[("key", "dupont")], "950"));
    answers.broken_since = vec![sample(&[("key", "dupont")], "NaN")];
    answers.broken_at = times(&[("a", 900)]);
    // A time in the future counts as now.
    assert_eq!(remembered(&answers), Some(key(KeyState::Active, 10_000, true, (true, None))));
}

#[test]
fn a_secret_that_was_accepted_and_is_refused_is_rejected() {
    let shown = |states: &[(&str, &str)]| {
        let samples =
            states.iter().map(|(state, time)| sample(&[("partner", "acme"), ("state", state)], time));
        let since = vec![sample(&[("partner", "acme")], "700")];
        let answers = Answers { states: samples.collect(), since, ..Default::default() };
        remembered_secret(&answers, "acme", at(10_000))
    };
    let secret =
        |state, has_been_active| Some(PersistedSecretState { state, since: at(700), has_been_active });
    assert_eq!(shown(&[("active", "900")]), secret(SecretState::Active, true));
    assert_eq!(shown(&[("active", "500"), ("pending", "900")]), secret(SecretState::Rejected, true));
    assert_eq!(shown(&[("rejected", "900")]), secret(SecretState::Rejected, true));
    assert_eq!(shown(&[("pending", "900")]), secret(SecretState::Pending, false));
    assert_eq!(shown(&[]), None);
}

#[test]
fn of_replicas_that_disagree_about_a_secret_the_one_with_the_most_recent_evidence_is_right() {
    let of = |replica: &str, extra: &[(&str, &str)], value: u64| {
        let mut labels = vec![("partner", "acme"), ("instance", replica)];
        labels.extend(extra);
        sample(&labels, &value.to_string())
    };
    let state = |accepted: u64, refused: u64| {
        let answers = Answers {
            states: vec![of("a", &[("state", "active")], 1_001), of("b", &[("state", "rejected")], 1_000)],
            since: vec![of("a", &[], 100), of("b", &[], 500)],
            accepted_at: vec![of("a", &[], accepted)],
            refused_at: vec![of("b", &[], refused)],
            ..Default::default()
        };
        assert!(answers.secrets_disagree());
        remembered_secret(&answers, "acme", at(10_000)).unwrap().state
    };
    assert_eq!(state(950, 980), SecretState::Rejected);
    assert_eq!(state(990, 520), SecretState::Active);
}

#[test]
fn an_answer_that_is_too_large_is_told_from_one_that_fails() {
    let error =
        |kind: &str| format!("{{\"status\":\"error\",\"errorType\":\"{kind}\",\"error\":\"planted\"}}");
    assert_eq!(parse(422, error("execution").as_bytes()).unwrap_err(), QueryError::TooLarge);
    assert_eq!(parse(413, b"<html>planted</html>").unwrap_err(), QueryError::TooLarge);
    let slow = QueryError::TooSlow("Prometheus answers with the error timeout (status 503)".to_owned());
    assert_eq!(parse(503, error("timeout").as_bytes()).unwrap_err(), slow);
}

#[test]
fn only_a_successful_answer_of_prometheus_is_read() {
    let vector = |extra: serde_json::Value| {
        let mut body = json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"key": "k"}, "value": [1.5, "2"]}]}});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body.to_string()
    };
    let parsed = parse(200, vector(json!({})).as_bytes()).unwrap();
    assert!(!parsed.is_partial && parsed.samples.len() == 1);
    assert!(parse(200, vector(json!({"warnings": ["a store is down"]})).as_bytes()).unwrap().is_partial);
    for (body, part) in [
        ("<html>planted</html>", "check the URL"),
        ("", "check the URL"),
        ("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metr", "check the URL"),
        ("{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}", "check the URL"),
        (
            "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"planted\"}",
            "the error baddata (status 422)",
        ),
        ("[]", "check the URL"),
        ("null", "check the URL"),
    ] {
        let QueryError::Failed(error) = parse(422, body.as_bytes()).unwrap_err() else { panic!("{body}") };
        assert!(error.contains(part) && !error.contains("planted"), "{body}: {error}");
    }
}
