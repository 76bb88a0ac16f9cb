//! Well-formed responses with false content.

use std::time::{Duration, SystemTime};

use crate::partner_api::budget::{Budget, MAX_WAIT, WINDOW};
use crate::partner_api::login::{LIFETIME, LoginAnswer};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{
    AMPLE, CANARY, PASSWORD, ScriptedServer, TOKEN, api, head, json, json_with, log_in, log_in_word,
    outcomes, probe, send, word,
};
use crate::test_support::SECRET;

/// The budget in the response to a canary with these header lines.
async fn budget_of(headers: &str) -> Budget {
    let server = ScriptedServer::http([json_with(headers, 200, "[]")]).await;
    let report = probe(&api(&server), CANARY, AMPLE).await;
    assert_eq!(word(&report.outcome), "ok", "{headers}");
    report.judgement.unwrap().budget
}

/// How long the token of a log-in with these header lines is valid.
async fn lives_for(headers: &str, body: &str) -> Duration {
    let server = ScriptedServer::http([json_with(headers, 200, body)]).await;
    match log_in(&api(&server), AMPLE).await.outcome {
        Ok(LoginAnswer::Token { lives_for, .. }) => lives_for,
        other => panic!("{other:?}"),
    }
}

fn seconds_from_now(seconds: u64) -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + seconds
}

#[tokio::test]
async fn a_redirect_to_another_host_sends_it_no_secret_and_no_token() {
    let elsewhere = ScriptedServer::http([json(200, "[]")]).await;
    for status in [301, 302, 303, 307, 308] {
        let page = head(&format!("{status} Elsewhere\nlocation: {}", elsewhere.url("/api/v1/mad/exercices")));
        for server in [ScriptedServer::http([page.clone()]).await, ScriptedServer::https([page]).await] {
            assert_eq!(
                outcomes(&server).await,
                ["redirect", "redirect", "redirect", "unavailable"],
                "{status}"
            );
            let requests = server.requests().join("\n");
            assert!(
                [TOKEN, SECRET, PASSWORD].iter().all(|secret| requests.contains(secret)),
                "they were sent"
            );
        }
    }
    assert_eq!(elsewhere.connections(), 0);
    assert_eq!(elsewhere.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_redirect_without_a_valid_target_is_a_redirect() {
    for location in
        ["", "location: \n", "location: ://\n", "location: javascript:alert(1)\n", "location: \t\u{e9}\n"]
    {
        let server = ScriptedServer::http([head(&format!("302 Found\n{location}content-length: 0"))]).await;
        assert_eq!(
            outcomes(&server).await,
            ["redirect", "redirect", "redirect", "unavailable"],
            "{location:?}"
        );
    }
}

#[tokio::test]
async fn absurd_counts_of_a_budget_are_ignored() {
    for value in
        ["-1", "-0.5", "NaN", "inf", "-inf", "1e400", "4294967296", "99999999999999999999", "", "many", "0x7"]
    {
        let budget =
            budget_of(&format!("x-rate-limit-remaining: {value}\nx-rate-limit-total: {value}")).await;
        assert!(!budget.is_reported(), "{value:?}: {budget:?}");
    }
}

#[tokio::test]
async fn an_absurd_reset_time_is_ignored_and_stops_no_probe() {
    for value in ["-1", "NaN", "inf", "1e400", "1e300", "", "soon", "99999999999999999999"] {
        let budget = budget_of(&format!("x-rate-limit-remaining: 0\nx-rate-limit-reset: {value}")).await;
        assert_eq!((budget.reset, budget.holds_for), (None, WINDOW), "{value:?}");
    }
}

#[tokio::test]
async fn a_reset_time_in_the_past_gives_the_documented_window() {
    for value in ["0", "1596442585.866154", "1596442585866"] {
        let budget = budget_of(&format!("x-rate-limit-remaining: 0\nx-rate-limit-reset: {value}")).await;
        assert_eq!(budget.holds_for, WINDOW, "{value}");
    }
}

#[tokio::test]
async fn a_distant_reset_time_stops_probes_for_ten_minutes_at_most() {
    for headers in [
        "x-rate-limit-remaining: 0\nx-rate-limit-reset: 4102444800",
        "x-rate-limit-remaining: 0\nx-rate-limit-reset: 7258118399999",
        "retry-after: 18446744073709551615",
        "x-rate-limit-remaining: 0\nx-rate-limit-reset: 86400",
        "date: Thu, 01 Jan 1970 00:00:00 GMT\nx-rate-limit-reset: 1596442585",
    ] {
        assert_eq!(budget_of(headers).await.holds_for, MAX_WAIT, "{headers}");
    }
}

#[tokio::test]
async fn an_absurd_retry_after_gives_the_documented_window_or_the_longest_wait() {
    for value in ["-1", "NaN", "1e9", "soon", ""] {
        assert_eq!(budget_of(&format!("retry-after: {value}")).await.holds_for, WINDOW, "{value:?}");
    }
    for value in ["86400", "18446744073709551616", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        assert_eq!(budget_of(&format!("retry-after: {value}")).await.holds_for, MAX_WAIT, "{value:?}");
    }
}

#[tokio::test]
async fn a_retry_after_date_is_compared_with_the_date_of_the_server() {
    let an_hour_ahead =
        |seconds: u64| httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3_600 + seconds));
    let headers = format!("date: {}\nretry-after: {}", an_hour_ahead(0), an_hour_ahead(60));
    let wait = budget_of(&headers).await.holds_for;
    assert!(wait.abs_diff(Duration::from_mins(1)) <= Duration::from_secs(2), "{wait:?}");
}

