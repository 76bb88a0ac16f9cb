//! One probe over a real socket: its phases, its reason and what it sends.

mod hostile;
mod reuse;
mod work;

use std::time::{Duration, SystemTime};

use crate::config::{Api, Connection};
use crate::partner_api::failure::Reason;
use crate::partner_api::judge::RequestKind;
use crate::partner_api::{EXERCICES_PATH, HEALTH_PATH, KeyInfoMode, Method};
use crate::probe::{Credentials, ProbeRequest, Prober};
use crate::report::{Phase, ProbeReport};
use http::StatusCode;
use partner_simulator::{Fault, Simulator, SimulatorBuilder, TlsOptions, TlsVersions};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::test_support::{SECRET, api};

const CANARY: RequestKind = RequestKind::Canary(Method::Get);

fn with_a_key() -> SimulatorBuilder {
    Simulator::builder().partner("acme", SECRET).society_key("dupont", 80, 127)
}

const HEALTH: ProbeRequest<'_> = ProbeRequest {
    kind: RequestKind::Health,
    path: HEALTH_PATH,
    credentials: None,
    timeout: Duration::from_secs(5),
    connection: Connection::Fresh,
};

async fn health(api: &Api) -> ProbeReport {
    Prober::new(api).unwrap().probe(HEALTH).await
}

async fn probe_within(
    simulator: &Simulator,
    kind: RequestKind,
    path: &str,
    timeout: Duration,
) -> ProbeReport {
    let token = SecretString::from(simulator.key("dupont").unwrap().token().unwrap());
    let secret = SecretString::from(SECRET);
    let credentials = Some(Credentials { token: &token, secret: &secret, society_id: None });
    let request = ProbeRequest { kind, path, credentials, timeout, connection: Connection::Fresh };
    Prober::new(&api(simulator)).unwrap().probe(request).await
}

async fn canary(simulator: &Simulator) -> ProbeReport {
    probe_within(simulator, CANARY, EXERCICES_PATH, Duration::from_secs(5)).await
}

fn reason(report: &ProbeReport) -> Option<Reason> {
    report.outcome.as_ref().err().map(|failure| failure.reason)
}

fn duration_of(report: &ProbeReport, phase: Phase) -> Duration {
    report.phases.iter().find(|(found, _)| *found == phase).unwrap().1
}

