//! Injected faults: slow, broken and missing responses.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, StatusCode};
use partner_simulator::{EXERCICES, Fault, HEALTH, LOG_IN, Page, Scope, Simulator};
use reqwest::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::support::{acme, client, client_builder, dupont, get, get_as, header, status_and_json};

async fn respond_with(fault: Fault) -> (Simulator, reqwest::Result<Response>) {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject(fault);
    let response = get_as(&sim, "dupont", EXERCICES).send().await;
    (sim, response)
}

/// All bytes that the socket received before it was closed.
async fn receive_raw(sim: &Simulator) -> Vec<u8> {
    let mut stream = tokio::net::TcpStream::connect(sim.address()).await.unwrap();
    let request = format!("GET {HEALTH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    received
}

#[tokio::test(start_paused = true)]
async fn a_delay_comes_before_the_headers() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject(Fault::Delay(Duration::from_secs(7)));
    let begin = Instant::now();
    assert_eq!(get(&sim, "dupont", EXERCICES).await.status(), 200);
    assert!(begin.elapsed() >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_pause_comes_in_the_middle_of_the_body() {
    let (_sim, response) = respond_with(Fault::Pause(Duration::from_secs(7))).await;
    let (begin, mut response) = (Instant::now(), response.unwrap());
    let first = response.chunk().await.unwrap().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(7));
    let rest = response.chunk().await.unwrap().unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(7));
    assert!(first.len().abs_diff(rest.len()) <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_never_responds() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject(Fault::Silence);
    let request = get_as(&sim, "dupont", EXERCICES).timeout(Duration::from_secs(10));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(sim.request_log().pop().unwrap().response, None);
    assert_eq!(dupont(&sim).counts().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_never_ends() {
    let (_sim, response) = respond_with(Fault::Stall).await;
    let mut response = response.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert!(timeout(Duration::from_secs(5), response.chunk()).await.is_err());
}

#[tokio::test]
async fn the_connection_can_close_instead_of_a_response() {
    let (sim, response) = respond_with(Fault::Close).await;
    assert!(response.is_err());
    assert_eq!(sim.request_log().pop().unwrap().response, None);
    sim.inject(Scope::Everything, Fault::Close);
    assert!(receive_raw(&sim).await.is_empty());
}

#[tokio::test]
async fn the_connection_can_close_after_the_headers() {
    let (_sim, response) = respond_with(Fault::CloseAfterHeaders).await;
    let response = response.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn a_truncated_body_is_shorter_than_content_length() {
    let (_sim, response) = respond_with(Fault::Truncate).await;
    let mut response = response.unwrap();
    let promised: usize = header(&response, "content-length").unwrap().parse().unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap().len(), promised / 2);
    assert!(response.chunk().await.is_err());
}

#[tokio::test]
async fn raw_bytes_can_replace_the_http_response() {
    let sim = acme().start().await.unwrap();
    sim.inject(Scope::Everything, Fault::Raw(Bytes::from_static(b"220 smtp.example ESMTP\r\n")));
    assert_eq!(receive_raw(&sim).await, b"220 smtp.example ESMTP\r\n");
    sim.heal_all();
    let (_sim, response) = respond_with(Fault::garbage()).await;
    assert!(response.is_err());
}

#[tokio::test]
async fn more_raw_bytes_than_a_socket_buffer_holds_arrive_complete() {
    let sim = acme().start().await.unwrap();
    let much = Bytes::from(vec![b'x'; 8 << 20]);
    sim.inject(Scope::Everything, Fault::Raw(much.clone()));
    assert!(receive_raw(&sim).await == much);
}

#[tokio::test]
async fn a_captive_portal_returns_html_with_200() {
    let (sim, response) = respond_with(Fault::captive_portal()).await;
    let response = response.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type").as_deref(), Some("text/html"));
    assert_eq!(header(&response, "request-id"), None);
    let call = sim.request_log().pop().unwrap();
    assert_eq!((call.status(), call.request_id()), (Some(200), None));
}

#[tokio::test]
async fn a_proxy_error_is_html_without_request_id() {
    for status in [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        let (_sim, response) = respond_with(Fault::edge(status)).await;
        let response = response.unwrap();
        assert_eq!((response.status(), header(&response, "request-id")), (status, None));
        assert!(response.text().await.unwrap().contains("<html>"));
    }
}

#[tokio::test]
async fn a_proxy_can_return_any_response() {
    let json = HeaderValue::from_static("application/json");
    let page = Page::new(StatusCode::FORBIDDEN, json, r#"{"blocked":true}"#);
    let page = page.header(HeaderName::from_static("x-firewall"), HeaderValue::from_static("on"));
    let response = respond_with(Fault::Edge(page)).await.1.unwrap();
    assert_eq!(header(&response, "x-firewall").as_deref(), Some("on"));
    assert_eq!(response.text().await.unwrap(), r#"{"blocked":true}"#);
}

#[tokio::test]
async fn a_gateway_can_answer_any_route_with_any_status_and_body() {
    let sim = acme().start().await.unwrap();
    let pages = [
        (Page::json(StatusCode::OK, "[]"), 200, "[]"),
        (
            Page::json(StatusCode::OK, r#"{"error":"blocked","code":401}"#),
            200,
            r#"{"error":"blocked","code":401}"#,
        ),
        (Page::empty(StatusCode::UNAUTHORIZED), 401, ""),
    ];
    for (page, status, body) in pages {
        sim.inject(Scope::Everything, Fault::Edge(page));
        for route in [HEALTH, "/api/v1/key/info", EXERCICES, LOG_IN] {
            let response = get(&sim, "dupont", route).await;
            assert_eq!((response.status().as_u16(), header(&response, "request-id")), (status, None));
            assert_eq!(response.text().await.unwrap(), body);
        }
        sim.heal_all();
    }
    sim.inject(Scope::Route(EXERCICES.into()), Fault::captive_portal());
    assert!(header(&get(&sim, "dupont", EXERCICES).await, "request-id").is_none());
    assert!(header(&get(&sim, "dupont", "/api/v1/key/info").await, "request-id").is_some());
}

#[tokio::test]
async fn a_proxy_can_remove_the_request_id_from_all_responses() {
    let sim = acme().start().await.unwrap();
    sim.inject(Scope::Everything, Fault::without_request_id());
    for route in [HEALTH, "/api/v1/key/info", EXERCICES, "/api/v1/nothing"] {
        let response = get(&sim, "dupont", route).await;
        assert_eq!(header(&response, "request-id"), None, "{route}");
        assert!(response.json::<serde_json::Value>().await.is_ok(), "{route}");
    }
}

#[tokio::test]
async fn a_redirect_contains_another_url() {
    let to = HeaderValue::from_static("https://elsewhere.example/");
    let page = Page::html(StatusCode::FOUND).header(LOCATION, to);
    let response = respond_with(Fault::Edge(page)).await.1.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(header(&response, "location").as_deref(), Some("https://elsewhere.example/"));
}

#[tokio::test]
async fn responses_can_be_empty() {
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED, StatusCode::OK] {
        let response = respond_with(Fault::Empty(status)).await.1.unwrap();
        assert_eq!(response.status(), status);
        assert!(header(&response, "request-id").is_some());
        assert!(response.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_content_type_can_be_wrong() {
    let response = respond_with(Fault::content_type("text/plain")).await.1.unwrap();
    assert_eq!(header(&response, "content-type").as_deref(), Some("text/plain"));
    assert!(response.json::<serde_json::Value>().await.is_ok());
}

#[tokio::test]
async fn the_json_can_be_invalid() {
    let response = respond_with(Fault::invalid_json()).await.1.unwrap();
    assert_eq!(header(&response, "content-type").as_deref(), Some("application/json"));
    assert!(response.json::<serde_json::Value>().await.is_err());
}

#[tokio::test]
async fn headers_can_be_hostile_or_missing() {
    let id = HeaderName::from_static("request-id");
    let hostile = HeaderValue::from_static("<script>");
    let (sim, response) = respond_with(Fault::Header(id.clone(), hostile)).await;
    assert_eq!(header(&response.unwrap(), "request-id").as_deref(), Some("<script>"));
    assert_eq!(sim.request_log().pop().unwrap().request_id(), Some("<script>"));
    let (sim, response) = respond_with(Fault::Without(id)).await;
    assert_eq!(header(&response.unwrap(), "request-id"), None);
    assert_eq!(sim.request_log().pop().unwrap().request_id(), None);
}

#[tokio::test]
async fn gzip_can_be_sent_to_a_client_that_does_not_accept_it() {
    let response = respond_with(Fault::Gzip).await.1.unwrap();
    assert_eq!(header(&response, "content-encoding").as_deref(), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&response.bytes().await.unwrap()[..]).read_to_string(&mut text).unwrap();
    assert!(text.starts_with('['));
}

#[tokio::test]
async fn gzip_can_have_several_members_and_other_spellings() {
    let two_members = Fault::GzipAs { spelling: HeaderValue::from_static("gzip"), members: 2 };
    let cases = [
        (two_members, "gzip", 2),
        (Fault::gzip_spelled("x-gzip"), "x-gzip", 1),
        (Fault::gzip_spelled("GZIP"), "GZIP", 1),
    ];
    for (fault, spelling, members) in cases {
        let response = respond_with(fault).await.1.unwrap();
        assert_eq!(header(&response, "content-encoding").as_deref(), Some(spelling));
        let compressed = response.bytes().await.unwrap();
        let mut first = String::new();
        flate2::bufread::GzDecoder::new(&compressed[..]).read_to_string(&mut first).unwrap();
        let mut all = String::new();
        flate2::read::MultiGzDecoder::new(&compressed[..]).read_to_string(&mut all).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&all).is_ok());
        assert_eq!(first.len() < all.len(), members > 1, "{spelling}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_can_precede_a_body() {
    let response = respond_with(Fault::byte_order_mark()).await.1.unwrap();
    let body = response.bytes().await.unwrap();
    let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap();
    assert!(serde_json::from_slice::<Vec<serde_json::Value>>(json).is_ok());
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject(Fault::refuse("ERR-INTERNAL"));
    dupont(&sim).inject(Fault::byte_order_mark());
    let refused = get(&sim, "dupont", EXERCICES).await.bytes().await.unwrap();
    assert!(refused.starts_with(b"\xef\xbb\xbf{"));
}

#[tokio::test]
async fn an_object_can_contain_a_code_of_success() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject(Fault::SuccessCode);
    let (status, object) = status_and_json(get(&sim, "dupont", "/api/v1/key/info?mode=extended").await).await;
    assert_eq!((status, &object["code"], &object["message"]), (200, &"Success".into(), &"".into()));
    assert!(object["target"].is_object());
    let (_, list) = status_and_json(get(&sim, "dupont", EXERCICES).await).await;
    assert!(list.is_array());
}

#[tokio::test]
async fn gzip_data_can_be_incomplete() {
    let (sim, response) = respond_with(Fault::BrokenGzip).await;
    assert_eq!(header(&response.unwrap(), "content-encoding").as_deref(), Some("gzip"));
    let decoding = client_builder().tls_certs_only([]).gzip(true).build().unwrap();
    sim.inject(Scope::Everything, Fault::BrokenGzip);
    let response = decoding.get(sim.url(HEALTH)).send().await.unwrap();
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn a_huge_body_is_a_json_list_of_at_least_that_size() {
    let response = respond_with(Fault::Huge(3_000_000)).await.1.unwrap();
    assert_eq!(header(&response, "content-length"), None);
    let body = response.bytes().await.unwrap();
    assert!(body.len() >= 3_000_000);
    assert!(serde_json::from_slice::<Vec<serde_json::Value>>(&body).is_ok());
}

#[tokio::test(start_paused = true)]
async fn several_faults_apply_to_one_request() {
    let sim = acme().start().await.unwrap();
    sim.inject(Scope::Everything, Fault::Delay(Duration::from_secs(3)));
    dupont(&sim).inject(Fault::refuse("ERR-INTERNAL"));
    dupont(&sim).inject(Fault::content_type("text/html"));
    let begin = Instant::now();
    let response = get(&sim, "dupont", EXERCICES).await;
    assert!(begin.elapsed() >= Duration::from_secs(3));
    assert_eq!(response.status(), 500);
    assert_eq!(header(&response, "content-type").as_deref(), Some("text/html"));
}

#[tokio::test]
async fn a_fault_can_be_limited_to_a_number_of_requests() {
    let sim = acme().start().await.unwrap();
    dupont(&sim).inject_times(2, Fault::refuse("ERR-HTTP"));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(get(&sim, "dupont", EXERCICES).await.status().as_u16());
    }
    assert_eq!(statuses, [500, 500, 200]);
}

#[tokio::test]
async fn a_fault_of_one_key_does_not_affect_other_keys_or_health() {
    let sim = acme().society_key("martin", 80, 128).start().await.unwrap();
    dupont(&sim).inject(Fault::Close);
    assert_eq!(get(&sim, "martin", EXERCICES).await.status(), 200);
    assert_eq!(client().get(sim.url(HEALTH)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_fault_of_one_route_affects_every_key() {
    let sim = acme().society_key("martin", 80, 128).start().await.unwrap();
    sim.inject(Scope::Route(EXERCICES.into()), Fault::edge(StatusCode::BAD_GATEWAY));
    for key in ["dupont", "martin"] {
        assert_eq!(get(&sim, key, "/api/v1/mad/exercices?version=1.0.0").await.status(), 502);
    }
    assert_eq!(get(&sim, "dupont", "/api/v1/key/info").await.status(), 200);
}