#[tokio::test]
async fn the_first_of_two_budget_headers_is_used() {
    let budget = budget_of(
        "x-rate-limit-remaining: 7\nx-rate-limit-remaining: -1\nx-rate-limit-remaining: 0\n\
         x-rate-limit-total: 20\nx-rate-limit-total: NaN",
    )
    .await;
    assert_eq!((budget.remaining, budget.total), (Some(7), Some(20)));
}

#[tokio::test]
async fn a_wrong_date_keeps_the_reset_time_within_its_limits() {
    let reset = seconds_from_now(5);
    for date in ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "never", "", "\u{e9}"] {
        let budget =
            budget_of(&format!("date: {date}\nx-rate-limit-remaining: 0\nx-rate-limit-reset: {reset}")).await;
        assert!(budget.holds_for <= MAX_WAIT, "{date}: {budget:?}");
        assert!(budget.reset.is_some(), "{date}");
    }
}

#[tokio::test]
async fn expires_in_is_trusted_up_to_four_hours() {
    for end in ["1970-01-01 00:00:00", "9999-12-31 23:59:59", "99999-99-99 99:99:99", "", "soon", "-1"] {
        let body = format!(r#"{{"api_token":"opaque","expiresIn":"{end}"}}"#);
        for date in ["", "date: Fri, 31 Dec 9999 23:59:59 GMT", "date: Thu, 01 Jan 1970 00:00:00 GMT"] {
            assert!(lives_for(date, &body).await <= LIFETIME, "{end} {date}");
        }
    }
}

#[tokio::test]
async fn an_absurd_exp_claim_does_not_overflow() {
    for (exp, most) in
        [("-1", LIFETIME), ("1e400", LIFETIME), ("1e300", LIFETIME), ("0", LIFETIME), ("1", LIFETIME)]
    {
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#)));
        assert_eq!(lives_for("", &format!(r#"{{"api_token":"{token}"}}"#)).await, most, "{exp}");
    }
}

#[tokio::test]
async fn a_log_in_with_a_wrong_date_still_gives_its_token() {
    for date in ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "never"] {
        let exp = seconds_from_now(3600);
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#)));
        let response = json_with(&format!("date: {date}"), 200, format!(r#"{{"api_token":"{token}"}}"#));
        let server = ScriptedServer::http([response]).await;
        assert_eq!(log_in_word(&log_in(&api(&server), AMPLE).await), "token", "{date}");
    }
}

#[tokio::test]
async fn an_invalid_request_id_is_not_reported() {
    for id in ["<script>alert(1)</script> x", "two words", &"a".repeat(5_000), "\u{e9}", ""] {
        let server = ScriptedServer::http([json_with(&format!("request-id: {id}"), 500, "")]).await;
        let report = probe(&api(&server), CANARY, AMPLE).await;
        assert_eq!((word(&report.outcome), report.request_id), ("edge", None), "{id:.40}");
    }
}

#[tokio::test]
async fn an_invalid_code_is_not_reported() {
    let server =
        ScriptedServer::http([json(500, r#"{"error":{"code":"line\nbreak \u001b[31m the-key-s-token"}}"#)])
            .await;
    let report = probe(&api(&server), CANARY, AMPLE).await;
    assert_eq!((word(&report.outcome), report.code()), ("api_error", Some("(not shown)")));
    assert!(!report.outcome.unwrap_err().detail.contains(TOKEN));
}

#[tokio::test]
async fn secrets_in_a_response_body_are_not_reported() {
    let echo = format!("{TOKEN} {SECRET} {PASSWORD}");
    let server =
        ScriptedServer::http([send(format!("HTTP/1.1 500 {echo}\r\nx-echo: {echo}\r\n{echo}\r\n\r\n"))])
            .await;
    let report = probe(&api(&server), CANARY, AMPLE).await;
    let detail = format!("{report:?}");
    assert!([TOKEN, SECRET, PASSWORD].iter().all(|secret| !detail.contains(secret)), "{detail}");
}