/// The expiry of a certificate is in whole seconds.
fn seconds(expiry: Option<SystemTime>) -> u64 {
    expiry.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn a_probe_over_tls_succeeds_and_times_its_phases() {
    for versions in [TlsVersions::Both, TlsVersions::Only12, TlsVersions::Only13] {
        let simulator =
            with_a_key().tls_with(TlsOptions { versions, ..TlsOptions::default() }).start().await.unwrap();
        let report = canary(&simulator).await;
        assert_eq!(reason(&report), None, "{report:?}");
        assert_eq!(report.status, Some(200));
        assert!(duration_of(&report, Phase::Connect) > Duration::ZERO);
        assert!(duration_of(&report, Phase::Tls) > Duration::ZERO);
        assert!(duration_of(&report, Phase::Processing) > Duration::ZERO);
        assert_eq!(report.phases.iter().map(|(_, took)| took).sum::<Duration>(), report.phases.total());
        assert_eq!(seconds(report.certificate_expiry), seconds(simulator.certificate_expiry()));
    }
}

#[tokio::test]
async fn plain_http_has_no_tls_phase() {
    let simulator = with_a_key().start().await.unwrap();
    let report = canary(&simulator).await;
    assert_eq!(reason(&report), None, "{report:?}");
    assert_eq!(duration_of(&report, Phase::Tls), Duration::ZERO);
    assert_eq!(duration_of(&report, Phase::Resolve), Duration::ZERO, "an address needs no look-up");
    assert_eq!(report.certificate_expiry, None);
}

#[tokio::test]
async fn a_host_name_is_resolved_in_the_resolve_phase() {
    let simulator = with_a_key().start().await.unwrap();
    let mut api = api(&simulator);
    api.base_url.set_host(Some("localhost")).unwrap();
    let report = health(&api).await;
    assert_eq!(reason(&report), None, "{report:?}");
    assert!(duration_of(&report, Phase::Resolve) > Duration::ZERO);
}

#[tokio::test]
async fn each_probe_opens_a_new_connection() {
    let simulator = with_a_key().tls().start().await.unwrap();
    let prober = Prober::new(&api(&simulator)).unwrap();
    for _ in 0..3 {
        assert!(duration_of(&prober.probe(HEALTH).await, Phase::Tls) > Duration::ZERO);
    }
    assert_eq!(simulator.connections(), 3);
}

#[tokio::test]
async fn a_key_info_response_is_parsed() {
    let simulator = with_a_key().start().await.unwrap();
    let kind = RequestKind::KeyInfo(KeyInfoMode::Extended);
    let report = probe_within(&simulator, kind, KeyInfoMode::Extended.path(), Duration::from_secs(5)).await;
    let info = report.judgement.unwrap().key_info.unwrap();
    let extended = info.extended.unwrap();
    assert!(extended.is_activated && info.route_count > Some(0));
    assert_eq!((&*extended.identity.schema_id, &*extended.identity.society_id), ("80", "127"));
}

#[tokio::test]
async fn the_request_id_of_the_api_is_reported() {
    let simulator = with_a_key().start().await.unwrap();
    let report = canary(&simulator).await;
    let calls = simulator.key("dupont").unwrap().calls();
    assert_eq!(report.request_id.unwrap().as_str(), calls[0].request_id().unwrap());
}

#[tokio::test]
async fn the_budget_is_read() {
    let simulator = with_a_key().start().await.unwrap();
    let budget = canary(&simulator).await.judgement.unwrap().budget;
    assert_eq!((budget.total, budget.remaining), (Some(20), Some(19)));
    assert!(budget.reset.unwrap() > SystemTime::now());
}

#[tokio::test]
async fn each_transport_failure_has_the_reason_of_its_phase() {
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let simulator = with_a_key().tls().start().await.unwrap();
    let trusted = api(&simulator);

    let mut refused = trusted.clone();
    refused.base_url.set_port(Some(nobody.port())).unwrap();
    assert_eq!(reason(&health(&refused).await), Some(Reason::Connect));

    let mut nameless = trusted.clone();
    nameless.base_url.set_host(Some("no-such-host.invalid")).unwrap();
    assert_eq!(reason(&health(&nameless).await), Some(Reason::Dns));
}

#[tokio::test]
async fn the_earliest_expiry_of_the_chain_is_reported() {
    let day = Duration::from_hours(24);
    let simulator = with_a_key().tls_with(TlsOptions::intermediate_expiring_in(day)).start().await.unwrap();
    let report = canary(&simulator).await;
    assert_eq!(reason(&report), None, "{report:?}");
    let left = report.certificate_expiry.unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(left <= day, "{left:?}");
}

#[tokio::test]
async fn each_invalid_response_has_one_reason() {
    let simulator = with_a_key().start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let cases = [
        (Fault::Gzip, None),
        (Fault::BrokenGzip, Some(Reason::UnexpectedBody)),
        (Fault::Huge(3 << 20), None),
        (Fault::Empty(StatusCode::OK), Some(Reason::UnexpectedBody)),
        (Fault::content_type("text/html"), Some(Reason::UnexpectedBody)),
        (Fault::edge(StatusCode::BAD_GATEWAY), Some(Reason::Edge)),
        (Fault::edge(StatusCode::SERVICE_UNAVAILABLE), Some(Reason::Edge)),
        (Fault::edge(StatusCode::TOO_MANY_REQUESTS), Some(Reason::Edge)),
        (Fault::maintenance(), Some(Reason::Maintenance)),
        (Fault::refuse("ERR-FORBIDDEN-ROUTE"), Some(Reason::Forbidden)),
        (Fault::refuse("ERR-INTERNAL"), Some(Reason::ApiError)),
    ];
    for (fault, expected) in cases {
        let named = format!("{fault:?}");
        key.inject_times(1, fault);
        let report = canary(&simulator).await;
        assert_eq!(reason(&report), expected, "{named}: {report:?}");
    }
    assert_eq!(reason(&canary(&simulator).await), None, "and then all is well again");
}

#[tokio::test]
async fn a_key_info_response_must_be_complete_and_valid_even_if_compressed() {
    let simulator = with_a_key().start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let cases = [
        (Fault::Gzip, None),
        (Fault::invalid_json(), Some(Reason::UnexpectedBody)),
        (Fault::Huge(3 << 20), Some(Reason::UnexpectedBody)),
    ];
    for (fault, expected) in cases {
        key.inject_times(1, fault);
        let kind = RequestKind::KeyInfo(KeyInfoMode::Extended);
        let report =
            probe_within(&simulator, kind, KeyInfoMode::Extended.path(), Duration::from_secs(5)).await;
        assert_eq!(reason(&report), expected, "{report:?}");
    }
}

#[tokio::test]
async fn a_response_that_does_not_end_times_out_and_keeps_its_status_and_request_id() {
    let simulator = with_a_key().start().await.unwrap();
    let key = simulator.key("dupont").unwrap();
    let limit = Duration::from_millis(300);
    key.inject_times(1, Fault::Stall);
    let stalled = probe_within(&simulator, CANARY, EXERCICES_PATH, limit).await;
    assert_eq!(reason(&stalled), Some(Reason::Timeout));
    assert_eq!(stalled.status, Some(200));
    assert_eq!(stalled.request_id.unwrap().as_str(), key.calls()[0].request_id().unwrap());
    assert!(stalled.phases.total() >= limit);
    key.inject_times(1, Fault::Silence);
    let silent = probe_within(&simulator, CANARY, EXERCICES_PATH, limit).await;
    assert_eq!((reason(&silent), silent.status), (Some(Reason::Timeout), None));
    assert!(duration_of(&silent, Phase::Processing) > duration_of(&silent, Phase::Transfer));
}

#[tokio::test]
async fn a_head_canary_is_judged_without_a_body() {
    let simulator = with_a_key().start().await.unwrap();
    let head = RequestKind::Canary(Method::Head);
    let report = probe_within(&simulator, head, EXERCICES_PATH, Duration::from_secs(5)).await;
    assert_eq!(reason(&report), None, "{report:?}");
    assert_eq!(simulator.key("dupont").unwrap().calls()[0].method, "HEAD");
}

#[tokio::test]
async fn a_probe_uses_the_configured_proxy_and_speaks_tls_with_the_api() {
    let simulator = with_a_key().tls().start().await.unwrap();
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut api = api(&simulator);
    api.proxy_url = Some(format!("http://{}", proxy.local_addr().unwrap()).parse().unwrap());
    let tunnel = tokio::spawn(async move {
        let (mut inward, _) = proxy.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(inward.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let target = request.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
        let mut outward = tokio::net::TcpStream::connect(target).await.unwrap();
        inward.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut inward, &mut outward).await;
    });
    let report = health(&api).await;
    assert_eq!(reason(&report), None, "{report:?}");
    assert!(duration_of(&report, Phase::Tls) > Duration::ZERO);
    assert_eq!(seconds(report.certificate_expiry), seconds(simulator.certificate_expiry()));
    tunnel.abort();

    // A proxy that opens no tunnel.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    api.proxy_url = Some(format!("http://{}", closed.local_addr().unwrap()).parse().unwrap());
    tokio::spawn(async move {
        let (mut inward, _) = closed.accept().await.unwrap();
        inward.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
        let _ = inward.shutdown().await;
    });
    assert_eq!(reason(&health(&api).await), Some(Reason::Connect));
}
