//! The simulator over TLS, with valid and invalid certificates.

use std::time::Duration;

use bytes::Bytes;
use partner_simulator::{Expiry, Fault, HEALTH, Scope, Simulator, TlsOptions, TlsVersions};
use reqwest::{Certificate, Client};
use tokio::io::AsyncReadExt;

use crate::support::client_builder;

fn client_trusting(sim: &Simulator) -> Client {
    let ca = Certificate::from_pem(sim.ca_pem().unwrap().as_bytes()).unwrap();
    client_builder().tls_certs_only([ca]).build().unwrap()
}

async fn get_health(sim: &Simulator) -> Result<u16, String> {
    let response = client_trusting(sim).get(sim.url(HEALTH)).send().await;
    response.map(|response| response.status().as_u16()).map_err(|error| format!("{error:?}"))
}

async fn start_with(options: TlsOptions) -> Simulator {
    Simulator::builder().tls_with(options).start().await.unwrap()
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_can_connect() {
    let sim = Simulator::builder().tls().start().await.unwrap();
    assert_eq!(sim.base_url().scheme(), "https");
    assert_eq!(get_health(&sim).await, Ok(200));
}

#[tokio::test]
async fn each_tls_version_can_be_the_only_one() {
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        let sim = start_with(TlsOptions { versions, ..TlsOptions::default() }).await;
        assert_eq!(get_health(&sim).await, Ok(200), "{versions:?}");
    }
}

#[tokio::test]
async fn each_bad_certificate_causes_its_own_error() {
    let cases = [
        (TlsOptions::expired(), "Expired"),
        (TlsOptions::wrong_host(), "NotValidForName"),
        (TlsOptions::self_signed(), "UnknownIssuer"),
    ];
    for (options, reason) in cases {
        let error = get_health(&start_with(options).await).await.unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn the_expiry_of_a_certificate_is_reported() {
    let leaf_expiry = Expiry::In(Duration::from_mins(10));
    let sim = start_with(TlsOptions { leaf_expiry, ..TlsOptions::default() }).await;
    let rest = sim.certificate_expiry().unwrap().duration_since(sim.now()).unwrap();
    assert!(rest <= Duration::from_mins(10) && rest > Duration::from_secs(500));
    assert_eq!(get_health(&sim).await, Ok(200));
}

#[tokio::test]
async fn an_intermediate_can_expire_before_the_leaf() {
    let day = Duration::from_hours(24);
    let sim = start_with(TlsOptions::intermediate_expiring_in(day)).await;
    assert!(sim.certificate_expiry().unwrap() <= sim.now() + day);
    assert_eq!(get_health(&sim).await, Ok(200));
}

#[tokio::test]
async fn the_next_connection_gets_a_renewed_certificate() {
    let sim = start_with(TlsOptions::expired()).await;
    assert!(get_health(&sim).await.is_err());
    sim.renew_certificate(&TlsOptions::default()).unwrap();
    assert_eq!(get_health(&sim).await, Ok(200));
}

#[tokio::test]
async fn an_unfinished_handshake_does_not_delay_other_connections() {
    let sim = Simulator::builder().tls().start().await.unwrap();
    let silent = tokio::net::TcpStream::connect(sim.address()).await.unwrap();
    assert_eq!(get_health(&sim).await, Ok(200));
    drop(silent);
}

#[tokio::test]
async fn raw_bytes_and_closed_connections_work_inside_tls() {
    let sim = Simulator::builder().tls().start().await.unwrap();
    sim.inject(Scope::Everything, Fault::Raw(Bytes::from_static(b"no HTTP")));
    assert!(get_health(&sim).await.unwrap_err().contains("Parse"));
    sim.heal_all();
    sim.inject(Scope::Everything, Fault::Close);
    assert!(get_health(&sim).await.is_err());
}

#[tokio::test]
async fn two_simulators_do_not_trust_each_other() {
    let one = Simulator::builder().tls().start().await.unwrap();
    let two = Simulator::builder().tls().start().await.unwrap();
    assert!(client_trusting(&one).get(two.url(HEALTH)).send().await.is_err());
}

#[tokio::test]
async fn plain_http_on_the_tls_port_gets_no_http_response() {
    let sim = Simulator::builder().tls().start().await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(sim.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    assert!(!received.starts_with(b"HTTP"));
}
